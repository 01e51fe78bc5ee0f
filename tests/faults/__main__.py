"""Faults that must be survived, on real processes: `make faults`.

Every trial has a seed from which all that is random in it comes. Exit code: 0 all is well, 1 an invariant broke,
2 wrong usage.
"""

import argparse
import json
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.embedded.process import die_with_parent
from tests.faults.oracle import Breach
from tests.faults.report import print_json, print_table, verdict
from tests.faults.scenario import Scenario
from tests.faults.scenarios import SCENARIOS
from tests.faults.trial import Outcome, try_once

LOGS = Path(".tootsoo") / "faults"
TRIAL_MAX_S = 1_200
"""Longer than two hundred kills take on a slow machine; every wait inside has a limit of its own."""

SEED_MAX = 2**31


def main() -> int:
    arguments = _parse()
    if arguments.trial is not None:
        outcome = try_once(SCENARIOS[arguments.trial], seed=arguments.seed[0], logs=arguments.logs)
        print(json.dumps(outcome.as_plain(), ensure_ascii=False))  # noqa: T201
        return 0 if outcome.ok else 1
    chosen = [SCENARIOS[number] for number in arguments.only]
    if arguments.quick:
        chosen = [scenario for scenario in chosen if scenario.quick]
    trials = [(scenario, seed) for seed in arguments.seed for scenario in chosen]
    outcomes = []
    for outcome in _all(trials, jobs=arguments.jobs):
        notes = "; ".join(outcome.notes)
        _say(f"{outcome.scenario:>2} seed {outcome.seed}: {verdict(outcome)} in {outcome.seconds:.0f} s ({notes})")
        for breach in outcome.broken:
            _say(f"   {breach.invariant}: {breach.what}")
        outcomes.append(outcome)
    (print_json if arguments.json else print_table)(sorted(outcomes, key=lambda one: (one.scenario, one.seed)))
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def _all(trials: list[tuple[Scenario, int]], *, jobs: int) -> Iterator[Outcome]:
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda trial: _in_a_process(*trial), trials)


def _in_a_process(scenario: Scenario, seed: int) -> Outcome:
    """Try in a process of its own: whatever becomes of it, its servers and processes die with it."""
    logs = LOGS / f"{scenario.number}-{seed}"
    shutil.rmtree(logs, ignore_errors=True)
    command = ["--trial", str(scenario.number), "--seed", str(seed), "--logs", str(logs.absolute())]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tests.faults", *command],
            capture_output=True,
            text=True,
            timeout=TRIAL_MAX_S,
            check=False,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        plain = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return _failed(scenario, seed, f"it was killed after {TRIAL_MAX_S} s")
    except json.JSONDecodeError:
        return _failed(scenario, seed, f"it ended with {done.returncode}: {done.stderr[-500:]}")
    del plain["ok"]
    plain["broken"] = tuple(Breach(**breach) for breach in plain["broken"])
    plain["notes"] = tuple(plain["notes"])
    outcome = Outcome(**plain)
    if outcome.ok:
        shutil.rmtree(logs, ignore_errors=True)  # those of what broke stay
    return outcome


def _failed(scenario: Scenario, seed: int, why: str) -> Outcome:
    breach = Breach(invariant="harness", what=why)
    return Outcome(scenario=scenario.number, title=scenario.title, seed=seed, seconds=0, broken=(breach,))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: make faults SEED=1..20 ONLY=4,5",
    )
    parser.add_argument("--seed", type=_seeds, default=None, metavar="7|1..20", help="by default one by chance")
    parser.add_argument(
        "--only", type=_numbers, default=list(SCENARIOS), metavar="4,5", help=f"some of {','.join(map(str, SCENARIOS))}"
    )
    parser.add_argument("--quick", action="store_true", help="the selection that make test-slow runs")
    parser.add_argument("--jobs", type=int, default=1, choices=range(1, 17), metavar="N", help="trials at once")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--trial", type=int, choices=SCENARIOS, help=argparse.SUPPRESS)
    parser.add_argument("--logs", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = [secrets.randbelow(SEED_MAX)]
    return arguments


def _seeds(text: str) -> list[int]:
    parts = re.fullmatch(r"(\d{1,10})(?:\.\.(\d{1,10}))?", text)
    if parts is None:
        raise argparse.ArgumentTypeError("should be a number, or two with .. between them")
    first, last = int(parts[1]), int(parts[2] or parts[1])
    if not first <= last < first + 10_000:
        raise argparse.ArgumentTypeError("the second number should not be smaller than the first, or much larger")
    return list(range(first, last + 1))


def _numbers(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdigit() and int(part) in SCENARIOS for part in parts):
        raise argparse.ArgumentTypeError(f"there are {', '.join(map(str, SCENARIOS))}")
    return [int(part) for part in parts]


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


sys.exit(main())
