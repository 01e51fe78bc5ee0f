"""The command line: `tootsoo …`."""

from worker.cli.main import main

__all__ = ["main"]
