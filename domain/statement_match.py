"""What a line of a statement may be: money of an invoice, the settlement of a known payment, or a person's question."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from moneyed import Money

from domain.recorded import PaymentKey
from domain.statement_reference import TELLING_MIN_CHARS, folded, is_telling, references_in

NEAR = timedelta(days=3)
"""A gateway settles within so many days; longer apart, two equal amounts are two payments."""

CANDIDATES_TOLD = 5
"""More help nobody to decide."""

GATEWAY_WORDS = {"qpay": frozenset({"QPAY"}), "socialpay": frozenset({"SOCIALPAY"})}
"""How a bank's line names the gateway that settles, folded."""

_ALL_GATEWAY_WORDS = frozenset().union(*GATEWAY_WORDS.values())


class State(StrEnum):
    """What became of a line."""

    NEW = "new"
    """Kept, and not looked at yet."""
    RECORDED = "recorded"
    """It is a payment, with an event."""
    LINKED = "linked"
    """It is the settlement of a payment that is recorded already: it makes no event."""
    PROPOSED = "proposed"
    """It may be something: a person says."""
    UNMATCHED = "unmatched"
    """Nothing is known that it could be."""
    IGNORED = "ignored"
    """A person said that it is none of our business."""
    OUTGOING = "outgoing"
    """It went out: kept, and never matched."""


class Why(StrEnum):
    """Why a line is what it is."""

    REFERENCE_AND_AMOUNT = "reference_and_amount"
    SETTLEMENT = "settlement"
    SAME_MONEY = "same_money_by_two_routes"
    """A payment of that amount is recorded: the line may be its settlement, or other money."""
    SEVERAL_REFERENCES = "several_references"
    WEAK_REFERENCE = "weak_reference"
    """Digits alone, letters alone, or too short: with the right amount worth a look."""
    OTHER_AMOUNT = "reference_with_other_amount"
    OTHER_CURRENCY = "other_currency"
    INVOICE_VOID = "invoice_void"
    PAYER_AND_AMOUNT = "payer_and_amount"
    GATEWAY_PAYMENT_UNKNOWN = "gateway_payment_unknown"
    """The line names a gateway, and no payment of that amount is known there yet."""
    CORRECTION = "correction"
    CHANGED_LINE = "changed_line"
    """The bank's own reference stood for something else before."""
    BUSY = "busy"
    """Others were recording on the invoice at that moment, time and again."""
    NOTHING_KNOWN = "nothing_known"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLine:
    """What matching needs of a credit line. `posted_at` is UTC."""

    id: int
    key: str
    amount: Money
    posted_at: datetime
    timed: bool
    description: str
    counterparty_account: str | None
    counterparty_name: str | None
    reference: str | None
    raw: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    """What its event would keep of it: no part of what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceNamed:
    """An invoice that a reference names."""

    id: str
    outstanding: Money
    voided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPayment:
    """A payment that a gateway or a person told of, and whether a line is known to be its settlement. Times are UTC."""

    key: PaymentKey
    invoice_ids: frozenset[str]
    amount: Money
    fee: Money | None
    occurred_at: datetime
    reference: str | None
    """A person's, for a payment by hand."""
    linked: bool
    in_cash: bool = False
    """It was put into a till: what comes to the account is most likely other money."""

    @property
    def arrives_as(self) -> frozenset[Money]:
        """What may come to the account: gross, and what the gateway leaves of it."""
        return frozenset({self.amount, self.amount - self.fee} if self.fee else {self.amount})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a batch of lines; what is not in here is not known."""

    recorded: Mapping[str, str | None] = field(default_factory=dict)
    """By the keys of lines: the invoices of those that have an event already."""
    named: Mapping[str, tuple[InvoiceNamed, ...]] = field(default_factory=dict)
    """By folded references."""
    on_invoices: Mapping[str, tuple[KnownPayment, ...]] = field(default_factory=dict)
    """All gateways' and people's payments on the invoices named."""
    near: Mapping[Money, tuple[KnownPayment, ...]] = field(default_factory=dict)
    """Gateways' and people's payments in the time of the batch, by what they may arrive as."""
    of_payers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """By lines: invoices of whoever seems to have paid, that lack exactly the amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a line is taken for."""

    line: OpenLine
    state: State
    why: Why
    invoice_id: str | None = None
    """Of RECORDED: to be recorded on. Of PROPOSED: the one that it may be for, where there is one."""
    payment: PaymentKey | None = None
    """Of LINKED: whose settlement it is. Of PROPOSED: whose it may be, where there is one."""
    candidates: tuple[str, ...] = ()
    """Of PROPOSED: all that it may be, in words that the commands take."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What lines have taken already, of which the facts do not know yet."""

    linked: set[PaymentKey] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)


def match(lines: Sequence[OpenLine], facts: Facts, *, taken: Taken | None = None) -> list[Verdict]:
    """Say of each line what it is; carefully: what is recorded without a person has to be certain.

    Settlements are found first, so that no line is taken for money of its own that another one leaves over. A payment
    is linked to one line, and an invoice gets one line of a batch: the next one meets other facts. A rehearsal, after
    which the facts stay as they were, hands `taken` from batch to batch.
    """
    matcher = _Matcher(facts, taken=taken or Taken())
    verdicts = {line.id: verdict for line in lines if (verdict := matcher.known(line) or matcher.settled(line))}
    return [verdicts.get(line.id) or matcher.unsettled(line) for line in lines]


class _Matcher:
    """Looks at the lines of one batch."""

    def __init__(self, facts: Facts, *, taken: Taken) -> None:
        self._facts = facts
        self._linked = taken.linked
        self._paid = taken.paid

    def known(self, line: OpenLine) -> Verdict | None:
        """A line whose event is there: whoever wrote it was stopped before saying so."""
        if line.key not in self._facts.recorded:
            return None
        invoice_id = self._facts.recorded[line.key]
        return Verdict(line=line, state=State.RECORDED, why=Why.REFERENCE_AND_AMOUNT, invoice_id=invoice_id)

    def settled(self, line: OpenLine) -> Verdict | None:
        """A line that is the settlement of a payment beyond doubt: it names it, or its invoice that is not short."""
        fits = self._twins(line)
        if not fits:
            return None
        words = _said(line)
        named = [one for one in fits if _names_payment(one, words, line)]
        if not named:
            invoices = {one.id: one for one in self._named(line) if is_telling(folded(one.id))}
            if len(invoices) == 1:
                (invoice,) = invoices.values()
                if invoice.outstanding != line.amount:
                    named = [one for one in fits if invoice.id in one.invoice_ids and not one.in_cash]
            elif not invoices:
                named = [one for one in fits if GATEWAY_WORDS.get(one.key[0], frozenset()) & words]
        if not named:
            return None
        payment = min(named, key=lambda one: (abs(one.occurred_at - line.posted_at), one.key))
        self._linked.add(payment.key)
        return Verdict(line=line, state=State.LINKED, why=Why.SETTLEMENT, payment=payment.key)

    def unsettled(self, line: OpenLine) -> Verdict:
        """A line that no payment explains."""
        named = self._named(line)
        telling = [one for one in named if is_telling(folded(one.id))]
        weak = [one for one in named if one not in telling and one.outstanding == line.amount and not one.voided]
        if len(telling) == 1 and not weak:
            return self._of_invoice(line, telling[0])
        if telling:
            candidates = _told(one.id for one in [*telling, *weak])
            return Verdict(line=line, state=State.PROPOSED, why=Why.SEVERAL_REFERENCES, candidates=candidates)
        twins = self._twins(line)
        if twins:
            return _same_money(line, None, twins)
        payers = self._facts.of_payers.get(line.id, ())
        why = Why.WEAK_REFERENCE if weak else Why.PAYER_AND_AMOUNT
        perhaps = [one.id for one in weak] if weak else list(payers)
        if not perhaps:
            return Verdict(line=line, state=State.UNMATCHED, why=Why.NOTHING_KNOWN)
        return Verdict(
            line=line,
            state=State.PROPOSED,
            why=why,
            invoice_id=perhaps[0] if len(perhaps) == 1 else None,
            candidates=_told(perhaps),
        )

    def _of_invoice(self, line: OpenLine, invoice: InvoiceNamed) -> Verdict:
        on_it = [one for one in self._facts.on_invoices.get(invoice.id, ()) if line.amount in one.arrives_as]
        twins = on_it or self._twins(line)
        if twins:
            return _same_money(line, invoice, twins)
        why = None
        if invoice.outstanding.currency != line.amount.currency:
            why = Why.OTHER_CURRENCY
        elif invoice.voided:
            why = Why.INVOICE_VOID
        elif invoice.outstanding != line.amount or invoice.id in self._paid:
            why = Why.OTHER_AMOUNT
        elif not _said(line).isdisjoint(_ALL_GATEWAY_WORDS):
            why = Why.GATEWAY_PAYMENT_UNKNOWN
        if why is None:
            self._paid.add(invoice.id)
            return Verdict(line=line, state=State.RECORDED, why=Why.REFERENCE_AND_AMOUNT, invoice_id=invoice.id)
        return Verdict(line=line, state=State.PROPOSED, why=why, invoice_id=invoice.id, candidates=(invoice.id,))

    def _named(self, line: OpenLine) -> list[InvoiceNamed]:
        named = self._facts.named
        found = {one.id: one for reference in references_in(line.description) for one in named.get(reference, ())}
        return [found[id_] for id_ in sorted(found)]

    def _near(self, line: OpenLine) -> list[KnownPayment]:
        return [one for one in self._facts.near.get(line.amount, ()) if _is_near(one, line)]

    def _twins(self, line: OpenLine) -> list[KnownPayment]:
        """Payments of that amount, on whatever invoice, whose settlement nobody has seen."""
        return [one for one in self._near(line) if self._is_free(one)]

    def _is_free(self, payment: KnownPayment) -> bool:
        return not payment.linked and payment.key not in self._linked


def _same_money(line: OpenLine, invoice: InvoiceNamed | None, twins: Sequence[KnownPayment]) -> Verdict:
    free = [one for one in twins if not one.linked]
    return Verdict(
        line=line,
        state=State.PROPOSED,
        why=Why.SAME_MONEY,
        invoice_id=invoice.id if invoice else None,
        payment=free[0].key if len(free) == 1 else None,
        candidates=_told([*([invoice.id] if invoice else []), *(":".join(one.key) for one in free)]),
    )


def _names_payment(payment: KnownPayment, words: frozenset[str], line: OpenLine) -> bool:
    """Tell whether a line names a payment: by the gateway's id of it, or by the reference that a person gave it."""
    _, payment_id = payment.key
    if len(payment_id) >= 2 * TELLING_MIN_CHARS and payment_id.upper() in words:
        return True
    given = payment.reference
    if given is None or len(given) < TELLING_MIN_CHARS:
        return False
    return given.casefold() == (line.reference or "").casefold()


def _is_near(payment: KnownPayment, line: OpenLine) -> bool:
    """Tell whether a payment is near a line in time; one that tells only its day is near from its whole day."""
    end = line.posted_at if line.timed else line.posted_at + timedelta(days=1)
    return line.posted_at - NEAR <= payment.occurred_at <= end + NEAR


def _said(line: OpenLine) -> frozenset[str]:
    """Return the words of a line and of its payer's name, and words in a row put together: Q Pay is QPAY as well."""
    return references_in(line.description) | references_in(line.counterparty_name or "")


def _told(candidates: Iterable[str]) -> tuple[str, ...]:
    return tuple(candidates)[:CANDIDATES_TOLD]
