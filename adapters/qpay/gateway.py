"""QPay v2 behind the port: what the worker asks, said on QPay's wire, and QPay's answers in the port's words."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

from adapters.calls.http import CallObserver, Request, unobserved
from adapters.qpay.checking import read_rows
from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.details import QPayInvoice, invoice_request, payment_request, read_invoice
from adapters.qpay.issuing import issue_body, read_issued
from adapters.qpay.listing import Listing, require_window
from adapters.qpay.rows import read_found, read_row
from adapters.qpay.session import Calls, Session
from adapters.qpay.undoing import cancel_request, give_back_request, require_done
from adapters.qpay.wire import InvoiceBody, read_any, read_body
from domain.gateway import (
    CancelOutcome,
    Capabilities,
    GatewayInvoiceRef,
    GatewayRefusedError,
    InvoiceToIssue,
    IssuedInvoice,
)
from domain.payment_row import CheckAnswer, FoundPage, FoundPayment, UnreadableRow

NOT_TOLD = UnreadableRow(reason="QPay counts more payments than it tells of", raw=None)
"""Stands for payments that are counted and never shown: not to be taken for an answer with all rows."""

CALLBACK_PARAMETER = "qpay_payment_id"


class QPayGateway:
    """`domain.gateway.PaymentGateway` for one merchant at QPay v2.

    Calls block, may come from many threads, and run on one background event loop, which the first call starts and
    `close` ends; `limits` bound each of them in total. The access token is shared with other processes through the
    Redis at `redis_url`, and so are the breaker, the pace of calls and what was found out about QPay. `now` gives the
    UNIX time in seconds; `observe` hears of every HTTP call. `on_credentials_used_elsewhere` is called after a call, in
    its thread, when QPay had refused our token before its end and took the next one: what it raises is logged and stops
    nothing.

    Raises:
        ValueError: `redis_url` is no Redis address; it is not repeated in the message.

    """

    def __init__(
        self,
        config: QPayConfig,
        *,
        redis_url: str,
        now: Callable[[], float],
        limits: Limits | None = None,
        observe: CallObserver = unobserved,
        on_credentials_used_elsewhere: Callable[[], object] | None = None,
    ) -> None:
        self._config = config
        self._limits = limits or Limits()
        self._session = Session(
            config,
            redis_url=redis_url,
            limits=self._limits,
            now=now,
            observe=observe,
            on_displaced=on_credentials_used_elsewhere,
        )
        self._listing = Listing(self._session, config=config, limits=self._limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The name used in events, settings and URLs."""
        return "qpay"

    @property
    def capabilities(self) -> Capabilities:
        """QPay offers everything but polling, which its workbook (2026-03) forbids; whole tögrög alone."""
        return Capabilities(
            lists=True,
            may_be_polled=False,
            cancels=True,
            refunds=True,
            whole_units=True,
            takes_expiry=self._config.enable_expiry,
            goes_by_number=False,
        )

    def close(self) -> None:
        """Close the connections and end the background thread, after the last call has returned. Idempotent."""
        self._session.close()

    def issue(self, invoice: InvoiceToIssue, /) -> IssuedInvoice:
        """Create an invoice at QPay; at most `issue_timeout_s`. Not idempotent, see the port.

        Raises:
            ValueError: before any call: not MNT, not whole tögrög (QPay takes no fractions), or `expires_at` is naive.
            GatewayError: see the port.

        """
        body = issue_body(invoice, config=self._config)

        async def work(calls: Calls) -> IssuedInvoice:
            request = Request(
                endpoint="POST invoice", method="POST", path="/invoice", body=body, secrets=(invoice.callback_url,)
            )
            return read_issued(read_body(InvoiceBody, (await calls.call(request)).body))

        return self._session.run(work, timeout_s=self._limits.issue_timeout_s)

    def check(self, invoice: GatewayInvoiceRef, /) -> CheckAnswer:
        """Ask for every payment on one invoice, over all pages; at most `check_timeout_s` in all.

        Rows come in QPay's order and as often as QPay gives them. Where it counts more of them than it tells of, one
        that cannot be read stands for those. Errors as in the port.
        """

        async def work(calls: Calls) -> tuple[list[object], bool]:
            return await read_rows(calls, invoice.external_id, pages_max=self._limits.pages_max)

        rows, are_all = self._session.run(work, timeout_s=self._limits.check_timeout_s)
        return CheckAnswer(rows=(*map(read_row, rows), *(() if are_all else (NOT_TOLD,))))

    def discover(self, *, since: datetime, until: datetime) -> Iterator[FoundPage]:
        """Tell which payments are listed in [`since`, `until`), at most `look_timeout_s` a page. See the port."""
        since, until = require_window(since, until)
        return self._listing.pages(since=since, until=until)

    def look_up(self, payment_id: str, /) -> FoundPayment | UnreadableRow | None:
        """Ask `GET payment` once, at most `look_timeout_s`; the vendor forbids asking again and again. See the port."""
        request = payment_request(payment_id)

        async def work(calls: Calls) -> FoundPayment | UnreadableRow | None:
            try:
                return read_found(read_any((await calls.call(request)).body))
            except GatewayRefusedError as refusal:
                if refusal.code != "PAYMENT_NOTFOUND":
                    raise
                return None

        return self._session.run(work, timeout_s=self._limits.look_timeout_s)

    def read_invoice(self, external_id: str, /) -> QPayInvoice:
        """Ask `GET invoice` once, at most `look_timeout_s`: for people, and no evidence of money.

        Raises:
            ValueError: before any call: `external_id` cannot be a part of a path.
            GatewayError: see the port; one that QPay does not know is refused as `INVOICE_NOTFOUND`.

        """
        request = invoice_request(external_id)

        async def work(calls: Calls) -> QPayInvoice:
            return read_invoice((await calls.call(request)).body)

        return self._session.run(work, timeout_s=self._limits.look_timeout_s)

    def cancel(self, invoice: GatewayInvoiceRef, /) -> CancelOutcome:
        """Cancel an invoice at QPay; at most `cancel_timeout_s`. Idempotent. Errors as in the port.

        The status of `INVOICE_PAID` is unverified, so any refusal with that code counts.

        Raises:
            ValueError: before any call: its external id cannot be a part of a path.

        """
        request = cancel_request(invoice.external_id)

        async def work(calls: Calls) -> CancelOutcome:
            try:
                answer = await calls.call(request)
            except GatewayRefusedError as refusal:
                match refusal.code:
                    case "INVOICE_ALREADY_CANCELED":
                        return CancelOutcome.CANCELLED
                    case "INVOICE_PAID":
                        return CancelOutcome.PAID
                    case _:
                        raise
            require_done(request, answer)
            return CancelOutcome.CANCELLED

        return self._session.run(work, timeout_s=self._limits.cancel_timeout_s)

    def refund(self, payment_id: str, /, *, note: str) -> None:
        """Give one whole card payment back; at most `refund_timeout_s`. Errors as in the port.

        The status of `PAYMENT_ALREADY_CANCELED` is unverified, so any refusal with that code counts as done. No code
        of its own is known for a payment that was refunded before. `note` is made one line of at most 255 characters.

        Raises:
            ValueError: before any call: `payment_id` cannot be a part of a path.

        """
        self._give_back(give_back_request(payment_id, how="refund", note=note))

    def cancel_payment(self, payment_id: str, /, *, note: str) -> None:
        """Cancel one card payment at QPay (`payment/cancel`); otherwise as `refund`, and bank transfers likewise not.

        How it differs from a refund for the customer is not documented, so nothing here calls it but people.
        """
        self._give_back(give_back_request(payment_id, how="cancel", note=note))

    def read_callback(self, query: Mapping[str, str], /) -> str | None:
        """Return `qpay_payment_id` when it can be one: 1 to 100 printable ASCII characters without spaces."""
        payment_id = query.get(CALLBACK_PARAMETER, "")
        return payment_id if re.fullmatch(r"[\x21-\x7e]{1,100}", payment_id) else None

    def _give_back(self, request: Request) -> None:
        async def work(calls: Calls) -> None:
            try:
                require_done(request, await calls.call(request))
            except GatewayRefusedError as refusal:
                if refusal.code != "PAYMENT_ALREADY_CANCELED":
                    raise

        self._session.run(work, timeout_s=self._limits.refund_timeout_s)
