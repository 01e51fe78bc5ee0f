"""Prints tables of which nothing is cut: ids are there to be typed, and amounts to be read."""

import os

from rich.console import Console
from rich.table import Table

WIDE_CHARS = 200
"""What is taken where nobody says how wide it is: a file, a mail of cron, a pipe."""


def print_table(table: Table) -> None:
    """Print a table on standard output; what is too long for its column goes on in the next line."""
    for column in table.columns:
        column.overflow = "fold"
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE_CHARS
    console.print(table)
