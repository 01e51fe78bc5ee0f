"""An invoice on SocialPay's wire: how one is made to be shown or to be sent, and what comes back."""

import re
from collections.abc import Mapping

from adapters.calls.http import Request
from adapters.calls.shapes import read_shape
from adapters.socialpay.asking import About, signed_request
from adapters.socialpay.config import IssueBy, SocialPayConfig
from adapters.socialpay.wire import SUCCESS, TITLE, DoneBody, QrBody
from domain.gateway import BankLink, GatewayUnreadableError, IssuedInvoice

SCHEME = "socialpay-payment://"

_PHONE = re.compile(r"[0-9]{8}")


def issue_request(invoice: About, *, config: SocialPayConfig) -> Request:
    """Say `invoice/qr` or `invoice/qr/deeplink`, whichever is configured."""
    if config.issue_by is IssueBy.DEEPLINK:
        return signed_request("invoice/qr/deeplink", config.paths.deeplink, invoice, config=config)
    return signed_request("invoice/qr", config.paths.qr, invoice, config=config)


def phone_request(invoice: About, *, phone: str, config: SocialPayConfig) -> Request:
    """Say `invoice/phone`: the invoice appears in the application of whoever has that phone.

    Raises:
        ValueError: `phone` is not eight digits, as Mongolian numbers are; it is not repeated in the message.

    """
    if not _PHONE.fullmatch(phone):
        raise ValueError("a phone has eight digits")
    return signed_request("invoice/phone", config.paths.phone, invoice, config=config, phone=phone)


def require_done(response: Mapping[str, object], *, endpoint: str) -> None:
    """Take a response for a yes when its status says so.

    Raises:
        GatewayUnreadableError: it says something else: nobody knows what was done.

    """
    if read_shape(DoneBody, response, title=TITLE).status != SUCCESS:
        raise GatewayUnreadableError(f"{TITLE}'s answer to {endpoint} says neither yes nor no")


def read_issued(response: Mapping[str, object], *, number: str) -> IssuedInvoice:
    """Say the answer of a create in the port's words. It goes by our number; there is no image and no page.

    Raises:
        GatewayUnreadableError: it is no yes, or there is nothing to show.

    """
    require_done(response, endpoint="a create")
    shown = read_shape(QrBody, response, title=TITLE).desc
    link = BankLink(name="SocialPay", description="SocialPay", logo="", link=shown)
    return IssuedInvoice(
        external_id=number,
        qr_text=shown,
        qr_image=None,
        short_url=None,
        links=(link,) if shown.startswith(SCHEME) else (),
    )
