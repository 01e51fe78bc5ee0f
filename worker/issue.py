"""Issue: get a customer a QR for what is outstanding, without ever making two that can be paid."""

import time
from collections.abc import Callable, Mapping
from typing import assert_never
from uuid import UUID, uuid4

import structlog

from adapters.postgres.gateway_invoices import GIVEN_UP, GatewayInvoice, GatewayInvoices, Intent
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    InvoiceToIssue,
    PaymentGateway,
)
from domain.pay_link import AwaitIssue, Close, GatewayInvoiceState, GiveAgain, Refusal, Refuse
from domain.polling import FIRST, is_polled
from worker.clock import Clock
from worker.close import CloseQr
from worker.ring import Ring

log = structlog.get_logger()

ISSUE_DEADLINE_S = 60.0
"""A create without an answer is given up after this: far longer than a call may take, so no late answer can come."""

AWAIT_S = 12.0
"""How long a second request waits for the first one's QR: longer than a create may take."""

_LOOK_EVERY_S = 0.1
_MAX_STEPS = 8
"""Await, close, create, give: an invoice that needs more steps than this, twice over, keeps changing under us."""


class PayLinkRefusedError(Exception):
    """The invoice cannot be paid this way now: nothing is outstanding, or a fraction is, or it is void."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why.value)
        self.why = why


class Issue:
    """Gets the open QR of an invoice at a gateway, or makes the next one. No transaction is open across a call."""

    def __init__(
        self,
        *,
        gateways: Mapping[str, PaymentGateway],
        gateway_invoices: GatewayInvoices,
        close: CloseQr,
        callback_url: Callable[[UUID], str],
        ring: Ring,
        clock: Clock,
    ) -> None:
        self._gateways = gateways
        self._gateway_invoices = gateway_invoices
        self._close = close
        self._callback_url = callback_url
        self._ring = ring
        self._clock = clock

    def __call__(self, invoice_id: str, *, gateway: str) -> GatewayInvoice:
        """Return an open QR for what is outstanding; two callers at once get the same one.

        Raises:
            UnknownInvoiceError: no such invoice.
            PayLinkRefusedError: there is nothing to pay, or nothing that the gateway takes.
            GatewayRefusedError, GatewayUnauthorisedError: the gateway said no; asking again is a new create.
            GatewayBusyError: nothing was created; asking again may help.
            GatewayOutcomeUnknownError: nobody knows; given up after `ISSUE_DEADLINE_S`; then ask for a new one.

        """
        capabilities = self._gateways[gateway].capabilities
        with structlog.contextvars.bound_contextvars(invoice=invoice_id, gateway=gateway):
            for _ in range(_MAX_STEPS):
                step = self._gateway_invoices.next_step(
                    invoice_id,
                    gateway=gateway,
                    goes_by_number=capabilities.goes_by_number,
                    whole_units=capabilities.whole_units,
                    new_id=uuid4(),
                    now=self._clock(),
                )
                match step:
                    case Refuse(why=why):
                        raise PayLinkRefusedError(why)
                    case GiveAgain(id=open_id):
                        return self._gateway_invoices.read(open_id)
                    case AwaitIssue(id=awaited):
                        self._await_issue(awaited)
                    case Close(id=closing):
                        self._close(closing)
                    case Intent():
                        # Planned once more afterwards: the invoice may have changed while the gateway was asked.
                        self._create(step, gateway=gateway)
                    case _:
                        assert_never(step)
            raise GatewayOutcomeUnknownError("the invoice's QRs keep changing: ask again")

    def _create(self, intent: Intent, *, gateway: str) -> None:
        invoice = InvoiceToIssue(
            number=intent.number,
            amount=intent.amount,
            description=intent.description,
            receiver_code=intent.receiver_code,
            callback_url=self._callback_url(intent.id),
            expires_at=intent.expires_at,
        )
        with structlog.contextvars.bound_contextvars(gateway_invoice=str(intent.id)):
            try:
                issued = self._gateways[gateway].issue(invoice)
            except GatewayError as error:
                log.warning("pay_link.failed", error=type(error).__name__, message=error.message)
                self._write_failure(intent, error)
                raise
            poll_in = FIRST if is_polled(self._gateways[gateway]) else None
            opened = self._gateway_invoices.mark_open(intent.id, issued=issued, poll_in=poll_in)
            if opened is None:
                raise GatewayOutcomeUnknownError("the answer came after the create was given up")
            log.info("pay_link.issued", generation=intent.generation, amount=str(intent.amount.amount))
            if opened.check_requested:
                self._ring(gateway, intent.id, 0.0)

    def _write_failure(self, intent: Intent, error: GatewayError) -> None:
        """Free the way for a next create where this one certainly made nothing; else leave it until its deadline."""
        match error:
            case GatewayRefusedError():
                self._gateway_invoices.mark_failed(intent.id, failure_code=error.code, error=error.message)
            case GatewayBusyError() | GatewayUnauthorisedError():
                self._gateway_invoices.mark_failed(intent.id, failure_code=None, error=error.message)
            case _:
                log.warning("pay_link.outcome_unknown", given_up_after_s=ISSUE_DEADLINE_S)

    def _await_issue(self, gateway_invoice_id: UUID) -> None:
        until = time.monotonic() + AWAIT_S
        while time.monotonic() < until:
            awaited = self._gateway_invoices.read(gateway_invoice_id)
            if awaited.failure_code == GIVEN_UP:
                return
            if awaited.state is GatewayInvoiceState.FAILED:
                message = awaited.last_error or "it was not created"
                if awaited.failure_code is not None:
                    raise GatewayRefusedError(awaited.failure_code, message)
                raise GatewayBusyError(message)
            if awaited.state is not GatewayInvoiceState.ISSUING:
                return
            time.sleep(_LOOK_EVERY_S)
        raise GatewayOutcomeUnknownError("a create of this QR has not been answered yet")
