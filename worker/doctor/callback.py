"""Callbacks: whether what gateways are told to call is our web process, with our secrets, and can write."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from worker.doctor.ask import Answer, Ask, NoAnswerError, NoTrustError
from worker.doctor.finding import About, Finding

CALLBACK, PUSH, INTERNET = About("callback"), About("push"), About("internet")

SUCCESS = "SUCCESS"
"""What QPay takes, and nothing else (QPay v2, *Callback*)."""

HEARD_OF_WITHIN = timedelta(days=7)
"""A callback so young shows that the internet reaches us."""


def judge_callback(setting: str, url: str, *, ask: Ask, live: bool) -> Iterator[Finding]:
    """Send what QPay would, with a token of ours that names no QR, and judge the answer. It has no effect."""
    try:
        answer = ask("GET", f"{url}?qpay_payment_id=doctor")
    except NoAnswerError as error:
        yield _unreached(CALLBACK, setting, error, live=live)
        return
    match answer:
        case Answer(status=200, body=body) if body == SUCCESS:
            yield CALLBACK.ok(
                f"{setting} leads to our web process, which knows our secret and can write down callbacks"
            )
        case Answer(status=200):
            yield CALLBACK.fault(
                f"{setting} leads to something else, which answered 200 and not {SUCCESS}",
                "Let what stands in front hand /v2/qpay/webhook/ on to tootsoo web as it comes.",
                live=live,
            )
        case Answer(status=404, body=body) if "INVALID_TOKEN" in body:
            yield CALLBACK.failure(
                f"{setting} leads to a web process that does not know our token",
                "Give WEBHOOK_SECRET to every process alike and restart tootsoo web, in this version.",
            )
        case Answer(status=503):
            yield CALLBACK.failure(
                "the web process cannot write down callbacks", "See what /readyz of tootsoo web says is missing."
            )
        case _:
            yield _refused(CALLBACK, setting, answer, path="/v2/qpay/webhook/", live=live)


def judge_push(setting: str, url: str, *, body: bytes, ask: Ask, live: bool) -> Iterator[Finding]:
    """Send what SocialPay would, signed, about a number that is no QR's, and judge the answer. It has no effect."""
    try:
        answer = ask("POST", url, content=body)
    except NoAnswerError as error:
        yield _unreached(PUSH, setting, error, live=live)
        return
    match answer:
        case Answer(status=200, body=said) if said == "OK":
            yield PUSH.ok(f"{setting} leads to our web process, which knows our terminal")
        case Answer(status=401 | 404, body=said) if "BAD_CHECKSUM" in said or "UNKNOWN_GATEWAY" in said:
            yield PUSH.failure(
                f"{setting} leads to a web process that does not know our terminal at SocialPay",
                "Give SOCIALPAY_TERMINAL and SOCIALPAY_SECRET to every process alike, and restart tootsoo web.",
            )
        case Answer(status=503):
            yield PUSH.failure(
                "the web process cannot write down pushes", "See what /readyz of tootsoo web says is missing."
            )
        case _:
            yield _refused(PUSH, setting, answer, path="/v2/socialpay/webhook", live=live)


def judge_internet(last_callback_at: datetime | None, *, now: datetime) -> Iterator[Finding]:
    """Say what only somebody outside can prove, and what the last callback shows of it. Times are UTC."""
    if last_callback_at is not None and now - last_callback_at < HEARD_OF_WITHIN:
        yield INTERNET.ok(f"a callback was taken in at {last_callback_at:%Y-%m-%d %H:%M} UTC")
        return
    seen = "none was ever taken in" if last_callback_at is None else f"the last came on {last_callback_at:%Y-%m-%d}"
    yield INTERNET.untested(
        f"whether gateways reach us shows only when a callback comes: {seen}",
        "Ask PUBLIC_URL/healthz from a phone without your network, then pay one small invoice yourself.",
    )


def _unreached(about: About, setting: str, error: NoAnswerError, *, live: bool) -> Finding:
    if isinstance(error, NoTrustError):
        action = "Give what speaks TLS in front of tootsoo web a valid certificate for that name, with its whole chain."
    else:
        action = "Start tootsoo web and what stands in front of it; a firewall may keep this machine alone from it."
    return about.fault(f"{setting} cannot be reached from here: {error}", action, live=live)


def _refused(about: About, setting: str, answer: Answer, *, path: str, live: bool) -> Finding:
    redirects = "a redirect, and gateways follow none" if 300 <= answer.status <= 399 else "not by tootsoo web"  # noqa: PLR2004 - a status class
    return about.fault(
        f"{setting} was answered with {answer.status}: {redirects}",
        f"Let what stands in front hand {path} on to tootsoo web as it comes, by GET and POST, with its query.",
        live=live,
    )
