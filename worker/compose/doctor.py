"""The doctor put together: what is looked at, in the order in which it is told, and the rules that judge it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from urllib.parse import urlsplit

import httpx

from adapters.postgres.schema import SchemaError, read_stamp
from adapters.postgres.set_up import read_server
from adapters.redis.doorbell import DoorbellError, address_of
from domain.schedule import Job
from worker.clock import utc_now
from worker.compose.doctor_eyes import TAKEN_WITHIN_S, Eyes, Resolve, push_about_nothing, resolve
from worker.compose.issuing import callback_base_of, tokens_of
from worker.doctor import account, address, around, callback, clock, configured, database, environment, seals, work
from worker.doctor.examine import Check
from worker.doctor.finding import About, Finding
from worker.doctor.given import names_given
from worker.doctor.loaded import Loaded
from worker.seal import seal_keys
from worker.settings import (
    SOCIALPAY_WEBHOOK,
    DatabaseSettings,
    RedisSettings,
    SettingsError,
    WebSettings,
    names_of_settings,
)
from worker.starting import StartError, database_reported
from worker.webhook_token import PROBE_ID

QPAY_LIMIT_S = 30.0
"""A login, and the few calls by which is found out in which zone QPay reads a window: 8 s each."""

Look = Callable[[], Iterator[Finding]]


@contextmanager
def compose_doctor(
    loaded: Loaded,
    *,
    jobs: Sequence[Job],
    resolve: Resolve = resolve,
    transport: httpx.BaseTransport | None = None,
    patience_s: float = TAKEN_WITHIN_S,
) -> Iterator[list[Check]]:
    """Return all checks of one installation; make them inside of the context.

    Workers are waited for `patience_s`. `resolve` and `transport` stand in for the internet in tests.
    """
    checks = [
        Check(
            name="settings",
            look=lambda: configured.judge_settings(loaded, given=names_given(), known=names_of_settings()),
        ),
        Check(name="placeholders", look=lambda: configured.judge_placeholders(loaded)),
        Check(name="secrets", look=lambda: configured.judge_secrets(loaded)),
        Check(name="environment", look=lambda: environment.judge_environment(loaded)),
        Check(name="pay-page", look=lambda: around.judge_pay_page(loaded)),
        Check(name="metrics", look=lambda: around.judge_metrics(loaded)),
    ]
    with ExitStack() as opened:
        servers = loaded.database, loaded.redis
        match servers:
            case DatabaseSettings() as found, RedisSettings() as redis:
                eyes = Eyes(
                    loaded,
                    database=found,
                    redis=redis,
                    jobs=jobs,
                    opened=opened,
                    transport=transport,
                    patience_s=patience_s,
                )
                checks += [
                    *_of_servers(eyes, found, redis, live=loaded.live),
                    *_of_addresses(eyes, loaded, resolve=resolve),
                    *_of_accounts(eyes, loaded),
                    *_of_work(eyes, loaded),
                    *_of_the_rest(eyes, loaded),
                ]
            case _:
                checks.append(_missing("database", "DATABASE_URL and REDIS_URL"))
        yield checks


def _of_servers(eyes: Eyes, settings: DatabaseSettings, redis: RedisSettings, *, live: bool) -> list[Check]:
    looks: dict[str, Look] = {
        "database-roles": lambda: database.judge_roles(eyes.set_ups().read()),
        "durability": lambda: database.judge_durability(eyes.set_ups().read(), live=live),
        "clock": lambda: clock.judge_clocks(eyes.clocks()),
    }
    return [
        Check(name="database", look=partial(_see_database, settings)),
        Check(name="migrations", look=partial(_see_migrations, settings), needs=("database",)),
        Check(
            name="stamp",
            look=lambda: database.judge_stamp(read_stamp(settings.database_url), qpay_env=settings.qpay_env),
            needs=("migrations",),
        ),
        *(Check(name=name, look=look, needs=("migrations",)) for name, look in looks.items()),
        Check(name="redis", look=partial(_see_redis, eyes, redis)),
    ]


def _see_database(settings: DatabaseSettings) -> Iterator[Finding]:
    try:
        with database_reported(settings):
            server = read_server(settings.database_url)
    except (SettingsError, StartError) as error:
        yield database.DATABASE.failure(str(error), "Start PostgreSQL, or mend DATABASE_URL.")
    else:
        yield from database.judge_database(server)


def _see_migrations(settings: DatabaseSettings) -> Iterator[Finding]:
    try:
        read_stamp(settings.database_url)
    except SchemaError as error:
        yield database.MIGRATIONS.failure(str(error), "Run tootsoo migrate of the version that is to run.")
    else:
        yield database.MIGRATIONS.ok("the database is one that this version can work on")


def _see_redis(eyes: Eyes, settings: RedisSettings) -> Iterator[Finding]:
    try:
        server = eyes.trial().server()
    except (SettingsError, StartError, DoorbellError) as error:
        yield around.REDIS.failure(str(error), "Start Redis or Valkey, or mend REDIS_URL; it may be empty.")
    else:
        yield from around.judge_redis(server, address=address_of(settings.redis_url))


def _of_addresses(eyes: Eyes, loaded: Loaded, *, resolve: Resolve) -> list[Check]:
    web = loaded.web
    if web is None:
        return [_missing(name, "PUBLIC_URL and WEBHOOK_SECRET") for name in ("public-address", "callback")]
    own = loaded.accounts.qpay.qpay_callback_url if loaded.accounts.qpay else None
    urls = {"PUBLIC_URL": web.public_url} | ({"QPAY_CALLBACK_URL": own} if own else {})

    def see_addresses() -> Iterator[Finding]:
        for setting, url in urls.items():
            resolved = resolve(urlsplit(url).hostname or "")
            yield from address.judge_address(setting, url, resolved=resolved, live=loaded.live)

    checks = [Check(name="public-address", look=see_addresses)]
    if loaded.accounts.qpay is not None:
        checks.append(
            Check(name="callback", look=_see_callback(eyes, loaded, web, "QPAY_CALLBACK_URL" if own else "PUBLIC_URL"))
        )
    if (socialpay := loaded.accounts.socialpay) is not None:
        body = push_about_nothing(socialpay)
        see_push = partial(
            callback.judge_push,
            "PUBLIC_URL",
            f"{web.public_url}{SOCIALPAY_WEBHOOK}",
            body=body,
            ask=eyes.ask,
            live=loaded.live,
        )
        checks.append(Check(name="push", look=see_push))
    return [
        *checks,
        Check(
            name="internet",
            look=lambda: callback.judge_internet(eyes.set_ups().last_callback_at(), now=eyes.runs().now()),
            needs=("migrations",),
        ),
    ]


def _see_callback(eyes: Eyes, loaded: Loaded, web: WebSettings, setting: str) -> Look:
    url = f"{callback_base_of(web, loaded.accounts)}/{tokens_of(web).make(PROBE_ID)}"
    return partial(callback.judge_callback, setting, url, ask=eyes.ask, live=loaded.live)


def _of_accounts(eyes: Eyes, loaded: Loaded) -> list[Check]:
    checks = []
    if (qpay := loaded.accounts.qpay) is not None:
        see_qpay = partial(account.judge_qpay, partial(eyes.ask_qpay, qpay))
        checks.append(Check(name="qpay", look=see_qpay, needs=("migrations", "redis"), limit_s=QPAY_LIMIT_S))
    if (socialpay := loaded.accounts.socialpay) is not None:
        see_socialpay = partial(account.judge_socialpay, partial(eyes.ask_socialpay, socialpay))
        checks.append(Check(name="socialpay", look=see_socialpay, needs=("redis",)))
    return checks


def _of_work(eyes: Eyes, loaded: Loaded) -> list[Check]:
    def see_scheduler() -> Iterator[Finding]:
        return work.judge_scheduler(eyes.state(), eyes.planned(), now=eyes.runs().now())

    def see_workers() -> Iterator[Finding]:
        return work.judge_workers(eyes.taken(), within_s=eyes.patience_s)

    looks: dict[str, Look] = {
        "scheduler": see_scheduler,
        "jobs": lambda: work.judge_jobs(eyes.state(), eyes.planned()),
        "backlog": lambda: work.judge_backlog(eyes.state()),
        "parked": lambda: work.judge_parked(eyes.state()),
        "discrepancies": lambda: work.judge_questions(eyes.state()),
        "credentials": lambda: work.judge_shared(eyes.state(), live=loaded.live),
    }
    return [
        Check(name="workers", look=see_workers, needs=("redis",)),
        *(Check(name=name, look=look, needs=("migrations", "stamp")) for name, look in looks.items()),
    ]


def _of_the_rest(eyes: Eyes, loaded: Loaded) -> list[Check]:
    keys = seal_keys(loaded.seals) if loaded.seals else []
    return [
        Check(name="seals", look=lambda: seals.judge_seals(keys, eyes.sealed()), needs=("migrations",)),
        Check(name="notifications", look=lambda: around.judge_notify(loaded, unreached=eyes.unreached())),
        Check(name="api-keys", look=lambda: around.judge_keys(eyes.keys(), now=utc_now()), needs=("migrations",)),
    ]


def _missing(name: str, settings: str) -> Check:
    return Check(name=name, look=lambda: [About(name).untested(f"{settings} cannot be loaded: see settings")])
