"""What the QPay adapter is told: whom to call, as whom, and how much anything may take."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from adapters.calls.counterpart import Counterpart, require_base_url
from adapters.calls.limits import CallLimits

LOGIN_TIMEOUT_S = 4.0
"""Counts one `auth/token`: half of a check, so that the call it is for still has the other half."""

LOGIN_SPACING_S = 30.0
"""Counts from the start of one login to the next, over all processes. QPay keeps one token alive per merchant
(observed in production): logins in quick succession would only kill each other's tokens."""

PAGES_MAX = 50
"""Counts the pages of one check. Nobody pays one QR five thousand times; a gateway that says so has lost count."""

PAGE_ROWS = 100
"""Counts the rows asked for in a page: the most that QPay takes (QPay v2 workbook, 2026-03)."""

LIST_PAGES_MAX = 100
"""Counts the pages of one window of `payment/list`: the highest page number that QPay takes (workbook, 2026-03)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(CallLimits):
    """How long and how much at QPay, which publishes no limit on calls. Seconds, bytes, pages."""

    login_timeout_s: float = LOGIN_TIMEOUT_S
    login_spacing_s: float = LOGIN_SPACING_S
    pages_max: int = PAGES_MAX
    list_pages_max: int = LIST_PAGES_MAX

    def __post_init__(self) -> None:
        CallLimits.__post_init__(self)
        if self.login_timeout_s > self.login_spacing_s:
            raise ValueError("login_timeout_s must not exceed login_spacing_s: two logins would run at once")


@dataclass(frozen=True, slots=True, kw_only=True)
class QPayConfig:
    """One merchant at QPay.

    Raises:
        ValueError: `base_url` is not a plain http(s) address without `/v2`, user, query or fragment. The address is
            not repeated in the message: what was pasted may hold a password.

    """

    base_url: str
    """`https://merchant.qpay.mn`; `/v2` is added here."""
    username: str
    password: SecretStr
    invoice_code: str
    """QPay's name for what is sold, such as `TEST_INVOICE`; at most 45 characters."""
    allow_partial: bool
    """Whether a customer may pay less than the amount of the QR."""
    enable_expiry: bool = True
    """Whether `expires_at` is sent; without it a QR stays payable until it is cancelled."""
    sender_branch_code: str | None = None
    list_offset: timedelta | None = None
    """How far the clock by which `payment/list` reads its window is ahead of UTC; None: it is found out."""

    def __post_init__(self) -> None:
        require_base_url(self.base_url)
        if self.base_url.rstrip("/").endswith("/v2"):
            raise ValueError("base_url goes without /v2")

    @property
    def api_url(self) -> str:
        """The address that the paths of QPay v2 are appended to, without a slash at its end."""
        return self.base_url.rstrip("/") + "/v2"

    @property
    def counterpart(self) -> Counterpart:
        """Whom calls go to."""
        return Counterpart(name="qpay", title="QPay", api_url=self.api_url, account=self.username)
