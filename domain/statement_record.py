"""Lines of a statement become payments: what is written, and what that raises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from moneyed import Money

from domain.payment_event import GATEWAY_REF, Kind, OccurredAtSource, PaymentEvent, Source
from domain.questions import questions_about
from domain.reconciler import Decision
from domain.recorded import PaymentKey, Recorded
from domain.statement import GATEWAY


@dataclass(frozen=True, slots=True, kw_only=True)
class LineToRecord:
    """A credit line, and the invoice that it is for. `posted_at` is UTC."""

    key: str
    invoice_id: str
    amount: Money
    posted_at: datetime
    raw: Mapping[str, object]

    @property
    def payment(self) -> PaymentKey:
        """By which it is refunded and moved."""
        return GATEWAY, self.key


def plan_lines(recorded: Recorded, lines: Sequence[LineToRecord]) -> Decision:
    """Decide on lines that name their invoice: each is received if it is exactly what the invoice lacks, and not void.

    What is not recorded was overtaken by others; the caller sees it by the event that is not there. Events in key
    order, an invoice's money once.
    """
    events: list[PaymentEvent] = []
    left: dict[str, Money | None] = {
        invoice.id: None if invoice.voided else invoice.outstanding for invoice in recorded.invoices.values()
    }
    for line in sorted(lines, key=lambda line: line.payment):
        if line.payment not in recorded.payments and left[line.invoice_id] == line.amount:
            left[line.invoice_id] = None
            events.append(_event(line, who=None, why=None))
    return Decision(
        events=tuple(events),
        discrepancies=tuple(
            question
            for event in events
            for question in questions_about(recorded.invoices[event.invoice_id or ""], (event,))
        ),
    )


def plan_accepted(recorded: Recorded, line: LineToRecord, *, who: str, why: str | None) -> Decision:
    """Decide on a line that a person puts on an invoice, whatever that lacks; once, wherever it went the first time."""
    if line.payment in recorded.payments:
        return Decision()
    event = _event(line, who=who, why=why)
    return Decision(events=(event,), discrepancies=questions_about(recorded.invoices[line.invoice_id], (event,)))


def _event(line: LineToRecord, *, who: str | None, why: str | None) -> PaymentEvent:
    gateway, payment_id = line.payment
    return PaymentEvent(
        gateway=gateway,
        payment_id=payment_id,
        kind=Kind.RECEIVED,
        ref=GATEWAY_REF,
        invoice_id=line.invoice_id,
        gateway_invoice_id=None,
        amount=line.amount,
        fee=None,
        occurred_at=line.posted_at,
        occurred_at_source=OccurredAtSource.GATEWAY,
        source=Source.STATEMENT,
        raw={**line.raw, "reason": why} if why else line.raw,
        who=who,
    )
