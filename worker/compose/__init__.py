"""The composition root: the one place that builds adapters and puts the use cases together."""
