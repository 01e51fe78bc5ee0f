"""Settings: read from the environment, .env, or the run file of embedded servers; checked once, at the start."""

import os
import re
from datetime import time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from domain.following import Unmatched
from worker import runfile
from worker.notify_rules import callable_url, signing_secrets
from worker.setting_values import (
    CallbackUrl,
    HttpUrl,
    Lifetime,
    Merchants,
    Networks,
    Offset,
    Positive,
    PostgresUrl,
    PublicUrl,
    RedisUrl,
    Secrets,
    SimulatedMerchant,
    Terminal,
    TimeOfDay,
    TimeZone,
    UrlPath,
)

SOCIALPAY_WEBHOOK = "/v2/socialpay/webhook"
"""Where SocialPay pushes to, behind `PUBLIC_URL`: the bank has to be told."""

QR_LIFETIME = timedelta(days=7)


class SettingsError(Exception):
    """A setting is missing or wrong. The message is one line that names it and says what it should be."""


class TootsooEnv(StrEnum):
    """Where this runs: embedded servers and the demo are refused in production."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class _Settings(BaseSettings):
    """Each process loads the groups that it needs, so that a command asks for nothing it does not use."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment first, then `.env`, then the run file of embedded servers."""
        return (init_settings, env_settings, dotenv_settings, _RunFileSource(settings_cls))


class _RunFileSource(PydanticBaseSettingsSource):
    """What `tootsoo up` leaves for the other commands of its folder."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the library's signature
        return self._env().get(field_name.upper()), field_name, False

    def __call__(self) -> dict[str, Any]:
        env = self._env()
        return {name: env[name.upper()] for name in self.settings_cls.model_fields if name.upper() in env}

    @staticmethod
    def _env() -> dict[str, str]:
        running = runfile.read(Path.cwd())
        return running.env if running else {}


class CommonSettings(_Settings):
    """What every command reads."""

    tootsoo_env: TootsooEnv = TootsooEnv.DEVELOPMENT
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    timezone: TimeZone = "Asia/Ulaanbaatar"


class DatabaseSettings(_Settings):
    """Where what is true is kept."""

    database_url: PostgresUrl
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 20
    qpay_env: Literal["sandbox", "production"] = "sandbox"


class StartSettings(_Settings):
    """How long a process waits for its servers when it starts."""

    start_within_s: Annotated[float, Field(ge=0, le=3_600)] = 30.0


class RedisSettings(_Settings):
    """Where the doorbell hangs."""

    redis_url: RedisUrl


class CheckSettings(_Settings):
    """When a gateway is asked, and asked again."""

    check_spacing_s: Positive = 2.0
    retry_base_s: Positive = 2.0
    retry_max_s: Positive = 600.0
    retry_limit: Annotated[int, Field(ge=10, le=100_000)] = 600


class QPaySettings(_Settings):
    """The account at QPay."""

    qpay_base_url: HttpUrl
    qpay_username: Annotated[str, Field(min_length=1, max_length=200)]
    qpay_password: Annotated[SecretStr, Field(min_length=1, max_length=200)]
    qpay_invoice_code: Annotated[str, Field(min_length=1, max_length=45)]
    qpay_callback_url: CallbackUrl | None = None
    qpay_allow_partial: bool = False
    qpay_calls_per_s: Annotated[float, Field(gt=0, le=1_000)] | None = None
    qpay_list_zone: Offset | None = None


class SocialPaySettings(_Settings):
    """The terminal at SocialPay. Paths are settings: older notes name some of them otherwise."""

    socialpay_base_url: HttpUrl
    socialpay_terminal: Terminal
    socialpay_secret: Annotated[SecretStr, Field(min_length=1, max_length=200)]
    socialpay_issue_by: Literal["qr", "deeplink"] = "qr"
    socialpay_calls_per_s: Annotated[float, Field(gt=0, le=1_000)] | None = None
    socialpay_path_qr: UrlPath = "/pos/invoice/qr"
    socialpay_path_deeplink: UrlPath = "/pos/invoice/qr/deeplink"
    socialpay_path_phone: UrlPath = "/pos/invoice/phone"
    socialpay_path_check: UrlPath = "/pos/invoice/check"
    socialpay_path_cancel: UrlPath = "/pos/invoice/cancel"


class WebSettings(_Settings):
    """What QRs are issued with, by web and workers: where their callbacks go, what signs those, how long they live."""

    public_url: PublicUrl
    webhook_secret: Secrets
    qr_lifetime: Annotated[Lifetime, Field(ge=timedelta(minutes=5), le=timedelta(days=365))] = QR_LIFETIME
    merchant_name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    pay_page_lifetime: Annotated[Lifetime, Field(ge=timedelta(0), le=timedelta(days=365))] = timedelta(days=30)


class RefreshSettings(_Settings):
    """When QRs are renewed before they expire, which, and how fast."""

    refresh_at: TimeOfDay = time(2, 0)
    refresh_horizon: Annotated[Lifetime, Field(ge=timedelta(minutes=5), le=timedelta(days=30))] = timedelta(hours=24)
    reissue_days: Annotated[int, Field(ge=0, le=3_650)] = 30
    refresh_per_s: Annotated[float, Field(gt=0, le=1_000)] = 10.0
    refresh_threads: Annotated[int, Field(ge=1, le=50)] = 8


class DiscoverySettings(_Settings):
    """How often payments are looked for that nobody announced, and what becomes of those on no QR of ours."""

    discover_every_s: Annotated[float, Field(ge=1, le=3_600)] = 300.0
    unmatched: Unmatched = Unmatched.SUSPENSE


class ApiSettings(_Settings):
    """How much of the API is let through, in requests a minute, and who may say for whom a request comes."""

    rate_per_key: Annotated[int, Field(ge=1, le=1_000_000)] = 6_000
    rate_per_address: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    trusted_proxies: Networks = ("127.0.0.1", "::1")


class SealSettings(_Settings):
    """What events are sealed with, and how often; without a secret they are not."""

    seal_secret: Secrets = ()
    seal_every_s: Annotated[float, Field(ge=1, le=3_600)] = 10.0


class HistorySettings(_Settings):
    """How long it is kept what only explains: checks and callbacks."""

    history_days: Annotated[int, Field(ge=1, le=3_650)] = 90


class NotifySettings(_Settings):
    """Who is told what happened; without an address nobody is. `worker/notify_target.py` says what goes together."""

    notify_url: Annotated[str, AfterValidator(callable_url)] | None = None
    notify_secret: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(signing_secrets)] = ()
    notify_allow_private: bool = False
    notify_timeout_s: Annotated[float, Field(ge=1, le=30)] = 10.0
    notify_threads: Annotated[int, Field(ge=1, le=50)] = 4


class LookBackSettings(_Settings):
    """How far each night looks back at what gateways list."""

    lookback_days: Annotated[int, Field(ge=1, le=90)] = 35


class MetricsSettings(_Settings):
    """Who may read the metrics."""

    metrics_token: Secrets = ()


class WorkerSettings(_Settings):
    """How much a worker does at once."""

    worker_threads: Annotated[int, Field(ge=1, le=100)] = 8


class KillSettings(_Settings):
    """What is to happen to a worker under test; see `worker/kill_points.py`."""

    kill_point: Annotated[str, Field(max_length=100)] | None = None


class SimulatorSettings(_Settings):
    """Whom the simulator knows: the accounts that other processes use, others beside them, and whom it pushes to."""

    qpay_username: str = "TEST_MERCHANT"
    qpay_password: SecretStr = SecretStr("simulator-password")
    qpay_invoice_code: str = "TEST_INVOICE"
    simulator_merchants: Merchants = ()
    socialpay_terminal: Terminal = "95000059"
    socialpay_secret: SecretStr = SecretStr("simulator-secret")
    public_url: HttpUrl | None = None


_APART: tuple[type[BaseSettings], ...] = (QPaySettings, SocialPaySettings, SimulatorSettings)

_Group = TypeVar("_Group", bound=_Settings)


def load(group: type[_Group]) -> _Group:
    """Read one group of settings from the environment, `.env` and the run file in the current folder.

    Raises:
        SettingsError: the first setting that is missing or wrong; its value is not repeated.

    """
    try:
        return group()
    except ValidationError as error:
        raise SettingsError(_faults(error)[0]) from None
    except UnicodeDecodeError:
        raise SettingsError("the file .env cannot be read: it should be text in UTF-8") from None
    except ValueError as error:
        raise SettingsError(str(error)) from None


def load_if_right(group: type[_Group]) -> _Group | None:
    """Read one group; None where something is missing or wrong, which `faults_of` tells."""
    try:
        return load(group)
    except SettingsError:
        return None


def faults_of(group: type[_Settings]) -> list[str]:
    """Return everything that is missing or wrong in one group, each as `load` says it; empty where it loads."""
    try:
        group()
    except ValidationError as error:
        return _faults(error)
    except ValueError:
        pass
    try:
        load(group)
    except SettingsError as error:
        return [str(error)]
    return []


def groups_of_processes() -> list[type[_Settings]]:
    """Return every group that stands for itself: not the accounts, which may be left out, nor the simulator's."""
    return [group for group in _Settings.__subclasses__() if group not in _APART]


def names_of_settings() -> set[str]:
    """Return the name of every setting there is, as it stands in the environment."""
    return {name.upper() for group in _Settings.__subclasses__() for name in group.model_fields}


def environment_without_settings() -> dict[str, str]:
    """Return this process's environment without what is a setting: for a process that is given its own."""
    settings = names_of_settings()
    return {name: value for name, value in os.environ.items() if name not in settings}


def secrets_in(*groups: object) -> list[str]:
    """Return every secret in these groups of settings, passwords inside URLs included, to be kept out of logs."""
    secrets: list[str] = []
    for group in groups:
        for value in vars(group).values():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, BaseSettings):
                    secrets += secrets_in(part)
                elif isinstance(part, SimulatedMerchant):
                    secrets.append(part.password.get_secret_value())
                elif isinstance(part, SecretStr):
                    secrets.append(part.get_secret_value())
                elif isinstance(part, str) and "://" in part and (password := urlsplit(part).password):
                    secrets += [password, unquote(password)]
    return secrets


def _faults(error: ValidationError) -> list[str]:
    faults = error.errors(include_input=False, include_url=False)
    return [_say(str(one["loc"][0]).upper(), one["type"], one["msg"]) for one in faults]


def _say(name: str, kind: str, message: str) -> str:
    if kind == "missing":
        hint = MISSING.get(name, "see .env.example")
        return f"{name} is missing: {hint}"
    plain = re.sub(r"^(Value error, |Input )", "", message)
    return f"{name} is wrong: it {plain}" if plain.startswith("should") else f"{name} is wrong: {plain}"


MISSING = {
    "DATABASE_URL": "it should be postgresql://user:password@host:5432/database. For embedded servers run: tootsoo up",
    "REDIS_URL": "it should be redis://host:6379/0. For embedded servers run: tootsoo up",
    "PUBLIC_URL": "it should be the https:// address at which the internet reaches the web process",
    "WEBHOOK_SECRET": "it should be at least 32 random characters",
    "SEAL_SECRET": "it should be what workers seal with, at least 32 random characters",
    "NOTIFY_SECRET": "it should be what your application verifies with: whsec_ and the base64 of 24 to 64 random bytes",
    "QPAY_BASE_URL": "it should be https://merchant.qpay.mn, or https://merchant-sandbox.qpay.mn",
    "QPAY_USERNAME": "it should be the client id that QPay gave you",
    "QPAY_PASSWORD": "it should be the client secret that QPay gave you",
    "QPAY_INVOICE_CODE": "it should be the invoice code that QPay gave you",
    "SOCIALPAY_BASE_URL": "it should be https://instore.golomtbank.com; without SocialPay leave all of SOCIALPAY_* out",
    "SOCIALPAY_TERMINAL": "it should be the terminal that the bank gave you; without SocialPay leave all of them out",
    "SOCIALPAY_SECRET": "it should be the secret that the bank gave you; without SocialPay leave all of them out",
}
