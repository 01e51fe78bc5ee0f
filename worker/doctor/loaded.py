"""Every group of settings, loaded as the processes load them; and why one cannot be."""

from dataclasses import dataclass, field

from worker.accounts import Accounts, load_accounts
from worker.doctor.given import named_secrets_in
from worker.notify_target import NotifyTarget, notify_target
from worker.settings import (
    CheckSettings,
    CommonSettings,
    DatabaseSettings,
    KillSettings,
    MetricsSettings,
    NotifySettings,
    RedisSettings,
    RefreshSettings,
    SealSettings,
    SettingsError,
    TootsooEnv,
    WebSettings,
    faults_of,
    groups_of_processes,
    load_if_right,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings that the doctor looks at; None for a group that cannot be loaded."""

    errors: tuple[str, ...]
    """Each one line, without a value."""
    common: CommonSettings | None = None
    database: DatabaseSettings | None = None
    redis: RedisSettings | None = None
    checks: CheckSettings | None = None
    accounts: Accounts = field(default_factory=Accounts)
    web: WebSettings | None = None
    refresh: RefreshSettings | None = None
    seals: SealSettings | None = None
    notify: NotifySettings | None = None
    target: NotifyTarget | None = None
    metrics: MetricsSettings | None = None
    kill: KillSettings | None = None

    @property
    def live(self) -> bool:
        """Whether real money is here: what is wrong then is a failure, and elsewhere a warning."""
        return (self.database is not None and self.database.qpay_env == "production") or (
            self.common is not None and self.common.tootsoo_env is TootsooEnv.PRODUCTION
        )

    @property
    def secrets(self) -> list[tuple[str, str]]:
        """Each secret with the name of its setting."""
        every = (
            self.common, self.database, self.redis, self.checks, self.accounts.qpay, self.accounts.socialpay, self.web,
            self.refresh, self.seals, self.notify, self.metrics, self.kill,
        )  # fmt: skip
        return named_secrets_in(*(one for one in every if one is not None))


def load_all() -> Loaded:
    """Load every group of the environment, `.env` and the run file, and go on where one is wrong."""
    errors = [fault for group in groups_of_processes() for fault in faults_of(group)]
    accounts, target = Accounts(), None
    notify = load_if_right(NotifySettings)
    try:
        accounts = load_accounts()
    except SettingsError as error:
        errors.append(str(error))
    try:
        target = None if notify is None else notify_target(notify)
    except SettingsError as error:
        errors.append(str(error))
    return Loaded(
        errors=tuple(dict.fromkeys(errors)),
        common=load_if_right(CommonSettings),
        database=load_if_right(DatabaseSettings),
        redis=load_if_right(RedisSettings),
        checks=load_if_right(CheckSettings),
        accounts=accounts,
        web=load_if_right(WebSettings),
        refresh=load_if_right(RefreshSettings),
        seals=load_if_right(SealSettings),
        notify=notify,
        target=target,
        metrics=load_if_right(MetricsSettings),
        kill=load_if_right(KillSettings),
    )
