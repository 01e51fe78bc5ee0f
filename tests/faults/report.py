"""The table for people, and the same as JSON."""

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.faults.trial import Outcome

WIDTH = 130


def print_table(outcomes: Sequence[Outcome]) -> None:
    console = Console(width=WIDTH, highlight=False, emoji=False, markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("#", "scenario"):
        table.add_column(heading)
    for heading in ("seed", "seconds", "events"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for outcome in outcomes:
        table.add_row(
            str(outcome.scenario),
            outcome.title,
            str(outcome.seed),
            f"{outcome.seconds:.1f}",
            str(outcome.events),
            verdict(outcome),
        )
    console.print(table)
    for outcome in outcomes:
        for breach in outcome.broken:
            console.print(f"scenario {outcome.scenario}, seed {outcome.seed}: {breach.invariant}: {breach.what}")
    bad = sum(not outcome.ok for outcome in outcomes)
    console.print(f"✗ {bad} of {len(outcomes)} trials broke an invariant." if bad else f"✓ {len(outcomes)} trials.")


def print_json(outcomes: Sequence[Outcome]) -> None:
    print(json.dumps({"outcomes": [outcome.as_plain() for outcome in outcomes]}, ensure_ascii=False))  # noqa: T201


def verdict(outcome: Outcome) -> str:
    """Say in few words how a trial ended."""
    if outcome.impossible:
        return f"skipped: {outcome.impossible}"
    if outcome.ok:
        return "ok"
    return "broke " + ", ".join(dict.fromkeys(breach.invariant for breach in outcome.broken))
