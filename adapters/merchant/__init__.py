"""The merchant's own application, which is told what happened."""
