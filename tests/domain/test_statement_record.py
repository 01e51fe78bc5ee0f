"""What is written of lines holds at the moment of writing: what others overtook is not recorded."""

from hypothesis import given
from hypothesis import strategies as st

from domain.discrepancy import DiscrepancyKind
from domain.money import money
from domain.payment_event import OccurredAtSource, Source
from domain.statement_record import LineToRecord, plan_accepted, plan_lines
from tests.domain.samples import GATEWAY_INVOICE, NOON, an_event, recorded


def a_line(key: str = "k1", *, amount: str = "100", invoice_id: str = "order-1") -> LineToRecord:
    return LineToRecord(
        key=key, invoice_id=invoice_id, amount=money(amount, currency="MNT"), posted_at=NOON, raw={"line": 1}
    )


def test_a_line_becomes_a_payment_of_the_bank() -> None:
    (event,) = plan_lines(recorded(), [a_line()]).events

    assert event.key == ("bank", "k1", "received", "gateway")
    assert (event.invoice_id, event.source, event.occurred_at_source) == (
        "order-1",
        Source.STATEMENT,
        OccurredAtSource.GATEWAY,
    )


def test_what_was_paid_voided_or_recorded_meanwhile_is_not_recorded() -> None:
    paid = recorded(an_event(amount="1", gateway_invoice_id=GATEWAY_INVOICE))

    assert plan_lines(paid, [a_line()]).events == ()
    assert plan_lines(recorded(voided=True), [a_line()]).events == ()
    assert plan_lines(recorded(*plan_lines(recorded(), [a_line()]).events), [a_line()]).events == ()


@given(st.lists(st.sampled_from(["100", "40", "60"]), max_size=6))
def test_an_invoice_takes_one_line_and_exactly_what_it_lacks(amounts: list[str]) -> None:
    lines = [a_line(f"k{number}", amount=amount) for number, amount in enumerate(amounts)]

    events = plan_lines(recorded(), lines).events

    assert [str(event.amount.amount) for event in events] == ["100"] * ("100" in amounts)


def test_a_person_may_put_a_line_on_an_invoice_that_lacks_less_and_is_asked_about_it() -> None:
    by_qr = an_event(amount="100", gateway_invoice_id=GATEWAY_INVOICE)

    decision = plan_accepted(recorded(by_qr), a_line(amount="30"), who="Bat", why="The payer called")
    again = plan_accepted(recorded(by_qr, *decision.events), a_line(amount="30"), who="Bat", why=None)

    assert [(event.who, event.raw["reason"]) for event in decision.events] == [("Bat", "The payer called")]
    assert [asked.kind for asked in decision.discrepancies] == [DiscrepancyKind.DUPLICATE_PAYMENT]
    assert again.events == ()
