"""Review lines: a person says what a line of a statement is that no rule can be certain about."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import structlog

from adapters.postgres.gateway_invoices import UnknownInvoiceError
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.recorded import About
from adapters.postgres.statement_lines import Decided, LinesBusyError, ShownLine, StatementLines
from domain.recorded import PaymentKey
from domain.statement import GATEWAY, Direction
from domain.statement_match import State, Why
from domain.statement_record import LineToRecord, plan_accepted
from worker.clock import Clock
from worker.words import money_text

log = structlog.get_logger()

WAITING = (State.PROPOSED, State.UNMATCHED)
"""What a person is shown."""

_UNDECIDED = (State.PROPOSED, State.UNMATCHED, State.IGNORED)
"""What a person may still decide: an ignored line too."""

_NO_EVENT = (*_UNDECIDED, State.LINKED)
"""What a person may decide with a second word: a rule may take a second payment for the settlement of the first."""


class NotDoneError(Exception):
    """What a person said of a line was not done. `code` is for programs; the message says what to say instead."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """A line as it is now."""

    line: ShownLine
    again: bool
    """It had been decided so before."""


class ReviewLines:
    """A person's decisions about lines. Each is done once: the same again changes nothing, another is refused.

    Nobody else decides about any line meanwhile, neither another person nor an import. Each raises NotDoneError where
    those do not come to an end.
    """

    def __init__(self, *, lines: StatementLines, invoices: Invoices, ledger: Ledger, clock: Clock) -> None:
        self._lines = lines
        self._invoices = invoices
        self._ledger = ledger
        self._clock = clock

    def waiting(self, *, states: Sequence[State] = WAITING, after: int, page: int) -> list[ShownLine]:
        """Read up to `page` lines that wait for a person, with ids over `after`."""
        return self._lines.list(states=states, after=after, page=page)

    def line(self, line_id: int) -> ShownLine:
        """Read one line.

        Raises:
            NotDoneError: there is none of that id.

        """
        line = self._lines.read(line_id)
        if line is None:
            raise NotDoneError("LINE_NOT_FOUND", f"there is no line {line_id}")
        return line

    def accept(self, line_id: int, *, who: str, reason: str | None = None, anyway: bool = False) -> Reviewed:
        """Do what is proposed of a line, where that is one thing: record it on the invoice, or link it.

        Raises:
            NotDoneError: nothing, or more than one thing, is proposed; and as in `assign` and `link`.

        """
        with self._alone():
            return self._accept(line_id, who=who, reason=reason, anyway=anyway)

    def _accept(self, line_id: int, *, who: str, reason: str | None, anyway: bool) -> Reviewed:
        line = self.line(line_id)
        match line.state, line.invoice_id, line.payment:
            case State.RECORDED | State.LINKED, _, _:
                return Reviewed(line=line, again=True)
            case State.PROPOSED, str(invoice_id), None if line.why != Why.SAME_MONEY:
                return self._assign(line_id, invoice_id, who=who, reason=reason, anyway=anyway)
            case State.PROPOSED, None, (_, _) as payment:
                return self._link(line_id, payment, who=who, reason=reason, anyway=anyway)
            case _:
                raise NotDoneError(
                    "NOT_ONE_PROPOSAL",
                    f"line {line_id} has not exactly one proposal: assign it to an invoice, or link it with a payment",
                )

    def assign(
        self, line_id: int, invoice_id: str, *, who: str, reason: str | None = None, anyway: bool = False
    ) -> Reviewed:
        """Record a line on an invoice, whatever that lacks.

        Raises:
            UnknownInvoiceError: there is no such invoice.
            NotDoneError: the line is recorded elsewhere, went out, is in another currency, or, unless `anyway`, is
                linked, or a payment of that amount is on the invoice and may be the same money.

        """
        with self._alone():
            return self._assign(line_id, invoice_id, who=who, reason=reason, anyway=anyway)

    def _assign(self, line_id: int, invoice_id: str, *, who: str, reason: str | None, anyway: bool) -> Reviewed:
        line = self.line(line_id)
        if (line.state, line.invoice_id) == (State.RECORDED, invoice_id):
            return Reviewed(line=line, again=True)
        self._require_open(line, anyway=anyway)
        if line.direction != Direction.CREDIT:
            raise NotDoneError("OUTGOING", f"line {line_id} went out: it pays no invoice")
        invoice = self._invoices.read(invoice_id)
        if invoice is None:
            raise UnknownInvoiceError
        if invoice.currency != line.amount.currency.code:
            raise NotDoneError("OTHER_CURRENCY", f"the invoice is in {invoice.currency}, the line is not")
        if not anyway:
            self._require_other_money(line, invoice_id)
        to_record = LineToRecord(
            key=line.key,
            invoice_id=invoice_id,
            amount=line.amount,
            posted_at=line.posted_at,
            raw=self._lines.raw(line_id),
        )
        why = reason or f"line {line_id} of a statement"
        appended = self._ledger.append(
            About(invoices=frozenset({invoice_id}), payments=frozenset({to_record.payment})),
            lambda recorded: plan_accepted(recorded, to_record, who=who, why=why),
            recorded_at=self._clock(),
        )
        if not appended.events:
            there = self._lines.recorded_on(line.key)
            if there != invoice_id:
                raise NotDoneError("ALREADY_DECIDED", f"line {line_id} was recorded on {there} meanwhile")
        for opened in appended.opened:
            one = opened.discrepancy
            log.warning("discrepancy.opened", id=opened.id, kind=one.kind, invoice=one.invoice_id, detail=one.detail)
        return self._write(
            Decided(
                line_id=line_id,
                state=State.RECORDED,
                why=Why.PERSON,
                invoice_id=invoice_id,
                who=who,
                reason=reason,
            )
        )

    def link(
        self, line_id: int, payment: PaymentKey, *, who: str, reason: str | None = None, anyway: bool = False
    ) -> Reviewed:
        """Say that a line is the settlement of a payment that is recorded: it makes no event.

        Raises:
            NotDoneError: the line is recorded, there is no such payment, another line settles it, or, unless `anyway`,
                the line is linked with another, or the payment can not have come to the account as that amount.

        """
        with self._alone():
            return self._link(line_id, payment, who=who, reason=reason, anyway=anyway)

    def _link(self, line_id: int, payment: PaymentKey, *, who: str, reason: str | None, anyway: bool) -> Reviewed:
        line = self.line(line_id)
        if (line.state, line.payment) == (State.LINKED, payment):
            return Reviewed(line=line, again=True)
        self._require_open(line, anyway=anyway)
        self._require_no_event(line)
        known = None if payment[0] == GATEWAY else self._lines.payment(payment)
        if known is None:
            raise NotDoneError(
                "PAYMENT_NOT_FOUND", f"no payment {':'.join(payment)} of a gateway or by hand is recorded"
            )
        if not anyway and (line.amount not in known.arrives_as or line.direction != Direction.CREDIT):
            arrives = " or ".join(sorted(money_text(amount) for amount in known.arrives_as))
            raise NotDoneError(
                "OTHER_AMOUNT", f"the payment arrives as {arrives}, the line is {money_text(line.amount)}: say --anyway"
            )
        try:
            return self._write(
                Decided(line_id=line_id, state=State.LINKED, why=Why.PERSON, payment=payment, who=who, reason=reason)
            )
        except psycopg.errors.UniqueViolation:
            other = self._lines.linked_with(payment)
            raise NotDoneError("ALREADY_LINKED", f"line {other} is the settlement of {':'.join(payment)}") from None

    def ignore(self, line_id: int, *, who: str, reason: str) -> Reviewed:
        """Say that a line is none of our business. It may be decided otherwise later.

        Raises:
            NotDoneError: the line is recorded or linked.

        """
        with self._alone():
            line = self.line(line_id)
            if (line.state, line.reason) == (State.IGNORED, reason):
                return Reviewed(line=line, again=True)
            self._require_open(line)
            self._require_no_event(line)
            return self._write(Decided(line_id=line_id, state=State.IGNORED, why=Why.PERSON, who=who, reason=reason))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with self._lines.deciding_alone():
                yield
        except LinesBusyError:
            raise NotDoneError("BUSY", "others are deciding about lines: try again in a minute") from None

    def _require_open(self, line: ShownLine, *, anyway: bool = False) -> None:
        if line.state is State.NEW:
            raise NotDoneError("NOT_MATCHED", f"line {line.id} was not looked at yet: run tootsoo statement match")
        if line.state is State.LINKED and not anyway:
            payment = ":".join(line.payment or ())
            raise NotDoneError("ALREADY_LINKED", f"line {line.id} is linked with {payment}: to undo that say --anyway")
        if line.state not in _NO_EVENT:
            where = f" on {line.invoice_id}" if line.invoice_id else ""
            raise NotDoneError("ALREADY_DECIDED", f"line {line.id} is {line.state}{where}")

    def _require_no_event(self, line: ShownLine) -> None:
        """Refuse what would count a line twice that has a payment: whoever recorded it was killed before saying so."""
        there = self._lines.recorded_on(line.key)
        if there is not None:
            raise NotDoneError(
                "ALREADY_DECIDED", f"line {line.id} was recorded on {there} already: run tootsoo statement match"
            )

    def _require_other_money(self, line: ShownLine, invoice_id: str) -> None:
        """Refuse to count money twice by mistake: a payment of that amount, not settled by another line, is there."""
        same = [
            ":".join(one.key)
            for one in self._lines.payments_on(invoice_id)
            if line.amount in one.arrives_as and not one.linked
        ]
        if same:
            raise NotDoneError(
                "SAME_MONEY",
                f"{' and '.join(same)} of that amount is on {invoice_id}: link the line with it, or say --anyway",
            )

    def _write(self, decided: Decided) -> Reviewed:
        written = self._lines.decide([decided], states=_NO_EVENT, now=self._clock())
        line = self.line(decided.line_id)
        if not written and (line.state, line.invoice_id, line.payment) != (
            decided.state,
            decided.invoice_id,
            decided.payment,
        ):
            raise NotDoneError("ALREADY_DECIDED", f"line {line.id} was decided by somebody else meanwhile")
        log.info("statement.line_decided", line=line.id, state=line.state, who=decided.who)
        return Reviewed(line=line, again=not written)
