"""What the SocialPay adapter is told: whom to call, as which terminal, by which paths, and how an invoice is made."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import SecretStr

from adapters.calls.counterpart import Counterpart, require_base_url

NUMBER_MAX_CHARS = 32
"""Counts what SocialPay takes as an invoice's number (in-store API)."""

_TERMINAL = re.compile(r"[A-Za-z0-9]{8}")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


class IssueBy(StrEnum):
    """How an invoice is made for a pay-link."""

    QR = "qr"
    """A text to be shown as a QR, which opens SocialPay as a link as well."""
    DEEPLINK = "deeplink"
    """A link alone; it is shown as a QR all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where each call goes, below the address: older notes name two of them otherwise, so none is taken for granted.

    Raises:
        ValueError: one is no path that begins with a slash.

    """

    qr: str = "/pos/invoice/qr"
    deeplink: str = "/pos/invoice/qr/deeplink"
    phone: str = "/pos/invoice/phone"
    check: str = "/pos/invoice/check"
    cancel: str = "/pos/invoice/cancel"

    def __post_init__(self) -> None:
        for path in (self.qr, self.deeplink, self.phone, self.check, self.cancel):
            if not _PATH.fullmatch(path):
                raise ValueError("a path must begin with a slash and have no query: /pos/invoice/qr")


@dataclass(frozen=True, slots=True, kw_only=True)
class SocialPayConfig:
    """One terminal at SocialPay.

    Raises:
        ValueError: `base_url` is not a plain http(s) address without user, query or fragment, `terminal` is not eight
            letters and digits, or the secret is empty. No value is repeated in the message.

    """

    base_url: str
    """`https://instore.golomtbank.com`"""
    terminal: str
    """Eight characters, issued by the bank."""
    secret: SecretStr
    """The bank's, with which both sides sign."""
    paths: Paths = field(default_factory=Paths)
    issue_by: IssueBy = IssueBy.QR

    def __post_init__(self) -> None:
        require_base_url(self.base_url)
        if not _TERMINAL.fullmatch(self.terminal):
            raise ValueError("terminal must be eight letters and digits")
        if not self.secret.get_secret_value():
            raise ValueError("secret must not be empty")

    @property
    def counterpart(self) -> Counterpart:
        """Whom calls go to."""
        return Counterpart(
            name="socialpay", title="SocialPay", api_url=self.base_url.rstrip("/"), account=self.terminal
        )
