"""How often the wire was called: what tests hold against the budget of calls."""

from collections import Counter
from threading import Lock


class Calls:
    """Counts wire calls per endpoint and, where a call is about one invoice, per invoice as well.

    An endpoint is its method and path template, such as `GET /v2/invoice/{invoice_id}`. Every call that arrives
    is counted, also one that is refused.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_endpoint: Counter[str] = Counter()
        self._by_invoice: dict[str, Counter[str]] = {}

    def count(self, endpoint: str, *, invoice_id: str | None) -> None:
        """Count one call, about the invoice if there is one."""
        with self._lock:
            self._by_endpoint[endpoint] += 1
            if invoice_id is not None:
                self._by_invoice.setdefault(endpoint, Counter())[invoice_id] += 1

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
