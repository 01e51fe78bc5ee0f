"""A story as JSON, for machines; its shape is described in docs/explain.md and only ever grows."""

from datetime import datetime
from typing import assert_never

from moneyed import Money

from domain.balance import Balance
from domain.dossier import AnswerRow, CheckFacts, DiscrepancyFacts, EventFacts, InvoiceFacts, QrFacts, Subject
from domain.story import Answered, Asked, Called, Changed, Checked, Happened, Item, QrStepped, Staged
from worker.clock import rfc3339
from worker.explain import Story

Json = dict[str, object]


def story_json(story: Story) -> Json:
    """Write a story as one JSON object. Times are UTC; every check stands by itself."""
    dossier = story.dossier
    return {
        "subject": subject_json(dossier.subject),
        "alsoNamed": [subject_json(other) for other in story.others],
        "invoices": [_invoice(one, story.rebuilt[one.id]) for one in dossier.invoices.values()],
        "qrs": [_qr(one) for one in dossier.qrs.values()],
        "story": [_item(item) for item in story.items],
        "leftOut": {"checks": dossier.checks_left_out, "discrepancies": dossier.discrepancies_left_out},
    }


def subject_json(subject: Subject) -> Json:
    """Name a subject; `payment` is `gateway:id`."""
    return {
        "kind": subject.kind.value,
        "invoice": subject.invoice_id,
        "gatewayInvoiceId": None if subject.gateway_invoice_id is None else str(subject.gateway_invoice_id),
        "payment": None if subject.payment is None else ":".join(subject.payment),
    }


def _item(item: Item) -> Json:  # noqa: PLR0911 - one for each kind of item
    match item:
        case Changed(change=one):
            return _at(item, one.change.kind.value) | {
                "invoice": one.invoice_id,
                "amount": _money(one.change.amount),
                "who": one.who,
                "reason": one.reason,
                "balance": _balance(item.balance),
            }
        case QrStepped(qr=qr, step=step):
            return _at(item, "qr") | {"gatewayInvoiceId": str(qr.id), "state": step.value}
        case Called(callbacks=one):
            return _at(item, "callbacks") | {
                "gatewayInvoiceId": str(one.gateway_invoice_id),
                "count": one.count,
                "firstAt": rfc3339(one.first_at),
                "lastAt": rfc3339(one.last_at),
                "announcedPayment": one.announced,
            }
        case Checked(check=check):
            return _at(item, "check") | _check(check)
        case Happened(event=one):
            return _at(item, "event") | _event(one) | {"balance": _balance(item.balance)}
        case Asked(question=one):
            return _at(item, "discrepancy") | _question(one)
        case Answered(question=one):
            return _at(item, "resolution") | {
                "discrepancy": one.id,
                "who": one.resolved_by,
                "resolution": one.resolution,
            }
        case Staged(notification=one):
            return _at(item, "notification") | {"sequence": one.sequence, "type": one.type.value}
        case _:
            assert_never(item)


def _at(item: Item, what: str) -> Json:
    return {"at": rfc3339(item.at), "what": what}


def _check(check: CheckFacts) -> Json:
    return {
        "gatewayInvoiceId": str(check.gateway_invoice_id),
        "cause": check.cause.value,
        "whileClosing": check.qr_was_closing,
        "attempt": check.attempt,
        "requests": check.requests,
        "outcome": check.outcome.value,
        "durationMs": check.duration_ms,
        "rows": check.rows,
        "answer": [_row(row) for row in check.answer],
        "newEvents": check.new_events,
        "newDiscrepancies": check.new_discrepancies,
        "error": check.error,
    }


def _row(row: AnswerRow) -> Json:
    return {
        "paymentId": row.payment_id,
        "status": row.status,
        "amount": _money(row.amount),
        "unreadable": row.unreadable,
    }


def _event(one: EventFacts) -> Json:
    event = one.event
    return {
        "position": one.position,
        "payment": f"{event.gateway}:{event.payment_id}",
        "kind": event.kind.value,
        "ref": event.ref,
        "invoice": event.invoice_id,
        "gatewayInvoiceId": None if event.gateway_invoice_id is None else str(event.gateway_invoice_id),
        "amount": _money(event.amount),
        "fee": _money(event.fee),
        "occurredAt": rfc3339(event.occurred_at),
        "occurredAtSource": event.occurred_at_source.value,
        "recordedAt": rfc3339(one.recorded_at),
        "source": event.source.value,
        "who": event.who,
        "reason": one.reason,
    }


def _question(one: DiscrepancyFacts) -> Json:
    return {
        "discrepancy": one.id,
        "kind": one.kind,
        "state": one.state,
        "invoice": one.invoice_id,
        "payment": None if one.payment_id is None else f"{one.gateway}:{one.payment_id}",
        "detail": one.detail,
        "seen": one.seen,
        "lastSeenAt": rfc3339(one.last_seen_at),
    }


def _invoice(one: InvoiceFacts, rebuilt: Balance) -> Json:
    return {
        "id": one.id,
        "description": one.description,
        "createdAt": rfc3339(one.created_at),
        "dueAt": _time(one.due_at),
        "balance": _balance(one.live),
        "balanceFromEvents": _balance(rebuilt),
        "ok": one.live == rebuilt,
    }


def _qr(one: QrFacts) -> Json:
    return {
        "id": str(one.id),
        "invoice": one.invoice_id,
        "gateway": one.gateway,
        "generation": one.generation,
        "number": one.number,
        "externalId": one.external_id,
        "state": one.state.value,
        "amount": _money(one.amount),
        "issuedAt": rfc3339(one.issued_at),
        "openedAt": _time(one.opened_at),
        "closingAt": _time(one.closing_at),
        "endedAt": _time(one.ended_at),
        "expiresAt": rfc3339(one.expires_at),
        "failureCode": one.failure_code,
        "lastError": one.last_error,
    }


def _balance(balance: Balance | None) -> Json | None:
    if balance is None:
        return None
    return {
        "due": _money(balance.due),
        "received": _money(balance.received),
        "refunded": _money(balance.refunded),
        "outstanding": _money(balance.outstanding),
        "overpaid": _money(balance.overpaid),
        "status": balance.status.value,
        "payments": balance.payments,
        "firstPaidAt": _time(balance.first_paid_at),
        "lastPaidAt": _time(balance.last_paid_at),
    }


def _money(amount: Money | None) -> Json | None:
    if amount is None:
        return None
    decimals = len(str(amount.currency.sub_unit)) - 1
    return {"amount": f"{amount.amount:.{decimals}f}", "currency": amount.currency.code}


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
