"""`invoice/check` on SocialPay's wire: one payment, proven by its checksum and then field by field; or none yet."""

from collections.abc import Mapping

import structlog
from pydantic import ValidationError

from adapters.calls.answers import visible
from adapters.calls.json_body import as_storable
from adapters.calls.line import Calls
from adapters.calls.shapes import faults
from adapters.socialpay.asking import About, ask, signed_request
from adapters.socialpay.checksum import is_signed, ways_to_write
from adapters.socialpay.config import SocialPayConfig
from adapters.socialpay.errors import Meaning
from adapters.socialpay.wire import PAID, PaymentBody
from domain.gateway import GatewayUnreadableError
from domain.money import MNT, money
from domain.payment_row import PaymentRow, RowStatus, UnreadableRow

STATUS_MAX_CHARS = 40
APPROVAL_CODE = "approval_code"

log = structlog.get_logger()


async def read_rows(calls: Calls, invoice: About, *, config: SocialPayConfig) -> tuple[PaymentRow | UnreadableRow, ...]:
    """Ask about one invoice; without a payment there are no rows.

    How an unpaid invoice answers is not published (assumed: HTTP 200, a header that is not 200, an error). So whatever
    under HTTP 200 is no payment, and does not say plainly that something else is wrong, is "not yet", never "failed".

    Raises:
        GatewayUnreadableError: a payment whose checksum is wrong, or that is another's.
        GatewayError: as `ask`, and what the error plainly says.

    """
    reply = await ask(calls, signed_request("invoice/check", config.paths.check, invoice, config=config))
    if reply.error is None:
        return read_payment(reply.response, invoice, config=config)
    if reply.meaning in {Meaning.NOT_PAID, Meaning.CANCELLED}:
        return ()
    if reply.by_words and reply.meaning is Meaning.UNKNOWN:
        log.info("socialpay.taken_for_unpaid", number=invoice.number, answer=reply.error.message)
        return ()
    raise reply.error


def read_payment(
    response: Mapping[str, object], invoice: About, *, config: SocialPayConfig
) -> tuple[PaymentRow | UnreadableRow, ...]:
    """Read the response of a check.

    The checksum is tried where there is one; afterwards terminal and number are compared one by one, for what is signed
    has no boundaries. Then the amount is what was signed, also where it is another than was asked for. The payment's id
    is `terminal:number`: the approval code has six digits and is told apart by nobody.

    Raises:
        GatewayUnreadableError: a payment whose checksum is wrong, or that is another's.

    """
    if response.get("resp_code") != PAID:
        return ()
    try:
        raw = as_storable(dict(response))
    except ValueError as error:
        return (UnreadableRow(reason=str(error), raw=None),)
    try:
        body = PaymentBody.model_validate(response)
        amount = money(body.amount, currency=MNT)
    except ValidationError as error:
        return (UnreadableRow(reason=visible(f"payment {invoice.number}: {faults(error)}"), raw=raw),)
    except ValueError as error:
        return (UnreadableRow(reason=visible(f"payment {invoice.number}: amount: {error}"), raw=raw),)
    _require_ours(body, response, invoice, config=config)
    if amount.amount != int(invoice.amount):
        log.warning("socialpay.another_amount", number=invoice.number, asked=invoice.amount, told=str(amount.amount))
    row = PaymentRow(
        payment_id=f"{config.terminal}:{invoice.number}",
        status=RowStatus.PAID,
        status_text=PAID,
        amount=amount,
        fee=None,
        paid_at=None,
        raw=raw if isinstance(raw, dict) else {},
        reference_key=APPROVAL_CODE,
    )
    return (row,)


def _require_ours(
    body: PaymentBody, response: Mapping[str, object], invoice: About, *, config: SocialPayConfig
) -> None:
    secret = config.secret.get_secret_value()
    ways = ways_to_write(response.get("amount"), body.amount)
    if body.checksum is not None and not is_signed(
        body.checksum, secret, terminal=body.terminal, number=body.invoice, amounts=ways
    ):
        raise GatewayUnreadableError("the checksum of SocialPay's answer to POST invoice/check is wrong")
    if (body.terminal, body.invoice) != (config.terminal, invoice.number):
        raise GatewayUnreadableError("SocialPay's answer to POST invoice/check is about another invoice")
