"""How often the wire was called, which tests hold against the budget of calls, and what was answered lately."""

from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

KEPT = 500
"""So many of the latest calls are kept with their answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredCall:
    """One call of the wire and what came back. Neither tokens nor bodies are kept: they hold secrets."""

    at: datetime
    endpoint: str
    invoice_id: str | None
    """None when the call was about no invoice, or about one that is not there."""
    status_code: int | None
    """None when nothing was answered."""
    code: str | None
    fault: str | None
    """The fault that met the call, if one did."""


class Calls:
    """Counts wire calls per endpoint and, where a call is about one invoice, per invoice as well.

    An endpoint is its method and path template, such as `GET /v2/invoice/{invoice_id}`. Every call that arrives
    is counted, also one that is refused.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_endpoint: Counter[str] = Counter()
        self._by_invoice: dict[str, Counter[str]] = {}
        self._latest: deque[AnsweredCall] = deque(maxlen=KEPT)

    def count(self, endpoint: str, *, invoice_id: str | None) -> None:
        """Count one call, about the invoice if there is one."""
        with self._lock:
            self._by_endpoint[endpoint] += 1
            if invoice_id is not None:
                self._by_invoice.setdefault(endpoint, Counter())[invoice_id] += 1

    def keep(self, call: AnsweredCall) -> None:
        """Keep one answered call until others are newer."""
        with self._lock:
            self._latest.append(call)

    def latest(self) -> list[AnsweredCall]:
        """List the latest calls, newest first."""
        with self._lock:
            return list(reversed(self._latest))

    def by_endpoint(self) -> dict[str, int]:
        """Tell how many calls each endpoint has had."""
        with self._lock:
            return dict(self._by_endpoint)

    def by_invoice(self, endpoint: str) -> dict[str, int]:
        """Tell how many calls of one endpoint were about each invoice id."""
        with self._lock:
            return dict(self._by_invoice.get(endpoint, {}))

    def clear(self) -> None:
        """Start counting from nothing."""
        with self._lock:
            self._by_endpoint.clear()
            self._by_invoice.clear()
            self._latest.clear()
