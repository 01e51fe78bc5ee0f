"""Tests by behaviour; their names are claims."""
