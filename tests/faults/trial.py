"""One trial: one scenario with one seed, played to its end and judged."""

import json
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.faults import oracle
from tests.faults.clock import own_clock
from tests.faults.fleet import FaultError
from tests.faults.older import older_version
from tests.faults.oracle import Breach, Budget, Evidence
from tests.faults.scenario import ImpossibleHereError, Scenario
from tests.faults.small_disk import small_disk
from tests.faults.stage import DUE_FOR_S, STUCK_FOR_S, Stage, new_stage
from worker.local import free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a trial ended."""

    scenario: int
    title: str
    seed: int
    seconds: float
    broken: tuple[Breach, ...] = ()
    impossible: str | None = None
    """Why it could not be played on this machine."""
    notes: tuple[str, ...] = ()
    events: int = 0
    """How many there were in the end."""

    @property
    def ok(self) -> bool:
        return not self.broken

    def as_plain(self) -> dict[str, object]:
        return asdict(self) | {"ok": self.ok}


def try_once(scenario: Scenario, *, seed: int, logs: Path) -> Outcome:
    """Play and judge. Call it from the main thread of a process of its own."""
    begun = time.monotonic()
    broken: list[Breach] = []
    notes: list[str] = []
    events, impossible = 0, None
    try:
        with (
            small_disk() if scenario.small_disk else nullcontext() as home,
            own_clock() if scenario.own_clock else nullcontext() as clock,
            new_stage(
                seed=f"{seed}:{scenario.number}",
                logs=logs,
                env=scenario.env,
                haste=scenario.haste,
                older=older_version(logs / "older") if scenario.older_worker else None,
                home=home,
                clock=clock,
                notify_port=free_port() if scenario.tells else None,
            ) as stage,
        ):
            up_s, notes = time.monotonic() - begun, stage.notes
            try:
                scenario.play(stage)
            except FaultError as error:  # what is broken is still broken, so the oracle would only repeat it
                broken.append(Breach(invariant="played", what=str(error)))
            else:
                quiet_s = stage.await_quiet()
                broken += _judge(stage, scenario)
                notes.append(f"up {up_s:.0f} s, quiet {quiet_s:.0f} s")
                events = len(stage.recorded())
    except ImpossibleHereError as error:
        impossible = str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs into the table
        (logs / "harness.log").write_text(traceback.format_exc(), encoding="utf-8")
        broken.append(Breach(invariant="harness", what=f"{type(error).__name__}: {error}"))
    return Outcome(
        scenario=scenario.number,
        title=scenario.title,
        seed=seed,
        seconds=round(time.monotonic() - begun, 1),
        broken=tuple(broken),
        impossible=impossible,
        notes=tuple(notes),
        events=events,
    )


def _judge(stage: Stage, scenario: Scenario) -> list[Breach]:
    at_work = judge_at_work(stage, within_s=scenario.within_s, budget=scenario.budget, may_ask=scenario.may_ask)
    return [*at_work, *judge_at_rest(stage)]


def judge_at_work(stage: Stage, *, within_s: float, budget: Budget, may_ask: bool = False) -> list[Breach]:
    """Judge all but I4 and the seals, and disturb nobody."""
    facts, calls, taken_at = stage.shop.facts(), stage.shop.calls(), stage.shop.since_when()
    by_qr = {str(sale.qr): sale for sale in stage.shop.sales}
    found = _read_at_rest(stage)
    announced = {
        qr["external_id"]
        for qr in found.gateway_invoices
        if qr["id"] in by_qr and by_qr[qr["id"]].qr in stage.shop.lied_about
    }
    evidence = Evidence(
        facts=facts,
        calls=calls,
        taken_at=taken_at,
        healed_at=stage.healed_at,
        within_s=within_s,
        budget=budget,
        witnessed=stage.witnessed,
        announced=frozenset(announced | stage.expected),
        may_ask=may_ask,
    )
    slowest = oracle.slowest(found, evidence)
    stage.notes.append(f"slowest {slowest:.1f} s of {within_s:.0f}")
    return oracle.judge(found, evidence)


def judge_at_rest(stage: Stage) -> list[Breach]:
    """Judge I4 and the seals, with nobody else at work: the scheduler and the workers are killed."""
    return [*_shown("I4", _rebuilt(stage)), *_shown("I3", _sealed(stage))]


def _read_at_rest(stage: Stage) -> oracle.Read:
    """Read all of it between two jobs: what is held, or due, from the first look to the last has been left behind."""
    began = time.monotonic()
    with stage.eyes() as eyes:
        found = oracle.read(eyes)
        left = _at_work(found)
        while True:
            looked_s = time.monotonic() - began
            is_held = bool(found.stuck or found.advisory) and looked_s < STUCK_FOR_S
            if not (is_held or (left and looked_s < DUE_FOR_S)):
                break
            time.sleep(0.25)
            found = oracle.read(eyes)
            left &= _at_work(found)
    for qr in found.gateway_invoices:
        for what in ("due", "leased"):
            qr[what] = _state_of(qr, what) in left
    return found


def _at_work(found: oracle.Read) -> set[tuple[object, ...]]:
    return {_state_of(qr, what) for qr in found.gateway_invoices for what in ("due", "leased") if qr[what]}


def _state_of(qr: Mapping[str, object], what: str) -> tuple[object, ...]:
    """Tell one request, and one attempt at it, from the next."""
    return qr["id"], qr["served"], qr["attempts"], what


def _shown(invariant: str, what: Iterator[str]) -> list[Breach]:
    return [Breach(invariant=invariant, what=one) for one in what]


def _rebuilt(stage: Stage) -> Iterator[str]:
    """Rebuild twice, with nobody else at work: what is live must be right already, and nothing else may happen."""
    if find_spec("worker.cli.replay") is None:
        stage.notes.append("I4 not judged: there is no tootsoo replay")
        return
    for process in (stage.scheduler, *stage.workers):
        process.kill()
    with stage.eyes() as eyes:
        before, calls = oracle.projections(eyes), stage.shop.calls()
        for which in ("a", "a second"):
            replayed = stage.fleet.run("replay", "--json")
            if replayed.returncode != 0:
                yield f"{which} replay ended with {replayed.returncode}: {(replayed.stderr or replayed.stdout)[:300]}"
                return
            told = json.loads(replayed.stdout)
            if told.get("difference"):
                yield f"{which} replay found differences: {json.dumps(told['difference'])[:300]}"
            if (after := oracle.projections(eyes)) != before:
                yield f"{which} replay changed rows: {before} became {after}"
        if stage.shop.calls() != calls:
            yield "a replay called the gateway"


def _sealed(stage: Stage) -> Iterator[str]:
    verified = stage.fleet.run("verify", "--seals", "--json")
    if verified.returncode != 0:
        yield f"the seals do not fit: {(verified.stderr or verified.stdout)[:300]}"
