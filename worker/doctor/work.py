"""Work: whether somebody wakes workers, whether they come, and what waits or was given up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.postgres.schedule import LastRun
from adapters.postgres.state import State
from domain.discrepancy import DiscrepancyKind
from domain.money import from_minor_units
from domain.schedule import Every, Job
from worker.doctor.finding import About, Finding
from worker.sight import SILENT_AFTER_S
from worker.words import money_text, plural

SCHEDULER, WORKERS, JOBS, BACKLOG = About("scheduler"), About("workers"), About("jobs"), About("backlog")
PARKED, QUESTIONS, SHARED = About("parked"), About("discrepancies"), About("credentials")

LATE = timedelta(seconds=SILENT_AFTER_S)
"""A job that comes every so many seconds is entered within this of its time where a scheduler runs."""

NIGHT_LATE = timedelta(minutes=10)
NIGHT_DONE_WITHIN_S = 26 * 3_600.0
"""What the alerts say too (docs/alerts.yml): a night has passed without it."""

DUE_LATE_S = 60.0
NOTIFICATION_LATE_S = 900.0
OWED_LATE_S = 7_200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A job, the run of it that was entered last, and when the next one should begin; times are UTC."""

    job: Job
    last: LastRun | None
    next_at: datetime | None
    """None while the last one is not over."""


def judge_scheduler(state: State, planned: Sequence[Planned], *, now: datetime) -> Iterator[Finding]:
    """Say whether a scheduler runs, by what it alone does: it enters runs, and rings for what is due."""
    start = "Start tootsoo scheduler, and see what its log says."
    if state.unrung_s > SILENT_AFTER_S:
        yield SCHEDULER.failure(f"nobody was woken for {state.unrung_s:,.0f} s for a check that is due", start)
        return
    late = [one.job.name for one in planned if _is_late(one, now=now)]
    if late:
        yield SCHEDULER.failure(f"nobody has begun what is due: {', '.join(late)}", start)
        return
    often = [one for one in planned if isinstance(one.job.cadence, Every)]
    if not often:
        yield SCHEDULER.untested(
            "nothing has been due lately that would show it",
            "See that the process runs; with SEAL_SECRET set there is a job every few seconds that shows it.",
        )
        return
    yield SCHEDULER.ok(f"it begins {', '.join(one.job.name for one in often)} in time")


def _is_late(one: Planned, *, now: datetime) -> bool:
    match one.job.cadence:
        case Every(every_s=every_s):
            if one.next_at is None:
                return False
            return one.last is None or now - one.last.begun_at > timedelta(seconds=every_s) + LATE
        case _:
            # Before its first night a nightly job is due at once, so an entry shows that a scheduler was here.
            return one.next_at is not None and one.next_at <= now and (one.last is None or _was_long_ago(one, now))


def _was_long_ago(one: Planned, now: datetime) -> bool:
    return one.last is not None and now - one.last.begun_at > timedelta(days=1) + NIGHT_LATE


def judge_workers(taken: Mapping[str, bool], *, within_s: float) -> Iterator[Finding]:
    """Say which kinds of work a worker takes: `taken` tells of each queue whether one took a message about nothing."""
    untaken = [name for name, was in taken.items() if not was]
    if not any(taken.values()):
        yield WORKERS.failure(
            f"none took a message within {within_s:g} s",
            "Start tootsoo worker with the same REDIS_URL, or more of them.",
        )
    elif untaken:
        yield WORKERS.failure(
            f"workers take messages, but none about {', '.join(untaken)}",
            "Give the workers the same settings as every process, and restart them.",
        )
    else:
        yield WORKERS.ok(f"they take messages about {', '.join(taken)}")


def judge_jobs(state: State, planned: Sequence[Planned]) -> Iterator[Finding]:
    """Say which jobs were given up, and which nights passed without theirs."""
    wrong = False
    for name, job in state.jobs.items():
        if job.failed:
            wrong = True
            yield JOBS.warning(
                f"{name} was given up", "Run tootsoo scheduler --list, and see the worker's log for why."
            )
        elif job.done_ago_s is not None and job.done_ago_s > NIGHT_DONE_WITHIN_S:
            wrong = True
            yield JOBS.warning(
                f"{name} was last done {job.done_ago_s / 3600:,.0f} hours ago",
                "Run tootsoo scheduler --list, and see whether scheduler and workers run.",
            )
    if wrong:
        return
    never = [one.job.name for one in planned if one.job.name not in state.jobs]
    if never:
        yield JOBS.untested(f"never run yet: {', '.join(never)}", "Look again when a scheduler has run for a minute.")
    else:
        yield JOBS.ok("none was given up, and none is late")


def judge_backlog(state: State) -> Iterator[Finding]:
    """Say what has waited longer than it should."""
    wrong = False
    if state.oldest_due_s > DUE_LATE_S:
        wrong = True
        due = plural(state.check_requests.get("due", 0), "check")
        yield BACKLOG.warning(
            f"{due} due, the oldest for {state.oldest_due_s:,.0f} s",
            "See that workers run and the gateway answers; then run more of them.",
        )
    if state.oldest_notification_s > NOTIFICATION_LATE_S:
        wrong = True
        yield BACKLOG.warning(
            f"{plural(state.notifications_pending, 'notification')} waiting, the oldest for"
            f" {state.oldest_notification_s / 60:,.0f} minutes",
            "Run tootsoo notifications list: it shows what your application answered.",
        )
    if state.owed_qr_oldest_s > OWED_LATE_S:
        wrong = True
        yield BACKLOG.warning(
            f"{plural(state.owed_qrs, 'invoice')} without a QR since theirs was closed to be renewed",
            "Run tootsoo scheduler --list for why, then tootsoo refresh.",
        )
    if not wrong:
        yield BACKLOG.ok("nothing has waited for long")


def judge_parked(state: State) -> Iterator[Finding]:
    """Say what is tried no more until a person says so."""
    qrs = state.parked.get("check", 0) + state.parked.get("close", 0)
    notifications = state.parked.get("notification", 0)
    if qrs:
        yield PARKED.warning(
            f"{plural(qrs, 'QR')} parked: what is paid on them is not found",
            "Run tootsoo parked list, mend why, then tootsoo parked retry.",
        )
    if notifications:
        yield PARKED.warning(
            f"{plural(notifications, 'notification')} parked",
            "Run tootsoo notifications list --state parked, then tootsoo notifications resend --parked.",
        )
    if not qrs and not notifications:
        yield PARKED.ok("nothing")


def judge_questions(state: State) -> Iterator[Finding]:
    """Say which questions wait for a person, and what lies in suspense."""
    kinds = {kind: count for kind, count in state.discrepancies.items() if kind != _SHARED}
    suspense = [
        f"{money_text(from_minor_units(minor, currency=currency))} of {gateway}"
        for (gateway, currency), minor in state.suspense_minor.items()
        if minor
    ]
    if kinds:
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        yield QUESTIONS.warning(f"open: {told}", "Run tootsoo discrepancies list, and answer them.")
    if suspense:
        yield QUESTIONS.warning(
            f"in suspense: {', '.join(suspense)}", "Find out whose it is, then tootsoo assign or tootsoo refund."
        )
    if not kinds and not suspense:
        yield QUESTIONS.ok("none open, nothing in suspense")


def judge_shared(state: State, *, live: bool) -> Iterator[Finding]:
    """Say whether somebody else logs in with our credentials."""
    if state.discrepancies.get(_SHARED, 0):
        yield SHARED.fault(
            "another program logs in at the gateway with our credentials, and each login ends our session",
            "Ask the gateway for credentials of your own, then tootsoo discrepancies resolve.",
            live=live,
        )
    else:
        yield SHARED.ok("nobody else was seen to log in with ours")


_SHARED = DiscrepancyKind.CREDENTIALS_USED_ELSEWHERE.value
