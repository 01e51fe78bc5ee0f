"""What the web process is put together from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from pydantic import SecretStr

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.postgres.horizon import Horizons
from adapters.postgres.idempotency_keys import IdempotencyKeys
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from domain.gateway import PaymentGateway, ReadPush
from worker.clock import Clock
from worker.correct import Correct
from worker.issue import Issue
from worker.metrics.instruments import Metrics
from worker.pay_pages import PayPages
from worker.record import RecordPayment
from worker.ring import Ring
from worker.sight import Sight
from worker.web.callers import Callers
from worker.web.rates import Rates
from worker.webhook_token import WebhookTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    """The use cases and stores that the routes call."""

    invoices: Invoices
    ledger: Ledger
    horizons: Horizons
    check_requests: CheckRequests
    callers: Callers
    rates: Rates
    issue: Issue
    gateway_invoices: GatewayInvoices
    pay_pages: PayPages
    correct: Correct
    record: RecordPayment
    gateways: Mapping[str, PaymentGateway]
    pushes: Mapping[str, ReadPush]
    """Who reads the bodies of those gateways that sign what they send."""
    keys: IdempotencyKeys
    tokens: WebhookTokens
    ring: Ring
    see: Callable[[], Sight]
    """Looks at what this process needs; bounded in time."""
    metrics: Metrics
    metrics_tokens: Sequence[SecretStr]
    """Who sends one of them may read the metrics; nobody when there are none."""
    clock: Clock
    https: bool
    """Whether the internet reaches this process by TLS."""


async def _parts(request: Request) -> WebParts:
    """Return the parts; async, because FastAPI would call a plain function in a thread, for each request."""
    parts: WebParts = request.app.state.parts
    return parts


Parts = Annotated[WebParts, Depends(_parts)]
