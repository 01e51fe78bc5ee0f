"""What the QPay adapter is told: whom to call, as whom, and how much anything may take."""

from dataclasses import dataclass

import httpx
from pydantic import SecretStr

CHECK_TIMEOUT_S = 8.0
"""Counts a whole `check`: login, waiting for a connection, all pages. Its lease in PostgreSQL is 12 s, so a check ends,
one way or the other, while its claim is still its own."""

ISSUE_TIMEOUT_S = 10.0
"""Counts a whole `issue`. More than a check has, because an outcome that stays unknown costs a generation."""

CANCEL_TIMEOUT_S = 8.0
"""Counts a whole `cancel`."""

REFUND_TIMEOUT_S = CANCEL_TIMEOUT_S
"""Counts a whole `refund`: one request as well, and a person waits for it."""

LOOK_TIMEOUT_S = CHECK_TIMEOUT_S
"""Counts one page of `discover`, a whole `look_up`, and a whole `read_invoice`."""

CONNECT_TIMEOUT_S = 3.0
"""Counts one TCP connect with its TLS handshake: two lost SYN packets, and still time left to say "not acted upon"."""

LOGIN_TIMEOUT_S = 4.0
"""Counts one `auth/token`: half of a check, so that the call it is for still has the other half."""

LOGIN_SPACING_S = 30.0
"""Counts from the start of one login to the next, over all processes. QPay keeps one token alive per merchant
(observed in production): logins in quick succession would only kill each other's tokens."""

REDIS_TIMEOUT_S = 1.0
"""Counts one Redis connect or one Redis answer: a thousand times what a healthy one takes."""

BODY_MAX_BYTES = 5_000_000
"""Counts the bodies of one public call together: about 5,000 card rows, the most that 50 pages can hold."""

PAGES_MAX = 50
"""Counts the pages of one check. Nobody pays one QR five thousand times; a gateway that says so has lost count."""

PAGE_ROWS = 100
"""Counts the rows asked for in a page: the most that QPay takes (QPay v2 workbook, 2026-03)."""

LIST_PAGES_MAX = 100
"""Counts the pages of one window of `payment/list`: the highest page number that QPay takes (workbook, 2026-03)."""

BREAKER_FAILURES = 5
"""Counts failures in a row, over all processes, after which no more is asked. With one call in five failing by chance
five in a row come once in three thousand calls; a gateway that is down is noticed within one time-out."""

BREAKER_WINDOW_S = 60.0
"""Counts how long a failure is remembered: one invoice that always fails is asked about less and less often, and must
not make a row of its own."""

BREAKER_OPEN_S = 5.0
"""Counts the first pause; each probe that fails doubles it."""

BREAKER_OPEN_MAX_S = 60.0
"""Counts the longest pause: the most by which a gateway's return is noticed late."""

PACE_WAIT_MAX_S = 2.0
"""Counts how long a call waits for its turn under `calls_per_s`; one that would wait longer gives its thread back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how much; the defaults are for production, tests use shorter ones. Seconds, bytes, pages."""

    check_timeout_s: float = CHECK_TIMEOUT_S
    issue_timeout_s: float = ISSUE_TIMEOUT_S
    cancel_timeout_s: float = CANCEL_TIMEOUT_S
    refund_timeout_s: float = REFUND_TIMEOUT_S
    look_timeout_s: float = LOOK_TIMEOUT_S
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    login_timeout_s: float = LOGIN_TIMEOUT_S
    login_spacing_s: float = LOGIN_SPACING_S
    redis_timeout_s: float = REDIS_TIMEOUT_S
    body_max_bytes: int = BODY_MAX_BYTES
    pages_max: int = PAGES_MAX
    list_pages_max: int = LIST_PAGES_MAX
    breaker_failures: int = BREAKER_FAILURES
    breaker_window_s: float = BREAKER_WINDOW_S
    breaker_open_s: float = BREAKER_OPEN_S
    breaker_open_max_s: float = BREAKER_OPEN_MAX_S
    calls_per_s: float | None = None
    """The most requests of all processes together, logins included; None is no limit. QPay publishes none."""

    def __post_init__(self) -> None:
        if self.login_timeout_s > self.login_spacing_s:
            raise ValueError("login_timeout_s must not exceed login_spacing_s: two logins would run at once")
        if self.calls_per_s is not None and self.calls_per_s <= 0:
            raise ValueError("calls_per_s must be more than 0, or None for no limit")

    @property
    def longest_call_s(self) -> float:
        """The longest that one public call with one deadline may take."""
        return max(
            self.check_timeout_s,
            self.issue_timeout_s,
            self.cancel_timeout_s,
            self.refund_timeout_s,
            self.look_timeout_s,
        )


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

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.base_url)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
            raise ValueError("base_url must be an http(s) address without user, query and fragment")
        if self.base_url.rstrip("/").endswith("/v2"):
            raise ValueError("base_url goes without /v2")

    @property
    def api_url(self) -> str:
        """The address that the paths of QPay v2 are appended to, without a slash at its end."""
        return self.base_url.rstrip("/") + "/v2"
