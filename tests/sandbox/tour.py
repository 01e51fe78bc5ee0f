"""One tour of QPay's wire: log in, create, check, list, look, cancel; and how its answers differ from recorded ones."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from moneyed import Money

from adapters.calls.answers import Answer
from adapters.calls.http import Http, Request, Spending
from adapters.qpay.details import InvoiceStatus
from adapters.qpay.gateway import QPayGateway
from domain.gateway import CancelOutcome, InvoiceToIssue
from tests.adapters.refs import ref

RECORDED = Path(__file__).parents[1] / "adapters" / "qpay" / "fixtures"
FIXTURES = {
    "POST auth/token": "auth_token_200",
    "POST invoice": "invoice_create_200",
    "POST payment/check": "payment_check_200_unpaid",
    "POST payment/list": "payment_list_200",
    "GET invoice": "invoice_get_200_open",
}
"""What each first successful answer is compared with; an empty list of rows is like any."""


@dataclass(slots=True)
class Seen:
    """The first successful answer of each endpoint."""

    bodies: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep what comes; nothing is changed on its way."""
        exchange = Http.exchange

        async def kept(http: Http, request: Request, *, spending: Spending) -> Answer:
            answer = await exchange(http, request, spending=spending)
            if answer.status == 200:
                self.bodies.setdefault(request.endpoint, json.loads(answer.body))
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Http, "exchange", kept)
            yield

    def differences(self) -> tuple[list[str], list[str]]:
        """Return (what is gone or of another kind, what is new), a line each, without any values."""
        gone: list[str] = []
        new: list[str] = []
        for endpoint, name in FIXTURES.items():
            recorded = json.loads((RECORDED / f"{name}.json").read_text())
            for line in compare(recorded, self.bodies.get(endpoint), at=endpoint):
                (new if line.endswith("is new") else gone).append(line)
        return gone, new


def compare(recorded: Any, told: Any, *, at: str) -> Iterator[str]:
    """Say how `told` differs in shape. Text, numbers, truth and null may stand for one another: QPay mixes them."""
    match recorded, told:
        case dict(), dict():
            for key in recorded.keys() - told.keys():
                yield f"{at}.{key} is gone"
            for key in told.keys() - recorded.keys():
                yield f"{at}.{key} is new"
            for key in recorded.keys() & told.keys():
                yield from compare(recorded[key], told[key], at=f"{at}.{key}")
        case list(), list():
            if recorded and told:
                yield from compare(recorded[0], told[0], at=f"{at}[]")
        case (dict() | list(), None) | (None, _):
            return
        case _:
            if isinstance(recorded, dict | list) or isinstance(told, dict | list):
                yield f"{at} is {type(told).__name__}, and was {type(recorded).__name__}"


def take(gateway: QPayGateway) -> None:
    """Make an invoice of 100 tögrög, see that nothing is paid, and cancel it, whatever comes between."""
    now = datetime.now(UTC)
    issued = gateway.issue(
        InvoiceToIssue(
            number=f"tootsoo-{uuid4().hex[:24]}",
            amount=Money(100, "MNT"),
            description="A tour of the sandbox",
            receiver_code="terminal",
            callback_url="https://localhost/nobody-listens",  # accepted and never called (observed)
            expires_at=now + timedelta(hours=1),
        )
    )
    try:
        assert issued.qr_text
        assert gateway.check(ref(issued.external_id)).rows == ()
        list(gateway.discover(since=now - timedelta(minutes=5), until=now))
        assert gateway.read_invoice(issued.external_id).status is InvoiceStatus.OPEN
    finally:
        assert gateway.cancel(ref(issued.external_id)) is CancelOutcome.CANCELLED
    assert gateway.cancel(ref(issued.external_id)) is CancelOutcome.CANCELLED
    assert gateway.read_invoice(issued.external_id).status is InvoiceStatus.CANCELED
