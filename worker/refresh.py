"""Refresh: renew one QR that expires, or give an invoice the QR that it is owed. Killed anywhere, the next goes on."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.postgres.owed_qrs import OwedQr, OwedQrs
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayHeldBackError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    GatewayUnreadableError,
    PaymentGateway,
)
from domain.pay_link import GatewayInvoiceState
from domain.payment_event import Source
from domain.refresh import End, ExpiringQr, Leave, RefreshPlan, RefreshTerms, may_follow, plan_refresh
from worker.clock import Clock
from worker.close import CloseQr
from worker.issue import ISSUE_DEADLINE_S, Issue, PayLinkRefusedError

log = structlog.get_logger()

HELD_BACK_MAX_S = 60.0
"""What was held back is waited for as long as this: an invoice without a QR comes before those that still have one."""

TRY_AGAIN_S = ISSUE_DEADLINE_S
"""After a first failure, then twice as long each time: a create whose outcome is unknown is given up by then."""

NOT_TONIGHT_S = 12 * 3_600.0
"""What the gateway refuses, or breaks our code, is left to the next night; and no wait is longer than this."""


class Outcome(StrEnum):
    """What became of one QR."""

    REFRESHED = "refreshed"
    SETTLED = "settled"
    """The last look found it paid: there is nothing to replace."""
    CANCELLED = "cancelled"
    """Nothing is outstanding on its invoice any more."""
    EXPIRED = "expired"
    """It ran out, and its invoice gets no other: it is too late, or what is outstanding is no amount for a QR."""
    KEPT = "kept"
    """Its gateway keeps it open because a part was paid, and it still collects what is outstanding."""
    WAITING = "waiting"
    """Nobody knows yet what became of a create; it is given up within a minute."""
    FAILED = "failed"
    LEFT = "left"
    """It needs nothing, or somebody else was faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one QR, and why it failed if it did."""

    invoice_id: str
    gateway: str
    outcome: Outcome
    reason: str | None = None
    """Short, the same for all that failed the same way; without ids, amounts or secrets."""


class Refresh:
    """Renews single QRs. Safe to use from several threads and processes at once. No transaction is open across a call.

    What an invoice is owed is written down with the state `closing` of its QR, and taken away when the next one opens.
    """

    def __init__(
        self,
        *,
        gateways: Mapping[str, PaymentGateway],
        gateway_invoices: GatewayInvoices,
        owed_qrs: OwedQrs,
        close: CloseQr,
        issue: Issue,
        terms: RefreshTerms,
        clock: Clock,
        told_to_stop: threading.Event,
    ) -> None:
        self._gateways = gateways
        self._gateway_invoices = gateway_invoices
        self._owed_qrs = owed_qrs
        self._close = close
        self._issue = issue
        self._terms = terms
        self._clock = clock
        self._told_to_stop = told_to_stop

    def plan(self, qr: ExpiringQr) -> RefreshPlan:
        """Decide what becomes of an open QR now."""
        capabilities = self._gateways[qr.gateway].capabilities
        return plan_refresh(qr, terms=self._terms, capabilities=capabilities, now=self._clock())

    def renew(self, qr: ExpiringQr) -> Done:
        """End an open QR whose time has come, and make the next one where its invoice is to have one. Never raises."""

        def work() -> Outcome:
            decided = self._owed_qrs.begin(qr, self.plan)
            match decided:
                case None | Leave():
                    return Outcome.LEFT
                case End(replaced=replaced):
                    return self._finish(qr.id, qr.invoice_id, gateway=qr.gateway, replaced=replaced)
                case _:
                    assert_never(decided)

        return self._told(work, qr.invoice_id, gateway=qr.gateway)

    def pay_off(self, owed: OwedQr) -> Done:
        """Give an invoice the QR that it is owed, or nothing where it is to have none any more. Never raises."""

        def work() -> Outcome:
            if owed.being_made:
                return Outcome.WAITING
            capabilities, since = self._gateways[owed.gateway].capabilities, owed.owing_since
            if not may_follow(
                owed.outstanding, owing_since=since, terms=self._terms, capabilities=capabilities, now=self._clock()
            ):
                self._owed_qrs.forgive(owed.invoice_id, gateway=owed.gateway)
                return Outcome.EXPIRED
            if owed.closing_id is not None:
                return self._finish(owed.closing_id, owed.invoice_id, gateway=owed.gateway, replaced=True)
            return self._replace(owed.invoice_id, gateway=owed.gateway, otherwise=Outcome.CANCELLED)

        return self._told(work, owed.invoice_id, gateway=owed.gateway)

    def _finish(self, gateway_invoice_id: UUID, invoice_id: str, *, gateway: str, replaced: bool) -> Outcome:
        """Close the QR, then make the next one if there is to be one. First the old one must be unpayable."""
        self._patiently(lambda: self._close(gateway_invoice_id, source=Source.REFRESH, replaced=replaced))
        state = self._gateway_invoices.state_of(gateway_invoice_id)
        if state is GatewayInvoiceState.OPEN:
            self._owed_qrs.forgive(invoice_id, gateway=gateway)
            return Outcome.KEPT
        ended = _ENDED.get(state, Outcome.CANCELLED)
        return self._replace(invoice_id, gateway=gateway, otherwise=ended) if replaced else ended

    def _replace(self, invoice_id: str, *, gateway: str, otherwise: Outcome) -> Outcome:
        try:
            self._patiently(lambda: self._issue(invoice_id, gateway=gateway))
        except PayLinkRefusedError:
            self._owed_qrs.forgive(invoice_id, gateway=gateway)
            return otherwise
        # It went when the QR was opened, by us or by a customer's request; but not where one was kept open meanwhile.
        self._owed_qrs.forgive(invoice_id, gateway=gateway)
        return Outcome.REFRESHED

    def _patiently(self, call: Callable[[], object]) -> None:
        """Call, and once more when it was held back: nothing was sent, and the QR at hand is not given up for that."""
        until = time.monotonic() + HELD_BACK_MAX_S
        while True:
            try:
                call()
            except GatewayHeldBackError as error:
                wait_s = error.retry_after_s or 1.0
                if time.monotonic() + wait_s > until or self._told_to_stop.wait(wait_s):
                    raise
            else:
                return

    def _told(self, work: Callable[[], Outcome], invoice_id: str, *, gateway: str) -> Done:
        with structlog.contextvars.bound_contextvars(invoice=invoice_id, gateway=gateway):
            try:
                outcome = work()
            except (GatewayError, PoolTimeout, psycopg.Error) as error:
                log.warning("refresh.failed", error=type(error).__name__, message=getattr(error, "message", None))
                tonight = not isinstance(error, GatewayRefusedError)
                return self._failed(error, invoice_id, gateway=gateway, tonight=tonight)
            except Exception as error:
                log.exception("refresh.broken")
                return self._failed(error, invoice_id, gateway=gateway, tonight=False)
            if outcome is not Outcome.LEFT:
                log.info("refresh.done", outcome=outcome)
            return Done(invoice_id=invoice_id, gateway=gateway, outcome=outcome)

    def _failed(self, error: Exception, invoice_id: str, *, gateway: str, tonight: bool) -> Done:
        reason = _reason(error)
        try:
            self._owed_qrs.note_failure(
                invoice_id,
                gateway=gateway,
                reason=reason,
                wait_s=TRY_AGAIN_S if tonight else NOT_TONIGHT_S,
                wait_max_s=NOT_TONIGHT_S,
            )
        except (PoolTimeout, psycopg.Error):
            log.warning("refresh.not_noted", consequence="it is tried again at once")
        return Done(invoice_id=invoice_id, gateway=gateway, outcome=Outcome.FAILED, reason=reason)


_ENDED = {GatewayInvoiceState.SETTLED: Outcome.SETTLED, GatewayInvoiceState.EXPIRED: Outcome.EXPIRED}


def _reason(error: Exception) -> str:  # noqa: PLR0911 - one line for each kind of error
    match error:
        case GatewayRefusedError():
            return f"refused: {error.code}"
        case GatewayUnauthorisedError():
            return "our credentials are not taken"
        case GatewayBusyError():
            return "the gateway could not be asked"
        case GatewayUnreadableError():
            return "its answer cannot be read"
        case GatewayError():
            return "no answer: the outcome is unknown"
        case PoolTimeout() | psycopg.Error():
            return f"PostgreSQL: {type(error).__name__}"
        case _:
            return f"{type(error).__name__}: see the log"
