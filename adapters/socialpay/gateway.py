"""SocialPay behind the port: what the worker asks, said on SocialPay's wire, and its answers in the port's words."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Never, Self

from adapters.calls.http import CallObserver, unobserved
from adapters.calls.limits import CallLimits
from adapters.calls.line import Calls, Line
from adapters.socialpay.asking import about, ask
from adapters.socialpay.checking import read_rows
from adapters.socialpay.config import SocialPayConfig
from adapters.socialpay.issuing import issue_request, phone_request, read_issued, require_done
from adapters.socialpay.push import read_push
from adapters.socialpay.undoing import cancel
from domain.gateway import (
    NOT_OFFERED,
    CancelOutcome,
    Capabilities,
    GatewayInvoiceRef,
    GatewayRefusedError,
    InvoiceToIssue,
    IssuedInvoice,
    Push,
)
from domain.payment_row import CheckAnswer, FoundPage, FoundPayment, UnreadableRow

BODY_MAX_BYTES = 200_000
"""Counts the bodies of one public call together: an answer has less than a thousand bytes."""


class SocialPayGateway:
    """`domain.gateway.PaymentGateway` for one terminal at SocialPay's in-store API.

    Calls block, may come from many threads, and run on one background event loop, which the first call starts and
    `close` ends; `limits` bound each of them in total. There is no login: each call is signed. Breaker and pace are
    shared with other processes through the Redis at `redis_url`. `now` gives the UNIX time in seconds; `observe` hears
    of every HTTP call.

    Raises:
        ValueError: `redis_url` is no Redis address; it is not repeated in the message.

    """

    def __init__(
        self,
        config: SocialPayConfig,
        *,
        redis_url: str,
        now: Callable[[], float],
        limits: CallLimits | None = None,
        observe: CallObserver = unobserved,
    ) -> None:
        self._config = config
        self._limits = limits or CallLimits(body_max_bytes=BODY_MAX_BYTES)
        self._line = Line(config.counterpart, redis_url=redis_url, limits=self._limits, now=now, observe=observe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The name used in events, settings and URLs."""
        return "socialpay"

    @property
    def capabilities(self) -> Capabilities:
        """SocialPay is asked about one invoice at a time, as often as one likes, and knows it by our number."""
        return Capabilities(
            lists=False,
            may_be_polled=True,
            cancels=True,
            refunds=False,
            whole_units=True,
            takes_expiry=False,
            goes_by_number=True,
        )

    def close(self) -> None:
        """Close the connections and end the background thread, after the last call has returned. Idempotent."""
        self._line.close()

    def issue(self, invoice: InvoiceToIssue, /) -> IssuedInvoice:
        """Make an invoice to be shown, as a QR or as a link; at most `issue_timeout_s`. Not idempotent, see the port.

        Description, receiver and callback have no place on the wire.

        Raises:
            ValueError: before any call: not MNT, not whole tögrög, or a number of more than 32 characters.
            GatewayError: see the port.

        """
        request = issue_request(about(invoice.number, invoice.amount), config=self._config)

        async def work(calls: Calls) -> IssuedInvoice:
            return read_issued((await ask(calls, request)).require(), number=invoice.number)

        return self._line.run(work, timeout_s=self._limits.issue_timeout_s)

    def issue_to_phone(self, invoice: InvoiceToIssue, /, *, phone: str) -> None:
        """Make an invoice that appears in the application of whoever has that phone; there is nothing to be shown.

        Otherwise as `issue`. It is checked and cancelled by its number, like any other.

        Raises:
            ValueError: before any call: as in `issue`, or `phone` is not eight digits.
            GatewayError: see the port.

        """
        request = phone_request(about(invoice.number, invoice.amount), phone=phone, config=self._config)

        async def work(calls: Calls) -> None:
            require_done((await ask(calls, request)).require(), endpoint=request.endpoint)

        self._line.run(work, timeout_s=self._limits.issue_timeout_s)

    def check(self, invoice: GatewayInvoiceRef, /) -> CheckAnswer:
        """Ask whether one invoice is paid, by its number and its own amount; at most `check_timeout_s`. See the port.

        Raises:
            ValueError: before any call: the number, or the amount, is none that SocialPay takes.
            GatewayError: see the port.

        """
        meant = about(invoice.number, invoice.amount)

        async def work(calls: Calls) -> CheckAnswer:
            return CheckAnswer(rows=await read_rows(calls, meant, config=self._config))

        return self._line.run(work, timeout_s=self._limits.check_timeout_s)

    def discover(self, *, since: datetime, until: datetime) -> Iterator[FoundPage]:  # noqa: ARG002 - the port's
        """Refuse: SocialPay tells of no payment without being asked for its invoice."""
        _not_offered("list payments")

    def look_up(self, payment_id: str, /) -> FoundPayment | UnreadableRow | None:
        """Refuse: SocialPay has no payments by id."""
        _require_id(payment_id)
        _not_offered("look payments up")

    def cancel(self, invoice: GatewayInvoiceRef, /) -> CancelOutcome:
        """Cancel an invoice by its number, also one whose create was not answered; at most `cancel_timeout_s`.

        Idempotent. Errors as in the port.

        Raises:
            ValueError: before any call: the number, or the amount, is none that SocialPay takes.

        """
        meant = about(invoice.number, invoice.amount)

        async def work(calls: Calls) -> CancelOutcome:
            return await cancel(calls, meant, config=self._config)

        return self._line.run(work, timeout_s=self._limits.cancel_timeout_s)

    def refund(self, payment_id: str, /, *, note: str) -> None:  # noqa: ARG002 - the port's
        """Refuse: payment/cancel exists, its checksum is contradicted, and nothing here calls it."""
        _require_id(payment_id)
        _not_offered("give payments back")

    def read_callback(self, query: Mapping[str, str], /) -> str | None:  # noqa: ARG002 - the port's
        """Return None: what SocialPay sends has a signed body, see `read_push`."""
        return None

    def read_push(self, body: bytes, /) -> Push | None:
        """Return which invoice a push is about, or None for one that is not signed with our secret. Never raises."""
        return read_push(body, config=self._config)


def _require_id(payment_id: str) -> None:
    if not payment_id.strip("."):
        raise ValueError("payment_id is empty or made of dots")


def _not_offered(what: str) -> Never:
    raise GatewayRefusedError(NOT_OFFERED, f"{NOT_OFFERED}: SocialPay does not {what}", final=True)
