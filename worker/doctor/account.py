"""Account: what a gateway says to one harmless question that is asked as ours."""

from collections.abc import Callable, Iterator

from domain.gateway import (
    GatewayError,
    GatewayHeldBackError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
)
from worker.doctor.finding import About, Finding


def judge_qpay(ask: Callable[[], bool]) -> Iterator[Finding]:
    """Ask QPay for the payments of the last minute. `ask` returns whether it logged in for it."""
    about = About("qpay")
    try:
        logged_in = ask()
    except GatewayError as error:
        yield _judge(about, error, name="QPay", settings="QPAY_USERNAME and QPAY_PASSWORD")
        return
    if logged_in:
        yield about.ok("it takes our name and password, and QPAY_INVOICE_CODE")
    else:
        yield about.ok(
            "it takes QPAY_INVOICE_CODE and the session that our processes share; the password was not tried, for a"
            " login ends that session"
        )


def judge_socialpay(ask: Callable[[], object]) -> Iterator[Finding]:
    """Ask SocialPay about an invoice that there is not. What it says then is not published: its words are judged."""
    about = About("socialpay")
    try:
        ask()
    except GatewayRefusedError as refusal:
        if not refusal.final:
            yield _judge(about, refusal, name="SocialPay", settings="")
            return
    except GatewayError as error:
        yield _judge(about, error, name="SocialPay", settings="SOCIALPAY_TERMINAL and SOCIALPAY_SECRET")
        return
    yield about.ok("it answers, and says nothing against our terminal and signature")


def _judge(about: About, error: GatewayError, *, name: str, settings: str) -> Finding:
    match error:
        case GatewayUnauthorisedError():
            return about.failure(
                f"{name} does not take our credentials: {error.message}",
                f"Mend {settings}, and restart web and workers; compare the address with the account's environment.",
            )
        case GatewayRefusedError(code="INVOICE_CODE_INVALID"):
            return about.failure(
                f"{name} does not know our invoice code",
                "Set QPAY_INVOICE_CODE to what QPay gave you with this account.",
            )
        case GatewayRefusedError():
            return about.failure(f"{name} refuses us: {error.message}", f"Ask {name} about the account.")
        case GatewayHeldBackError():
            wait = f" in {error.retry_after_s:.0f} s" if error.retry_after_s else ""
            return about.failure(f"{name} was not asked: {error.message}", f"Run this again{wait}.")
        case _:
            return about.failure(
                f"{name} does not answer as it should: {error.message}",
                f"See whether this machine reaches it (DNS, firewall, proxy), then ask {name}.",
            )
