"""What a setting's text may be: each type reads it, and says in one line what it should be."""

import re
from dataclasses import dataclass
from datetime import time, timedelta
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

CALLBACK_URL_MAX = 190
"""QPay takes 255 characters; the token takes 64 and a slash."""

PUBLIC_URL_MAX = CALLBACK_URL_MAX - len("/v2/qpay/webhook")

SECRET_MIN = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMerchant:
    """One more account that the simulator knows."""

    username: str
    password: SecretStr
    invoice_code: str


def _url(*schemes: str) -> AfterValidator:
    def check(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.netloc:
            raise ValueError(f"should be a URL that begins with {' or '.join(scheme + '://' for scheme in schemes)}")
        if "http" in schemes and parts.username is not None:
            raise ValueError("should have no user and no password in it")
        if not _has_a_port_or_none(parts):
            raise ValueError("should have a port from 0 to 65535")
        return text.rstrip("/")

    return AfterValidator(check)


def _has_a_port_or_none(parts: SplitResult) -> bool:
    try:
        _ = parts.port
    except ValueError:
        return False
    return True


def _public_url(text: str) -> str:
    if len(text) > PUBLIC_URL_MAX:
        raise ValueError(f"should have at most {PUBLIC_URL_MAX} characters: the callbacks' path is appended")
    return _callback_url(text)


def _callback_url(text: str) -> str:
    if len(text) > CALLBACK_URL_MAX:
        raise ValueError(f"should have at most {CALLBACK_URL_MAX} characters: a token is appended")
    if urlsplit(text).query or urlsplit(text).fragment:
        raise ValueError("should have no query and no fragment: a token is appended to the path")
    return text


def _secrets(text: object) -> object:
    if not isinstance(text, str):
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or any(len(part) < SECRET_MIN for part in parts):
        raise ValueError(
            f"should be one or more secrets of at least {SECRET_MIN} characters, comma-separated while rotating"
        )
    return tuple(SecretStr(part) for part in parts)


def _merchants(text: object) -> object:
    if not isinstance(text, str):
        return text
    merchants = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        username, _, rest = part.partition(":")
        password, _, invoice_code = rest.rpartition(":")
        if not (username and password and invoice_code):
            raise ValueError("should be username:password:invoice_code, several of them with commas between")
        merchants.append(SimulatedMerchant(username=username, password=SecretStr(password), invoice_code=invoice_code))
    return tuple(merchants)


def _lifetime(text: object) -> object:
    if not isinstance(text, str):
        return text
    parts = re.fullmatch(r"(\d{1,6})\s*(m|h|d)", text.strip())
    if parts is None:
        raise ValueError("should be a number with m, h or d behind it, such as 7d")
    return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[parts[2]]: int(parts[1])})


def _time_of_day(text: object) -> object:
    if not isinstance(text, str):
        return text
    parts = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text.strip(), re.ASCII)
    if parts is None:
        raise ValueError("should be a time of day such as 02:00")
    return time(int(parts[1]), int(parts[2]))


def _networks(text: object) -> object:
    if not isinstance(text, str):
        return text
    networks = tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        for network in networks:
            ip_network(network)
    except ValueError:
        raise ValueError("should be addresses or networks with commas between, such as 10.0.0.0/8") from None
    return networks


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("should be a time zone such as Asia/Ulaanbaatar") from None
    return text


def _offset(text: object) -> object:
    if not isinstance(text, str):
        return text
    parts = re.fullmatch(r"UTC|([+-])(0\d|1[0-4]):([0-5]\d)", text.strip(), re.ASCII)
    if parts is None:
        raise ValueError("should be how far its clock is ahead of UTC, such as +08:00, or UTC")
    ahead = timedelta(hours=int(parts[2] or 0), minutes=int(parts[3] or 0))
    return -ahead if parts[1] == "-" else ahead


def _terminal(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]{8}", text):
        raise ValueError("should be the eight letters and digits that the bank gave you")
    return text


def _path(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", text):
        raise ValueError("should be a path that begins with a slash, such as /pos/invoice/qr")
    return text


HttpUrl = Annotated[str, _url("http", "https")]
PublicUrl = Annotated[HttpUrl, AfterValidator(_public_url)]
CallbackUrl = Annotated[HttpUrl, AfterValidator(_callback_url)]
PostgresUrl = Annotated[str, _url("postgresql", "postgres")]
RedisUrl = Annotated[str, _url("redis", "rediss")]
UrlPath = Annotated[str, Field(max_length=200), AfterValidator(_path)]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_secrets)]
Merchants = Annotated[tuple[SimulatedMerchant, ...], NoDecode, BeforeValidator(_merchants)]
Terminal = Annotated[str, AfterValidator(_terminal)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]
Offset = Annotated[timedelta, BeforeValidator(_offset)]
Lifetime = Annotated[timedelta, BeforeValidator(_lifetime)]
Positive = Annotated[float, Field(gt=0, le=86_400)]
