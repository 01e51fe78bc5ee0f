"""Gateway invoices: the next step towards a QR, decided and written down under the invoice's lock."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from moneyed import Money

from adapters.postgres.connection import Connection, Pool, Row
from adapters.postgres.invoices import lock_balance
from adapters.postgres.queries import load_queries
from domain.gateway import BankLink, GatewayInvoiceRef, IssuedInvoice
from domain.invoice import number_at_gateway
from domain.money import from_minor_units, minor_units
from domain.pay_link import (
    AwaitIssue,
    Close,
    GatewayInvoiceState,
    GiveAgain,
    GiveUp,
    Issue,
    LiveGatewayInvoice,
    PaidGatewayInvoice,
    Refuse,
    plan_pay_link,
)

_queries = load_queries("gateway_invoices")

CLOSE_AGAIN_S = 15.0
"""After the first try to close a QR; longer than one may take, so that two are not at it at once. Then it doubles."""

CLOSE_AGAIN_MAX_S = 3_600.0
"""A gateway that will not close a QR is asked about once an hour: each try costs a cancel, and maybe a check."""

CODE_MAX_CHARS = 100
REASON_MAX_CHARS = 500

GIVEN_UP = "GIVEN_UP"
"""The failure code of a create whose outcome nobody learnt."""

NO_ANSWER = "no answer in time"


class UnknownInvoiceError(Exception):
    """There is no invoice of that id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A gateway invoice that was written down and is now to be created at the gateway."""

    id: UUID
    number: str
    generation: int
    amount: Money
    description: str
    receiver_code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInvoice:
    """One QR at one gateway. `expires_at` is UTC. The QR's parts are None until the gateway has answered."""

    id: UUID
    invoice_id: str
    gateway: str
    generation: int
    number: str
    external_id: str | None
    amount: Money
    left: Money
    """The amount, less what has been received on it."""
    state: GatewayInvoiceState
    qr_text: str | None
    qr_image: str | None
    short_url: str | None
    links: tuple[BankLink, ...]
    expires_at: datetime
    failure_code: str | None
    last_error: str | None

    @property
    def was_shown(self) -> bool:
        """Whether there is a QR that anybody can have seen: the gateway has answered the create."""
        return bool(self.qr_text)

    @property
    def at_gateway(self) -> GatewayInvoiceRef:
        """Name it to its gateway.

        Raises:
            LookupError: the gateway has not answered the create, and has an id of its own for it.

        """
        if self.external_id is None:
            raise LookupError(f"gateway invoice {self.id} was never open")
        return GatewayInvoiceRef(number=self.number, external_id=self.external_id, amount=self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A QR that can be shown."""

    check_requested: bool
    """A callback came before the QR was saved, and could not be looked into yet."""


Step = Refuse | GiveAgain | AwaitIssue | Close | Intent
"""A plan that has been written down; Issue has become an Intent."""


class GatewayInvoices:
    """The gateway invoices of all invoices. Each method is one transaction, committed when it returns."""

    def __init__(self, pool: Pool, *, qr_lifetime: timedelta, issue_deadline_s: float) -> None:
        self._pool = pool
        self._qr_lifetime = qr_lifetime
        self._issue_deadline_s = issue_deadline_s

    def next_step(
        self, invoice_id: str, *, gateway: str, goes_by_number: bool, whole_units: bool, new_id: UUID, now: datetime
    ) -> Step:
        """Decide what to do next for a QR of this invoice at this gateway, and write it down.

        Two callers at once get one Intent between them: the other is told to await it. `new_id` names the gateway
        invoice if one is to be created, to the gateway as well where that `goes_by_number`; with `whole_units` none is
        created for a fraction. `now` is UTC.

        Raises:
            UnknownInvoiceError: no such invoice.

        """
        with self._pool.connection() as connection, connection.transaction():
            while True:
                balance = lock_balance(connection, invoice_id)
                if balance is None:
                    raise UnknownInvoiceError
                live = _live(_queries.read_live(connection, invoice_id=invoice_id, gateway=gateway))
                plan = plan_pay_link(balance, live, whole_units=whole_units, now=now)
                match plan:
                    case GiveUp(id=given_up):
                        _queries.give_up(connection, id=given_up, failure_code=GIVEN_UP, error=NO_ANSWER)
                    case Issue(amount=amount):
                        return self._intend(
                            connection,
                            invoice_id,
                            gateway=gateway,
                            goes_by_number=goes_by_number,
                            new_id=new_id,
                            now=now,
                            amount=amount,
                        )
                    case Close(id=closing):
                        _queries.mark_closing(connection, id=closing)
                        return plan
                    case Refuse() | GiveAgain() | AwaitIssue():
                        return plan
                    case _:
                        assert_never(plan)

    def mark_open(
        self, gateway_invoice_id: UUID, *, issued: IssuedInvoice, poll_in: timedelta | None = None
    ) -> Opened | None:
        """Save what the gateway answered to the create; None when it had been given up meanwhile.

        With an open QR its invoice is owed none any more, whoever had it made. One whose invoice became void meanwhile,
        was paid on or asks for another amount is closing at once: nobody has seen it. `poll_in` is when it is looked at
        first, where its gateway is polled.
        """
        links = json.dumps([asdict(link) for link in issued.links], ensure_ascii=False)
        with self._pool.connection() as connection, connection.transaction():
            _queries.lock_balance_of(connection, id=gateway_invoice_id)
            row: Row | None = _queries.mark_open(
                connection,
                id=gateway_invoice_id,
                external_id=issued.external_id,
                qr_text=issued.qr_text,
                qr_image=issued.qr_image,
                short_url=issued.short_url,
                links=links,
                poll_in_s=None if poll_in is None else poll_in.total_seconds(),
            )
            if row is not None:
                _queries.keep_open_if_right(connection, id=gateway_invoice_id)
        return Opened(**row) if row else None

    def mark_failed(self, gateway_invoice_id: UUID, *, failure_code: str | None, error: str) -> None:
        """Write that the QR was certainly not created; `failure_code` is the gateway's, where it refused."""
        with self._pool.connection() as connection:
            _queries.mark_failed(connection, id=gateway_invoice_id, failure_code=failure_code, error=error)

    def mark_closed(self, gateway_invoice_id: UUID, *, state: GatewayInvoiceState) -> None:
        """Write how the closing of a QR ended; nothing happens to one that is not closing."""
        with self._pool.connection() as connection:
            _queries.mark_closed(connection, id=gateway_invoice_id, state=state.value)

    def mark_kept(self, gateway_invoice_id: UUID) -> None:
        """Write that the gateway keeps a closing QR open, and that what is left on it is still right."""
        with self._pool.connection() as connection:
            _queries.mark_kept(connection, id=gateway_invoice_id)

    def state_of(self, gateway_invoice_id: UUID) -> GatewayInvoiceState:
        """Read the state of a gateway invoice that there is."""
        with self._pool.connection() as connection:
            return GatewayInvoiceState(_queries.state_of(connection, id=gateway_invoice_id))

    def gateways(self) -> list[str]:
        """Return the gateways at which there are QRs."""
        with self._pool.connection() as connection:
            return [row["gateway"] for row in _queries.gateways(connection)]

    def take_closing(self, gateway: str, *, page: int) -> list[UUID]:
        """Return up to `page` closing QRs of a gateway that are to be tried now; each is due again later and later."""
        with self._pool.connection() as connection:
            rows = _queries.take_closing(
                connection, gateway=gateway, page=page, base_s=CLOSE_AGAIN_S, max_s=CLOSE_AGAIN_MAX_S
            )
            return [row["id"] for row in rows]

    def give_up_overdue(self, gateway: str, *, page: int) -> int:
        """Give up to a page of a gateway's creates up that were not answered in time; return how many.

        Of those alone that can be cancelled all the same, because the gateway goes by our number: they are closing
        from now on. The others are given up when a QR of their invoice is wanted.
        """
        with self._pool.connection() as connection:
            given_up: int = _queries.give_up_overdue(
                connection,
                gateway=gateway,
                page=page,
                failure_code=GIVEN_UP,
                error=NO_ANSWER,
                deadline_s=self._issue_deadline_s,
            )
        return given_up

    def is_closing(self, gateway_invoice_id: UUID) -> bool:
        """Tell whether workers are to close a QR: it is closing, and not parked."""
        with self._pool.connection() as connection:
            return bool(_queries.is_closing(connection, id=gateway_invoice_id))

    def note_close_failure(self, gateway_invoice_id: UUID, *, code: str | None, reason: str, tries: int) -> bool:
        """Write that a worker failed to close a QR, and park it after `tries` failures; True when it is parked now."""
        with self._pool.connection() as connection:
            parked: bool | None = _queries.note_close_failure(
                connection,
                id=gateway_invoice_id,
                code=None if code is None else code[:CODE_MAX_CHARS],
                reason=reason[:REASON_MAX_CHARS],
                tries=tries,
            )
        return bool(parked)

    def read_paid(self, gateway_invoice_id: UUID) -> PaidGatewayInvoice:
        """Read what has been paid on a QR and what its invoice still lacks."""
        with self._pool.connection() as connection:
            row: Row = _queries.read_paid(connection, id=gateway_invoice_id)
        currency = row["currency"]
        return PaidGatewayInvoice(
            amount=from_minor_units(row["amount_minor"], currency=currency),
            paid=from_minor_units(row["paid_minor"], currency=currency),
            outstanding=from_minor_units(row["outstanding_minor"], currency=currency),
            expires_at=row["expires_at"],
        )

    def read(self, gateway_invoice_id: UUID) -> GatewayInvoice:
        """Read one gateway invoice.

        Raises:
            LookupError: there is none of that id.

        """
        with self._pool.connection() as connection:
            row: Row | None = _queries.read_gateway_invoice(connection, id=gateway_invoice_id)
        if row is None:
            raise LookupError(f"no gateway invoice {gateway_invoice_id}")
        return _gateway_invoice(row)

    def _intend(
        self,
        connection: Connection,
        invoice_id: str,
        *,
        gateway: str,
        goes_by_number: bool,
        new_id: UUID,
        now: datetime,
        amount: Money,
    ) -> Intent:
        generation: int = _queries.next_generation(connection, invoice_id=invoice_id, gateway=gateway)
        wording: Row = _queries.read_wording(connection, invoice_id=invoice_id)
        intent = Intent(
            id=new_id,
            number=new_id.hex if goes_by_number else number_at_gateway(invoice_id, generation=generation),
            generation=generation,
            amount=amount,
            expires_at=now + self._qr_lifetime,
            **wording,
        )
        _queries.insert_intent(
            connection,
            id=new_id,
            invoice_id=invoice_id,
            gateway=gateway,
            generation=generation,
            number=intent.number,
            external_id=intent.number if goes_by_number else None,
            amount_minor=minor_units(amount),
            currency=amount.currency.code,
            issued_at=now,
            expires_at=intent.expires_at,
            deadline_s=self._issue_deadline_s,
        )
        return intent


def _live(row: Row | None) -> LiveGatewayInvoice | None:
    if row is None:
        return None
    return LiveGatewayInvoice(
        id=row["id"],
        state=GatewayInvoiceState(row["state"]),
        amount=from_minor_units(row["amount_minor"], currency=row["currency"]),
        left=from_minor_units(row["amount_minor"] - row["paid_minor"], currency=row["currency"]),
        kept_open=row["kept_open"],
        expires_at=row["expires_at"],
        given_up=row["given_up"],
    )


def _gateway_invoice(row: Row) -> GatewayInvoice:
    currency = row.pop("currency")
    amount = from_minor_units(row.pop("amount_minor"), currency=currency)
    left = amount - from_minor_units(row.pop("paid_minor"), currency=currency)
    state = GatewayInvoiceState(row.pop("state"))
    links = tuple(BankLink(**link) for link in row.pop("links"))
    return GatewayInvoice(amount=amount, left=left, state=state, links=links, **row)
