"""The table for people, and the same as JSON."""

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure
from tests.bench.machine import Machine

WIDTH = 116


def print_table(machine: Machine, figures: Sequence[Figure]) -> None:
    console = Console(width=WIDTH, highlight=False, emoji=False, markup=False)
    for line in _machine_lines(machine):
        console.print(line)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("work")
    for heading in ("ours", "limit", "ratio", "rounds", "reach"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("reached", no_wrap=True)
    for figure in figures:
        table.add_row(*_cells(figure))
    console.print(table)
    for limit_is in dict.fromkeys((figure.id, figure.limit_is) for figure in figures):
        console.print(f"{limit_is[0]} limit: {limit_is[1]}.")
    for note in dict.fromkeys((figure.id, figure.note) for figure in figures if figure.note):
        console.print(f"{note[0]}: {note[1]}.")


def print_json(machine: Machine, figures: Sequence[Figure]) -> None:
    plain = {"machine": machine.as_plain(), "figures": [figure.as_plain() for figure in figures]}
    Console(width=WIDTH).print_json(json.dumps(plain, ensure_ascii=False))


def _machine_lines(machine: Machine) -> tuple[str, ...]:
    settings = ", ".join(f"{name} {value}" for name, value in machine.settings.items())
    hardware = f"{machine.cores} cores, {machine.cpu}, {machine.memory_gb} GB, {machine.system}"
    software = f"Python {machine.python}, psycopg {machine.psycopg}, eventsourcing {machine.eventsourcing}"
    return (
        f"{machine.date}. {hardware}; load {machine.load} at the start.",
        f"{software}, PostgreSQL {machine.postgresql} ({settings}).",
        "ratio: the median of the rounds' own ratios; rounds: the lowest and the highest of them.",
    )


def _cells(figure: Figure) -> tuple[str, ...]:
    sign = "≥" if figure.at == "least" else "≤"
    return (
        figure.id,
        figure.work,
        _amount(figure.ours, figure.unit),
        _amount(figure.limit, figure.unit),
        f"{figure.ratio:.2f}",
        f"{min(figure.ratios):.2f} to {max(figure.ratios):.2f}",
        f"{sign} {figure.reach}",
        "yes" if figure.reached else "NO",
    )


def _amount(value: float, unit: str) -> str:
    match unit:
        case "ms" | "calls":
            return f"{value:,.2f} {unit}"
        case "MB":
            return f"{value:,.0f} MB"
        case _:
            return f"{value:,.0f}/s"
