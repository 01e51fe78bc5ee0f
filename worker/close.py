"""Close: make a QR that is no longer right unpayable, and record what was paid on it before."""

from collections.abc import Mapping
from typing import assert_never
from uuid import UUID

import psycopg
import structlog

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.gateway_invoices import GatewayInvoice, GatewayInvoices
from domain.check_request import FINAL_TRIES
from domain.gateway import (
    CancelOutcome,
    GatewayError,
    GatewayHeldBackError,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    PaymentGateway,
)
from domain.pay_link import AfterPaid, GatewayInvoiceState, plan_after_paid
from domain.payment_event import Source
from domain.refresh import has_run_out
from worker.clock import Clock
from worker.look import LOOK_S, PATIENT_LOOK_S, look_now
from worker.settle import Settle

log = structlog.get_logger()

CLOSE_TRIES = 80
"""A QR that workers failed to close so often is parked: after some three days, once an hour in the end."""


class CloseQr:
    """Closes one QR that is `closing`. No transaction is open across a call; twice, or two at once, is once."""

    def __init__(
        self,
        *,
        gateways: Mapping[str, PaymentGateway],
        gateway_invoices: GatewayInvoices,
        check_requests: CheckRequests,
        settle: Settle,
        clock: Clock,
    ) -> None:
        self._gateways = gateways
        self._gateway_invoices = gateway_invoices
        self._check_requests = check_requests
        self._settle = settle
        self._clock = clock

    def __call__(self, gateway_invoice_id: UUID, *, source: Source = Source.COMMAND, replaced: bool = True) -> None:
        """Cancel the QR at its gateway, look at it once more, and write how that ended.

        Afterwards it is superseded, cancelled, settled or expired; failed, where its create was not answered and nobody
        has seen it; or open again, where its gateway keeps it open
        because a part was paid and what is left is just what is outstanding. After an error it is still closing, and
        tried again. `source` is what made us look; not `replaced` is one after which no other is made though something
        is outstanding.

        Raises:
            GatewayError: the gateway did not answer, or keeps a QR open that is no longer right.

        """
        closing = self._gateway_invoices.read(gateway_invoice_id)
        if closing.state is not GatewayInvoiceState.CLOSING:
            return
        with structlog.contextvars.bound_contextvars(
            invoice=closing.invoice_id, gateway_invoice=str(gateway_invoice_id), gateway=closing.gateway
        ):
            try:
                outcome = self._make_unpayable(closing)
            except GatewayRefusedError as refusal:
                if closing.was_shown:
                    raise
                self._leave(closing, refusal)
                return
            log.info("close.answered", outcome=outcome or "ran_out")
            # One last look: what was paid and never announced would be asked for again.
            self._settle_now(gateway_invoice_id, source=source)
            self._end(closing, outcome, replaced=replaced)

    def _make_unpayable(self, closing: GatewayInvoice) -> CancelOutcome | None:
        """Cancel the QR; None where its gateway does not, and need not: it has run out there by itself."""
        gateway = self._gateways[closing.gateway]
        ran_out = has_run_out(closing.expires_at, capabilities=gateway.capabilities, now=self._clock())
        if ran_out and not gateway.capabilities.cancels:
            return None
        try:
            return gateway.cancel(closing.at_gateway)
        except GatewayRefusedError as refusal:
            if not ran_out:
                raise
            # Nobody has seen what QPay answers to this. The look that follows tells whether it knows the QR at all.
            log.info("close.refused", code=refusal.code, consequence="it has run out and is taken for unpayable")
            return None

    def _leave(self, closing: GatewayInvoice, refusal: GatewayRefusedError) -> None:
        """Let a create go that was not answered and that the gateway does not cancel: nobody has seen its QR.

        What is paid on it all the same is announced, or found: its number stays known.
        """
        log.warning("close.left", code=refusal.code, reason=refusal.message)
        self._gateway_invoices.mark_closed(closing.id, state=GatewayInvoiceState.FAILED)

    def _end(self, closing: GatewayInvoice, outcome: CancelOutcome | None, *, replaced: bool) -> None:
        gateway_invoice_id = closing.id
        paid = self._gateway_invoices.read_paid(gateway_invoice_id)
        match outcome:
            case CancelOutcome.CANCELLED | None:
                if not closing.was_shown:
                    state = GatewayInvoiceState.FAILED
                elif paid.outstanding.amount <= 0:
                    state = GatewayInvoiceState.CANCELLED
                else:
                    state = GatewayInvoiceState.SUPERSEDED if replaced else GatewayInvoiceState.EXPIRED
                self._gateway_invoices.mark_closed(gateway_invoice_id, state=state)
            case CancelOutcome.PAID:
                match plan_after_paid(paid, now=self._clock()):
                    case AfterPaid.SETTLED:
                        self._gateway_invoices.mark_closed(gateway_invoice_id, state=GatewayInvoiceState.SETTLED)
                    case AfterPaid.KEPT if closing.was_shown:
                        self._gateway_invoices.mark_kept(gateway_invoice_id)
                    case AfterPaid.KEPT:
                        self._gateway_invoices.mark_closed(gateway_invoice_id, state=GatewayInvoiceState.SETTLED)
                    case AfterPaid.STUCK:
                        message = "the QR is partly paid, and the gateway keeps it open for another amount than is due"
                        raise GatewayRefusedError("INVOICE_PAID", message, final=True)
                    case AfterPaid.UNCLEAR:
                        message = "the gateway calls the QR paid and shows no payment yet: ask again"
                        raise GatewayOutcomeUnknownError(message)
                    case never:
                        assert_never(never)
            case _:
                assert_never(outcome)

    def _settle_now(self, gateway_invoice_id: UUID, *, source: Source) -> None:
        """Have a check answered that begins from now on, by us or by a worker; if that cannot be done, say so."""
        if not look_now(
            gateway_invoice_id,
            check_requests=self._check_requests,
            settle=self._settle,
            source=source,
            within_s=PATIENT_LOOK_S if source is Source.REFRESH else LOOK_S,
        ):
            raise GatewayOutcomeUnknownError("a payment on the QR is being looked up: ask again")


class CloseDue:
    """What a message that a QR is to be closed wakes: closes it, and parks it when that failed too often.

    Whoever asks for a pay-link tries it all the same, and does not count; nor does what was held back from the gateway.
    """

    def __init__(self, *, close: CloseQr, gateway_invoices: GatewayInvoices) -> None:
        self._close = close
        self._gateway_invoices = gateway_invoices

    def __call__(self, gateway_invoice_id: UUID) -> None:
        """Close one QR if workers are to.

        Raises:
            Exception: why it could not be closed; it is written down.

        """
        if not self._gateway_invoices.is_closing(gateway_invoice_id):
            return
        try:
            self._close(gateway_invoice_id)
        except GatewayHeldBackError:
            raise
        except GatewayRefusedError as error:
            self._note(gateway_invoice_id, error, code=error.code, tries=FINAL_TRIES if error.final else CLOSE_TRIES)
            raise
        except Exception as error:
            self._note(gateway_invoice_id, error, code=None, tries=CLOSE_TRIES)
            raise

    def _note(self, gateway_invoice_id: UUID, error: Exception, *, code: str | None, tries: int) -> None:
        reason = f"{type(error).__name__}: {error.message if isinstance(error, GatewayError) else 'see the log'}"
        try:
            parked = self._gateway_invoices.note_close_failure(
                gateway_invoice_id, code=code, reason=reason, tries=tries
            )
        except psycopg.Error:
            log.warning("close.not_noted", gateway_invoice=str(gateway_invoice_id))
            return
        if parked:
            log.error("close.parked", gateway_invoice=str(gateway_invoice_id), code=code, reason=reason)
