"""What nobody has seen of QPay may be one way or the other: the adapter comes to the same end either way."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
import redis
from moneyed import Money

from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import CancelOutcome, GatewayError, InvoiceToIssue
from domain.payment_row import FoundPayment, PaymentRow, RowStatus, UnreadableRow
from simulator.facts import PAID, Merchant, PaymentType
from simulator.faults import Fault, Rule
from simulator.paying import pay
from simulator.qpay import endpoints
from simulator.server import Running, serving
from simulator.switches import changed
from tests.adapters.qpay.conftest import OpenGateway, elsewhere
from tests.adapters.qpay.token_in_redis import half_a_minute_later
from tests.adapters.refs import ref
from tests.found_within import found_within
from tests.waiting import wait_until

DAY = timedelta(days=1)

Rows = tuple[PaymentRow | UnreadableRow, ...]


def either(**switches: tuple[object, ...]) -> list[dict[str, object]]:
    """Every combination of what each switch may be."""
    return [dict(zip(switches, values, strict=True)) for values in product(*switches.values())]


@pytest.fixture
def simulator(config: QPayConfig) -> Iterator[Running]:
    shop = Merchant(
        username=config.username, password=config.password.get_secret_value(), invoice_code=config.invoice_code
    )
    with serving(merchants=[shop], clock=lambda: datetime.now(UTC)) as running:
        yield running


@pytest.fixture
def at_simulator(simulator: Running, open_gateway: OpenGateway, config: QPayConfig) -> QPayGateway:
    return open_gateway(config=elsewhere(config, simulator.url))


def switch(simulator: Running, **switches: object) -> None:
    simulator.world.switches = changed(simulator.world.switches, switches)


def paid(simulator: Running, external_id: str, *, amount: int | None = None, by_card: bool = False) -> str:
    invoice = simulator.world.book.invoice(external_id)
    assert invoice is not None
    kind = PaymentType.CARD if by_card else PaymentType.P2P
    now = simulator.world.clock()
    return pay(
        simulator.world.book, invoice, amount=amount, payment_type=kind, status=PAID, force=True, now=now
    ).payment_id


@pytest.mark.parametrize(
    "switches",
    either(
        list_object_id=("invoice_id", "invoice_code", "absent"),
        list_without_qr_code=(False, True),
        list_window_is_local=(False, True),
        list_newest_first=(False, True),
    ),
    ids=str,
)
def test_a_payment_of_the_list_leads_to_its_invoice_one_way_or_another(
    simulator: Running, at_simulator: QPayGateway, rent: InvoiceToIssue, switches: dict[str, object]
) -> None:
    switch(simulator, **switches)
    issued = at_simulator.issue(rent)
    payment_id = paid(simulator, issued.external_id)
    now = datetime.now(UTC)

    (one,) = found_within(at_simulator, since=now - DAY / 24, until=now + DAY / 24)
    (again,) = found_within(at_simulator, since=now - DAY / 24, until=now + DAY / 24)
    looked_up = at_simulator.look_up(payment_id)

    assert isinstance(one, FoundPayment)
    assert one == again
    assert isinstance(looked_up, FoundPayment)
    by_id, by_qr = one.external_id == issued.external_id, one.qr_text == issued.qr_text
    assert by_id is (switches["list_object_id"] == "invoice_id")
    assert by_qr is not switches["list_without_qr_code"]
    assert looked_up.external_id == issued.external_id


@pytest.mark.parametrize(
    "switches", either(invoice_paid_status=(400, 409, 422), partly_paid_stays_open=(False, True)), ids=str
)
def test_invoice_that_was_paid_is_not_called_cancelled(
    simulator: Running, at_simulator: QPayGateway, rent: InvoiceToIssue, switches: dict[str, object]
) -> None:
    switch(simulator, **switches)
    whole, part = at_simulator.issue(rent), at_simulator.issue(rent)
    paid(simulator, whole.external_id)
    paid(simulator, part.external_id, amount=1_000)

    assert at_simulator.cancel(ref(whole.external_id)) is CancelOutcome.PAID
    expected = CancelOutcome.PAID if switches["partly_paid_stays_open"] else CancelOutcome.CANCELLED
    assert at_simulator.cancel(ref(part.external_id)) is expected


@pytest.mark.parametrize("name", ["expires_in_is_duration", "no_credentials_misspelt", "validation_in_words"])
@pytest.mark.parametrize("value", [False, True])
def test_login_and_errors_are_understood_in_either_form(
    simulator: Running,
    at_simulator: QPayGateway,
    shared: "redis.Redis",
    rent: InvoiceToIssue,
    name: str,
    *,
    value: bool,
) -> None:
    switch(simulator, **{name: value})
    issued = at_simulator.issue(rent)
    simulator.world.sessions.clear()

    assert until_checked(at_simulator, issued.external_id, shared) == ()


@pytest.mark.parametrize("qr_image_is_empty", [False, True])
def test_invoice_without_an_image_is_an_invoice(
    simulator: Running, at_simulator: QPayGateway, rent: InvoiceToIssue, *, qr_image_is_empty: bool
) -> None:
    switch(simulator, qr_image_is_empty=qr_image_is_empty)

    assert (at_simulator.issue(rent).qr_image is None) is qr_image_is_empty


@pytest.mark.parametrize("check_newest_first", [False, True])
def test_rows_are_all_read_in_either_order(
    simulator: Running, at_simulator: QPayGateway, rent: InvoiceToIssue, *, check_newest_first: bool
) -> None:
    switch(simulator, check_newest_first=check_newest_first)
    issued = at_simulator.issue(rent)
    payments = {paid(simulator, issued.external_id, amount=100) for _ in range(101)}

    told = at_simulator.check(ref(issued.external_id)).rows

    assert {row.payment_id for row in told} == payments
    assert len(told) == 101


@pytest.mark.parametrize("check_rows_are_older", [False, True])
def test_amounts_are_gross_in_either_shape(
    simulator: Running, at_simulator: QPayGateway, rent: InvoiceToIssue, *, check_rows_are_older: bool
) -> None:
    switch(simulator, check_rows_are_older=check_rows_are_older)
    issued = at_simulator.issue(rent)
    paid(simulator, issued.external_id, amount=100_000)

    (row,) = at_simulator.check(ref(issued.external_id)).rows

    assert isinstance(row, PaymentRow)
    assert (row.amount, row.status) == (Money(100_000, "MNT"), RowStatus.PAID)


@pytest.mark.parametrize("fault", sorted(endpoints.POSSIBLE[endpoints.CHECK]))
def test_a_check_under_a_fault_is_the_truth_or_an_error_or_shows_what_is_wrong(
    simulator: Running,
    open_gateway: OpenGateway,
    config: QPayConfig,
    shared: "redis.Redis",
    rent: InvoiceToIssue,
    fault: Fault,
) -> None:
    at_simulator = open_gateway(
        config=elsewhere(config, simulator.url), limits=Limits(breaker_failures=1_000, check_timeout_s=2)
    )
    issued = at_simulator.issue(rent)
    truth = {paid(simulator, issued.external_id, amount=100 + number) for number in range(3)}
    seconds = 0.05 if fault in {Fault.LATENCY, Fault.TOO_MANY} else 5.0 if fault is Fault.DRIP else None
    simulator.world.faults.set([Rule(endpoint=endpoints.CHECK, kind=fault, probability=0.5, seconds=seconds)])

    for _ in range(6):
        rows = checked(at_simulator, issued.external_id, shared) or ()
        told = {row.payment_id for row in rows if isinstance(row, PaymentRow) and row.status is RowStatus.PAID}
        assert told <= truth
        assert all(row.amount.amount < 103 for row in rows if isinstance(row, PaymentRow))
    simulator.world.faults.set(())

    rows = until_checked(at_simulator, issued.external_id, shared)
    assert {row.payment_id for row in rows if isinstance(row, PaymentRow)} == truth


def checked(gateway: QPayGateway, external_id: str, shared: "redis.Redis") -> Rows | None:
    """Check once, with a login where one is needed: the last one's spacing is over. None is no answer."""
    half_a_minute_later(shared)
    try:
        return gateway.check(ref(external_id)).rows
    except GatewayError:
        return None


def until_checked(gateway: QPayGateway, external_id: str, shared: "redis.Redis") -> Rows:
    answers: list[Rows] = []

    def answered() -> bool:
        rows = checked(gateway, external_id, shared)
        answers.extend([] if rows is None else [rows])
        return rows is not None

    wait_until(answered)
    return answers[0]
