"""Writes what was decided, if what it was decided on is still recorded: by the function of the database that fits."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from pydantic_core import to_json

from adapters.postgres.check_requests import FinishedCheck
from adapters.postgres.connection import Connection
from adapters.postgres.queries import load_queries
from adapters.postgres.recorded import Seen
from domain.discrepancy import Discrepancy
from domain.money import minor_units
from domain.payment_event import Kind, PaymentEvent
from domain.reconciler import Decision
from domain.recorded import PaymentKey

_queries = load_queries("ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A question that was not open before."""

    id: int
    discrepancy: Discrepancy


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What an append came to."""

    events: tuple[PaymentEvent, ...] = ()
    opened: tuple[Opened, ...] = ()
    ring_in_s: float | None = None
    """In how many seconds a worker should be woken for what was asked while the check ran; None when nothing was."""


class DecideAnewError(Exception):
    """Nothing was written: a decision was, or would be, made on less than what is known."""

    def __init__(self, also_about: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.also_about = also_about


def write(
    connection: Connection, seen: Seen, decision: Decision, finished: FinishedCheck | None, *, noted_at: datetime
) -> Appended:
    """Write all of a decision, or nothing.

    Raises:
        DecideAnewError: what was seen is not recorded like that any more.
        psycopg.errors.SerializationFailure: somebody else recorded the same payment meanwhile.

    """
    if _is_one_new_payment(seen, decision):
        return _write_received(connection, seen, decision, finished, noted_at=noted_at)
    return _write_decided(connection, seen, decision, finished, noted_at=noted_at)


def _write_decided(
    connection: Connection, seen: Seen, decision: Decision, finished: FinishedCheck | None, *, noted_at: datetime
) -> Appended:
    asked = {(one.kind.value, one.gateway, one.subject, one.fingerprint): one for one in decision.discrepancies}
    row = _queries.append_decided(
        connection,
        balances=json.dumps(seen.balances),
        known=_keys_as_json(seen.payments),
        known_events=seen.events,
        events=_events_as_json(decision.events),
        cleared=_cleared_as_json(decision),
        discrepancies=json.dumps([asdict(one) for one in asked.values()], ensure_ascii=False),
        finished=finished.as_json() if finished else None,
        noted_at=noted_at,
    )
    if not row["written"]:
        raise DecideAnewError
    opened = [(one["id"], (one["kind"], one["gateway"], one["subject"], one["fingerprint"])) for one in row["opened"]]
    return Appended(
        events=decision.events,
        opened=tuple(Opened(id=id_, discrepancy=asked[key]) for id_, key in opened),
        ring_in_s=row["ring_in_s"],
    )


def _is_one_new_payment(seen: Seen, decision: Decision) -> bool:
    """Tell whether a decision is what nearly all are: a payment that nobody knew, on the one invoice that was seen."""
    if len(decision.events) != 1 or len(seen.balances) != 1 or seen.recorded.payments:
        return False
    (event,) = decision.events
    return (
        event.kind is Kind.RECEIVED
        and event.invoice_id == seen.balances[0]["invoice_id"]
        and not (decision.discrepancies or decision.cleared or decision.understood)
    )


def _write_received(
    connection: Connection, seen: Seen, decision: Decision, finished: FinishedCheck | None, *, noted_at: datetime
) -> Appended:
    row = _queries.append_received(
        connection,
        balance=json.dumps(seen.balances[0]),
        event=to_json(_as_json(decision.events[0])).decode(),
        finished=finished.as_json() if finished else None,
        noted_at=noted_at,
    )
    if not row["written"]:
        raise DecideAnewError
    return Appended(events=decision.events, ring_in_s=row["ring_in_s"])


def _keys_as_json(keys: Sequence[PaymentKey]) -> str:
    return json.dumps([{"gateway": gateway, "payment_id": payment_id} for gateway, payment_id in keys])


def _cleared_as_json(decision: Decision) -> str:
    return json.dumps(
        [
            {
                "gateway": key[0],
                "payment_id": key[1],
                "as_recorded": key in decision.cleared,
                "understood": key in decision.understood,
            }
            for key in sorted(decision.cleared | decision.understood)
        ]
    )


def _events_as_json(events: Sequence[PaymentEvent]) -> str:
    """Write events as one parameter: psycopg takes ten times as long over an array for each column."""
    return to_json([_as_json(event) for event in events]).decode()


def _as_json(event: PaymentEvent) -> dict[str, object]:
    return {
        "gateway": event.gateway,
        "payment_id": event.payment_id,
        "kind": event.kind.value,
        "ref": event.ref,
        "invoice_id": event.invoice_id,
        "gateway_invoice_id": None if event.gateway_invoice_id is None else str(event.gateway_invoice_id),
        "amount_minor": minor_units(event.amount),
        "currency": event.amount.currency.code,
        "fee_minor": None if event.fee is None else minor_units(event.fee),
        "occurred_at": event.occurred_at.isoformat(),
        "occurred_at_source": event.occurred_at_source.value,
        "source": event.source.value,
        "raw": event.raw,
        "who": event.who,
    }
