"""Settle: ask the gateway about one of its invoices, and append what its answer proves."""

import random
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeGuard
from uuid import UUID, uuid4

import structlog

from adapters.postgres.check_requests import CheckRequests, ClaimedCheck
from adapters.postgres.ledger import Appended, Ledger
from adapters.postgres.recorded import About, nothing_paid
from domain.check_request import held_back_delay_s, retry_delay_s
from domain.gateway import (
    CheckAnswer,
    GatewayBusyError,
    GatewayError,
    GatewayHeldBackError,
    GatewayOutcomeUnknownError,
    GatewayUnauthorisedError,
    PaymentGateway,
    PaymentRow,
    RowStatus,
    UnreadableRow,
)
from domain.reconciler import CheckedInvoice, reconcile
from worker.clock import Clock
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
        ring: Ring,
        clock: Clock,
        retry_base_s: float,
        retry_max_s: float,
    ) -> None:
        self._gateways = gateways
        self._check_requests = check_requests
        self._ledger = ledger
        self._ring = ring
        self._clock = clock
        self._retry_base_s = retry_base_s
        self._retry_max_s = retry_max_s

    def __call__(self, gateway_invoice_id: UUID) -> Settled:
        """Check one gateway invoice if a check of it is due and free.

        Killed anywhere, or failed at the database, the lease runs out and somebody is woken again; what was appended
        is found there and appended no second time.
        """
        check = self._check_requests.claim(gateway_invoice_id, lease_token=uuid4())
        if check is None:
            return Settled.NOT_DUE
        with structlog.contextvars.bound_contextvars(
            invoice=check.invoice_id, gateway_invoice=str(check.gateway_invoice_id), gateway=check.gateway
        ):
            log.info("check.started", source=check.source, attempt=check.attempts)
            try:
                answer = self._gateways[check.gateway].check(check.external_id)
            except (GatewayHeldBackError, GatewayUnauthorisedError) as error:
                self._put_back(check, error)
                return Settled.FAILED
            except GatewayError as error:
                self._fail(check, error)
                return Settled.FAILED
            self._append(check, answer)
            return Settled.CHECKED

    def _append(self, check: ClaimedCheck, answer: CheckAnswer) -> None:
        seen_at = self._clock()
        checked = CheckedInvoice(
            gateway=check.gateway,
            gateway_invoice_id=check.gateway_invoice_id,
            invoice_id=check.invoice_id,
            currency=check.currency,
            source=check.source,
        )
        about = About(
            invoices=frozenset({check.invoice_id}),
            payments=frozenset((check.gateway, row.payment_id) for row in answer.rows if isinstance(row, PaymentRow)),
            gateway_invoices=frozenset({check.gateway_invoice_id}),
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
            self._ring(check.gateway_invoice_id, appended.ring_in_s)

    def _put_back(self, check: ClaimedCheck, error: GatewayHeldBackError | GatewayUnauthorisedError) -> None:
        """Leave the check due as if it had not been claimed: what is wrong is with the gateway or our account there."""
        delay_s = held_back_delay_s(
            base_s=self._retry_base_s,
            chance=random.random(),  # noqa: S311 - spreads retries, guards nothing
            retry_after_s=error.retry_after_s if isinstance(error, GatewayHeldBackError) else None,
        )
        self._check_requests.put_back(check, delay_s=delay_s, why=f"{type(error).__name__}: {error.message}")
        log.info("check.held_back", error=type(error).__name__, reason=error.message, retry_in_s=round(delay_s, 1))

    def _fail(self, check: ClaimedCheck, error: GatewayError) -> None:
        asked_s = error.retry_after_s if isinstance(error, GatewayBusyError | GatewayOutcomeUnknownError) else None
        delay_s = retry_delay_s(
            check.attempts,
            base_s=self._retry_base_s,
            max_s=self._retry_max_s,
            chance=random.random(),  # noqa: S311 - spreads retries, guards nothing
            retry_after_s=asked_s,
        )
        self._check_requests.fail(check, delay_s=delay_s, error=f"{type(error).__name__}: {error.message}")
        log.warning("check.failed", error=type(error).__name__, message=error.message, retry_in_s=round(delay_s, 1))


def _has_outcome(row: PaymentRow | UnreadableRow) -> TypeGuard[PaymentRow]:
    """Tell whether a payment has come to something; one that is still NEW is worth another look."""
    return isinstance(row, PaymentRow) and row.status is not RowStatus.NEW


def _tell(appended: Appended, *, rows: int) -> None:
    for event in appended.events:
        log.info("payment.recorded", payment=event.payment_id, kind=event.kind, amount=str(event.amount.amount))
    for opened in appended.opened:
        one = opened.discrepancy
        log.warning("discrepancy.opened", id=opened.id, kind=one.kind, payment=one.payment_id, detail=one.detail)
    log.info("check.finished", rows=rows, new_events=len(appended.events))
