"""The outside world, one folder each; the folders do not know one another."""
