"""What the web process is put together from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from domain.gateway import PaymentGateway
from worker.clock import Clock
from worker.correct import Correct
from worker.issue import Issue
from worker.ring import Ring
from worker.webhook_token import WebhookTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    """The use cases and stores that the routes call."""

    invoices: Invoices
    ledger: Ledger
    check_requests: CheckRequests
    api_keys: ApiKeys
    issue: Issue
    correct: Correct
    gateways: Mapping[str, PaymentGateway]
    tokens: WebhookTokens
    ring: Ring
    not_ready: Callable[[], Mapping[str, str]]
    """Names what does not work, with the reason; empty when all does."""
    clock: Clock


def _parts(request: Request) -> WebParts:
    parts: WebParts = request.app.state.parts
    return parts


Parts = Annotated[WebParts, Depends(_parts)]
