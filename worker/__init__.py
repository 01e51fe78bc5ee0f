"""What runs: the use cases, the processes that call them, the settings, and the composition root."""
