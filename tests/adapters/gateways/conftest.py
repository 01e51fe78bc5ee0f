"""Every test of this folder runs once for each gateway."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from moneyed import Money

from domain.gateway import InvoiceToIssue, IssuedInvoice, PaymentGateway
from tests.adapters.gateways.rig import RIGS, Rig


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Rig]:
    with RIGS[request.param](redis_url) as rig:
        yield rig


@pytest.fixture
def gateway(rig: Rig) -> PaymentGateway:
    return rig.gateway


@pytest.fixture
def order() -> InvoiceToIssue:
    return InvoiceToIssue(
        number="order-1",
        amount=Money(90_000, "MNT"),
        description="Захиалга",
        receiver_code="terminal",
        callback_url="https://pay.example.mn/v2/webhook/a-token-that-nobody-may-see",
        expires_at=datetime.now(UTC) + timedelta(days=7),
    )


@pytest.fixture
def issued(gateway: PaymentGateway, order: InvoiceToIssue) -> IssuedInvoice:
    return gateway.issue(order)
