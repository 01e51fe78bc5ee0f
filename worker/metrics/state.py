"""What the web process reads for a scrape: the state in PostgreSQL, the same whoever reads it, never to be summed."""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapters.postgres.state import JobState, State
from domain.discrepancy import DiscrepancyKind
from worker.metrics.instruments import OTHER
from worker.sight import Need, Sight


class StateCollector(Collector):
    """Gauges of one look at the servers. What PostgreSQL does not tell is absent: an old figure would pass for news."""

    def __init__(self, see: Callable[[], Sight], *, notifies: bool = False) -> None:
        """`notifies` says that somebody is to be told: where nobody is, what waits for it is no news."""
        self._see = see
        self._notifies = notifies

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Look, and give what was seen."""
        sight = self._see()
        up = GaugeMetricFamily("tootsoo_up", "1 where the web process has what it is named by.", labels=["need"])
        for need in Need:
            up.add_metric([need], float(need not in sight.missing))
        yield up
        yield GaugeMetricFamily("tootsoo_ready", "1 where /readyz is green.", value=float(sight.is_ready))
        yield from _families(sight.state)
        yield from _notification_families(sight.state if self._notifies else None)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name the gauges without looking."""
        yield GaugeMetricFamily("tootsoo_up", "")
        yield GaugeMetricFamily("tootsoo_ready", "")
        yield from _families(None)
        yield from _notification_families(None)


def _families(state: State | None) -> Iterator[GaugeMetricFamily]:
    requests = GaugeMetricFamily("tootsoo_check_requests", "Checks asked for and not answered.", labels=["state"])
    oldest = GaugeMetricFamily("tootsoo_check_request_oldest_due_seconds", "How long the oldest due check waits.")
    unrung = GaugeMetricFamily("tootsoo_check_request_unrung_seconds", "How long nobody was woken who should be.")
    parked = GaugeMetricFamily("tootsoo_parked", "What is tried no more until a person says so.", labels=["what"])
    owed = GaugeMetricFamily("tootsoo_owed_qrs", "Invoices without a QR, since theirs was closed to be renewed.")
    owed_s = GaugeMetricFamily("tootsoo_owed_qr_oldest_seconds", "How long the first of them has had none.")
    questions = GaugeMetricFamily("tootsoo_discrepancies_open", "Open questions for a person.", labels=["kind"])
    suspense = GaugeMetricFamily(
        "tootsoo_suspense_minor_units", "Money of no invoice, in minor units.", labels=["gateway", "currency"]
    )
    if state is not None:
        for name, count in state.check_requests.items():
            requests.add_metric([name], count)
        oldest.add_metric([], state.oldest_due_s)
        unrung.add_metric([], state.unrung_s)
        owed.add_metric([], state.owed_qrs)
        owed_s.add_metric([], state.owed_qr_oldest_s)
        for what, count in state.parked.items():
            parked.add_metric([what], count)
        for kind, count in _by_known_kind(state).items():
            questions.add_metric([kind], count)
        for (gateway, currency), minor in state.suspense_minor.items():
            suspense.add_metric([gateway, currency], minor)
    yield from (requests, oldest, unrung, parked, owed, owed_s, questions, suspense)
    yield from _found_families(state)
    yield from _reconciled_families(state)
    yield from _job_families(state)


def _found_families(state: State | None) -> Iterator[GaugeMetricFamily]:
    found = GaugeMetricFamily(
        "tootsoo_payments_found", "Payments that became known in the last day.", labels=["gateway", "source"]
    )
    for (gateway, source), count in (state.found if state is not None else {}).items():
        found.add_metric([gateway, source], count)
    yield found


def _reconciled_families(state: State | None) -> Iterator[GaugeMetricFamily]:
    behind = GaugeMetricFamily(
        "tootsoo_reconciled_behind_seconds", "Since the end of the newest compared day.", labels=["gateway"]
    )
    still_open = GaugeMetricFamily(
        "tootsoo_reconcile_open", "Payments that differ from a gateway's list.", labels=["gateway"]
    )
    reconciled = state.reconciled if state is not None else {}
    for gateway, one in reconciled.items():
        behind.add_metric([gateway], one.behind_s)
        still_open.add_metric([gateway], one.open)
    yield from (behind, still_open)


def _notification_families(state: State | None) -> Iterator[GaugeMetricFamily]:
    waiting = GaugeMetricFamily("tootsoo_notifications_pending", "What the application is to be told and has not got.")
    oldest = GaugeMetricFamily("tootsoo_notification_oldest_seconds", "Since the oldest of these was staged.")
    if state is not None:
        waiting.add_metric([], state.notifications_pending)
        oldest.add_metric([], state.oldest_notification_s)
    yield from (waiting, oldest)


def _job_families(state: State | None) -> Iterator[GaugeMetricFamily]:
    lag = GaugeMetricFamily("tootsoo_schedule_lag_seconds", "Age of a job's oldest unfinished run.", labels=["job"])
    done = GaugeMetricFamily("tootsoo_schedule_done_ago_seconds", "Since a job was last done.", labels=["job"])
    failed = GaugeMetricFamily("tootsoo_schedule_failed", "1 where a job's last run was given up.", labels=["job"])
    jobs: dict[str, JobState] = dict(state.jobs) if state is not None else {}
    for name, job in jobs.items():
        lag.add_metric([name], job.unfinished_s)
        failed.add_metric([name], float(job.failed))
        if job.done_ago_s is not None:
            done.add_metric([name], job.done_ago_s)
    yield from (lag, done, failed)


def _by_known_kind(state: State) -> dict[str, int]:
    """Count every kind, also those without any; kinds of a newer version are one."""
    counts = dict.fromkeys([*DiscrepancyKind, OTHER], 0)
    for kind, count in state.discrepancies.items():
        counts[kind if kind in counts else OTHER] += count
    return counts
