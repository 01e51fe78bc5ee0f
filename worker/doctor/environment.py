"""Environment: whether everything that is set speaks of the same one, the real one or a test's."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from worker.doctor.finding import About, Finding
from worker.doctor.loaded import Loaded
from worker.settings import TootsooEnv

ENVIRONMENT = About("environment")

_QPAY_HOSTS = {"merchant.qpay.mn": "production", "merchant-sandbox.qpay.mn": "sandbox"}
"""Of QPay's two environments (QPay v2, *Auth*)."""

_SOCIALPAY_HOST = "instore.golomtbank.com"

_TEST_ACCOUNT = {"TEST_MERCHANT", "TEST_INVOICE"}
"""QPay's sandbox is shared by everybody who logs in as these."""


def judge_environment(loaded: Loaded) -> Iterator[Finding]:
    """Hold TOOTSOO_ENV, QPAY_ENV, and the gateways' addresses and accounts against one another."""
    found = [*_of_the_processes(loaded), *_of_qpay(loaded), *_of_socialpay(loaded)]
    yield from found
    if not found and loaded.database is not None:
        yield ENVIRONMENT.ok(f"QPAY_ENV={loaded.database.qpay_env}, and nothing says otherwise")


def _of_the_processes(loaded: Loaded) -> Iterator[Finding]:
    development = loaded.common is not None and loaded.common.tootsoo_env is TootsooEnv.DEVELOPMENT
    if development and loaded.database is not None and loaded.database.qpay_env == "production":
        yield ENVIRONMENT.failure(
            "QPAY_ENV=production with TOOTSOO_ENV=development: what is for tests alone would be let through",
            "Set TOOTSOO_ENV=production for every process.",
        )
    if loaded.kill is not None and loaded.kill.kill_point is not None:
        yield ENVIRONMENT.fault(
            "KILL_POINT is set: workers are killed on purpose", "Take KILL_POINT out.", live=loaded.live
        )


def _of_qpay(loaded: Loaded) -> Iterator[Finding]:
    qpay, database = loaded.accounts.qpay, loaded.database
    if qpay is None or database is None:
        return
    env, host = database.qpay_env, urlsplit(qpay.qpay_base_url).hostname or ""
    theirs = _QPAY_HOSTS.get(host)
    if theirs is not None and theirs != env:
        yield ENVIRONMENT.failure(
            f"QPAY_ENV={env}, and QPAY_BASE_URL is the address of QPay's {theirs}",
            "Make both speak of the same one; a database holds the money of one environment for good.",
        )
    elif theirs is None and env == "production":
        yield from _of_another_address("QPAY_BASE_URL", host, wanted="merchant.qpay.mn")
    if env == "production" and {qpay.qpay_username, qpay.qpay_invoice_code} & _TEST_ACCOUNT:
        yield ENVIRONMENT.failure(
            "QPAY_ENV=production with the account of QPay's sandbox",
            "Set QPAY_USERNAME, QPAY_PASSWORD and QPAY_INVOICE_CODE to what QPay gave you.",
        )


def _of_socialpay(loaded: Loaded) -> Iterator[Finding]:
    socialpay = loaded.accounts.socialpay
    if socialpay is None or not loaded.live:
        return
    host = urlsplit(socialpay.socialpay_base_url).hostname or ""
    if host != _SOCIALPAY_HOST:
        yield from _of_another_address("SOCIALPAY_BASE_URL", host, wanted=_SOCIALPAY_HOST)


def _of_another_address(name: str, host: str, *, wanted: str) -> Iterator[Finding]:
    if _is_here(host):
        yield ENVIRONMENT.failure(
            f"{name} is an address of this machine, which is where a simulator is", f"Set {name}=https://{wanted}."
        )
    else:
        yield ENVIRONMENT.warning(
            f"{name} is no address that we know the gateway by",
            f"Set {name}=https://{wanted}, unless {host} leads there.",
        )


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
