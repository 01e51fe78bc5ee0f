"""Refund at the gateway: money leaves, so it is planned, written down, asked for once, and looked at afterwards."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import structlog

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.gateway_refunds import GatewayRefund, GatewayRefunds
from adapters.postgres.idempotency_keys import IdempotencyKeys
from adapters.postgres.ledger import Ledger, LedgerBusyError
from adapters.postgres.recorded import About
from domain.command import Command, digest_of
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    PaymentGateway,
)
from domain.gateway_refund import RefundState, UnknownGatewayError, plan_gateway_refund, plan_given_back
from domain.payment_event import Source
from domain.recorded import PaymentKey
from worker.clock import Clock
from worker.look import look_now
from worker.ring import Ring
from worker.settle import Settle

log = structlog.get_logger()


class NotWrittenDownError(Exception):
    """The gateway was asked, and the database did not take what came of it. The same command again finds out."""

    def __init__(self, *, key: str, came: str) -> None:
        super().__init__(f"{came}, and that could not be written down")
        self.key = key


class RefundAtGateway:
    """Asks a gateway to give a whole payment back. The same command again resumes, and never asks a second time."""

    def __init__(
        self,
        *,
        gateways: Mapping[str, PaymentGateway],
        refunds: GatewayRefunds,
        ledger: Ledger,
        keys: IdempotencyKeys,
        discrepancies: Discrepancies,
        check_requests: CheckRequests,
        settle: Settle,
        ring: Ring,
        clock: Clock,
    ) -> None:
        self._gateways = gateways
        self._refunds = refunds
        self._ledger = ledger
        self._keys = keys
        self._discrepancies = discrepancies
        self._check_requests = check_requests
        self._settle = settle
        self._ring = ring
        self._clock = clock

    def __call__(self, command: Command, payment: PaymentKey, *, invoice_id: str | None) -> GatewayRefund:
        """Give a payment back that an invoice, or suspense, holds all of; return what is known of it then.

        The intent is committed, then the gateway is called with no transaction open, then its answer is written down. A
        check of the QR is requested in every case; it is waited for where the outcome is unknown. Killed anywhere, the
        intent stays: nobody gives the money back by another way until the same command again has found out.

        Raises:
            UnknownGatewayError, UnknownPaymentError, NotWholeError, NoQrError: the gateway was not asked.
            KeyUsedError: the key stands for something else.
            RefundUnderwayError: another command asked for it, and its outcome is unknown.
            NotWrittenDownError: the gateway was asked; the same command again finds out.

        """
        if payment[0] not in self._gateways:
            raise UnknownGatewayError
        content = digest_of("refund at gateway", payment=":".join(payment), invoice=invoice_id, reason=command.reason)
        self._keys.take(command.key, digest=content, now=self._clock())
        refund, is_new = self._refunds.begin(
            command,
            payment,
            invoice_id=invoice_id,
            decide=lambda recorded: plan_gateway_refund(recorded, payment=payment, invoice_id=invoice_id),
        )
        with structlog.contextvars.bound_contextvars(payment=payment[1], gateway=payment[0], key=command.key):
            if is_new:
                refund = self._ask(command, refund)
            if refund.state is RefundState.ASKED:
                with _told_if_not_written_down(refund, came="nobody knows whether the gateway gave the payment back"):
                    refund = self._find_out(refund)
            log.info("refund.at_gateway", state=refund.state, who=command.who)
            return refund

    def _ask(self, command: Command, refund: GatewayRefund) -> GatewayRefund:
        gateway, payment_id = refund.payment
        log.info("refund.asking", amount=str(refund.amount.amount), who=command.who)
        outcome: GatewayError | None = None
        try:
            self._gateways[gateway].refund(payment_id, note=command.reason)
        except GatewayError as error:
            outcome = error
        came = "the gateway said that it gave the payment back" if outcome is None else outcome.message
        with _told_if_not_written_down(refund, came=came):
            return self._write_down(command, refund, outcome)

    def _write_down(self, command: Command, refund: GatewayRefund, outcome: GatewayError | None) -> GatewayRefund:
        match outcome:
            case None:
                self._record(command, refund)
                known = self._refunds.conclude(refund.key)
            case GatewayRefusedError():
                known = self._refunds.answer(refund.key, state=RefundState.REFUSED, answer=outcome.message)
            case GatewayBusyError() | GatewayUnauthorisedError():
                known = self._refunds.answer(refund.key, state=RefundState.NOT_ACTED, answer=outcome.message)
            case _:
                log.warning("refund.outcome_unknown", error=type(outcome).__name__, message=outcome.message)
                self._refunds.note(refund.key, answer=outcome.message)
                return refund
        request = self._check_requests.request(refund.gateway_invoice_id, source=Source.COMMAND)
        if request is not None and request.rings:
            self._ring(request.gateway, refund.gateway_invoice_id, request.wait_s)
        return known

    def _record(self, command: Command, refund: GatewayRefund) -> None:
        now = self._clock()
        self._ledger.append(
            About(
                invoices=frozenset({refund.invoice_id} if refund.invoice_id else ()),
                payments=frozenset({refund.payment}),
            ),
            lambda recorded: plan_given_back(
                recorded, command, payment=refund.payment, invoice_id=refund.invoice_id, now=now
            ),
            recorded_at=now,
        )

    def _find_out(self, refund: GatewayRefund) -> GatewayRefund:
        """Look at the QR, and ask a person where that does not tell what became of the refund."""
        look_now(refund.gateway_invoice_id, check_requests=self._check_requests, settle=self._settle)
        known = self._refunds.conclude(refund.key)
        if known.state is RefundState.ASKED:
            gateway, payment_id = known.payment
            question = Discrepancy(
                kind=DiscrepancyKind.REFUND_UNKNOWN,
                gateway=gateway,
                subject=payment_id,
                fingerprint=known.key,
                detail=f"nobody knows whether {gateway} gave back {known.amount}: the same refund again, with "
                f"--key {known.key}, finds out; until then it must not be given back by another way",
                invoice_id=known.invoice_id,
                payment_id=payment_id,
            )
            self._discrepancies.ask(question, now=self._clock())
        return known


@contextmanager
def _told_if_not_written_down(refund: GatewayRefund, *, came: str) -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, LedgerBusyError) as error:
        log.warning("refund.not_written_down", came=came, error=type(error).__name__)
        raise NotWrittenDownError(key=refund.key, came=came) from error
