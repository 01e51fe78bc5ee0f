"""Follow up: have what a comparison left open looked at, once, by the check that alone can judge it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

import structlog

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.discoveries import Discoveries
from adapters.postgres.discrepancies import Discrepancies, State
from adapters.postgres.reconciliations import Question, Reconciliations
from adapters.postgres.ties import Ties
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.following import Unmatched
from domain.gateway import PaymentGateway
from domain.payment_event import Source
from domain.payment_row import FoundPayment, PaymentRow
from domain.reconciliation import Comparison, ListedPayment, Verdict
from worker.clock import Clock
from worker.listed_day import ListedDay
from worker.ring import Ring
from worker.tie import tie_by_look_up
from worker.words import money_text, plain

log = structlog.get_logger()


class Action(StrEnum):
    """What is done about a difference."""

    CHECK_QUEUED = "check_queued"
    """The gateway is asked about its QR: that records it, or asks a person."""
    ASKED = "asked"
    """A person is asked about it."""
    ANSWERED = "answered"
    """A person has answered it: it is not open any more."""
    NO_INVOICE = "no_invoice"
    """Nothing that the gateway tells of it leads to an invoice of ours."""
    UNTOLD = "untold"
    """The list does not tell of which QR it is, and the gateway was not asked about it alone: discovery does that."""
    IGNORED = "ignored"
    """It is of no invoice of ours, and other software uses the same account: it is not open."""
    NOTHING = "nothing"
    """There is nothing to do."""


_CLOSED = frozenset({Action.ANSWERED, Action.IGNORED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One payment that does not agree, with its invoice, and what is done about it."""

    gateway: str
    day: date
    comparison: Comparison
    invoice_id: str | None
    """None where it is on none, or nobody knows on which."""
    gateway_invoice_ids: tuple[UUID, ...]
    action: Action
    question: int | None
    """The number of a question about it that is open or was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Qr:
    gateway_invoice_id: UUID
    invoice_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """What following up needs. Each step is committed by itself; done twice it is done once."""

    reconciliations: Reconciliations
    discoveries: Discoveries
    ties: Ties
    check_requests: CheckRequests
    discrepancies: Discrepancies
    ring: Ring
    clock: Clock
    unmatched: Unmatched
    look_ups_max: int
    """So many payments a day, whose list leads to no invoice of ours, are asked about one by one."""


class Following:
    """The following up of one day at one gateway: what was queued and asked in it."""

    def __init__(
        self,
        parts: FollowUp,
        gateway: PaymentGateway,
        *,
        day: date,
        source: Source,
        show: Callable[[Difference], None],
        listed: ListedDay,
    ) -> None:
        """`listed` has what rows of payments that are not recorded lead to; each difference is handed to `show`."""
        self._parts = parts
        self._gateway = gateway
        self._day = day
        self._source = source
        self._show = show
        self._listed = listed
        self._looked_up: set[str] = set()
        self._look_ups_left = parts.look_ups_max
        self._queued: set[UUID] = set()
        self.asked = 0
        """Questions that opened."""

    @property
    def queued(self) -> int:
        """How many QRs a check was asked for."""
        return len(self._queued)

    def __call__(self, comparisons: Sequence[Comparison]) -> set[str]:
        """Follow up what differs, and return the subjects of what is not open: answered by a person, or ignored.

        Raises:
            GatewayError: the gateway did not tell of a payment that was looked up.
            PoolTimeout, psycopg.Error: PostgreSQL is away.

        """
        questions = self._questions([one for one in comparisons if not one.agrees])
        answered = set()
        for one in comparisons:
            if one.verdict is Verdict.OTHER_FEE:
                self._tell(one, Action.NOTHING)
            elif not one.agrees and self._follow(one, questions.get(one.subject, ())) in _CLOSED:
                answered.add(one.subject)
        return answered

    def _questions(self, differing: Sequence[Comparison]) -> Mapping[str, Sequence[Question]]:
        """Read, by subject, the questions that are just what would be asked about these."""
        wanted = {one.subject: one.questions for one in differing}
        kinds = {kind for of_one in wanted.values() for kind, _ in of_one}
        found: dict[str, list[Question]] = {}
        if kinds:
            for question in self._parts.reconciliations.questions_about(self._gateway.name, wanted, kinds=kinds):
                if (question.kind, question.fingerprint) in wanted[question.subject]:
                    found.setdefault(question.subject, []).append(question)
        return found

    def _follow(self, comparison: Comparison, questions: Sequence[Question]) -> Action:
        put = {(one.kind, one.fingerprint) for one in questions if one.state in {State.OPEN, State.RESOLVED}}
        if comparison.questions and comparison.questions <= put:
            still_open = [one.id for one in questions if one.state is State.OPEN]
            if still_open:
                return self._tell(comparison, Action.ASKED, question=still_open[0])
            return self._tell(comparison, Action.ANSWERED, question=questions[0].id)
        if comparison.verdict is Verdict.IN_SUSPENSE:
            return self._tell(comparison, Action.NOTHING)
        qrs = self._qrs_of(comparison)
        queued = [qr for qr in qrs if self._queue(qr.gateway_invoice_id)]
        if queued:
            return self._tell(comparison, Action.CHECK_QUEUED, qrs=queued)
        if comparison.verdict is Verdict.ONLY_THERE:
            return self._tell(comparison, self._action_without_qr(comparison.payment_id or ""))
        for kind, fingerprint in sorted(comparison.questions - put):
            self._ask(comparison, kind, fingerprint=fingerprint)
        return self._tell(comparison, Action.ASKED)

    def _action_without_qr(self, payment_id: str) -> Action:
        """Say what is known of a payment that leads to no QR of ours: it is ignored only where it can be no other's."""
        known = payment_id in self._listed.telling or payment_id in self._looked_up
        if not known and not self._parts.discoveries.ignored(self._gateway.name, [payment_id]):
            return Action.UNTOLD
        return Action.IGNORED if self._parts.unmatched is Unmatched.IGNORE else Action.NO_INVOICE

    def _qrs_of(self, comparison: Comparison) -> Sequence[_Qr]:
        known = comparison.on_record
        if known is not None and known.gateway_invoice_id is not None:
            return [_Qr(gateway_invoice_id=known.gateway_invoice_id, invoice_id=known.invoice_id)]
        tied = self._listed.tied.get(comparison.payment_id or "", ())
        if not tied and known is None and isinstance(comparison.listed, ListedPayment) and self._look_ups_left > 0:
            self._look_ups_left -= 1
            self._looked_up.add(comparison.listed.payment_id)
            tied = tie_by_look_up(_found(comparison.listed), gateway=self._gateway, ties=self._parts.ties)
        return [_Qr(gateway_invoice_id=one.gateway_invoice_id, invoice_id=one.invoice_id) for one in tied]

    def _queue(self, gateway_invoice_id: UUID) -> bool:
        """Ask for a check of a QR, once, and wake a worker for it."""
        if gateway_invoice_id in self._queued:
            return True
        requested = self._parts.check_requests.request(gateway_invoice_id, source=self._source)
        if requested is None:
            return False
        if requested.rings:
            self._parts.ring(requested.gateway, gateway_invoice_id, requested.wait_s)
        self._queued.add(gateway_invoice_id)
        return True

    def _ask(self, comparison: Comparison, kind: DiscrepancyKind, *, fingerprint: str) -> None:
        """Ask a person about what no check can judge: it is on no QR of ours. It opens when it is met again."""
        known = comparison.on_record
        question = Discrepancy(
            kind=kind,
            gateway=self._gateway.name,
            subject=comparison.subject,
            fingerprint=fingerprint,
            detail=f"in the list of {self._day}: {words_of(comparison)}; it is on no QR of ours that could be checked",
            invoice_id=known.invoice_id if known else None,
            payment_id=comparison.payment_id,
            certain=False,
        )
        self.asked += self._parts.discrepancies.ask(question, now=self._parts.clock())

    def _tell(
        self, comparison: Comparison, action: Action, *, qrs: Sequence[_Qr] = (), question: int | None = None
    ) -> Action:
        known = comparison.on_record
        qr = known.gateway_invoice_id if known else None
        difference = Difference(
            gateway=self._gateway.name,
            day=self._day,
            comparison=comparison,
            invoice_id=known.invoice_id if known else next((one.invoice_id for one in qrs), None),
            gateway_invoice_ids=tuple(one.gateway_invoice_id for one in qrs) or (() if qr is None else (qr,)),
            action=action,
            question=question,
        )
        log.info(
            "reconcile.difference",
            gateway=self._gateway.name,
            day=self._day.isoformat(),
            payment=comparison.payment_id,
            verdict=comparison.verdict,
            action=action,
        )
        self._show(difference)
        return action


def words_of(comparison: Comparison) -> str:
    """Say in words what each side has."""
    listed, known = comparison.listed, comparison.on_record
    there = "nothing"
    if isinstance(listed, ListedPayment):
        other = " and another amount" if listed.two_amounts else ""
        there = f"{plain(listed.status_text)} {money_text(listed.amount)}{other}"
    elif listed is not None:
        there = f"a row that cannot be read ({plain(listed.reason)})"
    if known is None:
        return f"the gateway has {there}, nothing is recorded"
    given_back = f", {money_text(known.refunded)} of it given back" if known.refunded.amount else ""
    return f"the gateway has {there}, recorded is {money_text(known.received)}{given_back}"


def _found(listed: ListedPayment) -> FoundPayment:
    row = PaymentRow(
        payment_id=listed.payment_id,
        status=listed.status,
        status_text=listed.status_text,
        amount=listed.amount,
        fee=listed.fee,
        paid_at=listed.paid_at,
        raw={},
    )
    return FoundPayment(row=row, external_id=None, qr_text=None)
