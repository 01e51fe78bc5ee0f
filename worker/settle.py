"""Settle: ask the gateway about one of its invoices, and append what its answer proves."""

import random
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeGuard
from uuid import UUID, uuid4

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from adapters.postgres.check_requests import CheckRequests, ClaimedCheck
from adapters.postgres.history import History
from adapters.postgres.ledger import Appended, Ledger
from adapters.postgres.recorded import About, nothing_paid
from domain.check_request import held_back_delay_s, retry_delay_or_park
from domain.gateway import (
    GatewayError,
    GatewayHeldBackError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    PaymentGateway,
)
from domain.payment_row import CheckAnswer, PaymentRow, RowStatus, UnreadableRow
from domain.reconciler import CheckedInvoice, reconcile
from worker.clock import Clock
from worker.held import Held
from worker.ring import Ring

log = structlog.get_logger()


class Settled(StrEnum):
    """What became of being woken for a check."""

    NOT_DUE = "not_due"
    """Nothing to do: served already, not yet its time, or somebody else is at it."""
    CHECKED = "checked"
    FAILED = "failed"
    """The gateway gave no answer; it is asked again later."""


class Settle:
    """Makes one check, from the claim to the balances. No transaction is open while the gateway is asked."""

    def __init__(
        self,
        *,
        gateways: Mapping[str, PaymentGateway],
        check_requests: CheckRequests,
        ledger: Ledger,
        history: History,
        ring: Ring,
        clock: Clock,
        retry_base_s: float,
        retry_max_s: float,
        retry_limit: int,
        held: Held,
        check_ended: Callable[[ClaimedCheck, GatewayError | None], None] = lambda *_: None,
    ) -> None:
        self._gateways = gateways
        self._check_requests = check_requests
        self._ledger = ledger
        self._history = history
        self._ring = ring
        self._clock = clock
        self._retry_base_s = retry_base_s
        self._retry_max_s = retry_max_s
        self._retry_limit = retry_limit
        self._held = held
        self._check_ended = check_ended

    def __call__(self, gateway_invoice_id: UUID) -> Settled:
        """Check one gateway invoice if a check of it is due and free.

        What fails is tried again, later and later, and parked when it failed too often. Killed anywhere, the lease
        runs out and somebody is woken again; what was appended is found there and appended no second time.

        Raises:
            Exception: whatever broke our part of it; it counts as a failure and is the caller's to tell.

        """
        check = self._check_requests.claim(gateway_invoice_id, lease_token=uuid4())
        if check is None:
            return Settled.NOT_DUE
        with (
            structlog.contextvars.bound_contextvars(
                invoice=check.invoice_id, gateway_invoice=str(check.gateway_invoice_id), gateway=check.gateway
            ),
            self._held.holding(lambda: self._check_requests.release(check)),
        ):
            log.info("check.started", source=check.source, attempt=check.attempts)
            asked_at_s = time.monotonic()
            try:
                answer = _ask(self._gateways[check.gateway], check)
            except (GatewayHeldBackError, GatewayUnauthorisedError) as error:
                self._check_ended(check, error)
                self._put_back(check, error, duration_ms=_ms_since(asked_at_s))
                return Settled.FAILED
            except GatewayError as error:
                self._check_ended(check, error)
                self._fail(check, error, duration_ms=_ms_since(asked_at_s))
                return Settled.FAILED
            duration_ms = _ms_since(asked_at_s)
            try:
                self._append(check, answer, duration_ms=duration_ms)
            except Exception as error:
                self._give_back(check, error, duration_ms=duration_ms)
                raise
            self._check_ended(check, None)
            return Settled.CHECKED

    def _append(self, check: ClaimedCheck, answer: CheckAnswer, *, duration_ms: int) -> None:
        seen_at = self._clock()
        checked = CheckedInvoice(
            gateway=check.gateway,
            gateway_invoice_id=check.gateway_invoice_id,
            invoice_id=check.invoice_id,
            currency=check.currency,
            source=check.source,
            answered_before=check.answered_before,
        )
        about = About(
            invoices=frozenset({check.invoice_id}),
            payments=frozenset((check.gateway, row.payment_id) for row in answer.rows if isinstance(row, PaymentRow)),
            gateway_invoices=frozenset({check.gateway_invoice_id}),
            reference_keys={
                (check.gateway, row.payment_id): row.reference_key
                for row in answer.rows
                if isinstance(row, PaymentRow) and row.reference_key is not None
            },
        )
        guess = None
        if check.unpaid_minor is not None:
            guess = nothing_paid(check.invoice_id, due_minor=check.unpaid_minor, currency=check.currency)
        appended = self._ledger.append(
            about,
            lambda recorded: reconcile(answer, checked=checked, recorded=recorded, seen_at=seen_at),
            recorded_at=seen_at,
            finished=self._check_requests.finished(
                check, seen_payment_ids={row.payment_id for row in answer.rows if _has_outcome(row)}
            ),
            guess=guess,
        )
        _tell(appended, rows=len(answer.rows))
        if appended.ring_in_s is not None:
            self._ring(check.gateway, check.gateway_invoice_id, appended.ring_in_s)
        _remember(
            lambda: self._history.record_answer(
                check,
                answer.rows,
                duration_ms=duration_ms,
                seen_at=seen_at,
                new_events=len(appended.events),
                new_discrepancies=len(appended.opened),
            )
        )

    def _put_back(
        self, check: ClaimedCheck, error: GatewayHeldBackError | GatewayUnauthorisedError, *, duration_ms: int
    ) -> None:
        """Leave the check due as if it had not been claimed: what is wrong is with the gateway or our account there."""
        delay_s = held_back_delay_s(
            base_s=self._retry_base_s,
            chance=random.random(),  # noqa: S311 - spreads retries, guards nothing
            retry_after_s=error.retry_after_s if isinstance(error, GatewayHeldBackError) else None,
        )
        why = f"{type(error).__name__}: {error.message}"
        self._check_requests.put_back(check, delay_s=delay_s, why=why)
        log.info("check.held_back", error=type(error).__name__, reason=error.message, retry_in_s=round(delay_s, 1))
        _remember(lambda: self._history.record_failure(check, duration_ms=duration_ms, error=why))

    def _fail(self, check: ClaimedCheck, error: Exception, *, duration_ms: int) -> None:
        delay_s = retry_delay_or_park(
            check.attempts,
            final=isinstance(error, GatewayRefusedError) and error.final,
            limit=self._retry_limit,
            base_s=self._retry_base_s,
            max_s=self._retry_max_s,
            chance=random.random(),  # noqa: S311 - spreads retries, guards nothing
            retry_after_s=getattr(error, "retry_after_s", None),
        )
        reason = f"{type(error).__name__}: {error.message if isinstance(error, GatewayError) else 'see the log'}"
        if delay_s is None:
            code = error.code if isinstance(error, GatewayRefusedError) else None
            self._check_requests.park(check, code=code, reason=reason)
            log.error("check.parked", code=code, reason=reason, attempts=check.attempts)
        else:
            self._check_requests.fail(check, delay_s=delay_s, error=reason)
            log.warning("check.failed", reason=reason, retry_in_s=round(delay_s, 1))
        _remember(lambda: self._history.record_failure(check, duration_ms=duration_ms, error=reason))

    def _give_back(self, check: ClaimedCheck, error: Exception, *, duration_ms: int) -> None:
        """Free the check that we could not write down, so that nobody takes its holder for dead; as well as we can."""
        try:
            self._fail(check, error, duration_ms=duration_ms)
        except psycopg.Error:
            log.warning("check.not_given_back", consequence="its lease runs out by itself")


def _ask(gateway: PaymentGateway, check: ClaimedCheck) -> CheckAnswer:
    """Ask the gateway. A number that it knows nothing of has no payment, if it was cancelled or maybe never created."""
    try:
        return gateway.check(check.at_gateway)
    except GatewayRefusedError as refusal:
        if not (refusal.final and check.may_be_unknown and gateway.capabilities.goes_by_number):
            raise
        log.info("check.unknown_there", code=refusal.code)
        return CheckAnswer(rows=())


def _remember(write: Callable[[], None]) -> None:
    """Write history, as well as it can be: what was settled stays settled without it."""
    try:
        write()
    except (PoolTimeout, psycopg.Error) as error:
        log.warning("history.lost", error=type(error).__name__, consequence="the check will look unfinished")


def _ms_since(began_s: float) -> int:
    return round((time.monotonic() - began_s) * 1_000)


def _has_outcome(row: PaymentRow | UnreadableRow) -> TypeGuard[PaymentRow]:
    """Tell whether a payment has come to something; one that is NEW, or nobody knows what, is worth another look."""
    return isinstance(row, PaymentRow) and row.status not in {RowStatus.NEW, RowStatus.UNKNOWN}


def _tell(appended: Appended, *, rows: int) -> None:
    for event in appended.events:
        log.info("payment.recorded", payment=event.payment_id, kind=event.kind, amount=str(event.amount.amount))
    for opened in appended.opened:
        one = opened.discrepancy
        log.warning("discrepancy.opened", id=opened.id, kind=one.kind, payment=one.payment_id, detail=one.detail)
    log.info("check.finished", rows=rows, new_events=len(appended.events))
