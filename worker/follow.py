"""Follow: bring each payment that a list has shown to its invoice, by one check, or file it when it is on none."""

import threading
from dataclasses import dataclass
from uuid import UUID

import psycopg
import structlog

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.discoveries import Discoveries, FollowedPayment
from adapters.postgres.ledger import Ledger, LedgerBusyError
from adapters.postgres.recorded import About
from adapters.postgres.ties import TiedQr, Ties
from domain.following import Followed, RingQr, Step, Unmatched, next_step
from domain.gateway import GatewayError, GatewayOutcomeUnknownError, GatewayRefusedError, PaymentGateway
from domain.payment_event import Source
from domain.payment_row import FoundPayment, RowStatus, UnreadableRow
from domain.unmatched import file_unmatched
from worker.clock import Clock
from worker.ring import Ring
from worker.sweep import STOPPED

log = structlog.get_logger()

PAGE = 500
"""Followed payments that are read in one statement."""

NOT_TOLD_MAX = 5
"""So many payments in a row of which the gateway does not tell: it is the gateway, and nothing more is looked up."""


@dataclass(slots=True, kw_only=True)
class Steps:
    """What was done about the followed payments of one gateway."""

    rung: int = 0
    """Checks that were asked for."""
    looked_up: int = 0
    filed: int = 0
    """Payments that were recorded without an invoice."""
    ignored: int = 0
    waiting: int = 0
    """Payments whose check is due, or which may still turn out to be on a QR of ours."""
    not_told: int = 0
    """Payments that the gateway gave no answer about; they are looked up again later, and the others go on."""
    not_told_in_a_row: int = 0
    broken: int = 0
    """Payments with which something of ours broke; they are tried again, and the others go on."""
    failed: str | None = None
    """Why the gateway was not asked further."""


class Follow:
    """Takes the next step with every followed payment. Any number may run at once: each step is taken once."""

    def __init__(
        self,
        *,
        discoveries: Discoveries,
        ties: Ties,
        check_requests: CheckRequests,
        ledger: Ledger,
        ring: Ring,
        clock: Clock,
        unmatched: Unmatched,
        told_to_stop: threading.Event,
    ) -> None:
        self._discoveries = discoveries
        self._ties = ties
        self._check_requests = check_requests
        self._ledger = ledger
        self._ring = ring
        self._clock = clock
        self._unmatched = unmatched
        self._told_to_stop = told_to_stop

    def __call__(self, gateway: PaymentGateway, *, may_ask: bool = True) -> Steps:
        """Go through all followed payments once, page by page. Without `may_ask` no call is made.

        A gateway that is away ends looking up, which is told, not raised: QRs are rung all the same. One that gives no
        answer about some payments only is asked about the others.

        Raises:
            PoolTimeout, psycopg.Error: PostgreSQL is away; what was done is done, and the next sweep goes on.

        """
        steps = Steps(failed=None if may_ask else "not asked")
        self._discoveries.forget_settled(gateway.name)
        after = ""
        while page := self._discoveries.followed(gateway.name, after=after, page=PAGE):
            after = page[-1].payment_id
            for payment, ties in zip(page, self._ties.find(gateway.name, page), strict=True):
                if self._told_to_stop.is_set():
                    steps.failed = STOPPED
                    return steps
                try:
                    self._take(gateway, payment, ties, steps=steps)
                except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError, LedgerBusyError):
                    steps.broken += 1
                    log.exception("payment.not_followed", payment=payment.payment_id, gateway=gateway.name)
        if not may_ask:
            steps.failed = None
        return steps

    def _take(
        self, gateway: PaymentGateway, payment: FollowedPayment, ties: tuple[TiedQr, ...], *, steps: Steps
    ) -> None:
        match self._decide(payment, ties, looked_up=payment.looked_up):
            case RingQr(gateway_invoice_id=qr):
                self._ring_for(gateway.name, payment, qr, steps=steps)
            case Step.WAIT:
                steps.waiting += 1
            case Step.IGNORE:
                self._discoveries.note_ended(gateway.name, payment.payment_id, outcome="ignored")
                steps.ignored += 1
            case Step.LOOK_UP | Step.FILE:
                self._ask(gateway, payment, ties, steps=steps)

    def _decide(
        self,
        payment: FollowedPayment,
        ties: tuple[TiedQr, ...],
        *,
        looked_up: bool,
        may_be_money: bool = False,
    ) -> RingQr | Step:
        followed = Followed(
            first_found_at=payment.first_found_at,
            ties=tuple(dict.fromkeys(tied.gateway_invoice_id for tied in ties)),
            rung=payment.rung,
            check=payment.check,
            tells_qr=payment.qr_text is not None,
            looked_up=looked_up,
            may_be_money=may_be_money,
        )
        return next_step(followed, unmatched=self._unmatched, now=self._clock())

    def _ring_for(self, gateway: str, payment: FollowedPayment, qr: UUID, *, steps: Steps) -> None:
        """Have a QR checked, once for all payments on it: one whose check is due already is left as it is."""
        due = self._discoveries.note_rung(gateway, payment, qr)
        if due is None:
            return
        if due:
            steps.waiting += 1
            return
        requested = self._check_requests.request(qr, source=Source.SWEEP, awaited_payment_id=payment.payment_id)
        if requested is None:
            return
        steps.rung += 1
        log.info("payment.found", payment=payment.payment_id, invoice=requested.invoice_id, gateway=gateway)
        if requested.rings:
            self._ring(gateway, qr, requested.wait_s)

    def _ask(
        self, gateway: PaymentGateway, payment: FollowedPayment, ties: tuple[TiedQr, ...], *, steps: Steps
    ) -> None:
        """Look a payment up, and do what its answer leads to: ring its QR, or file it when it is time to."""
        if steps.failed is not None or not payment.may_be_looked_up:
            steps.waiting += 1
            return
        try:
            told = gateway.look_up(payment.payment_id)
        except GatewayRefusedError as error:
            told = UnreadableRow(reason=f"the gateway refuses to tell of it: {error.code}", raw=None)
        except ValueError as error:
            told = UnreadableRow(reason=str(error), raw=None)
        except GatewayError as error:
            self._note_not_told(gateway.name, payment, error, steps=steps)
            return
        steps.looked_up += 1
        steps.not_told_in_a_row = 0
        found = told if isinstance(told, FoundPayment) else None
        self._discoveries.note_looked_up(gateway.name, payment.payment_id, told=found)
        if found:
            ties = (*self._ties.find(gateway.name, [found])[0], *ties)
        match self._decide(payment, ties, looked_up=True, may_be_money=_may_be_money(told)):
            case RingQr(gateway_invoice_id=qr):
                self._ring_for(gateway.name, payment, qr, steps=steps)
            case Step.WAIT:
                steps.waiting += 1
            case Step.IGNORE:
                self._discoveries.note_ended(gateway.name, payment.payment_id, outcome="ignored")
                steps.ignored += 1
            case Step.LOOK_UP | Step.FILE:
                self._file(gateway.name, payment.payment_id, told, steps=steps)

    def _note_not_told(self, gateway: str, payment: FollowedPayment, error: GatewayError, *, steps: Steps) -> None:
        """Leave a payment that cannot be looked up to later, and all of them where the gateway is away."""
        reason = f"{type(error).__name__}: {error.message}"
        log.warning("payment.not_looked_up", payment=payment.payment_id, gateway=gateway, reason=reason)
        if not isinstance(error, GatewayOutcomeUnknownError):
            steps.waiting += 1
            steps.failed = reason
            return
        self._discoveries.note_not_told(gateway, payment.payment_id)
        steps.not_told += 1
        steps.not_told_in_a_row += 1
        if steps.not_told_in_a_row >= NOT_TOLD_MAX:
            steps.failed = reason

    def _file(self, gateway: str, payment_id: str, told: FoundPayment | UnreadableRow | None, *, steps: Steps) -> None:
        """Record what the gateway has just told of a payment that is on no QR of ours."""
        row = told.row if isinstance(told, FoundPayment) else told
        key, now = (gateway, payment_id), self._clock()
        appended = self._ledger.append(
            About(payments=frozenset({key})),
            lambda recorded: file_unmatched(row, payment=key, recorded=recorded, seen_at=now),
            recorded_at=now,
        )
        for opened in appended.opened:
            one = opened.discrepancy
            log.warning("discrepancy.opened", id=opened.id, kind=one.kind, payment=payment_id, detail=one.detail)
        steps.filed += bool(appended.events)
        outcome = "suspense" if appended.events else "no_money"
        self._discoveries.note_ended(gateway, payment_id, outcome=outcome)


def _may_be_money(told: FoundPayment | UnreadableRow | None) -> bool:
    """Tell whether what was told of a payment is money, or may turn out to be once it is understood."""
    if isinstance(told, FoundPayment):
        return told.row.status in {RowStatus.PAID, RowStatus.REFUNDED, RowStatus.UNKNOWN}
    return told is not None
