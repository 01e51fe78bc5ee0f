"""What a process counts. Every label takes its values from a list that is in the code, never from a request."""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from adapters.postgres.check_requests import ClaimedCheck
from adapters.postgres.ledger import Appended
from adapters.postgres.notifications import Staged
from domain.delivery import Delivered, Park, TryAgain, Verdict
from domain.discrepancy import DiscrepancyKind
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    GatewayUnreadableError,
)
from domain.notification import NotificationType
from domain.payment_event import Source

disable_created_metrics()  # type: ignore[no-untyped-call]  # when each counter began: as many series again, and nobody asks

P = ParamSpec("P")
T = TypeVar("T")

GATEWAYS = ("qpay", "socialpay")
"""Named before anything happens there, so that the first failure is a rise from zero and not a new series."""

CALL_BUCKETS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""A check may take 8 s in all."""

REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

STATUSES = frozenset(
    (200, 201, 204, 301, 302, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 501, 502, 503, 504)
)
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER = "other"

_OUTCOMES: dict[type[GatewayError], str] = {
    GatewayBusyError: "busy",
    GatewayUnreadableError: "unreadable",  # before the class that it belongs to
    GatewayOutcomeUnknownError: "outcome_unknown",
    GatewayUnauthorisedError: "unauthorised",
    GatewayRefusedError: "refused",
}

_VERDICTS: dict[type[Verdict], str] = {Delivered: "delivered", TryAgain: "failed", Park: "parked"}


class Metrics:
    """The counters of one process, in a registry of its own. Counting takes microseconds and asks nobody."""

    def __init__(self, *, gateways: tuple[str, ...] = GATEWAYS) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._callbacks = Counter(
            "tootsoo_callbacks", "Callbacks by what became of them.", ["gateway", "outcome"], registry=registry
        )
        self._requests = Counter(
            "tootsoo_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._request_s = Histogram(
            "tootsoo_http_request_seconds",
            "From the request to the end of its answer.",
            ["route"],
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        self._checks = Counter(
            "tootsoo_checks", "Checks made, by what asked for them.", ["gateway", "cause", "outcome"], registry=registry
        )
        self._events = Counter(
            "tootsoo_events", "Payment events appended.", ["gateway", "kind", "source"], registry=registry
        )
        self._opened = Counter("tootsoo_discrepancies_opened", "Questions that arose.", ["kind"], registry=registry)
        self._calls = Counter(
            "tootsoo_gateway_calls", "HTTP calls to gateways.", ["gateway", "endpoint", "status"], registry=registry
        )
        self._call_s = Histogram(
            "tootsoo_gateway_call_seconds",
            "From sending a call to the end of its answer, or of waiting for it.",
            ["gateway", "endpoint"],
            buckets=CALL_BUCKETS_S,
            registry=registry,
        )
        self._notifications = Counter(
            "tootsoo_notifications", "Tries to tell the application.", ["type", "outcome"], registry=registry
        )
        self._notification_s = Histogram(
            "tootsoo_notification_seconds",
            "From calling the application to its answer, or to giving it up.",
            buckets=CALL_BUCKETS_S,
            registry=registry,
        )
        self._broken = Counter(
            "tootsoo_actor_errors", "Messages whose work ended with an error.", ["actor", "error"], registry=registry
        )
        self._ticks = Counter("tootsoo_ticks", "Ticks of the scheduler.", ["tick", "outcome"], registry=registry)
        self._ticked_at = Gauge(
            "tootsoo_tick_success_timestamp_seconds", "When a tick last succeeded.", ["tick"], registry=registry
        )
        self._begin_at_zero(gateways)

    def callback_answered(self, gateway: str, status: int) -> None:
        """Count a callback: taken, refused, or lost because it could not be written down."""
        outcome = "taken" if 200 <= status < 300 else "refused" if 400 <= status < 500 else "lost"  # noqa: PLR2004 - status classes
        self._callbacks.labels(gateway, outcome).inc()

    def request_answered(self, *, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a request; `route` is the path's template, so that no id becomes a label."""
        method = method if method in METHODS else OTHER
        self._requests.labels(method, route, _known_status(status)).inc()
        self._request_s.labels(route).observe(duration_s)

    def check_ended(self, check: ClaimedCheck, error: GatewayError | None) -> None:
        """Count a check that was answered, or how it was not."""
        self._checks.labels(check.gateway, check.source, _outcome(error)).inc()

    def appended(self, appended: Appended) -> None:
        """Count the events that were new, and the questions that opened with them."""
        for event in appended.events:
            self._events.labels(event.gateway, event.kind, event.source).inc()
        for opened in appended.opened:
            self._opened.labels(opened.discrepancy.kind).inc()

    def gateway_called(self, gateway: str) -> Callable[[str, int | str, float], None]:
        """Return what counts a call of this gateway: its endpoint, its status or why there is none, and its seconds."""

        def called(endpoint: str, status: int | str, duration_s: float) -> None:
            told = _known_status(status) if isinstance(status, int) else status
            self._calls.labels(gateway, endpoint, told).inc()
            self._call_s.labels(gateway, endpoint).observe(duration_s)

        return called

    def notification_tried(self, staged: Staged, verdict: Verdict, duration_s: float) -> None:
        """Count a try to tell the application: delivered, failed and tried again, or parked."""
        self._notifications.labels(staged.type, _VERDICTS[type(verdict)]).inc()
        self._notification_s.observe(duration_s)

    def counting_errors(self, actor: str, act: Callable[P, T]) -> Callable[P, T]:
        """Return an actor's work that counts the errors it ends with, and raises them on."""
        for error in ("gateway", OTHER):
            self._broken.labels(actor, error)

        def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return act(*args, **kwargs)
            except Exception as error:
                self._broken.labels(actor, "gateway" if isinstance(error, GatewayError) else OTHER).inc()
                raise

        return counted

    def counting_ticks(self, name: str, tick: Callable[[], T]) -> Callable[[], T]:
        """Return a tick of the scheduler that counts how it ended."""
        for outcome in ("ok", "failed"):
            self._ticks.labels(name, outcome)

        def counted() -> T:
            try:
                came_to = tick()
            except Exception:
                self._ticks.labels(name, "failed").inc()
                raise
            self._ticks.labels(name, "ok").inc()
            self._ticked_at.labels(name).set(time.time())
            return came_to

        return counted

    def _begin_at_zero(self, gateways: tuple[str, ...]) -> None:
        for gateway in gateways:
            for outcome in ("taken", "refused", "lost"):
                self._callbacks.labels(gateway, outcome)
            for cause in (Source.CALLBACK, Source.SWEEP, Source.REFRESH, Source.COMMAND):
                for outcome in ("answered", *_OUTCOMES.values()):
                    self._checks.labels(gateway, cause, outcome)
        for kind in DiscrepancyKind:
            self._opened.labels(kind)
        for type_ in NotificationType:
            for outcome in _VERDICTS.values():
                self._notifications.labels(type_, outcome)


def _outcome(error: GatewayError | None) -> str:
    if error is None:
        return "answered"
    return next((outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind)), OTHER)


def _known_status(status: int) -> str:
    """Return a status as a label: itself where it is usual, else its class; a server may answer with any number."""
    if status in STATUSES:
        return str(status)
    return f"{status // 100}xx" if 100 <= status <= 599 else OTHER  # noqa: PLR2004 - the bounds of HTTP
