"""How long a call may take, how much it may read, how often it is made, and when a gateway is left alone."""

from dataclasses import dataclass

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

REDIS_TIMEOUT_S = 1.0
"""Counts one Redis connect or one Redis answer: a thousand times what a healthy one takes."""

BODY_MAX_BYTES = 5_000_000
"""Counts the bodies of one public call together: about 5,000 of QPay's card rows, the most that 50 pages can hold."""

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
class CallLimits:
    """How long and how much; the defaults are for production, tests use shorter ones. Seconds and bytes."""

    check_timeout_s: float = CHECK_TIMEOUT_S
    issue_timeout_s: float = ISSUE_TIMEOUT_S
    cancel_timeout_s: float = CANCEL_TIMEOUT_S
    refund_timeout_s: float = REFUND_TIMEOUT_S
    look_timeout_s: float = LOOK_TIMEOUT_S
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    redis_timeout_s: float = REDIS_TIMEOUT_S
    body_max_bytes: int = BODY_MAX_BYTES
    breaker_failures: int = BREAKER_FAILURES
    breaker_window_s: float = BREAKER_WINDOW_S
    breaker_open_s: float = BREAKER_OPEN_S
    breaker_open_max_s: float = BREAKER_OPEN_MAX_S
    calls_per_s: float | None = None
    """The most requests of all processes together, logins included; None is no limit."""

    def __post_init__(self) -> None:
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
