"""`tootsoo doctor` finds what is wrong with an installation, and nothing where all is well; on real servers."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import time as time_of_day
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
import redis
from pydantic import SecretStr

from adapters.postgres.api_keys import Scope
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.schedule import ScheduleRuns
from domain.discrepancy import credentials_used_elsewhere
from tests import command_line
from tests.proxy import held
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from tests.worker.doctoring import (
    NAME,
    OFTEN,
    SEAL_SECRET,
    a_loaded,
    a_login,
    accounts_with,
    env_of,
    findings,
    verdicts,
)
from tests.worker.test_ready import set_read_only
from worker.clock import utc_now
from worker.compose.database import compose_seal, open_database, open_keys
from worker.compose.processes import compose_scheduler
from worker.doctor.finding import Verdict
from worker.doctor.loaded import Loaded
from worker.jobs import timetable
from worker.notify_target import notify_target
from worker.settings import NotifySettings, SealSettings, WebSettings, environment_without_settings


def of(stack: Stack) -> Loaded:
    """The settings of the stack, with a name in the internet that leads to its web process."""
    web = stack.groups.web
    return replace(
        a_loaded(),
        database=stack.groups.database,
        redis=stack.groups.redis,
        accounts=replace(stack.groups.accounts, socialpay=None),
        web=WebSettings(
            public_url=f"https://{NAME}", webhook_secret=web.webhook_secret, merchant_name=web.merchant_name
        ),
    )


def test_a_sound_installation_is_all_ok(stack: Stack, working: Callable[[], int], postgres_admin_url: str) -> None:
    _live_a_little(stack)
    working()
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")
    with compose_seal(stack.groups.database, seals=SealSettings(seal_secret=(SecretStr(SEAL_SECRET),))) as seal:
        assert seal is not None
        wait_until(lambda: seal() > 0)

    with a_login(postgres_admin_url, stack.groups.database.database_url) as url:
        sound = replace(
            _with_an_account_of_its_own(stack), database=stack.groups.database.model_copy(update={"database_url": url})
        )
        found = findings(sound, leads_to=stack.groups.web.public_url)

    # The servers of these tests sync nothing to disk; and where a head is kept nobody can see.
    unlike = {(one.check, one.verdict) for one in found if one.verdict is not Verdict.OK}
    assert unlike - {("durability", Verdict.WARNING)} == {("seals", Verdict.UNTESTED)}, found
    assert {"callback", "internet", "qpay", "workers", "scheduler", "api-keys", "clock"} <= {one.check for one in found}


def _with_an_account_of_its_own(stack: Stack) -> Loaded:
    """Not the simulator's: that one's password stands in the documents."""
    theirs = {"username": "GEREL", "password": "fJ3kd0Wq", "invoiceCode": "GEREL_INVOICE"}
    made = httpx.post(f"{stack.simulator.url}/simulator/merchants", json=theirs, trust_env=False)
    assert made.is_success, made.text
    changes = {
        "qpay_username": theirs["username"],
        "qpay_password": SecretStr(theirs["password"]),
        "qpay_invoice_code": theirs["invoiceCode"],
    }
    return accounts_with(of(stack), **changes)


def _live_a_little(stack: Stack) -> None:
    """Let a job be done, and an invoice be paid."""
    with open_database(stack.groups.database) as pool:
        runs = ScheduleRuns(pool)
        runs.enter(OFTEN.name, "1", now=runs.now())
        run = runs.claim(runs.ring_due()[0], jobs=[OFTEN.name], lease_token=uuid4())
        assert run is not None
        runs.finish(run, done=True, result="0 events sealed")
    stack.put()
    stack.pay_link()
    stack.pay()


# --- Broken ones -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One thing that is wrong, and how the doctor says so."""

    id: str
    says: str
    check: str
    verdict: Verdict = Verdict.FAILURE
    sql: str = ""
    settings: Callable[[Loaded], Loaded] = lambda loaded: loaded
    world: Callable[[Stack], object] | None = None
    leads_to: Callable[[Stack], str] = lambda stack: stack.groups.web.public_url


def _other_secret(loaded: Loaded) -> Loaded:
    assert loaded.web is not None
    return replace(loaded, web=loaded.web.model_copy(update={"webhook_secret": (SecretStr("another" * 6),)}))


def _told_at(url: str, *, private: bool = True) -> Callable[[Loaded], Loaded]:
    def change(loaded: Loaded) -> Loaded:
        secret = (SecretStr("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),)
        notify = NotifySettings(notify_url=url, notify_secret=secret, notify_allow_private=private)
        return replace(loaded, notify=notify, target=notify_target(notify))

    return change


def _of_the_other_environment(loaded: Loaded) -> Loaded:
    assert loaded.database is not None
    return replace(loaded, database=loaded.database.model_copy(update={"qpay_env": "production"}))


def _share_credentials(stack: Stack) -> None:
    with open_database(stack.groups.database) as pool:
        question = credentials_used_elsewhere(gateway="qpay", account="TEST_MERCHANT", noticed_at=utc_now())
        for _ in range(2):
            Discrepancies(pool).ask(question, now=utc_now())


def _revoke_keys(stack: Stack) -> None:
    with open_keys(stack.groups.database) as keys:
        keys.create("dashboard", now=utc_now(), scopes=[Scope.READ])
        for key in keys.list():
            if Scope.WRITE in key.scopes:
                keys.revoke(key.id, now=utc_now())


def _let_a_callback_wait(stack: Stack) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])
    assert stack.api.get(path).text == "SUCCESS"


_LONG_AGO = (
    "UPDATE tootsoo.gateway_invoice SET rung_at = rung_at - interval '5 minutes',"
    " next_check_at = next_check_at - interval '5 minutes'"
)
_SEALED_BY_ANOTHER = (
    "INSERT INTO tootsoo.event_seal (number, position, sealed_at, key_id, seal)"
    " VALUES (1, 1, now(), 'deadbeef', decode(repeat('00', 32), 'hex'))"
)

BROKEN = [
    Broken(
        id="a migration is missing", check="migrations", says="lacks migration 0006",
        sql="DELETE FROM tootsoo._yoyo_migration WHERE migration_id LIKE '0006%'",
    ),
    Broken(id="never migrated", check="migrations", says="no Tootsoo schema", sql="DROP SCHEMA tootsoo CASCADE"),
    Broken(
        id="the other environment's database", check="stamp", says="holds sandbox money",
        settings=_of_the_other_environment,
    ),
    Broken(
        id="events may be changed", check="database-roles", says="may change payment_event",
        sql="GRANT UPDATE ON tootsoo.payment_event TO tootsoo_app",
    ),
    Broken(
        id="nothing refuses changes", check="database-roles", says="nothing refuses changes of payment_event",
        sql="ALTER TABLE tootsoo.payment_event DISABLE TRIGGER append_only",
    ),
    Broken(id="a superuser's login", check="database-roles", verdict=Verdict.WARNING, says="as a superuser"),
    Broken(
        id="wrong password at QPay", check="qpay", says="does not take our credentials",
        settings=lambda loaded: accounts_with(loaded, qpay_password=SecretStr("not the password")),
    ),
    Broken(
        id="wrong invoice code", check="qpay", says="does not know our invoice code",
        settings=lambda loaded: accounts_with(loaded, qpay_invoice_code="NO_SUCH_CODE"),
    ),
    Broken(id="QPay is away", check="qpay", says="does not answer", world=lambda stack: stack.gateway.cut()),
    Broken(
        id="web has another secret", check="callback", says="does not know our token", settings=_other_secret,
    ),
    Broken(
        id="the name leads to something else", check="callback", verdict=Verdict.WARNING, says="answered with 404",
        leads_to=lambda stack: stack.simulator.url,
    ),
    Broken(
        id="the name leads nowhere", check="callback", verdict=Verdict.WARNING, says="nobody takes connections",
        leads_to=lambda _: "http://127.0.0.1:1",
    ),
    Broken(
        id="PostgreSQL is away", check="database", says="cannot be reached", world=lambda stack: stack.postgres.cut()
    ),
    Broken(id="Redis is away", check="redis", says="cannot be reached", world=lambda stack: stack.redis.cut()),
    Broken(id="no worker", check="workers", says="none took a message"),
    Broken(id="no scheduler, and nothing was due", check="scheduler", says="nobody has begun what is due: seal"),
    Broken(
        id="no scheduler, and a check is due", check="scheduler", says="nobody was woken", world=_let_a_callback_wait,
        sql=_LONG_AGO,
    ),
    Broken(
        id="a check waits", check="backlog", verdict=Verdict.WARNING, says="1 check due", world=_let_a_callback_wait,
        sql=_LONG_AGO,
    ),
    Broken(
        id="a QR is parked", check="parked", verdict=Verdict.WARNING, says="1 QR parked", world=_let_a_callback_wait,
        sql="UPDATE tootsoo.gateway_invoice SET parked_at = now(), parked_reason = 'x'",
    ),
    Broken(
        id="credentials are shared", check="credentials", verdict=Verdict.WARNING, says="another program logs in",
        world=_share_credentials,
    ),
    Broken(id="sealed by another secret", check="seals", says="made with key deadbeef", sql=_SEALED_BY_ANOTHER),
    Broken(id="nobody may write", check="api-keys", says="no valid key may write", world=_revoke_keys),
    Broken(
        id="the application is away", check="notifications", verdict=Verdict.WARNING, says="cannot be reached",
        settings=_told_at("http://127.0.0.1:1/told"),
    ),
    Broken(
        id="the application is private", check="notifications", verdict=Verdict.WARNING, says="no public address",
        settings=_told_at("https://127.0.0.1:1/told", private=False),
    ),
]  # fmt: skip


def _is_of_settings_alone(broken: Broken) -> bool:
    """Whether the installation is the same afterwards: a login that was refused is remembered in Redis."""
    return not broken.sql and broken.world is None and broken.check != "qpay"


@pytest.mark.parametrize(
    "broken", [one for one in BROKEN if not _is_of_settings_alone(one)], ids=lambda broken: broken.id
)
def test_what_is_broken_is_found_and_says_what_to_do(stack: Stack, database_url: str, broken: Broken) -> None:
    if broken.world:
        broken.world(stack)
    if broken.sql:
        with psycopg.connect(database_url, autocommit=True) as owner:
            owner.execute("SET session_replication_role TO replica")
            owner.execute(broken.sql.encode())

    _is_found(stack, broken)


def test_settings_that_do_not_fit_are_found_and_say_what_to_do(stack: Stack, subtests: pytest.Subtests) -> None:
    for broken in filter(_is_of_settings_alone, BROKEN):
        with subtests.test(broken.id):
            _is_found(stack, broken)


def _is_found(stack: Stack, broken: Broken) -> None:
    found = findings(broken.settings(of(stack)), only=[broken.check], leads_to=broken.leads_to(stack))

    (one,) = [one for one in found if one.check == broken.check and broken.says in one.says]
    assert one.verdict is broken.verdict
    assert one.action


def test_a_wrong_secret_of_socialpay_is_found_at_the_bank_and_at_our_own_door(stack: Stack) -> None:
    accounts = stack.groups.accounts
    assert accounts.socialpay is not None
    wrong = accounts.socialpay.model_copy(update={"socialpay_secret": SecretStr("not the secret")})
    only, there = ["socialpay", "push"], stack.groups.web.public_url

    right = findings(replace(of(stack), accounts=accounts), only=only, leads_to=there)
    found = findings(replace(of(stack), accounts=replace(accounts, socialpay=wrong)), only=only, leads_to=there)

    assert [verdicts(right, check) for check in only] == [{Verdict.OK}] * 2
    assert [verdicts(found, check) for check in only] == [{Verdict.FAILURE}] * 2


def test_a_web_process_that_cannot_write_is_told_apart_from_one_that_is_not_there(
    stack: Stack, database_url: str, postgres_admin_url: str
) -> None:
    set_read_only(postgres_admin_url, database_url, "on")
    wait_until(lambda: stack.api.get("/readyz").status_code == 503)

    found = findings(of(stack), only=["callback", "database"], leads_to=stack.groups.web.public_url)

    assert verdicts(found, "callback") == verdicts(found, "database") == {Verdict.FAILURE}
    assert "cannot write down callbacks" in str(found)


def test_whatever_needs_what_is_broken_is_untested_and_the_rest_is_not(stack: Stack) -> None:
    stack.postgres.cut()

    found = findings(of(stack), leads_to=stack.groups.web.public_url, only=["seals", "scheduler", "redis", "database"])

    assert verdicts(found, "redis") == {Verdict.OK}
    assert verdicts(found, "seals") | verdicts(found, "scheduler") == {Verdict.UNTESTED}


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgres", "redis", "gateway"])
def test_a_server_that_hangs_is_told_in_bounded_time(stack: Stack, server: str) -> None:
    check = {"postgres": "database", "redis": "redis", "gateway": "qpay"}[server]

    with held(getattr(stack, server)):
        begun_s = time.monotonic()
        found = findings(of(stack), only=[check])
        took_s = time.monotonic() - begun_s

    assert verdicts(found, check) == {Verdict.FAILURE}
    assert took_s < 25


def test_looking_changes_nothing_and_leaves_no_message_behind(stack: Stack, database_url: str, redis_url: str) -> None:
    stack.put()
    stack.pay_link()
    before = _everything(database_url)

    findings(of(stack), leads_to=stack.groups.web.public_url)

    assert _everything(database_url) == before
    assert stack.checks() == 0
    with redis.Redis.from_url(redis_url) as client:
        assert [client.keys(pattern) for pattern in ("tootsoo:*.msgs", "tootsoo:jobs", "tootsoo:settle*")] == [
            [],
            [],
            [],
        ]


def _everything(database_url: str) -> list[tuple[str, str]]:
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'tootsoo' ORDER BY 1"
        ).fetchall()
        return [
            (name, str(connection.execute(f'SELECT * FROM tootsoo."{name}" ORDER BY 1').fetchall()))  # noqa: S608
            for (name,) in tables
        ]


# --- The command -----------------------------------------------------------------------------------------------------


def run(folder: Path, stack: Stack, *words: str, **env: str) -> tuple[int, str]:
    inherited = environment_without_settings()
    done = command_line.run(folder, ["doctor", *words], {**inherited, **env_of(stack), **env, "NO_COLOR": "1"})
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_command_ends_with_0_for_warnings_alone_and_with_1_for_a_failure(
    tmp_path: Path, stack: Stack, working: Callable[[], int]
) -> None:
    nightly = timetable(timezone="Asia/Ulaanbaatar", refresh_at=time_of_day(2), discover_every_s=120, seal_every_s=None)
    with compose_scheduler(
        database=stack.groups.database, redis=stack.groups.redis, checks=stack.groups.checks, jobs=nightly
    ) as ticks:
        ticks["plan"]()
    working()

    code, told = run(tmp_path, stack)
    strict, complained = run(tmp_path, stack, "--json", TOOTSOO_ENV="production")

    report = json.loads(complained)
    assert (code, strict) == (0, 1), told
    assert "! public-address  PUBLIC_URL begins with http://" in told
    assert "→ Put something that speaks TLS in front" in told
    assert report["ok"] is False
    assert report["counts"]["failure"] == sum(one["verdict"] == "failure" for one in report["findings"])
    assert {"check": "redis", "verdict": "ok"}.items() <= next(
        one.items() for one in report["findings"] if one["check"] == "redis"
    )


def test_no_secret_is_printed_whatever_is_wrong(tmp_path: Path, stack: Stack) -> None:
    secret = "s3cret-word-that-nobody-may-read-0123"
    (tmp_path / ".env").write_text(f"SEAL_SECRET={secret}\nMETRICS_TOKEN=short\n")

    code, told = run(
        tmp_path,
        stack,
        DATABASE_URL=f"postgresql://u:{secret}@127.0.0.1:1/shop",
        REDIS_URL=f"redis://:{secret}@127.0.0.1:1/0",
        QPAY_PASSWORD=secret,
        WEBHOOK_SECRET=secret,
    )

    assert code == 1
    assert "WEBHOOK_SECRET and SEAL_SECRET are the same" in told
    assert "METRICS_TOKEN is wrong" in told
    assert secret not in told
