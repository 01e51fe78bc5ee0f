"""How fast we are, against the bare statements that write the same rows, and against two peers: `make bench`.

A figure that is missed is no error: it is in the table, and the exit code is 0.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.bench.appends import measure_batches, measure_single
from tests.bench.callbacks import measure_callbacks
from tests.bench.discovering import measure_calls, measure_day, measure_sweep
from tests.bench.figures import Figure
from tests.bench.growth import measure_growth
from tests.bench.machine import this_machine
from tests.bench.peers import measure_peers
from tests.bench.reads import measure_reads
from tests.bench.replays import measure_replay
from tests.bench.report import print_json, print_table
from tests.bench.rounds import say
from tests.bench.settling import measure_settling
from tests.bench.sizes import FULL, QUICK, Sizes
from tests.bench.statements import measure_statements

BENCHMARKS: dict[str, Callable[[Sizes], Iterator[Figure]]] = {
    "P1": measure_replay,
    "P2": measure_single,
    "P3": measure_batches,
    "P4": measure_callbacks,
    "P5": measure_settling,
    "P6": measure_calls,
    "P7": measure_day,
    "P8": measure_growth,
    "P9": measure_sweep,
    "reads": measure_reads,
    "statements": measure_statements,
    "peers": measure_peers,
}


def main() -> None:
    arguments = _parse()
    sizes = QUICK if arguments.quick else FULL
    if arguments.events is not None:
        sizes = replace(sizes, events=arguments.events)
    machine = this_machine()
    figures: list[Figure] = []
    for name in arguments.only:
        for figure in BENCHMARKS[name](sizes):
            say(f"{figure.id} {figure.work}: {figure.ratio:.2f}")
            figures.append(figure)
    (print_json if arguments.json else print_table)(machine, figures)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench BENCH=…", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--only", type=_names, default=list(BENCHMARKS), help=f"some of {','.join(BENCHMARKS)}", metavar="P2,P3"
    )
    parser.add_argument("--quick", action="store_true", help="just enough to see that it runs; the figures mean little")
    parser.add_argument("--events", type=int, metavar="N", help=f"in P8's large ledger (default {FULL.events:,})")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return names


main()
