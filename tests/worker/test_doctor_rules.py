"""The doctor's rules by what they are given: settings, environments, addresses, clocks, servers, and how checks end."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.postgres.connection import open_pool
from adapters.postgres.set_up import Server, SetUp, SetUps
from domain.schedule import Every, Job
from tests.adapters.postgres.samples import NOON
from tests.waiting import BUSY_S
from tests.worker.doctoring import NAME, PUBLIC, a_loaded, accounts_with
from tests.worker.test_alerts import STATE
from worker.accounts import Accounts
from worker.doctor.address import TUNNELS, judge_address
from worker.doctor.clock import Reading, judge_clock
from worker.doctor.configured import judge_placeholders, judge_secrets, judge_settings
from worker.doctor.database import judge_database, judge_durability, judge_roles
from worker.doctor.environment import judge_environment
from worker.doctor.examine import Check, examine
from worker.doctor.finding import About, Finding, Verdict, is_well
from worker.doctor.loaded import Loaded, load_all
from worker.doctor.work import Planned, judge_scheduler
from worker.settings import (
    CommonSettings,
    DatabaseSettings,
    KillSettings,
    SealSettings,
    SocialPaySettings,
    TootsooEnv,
    names_of_settings,
)

ROOT = Path(__file__).parents[2]
PRODUCTION = CommonSettings(tootsoo_env=TootsooEnv.PRODUCTION)


def worst(found: Iterator[Finding]) -> tuple[Verdict, str]:
    """The worst verdict, and all that is said."""
    listed = list(found)
    order = [Verdict.FAILURE, Verdict.WARNING, Verdict.UNTESTED, Verdict.OK]
    assert all(one.action for one in listed if one.verdict in {Verdict.FAILURE, Verdict.WARNING})
    return min((one.verdict for one in listed), key=order.index), " / ".join(one.says for one in listed)


# --- Settings --------------------------------------------------------------------------------------------------------


def test_a_file_that_was_copied_and_not_filled_in_is_told_of_each_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in names_of_settings():
        monkeypatch.delenv(name, raising=False)

    loaded = load_all()
    _, told = worst(judge_placeholders(loaded))

    assert loaded.errors == ()
    assert set(re.findall(r"\b[A-Z_]{6,}\b", told)) == {
        "DATABASE_URL", "WEBHOOK_SECRET", "QPAY_PASSWORD", "PUBLIC_URL",
    }  # fmt: skip


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in names_of_settings():
        monkeypatch.delenv(name, raising=False)

    errors = load_all().errors

    assert [error.split()[0] for error in errors] == [
        "DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "WEBHOOK_SECRET", "QPAY_BASE_URL",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "verdict"),
    [("METRIC_TOKEN", Verdict.WARNING), ("QPAY_USERNMAE", Verdict.WARNING), ("HOME", Verdict.OK), ("PATH", Verdict.OK)],
)
def test_a_name_that_is_nearly_a_setting_is_told(given: str, verdict: Verdict) -> None:
    found = worst(judge_settings(a_loaded(), given=[given], known=names_of_settings()))

    assert found[0] is verdict


def test_secrets_that_are_sound_are_ok() -> None:
    assert worst(judge_secrets(a_loaded()))[0] is Verdict.OK
    assert worst(judge_placeholders(a_loaded()))[0] is Verdict.OK


@pytest.mark.parametrize(
    ("secret", "says"), [("a" * 40, "can be guessed"), ("Zt5bQ9xM2rVw7cKj4hNs8pLd6gFy3aUe", "are the same")]
)
def test_a_secret_that_is_weak_or_used_twice_is_a_failure_with_real_money(secret: str, says: str) -> None:
    loaded = replace(a_loaded(), common=PRODUCTION, seals=SealSettings(seal_secret=(SecretStr(secret),)))

    verdict, told = worst(judge_secrets(loaded))

    assert verdict is Verdict.FAILURE
    assert says in told
    assert secret not in told


# --- Environment -----------------------------------------------------------------------------------------------------


def with_qpay_env(env: str, loaded: Loaded) -> Loaded:
    assert loaded.database is not None
    return replace(loaded, database=DatabaseSettings(database_url=loaded.database.database_url, qpay_env=env))


def _production(**qpay: object) -> Loaded:
    loaded = replace(a_loaded(), common=PRODUCTION)
    return with_qpay_env("production", accounts_with(loaded, **{"qpay_base_url": "https://merchant.qpay.mn"} | qpay))


@pytest.mark.parametrize(
    ("loaded", "verdict", "says"),
    [
        (a_loaded(), Verdict.OK, "QPAY_ENV=sandbox"),
        (_production(), Verdict.OK, "QPAY_ENV=production"),
        (_production(qpay_base_url="https://merchant-sandbox.qpay.mn"), Verdict.FAILURE, "QPay's sandbox"),
        (accounts_with(a_loaded(), qpay_base_url="https://merchant.qpay.mn"), Verdict.FAILURE, "QPay's production"),
        (_production(qpay_base_url="http://127.0.0.1:8001"), Verdict.FAILURE, "this machine"),
        (_production(qpay_base_url="https://egress.gerel.mn"), Verdict.WARNING, "no address that we know"),
        (_production(qpay_username="TEST_MERCHANT"), Verdict.FAILURE, "QPay's sandbox"),
        (replace(_production(), common=CommonSettings()), Verdict.FAILURE, "TOOTSOO_ENV=development"),
        (replace(a_loaded(), kill=KillSettings(kill_point="kill:after_answer")), Verdict.WARNING, "KILL_POINT"),
        (
            replace(
                a_loaded(),
                common=PRODUCTION,
                accounts=Accounts(
                    socialpay=SocialPaySettings(
                        socialpay_base_url="http://localhost:8001",
                        socialpay_terminal="95000059",
                        socialpay_secret=SecretStr("x"),
                    )
                ),
            ),
            Verdict.FAILURE,
            "SOCIALPAY_BASE_URL",
        ),
    ],
)
def test_whatever_speaks_of_another_environment_is_found(loaded: Loaded, verdict: Verdict, says: str) -> None:
    found, told = worst(judge_environment(loaded))

    assert (found, says in told) == (verdict, True), told


# --- Addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "resolved", "says"),
    [
        (f"http://{NAME}", PUBLIC, "http://"),
        *((f"https://abc.{tunnel}", PUBLIC, "tunnel") for tunnel in TUNNELS),
        ("https://localhost", PUBLIC, "nowhere"),
        ("https://shop", PUBLIC, "nowhere"),
        ("https://shop.local", PUBLIC, "nowhere"),
        ("https://10.1.2.3", PUBLIC, "nowhere"),
        ("https://[::1]", PUBLIC, "nowhere"),
        (f"https://{NAME}", None, "cannot be resolved"),
        (f"https://{NAME}", ["127.0.1.1"], "this machine itself"),
    ],
)
def test_an_address_that_no_gateway_can_call_is_a_failure_with_real_money_and_else_a_warning(
    url: str, resolved: list[str] | None, says: str
) -> None:
    live = worst(judge_address("PUBLIC_URL", url, resolved=resolved, live=True))
    test = worst(judge_address("PUBLIC_URL", url, resolved=resolved, live=False))

    assert (live[0], test[0]) == (Verdict.FAILURE, Verdict.WARNING)
    assert says in live[1]


@pytest.mark.parametrize(
    ("url", "resolved", "verdict"),
    [
        (f"https://{NAME}", PUBLIC, Verdict.OK),
        (f"https://{NAME}:8443/pay", [*PUBLIC, "2a01:4f8::1"], Verdict.OK),
        (f"https://{NAME}", ["10.0.0.5"], Verdict.WARNING),
        ("https://103.9.90.10", PUBLIC, Verdict.WARNING),
    ],
)
def test_an_address_that_gateways_may_reach_is_no_failure(url: str, resolved: list[str], verdict: Verdict) -> None:
    assert worst(judge_address("PUBLIC_URL", url, resolved=resolved, live=True))[0] is verdict


# --- Clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("apart_s", "verdict"),
    [
        (0, Verdict.OK), (4, Verdict.OK), (-4, Verdict.OK), (30, Verdict.WARNING), (-30, Verdict.WARNING),
        (3_600, Verdict.FAILURE), (-3_600, Verdict.FAILURE),
    ],
)  # fmt: skip
def test_a_clock_that_is_off_is_told_by_how_much(apart_s: int, verdict: Verdict) -> None:
    theirs = NOON + timedelta(seconds=apart_s)
    reading = Reading(before=NOON, theirs=theirs, after=NOON, coarse=timedelta(0))

    found = judge_clock("PostgreSQL", reading)

    assert found.verdict is verdict
    if verdict is not Verdict.OK:
        assert f"{abs(apart_s):,} s {'behind' if apart_s > 0 else 'ahead of'}" in found.says


def test_a_slow_answer_with_whole_seconds_is_no_difference_of_clocks() -> None:
    reading = Reading(before=NOON, theirs=NOON, after=NOON + timedelta(seconds=9), coarse=timedelta(seconds=1))

    assert judge_clock("QPay", reading).verdict is Verdict.OK
    assert judge_clock("QPay", None).verdict is Verdict.UNTESTED


# --- Database --------------------------------------------------------------------------------------------------------


def test_every_append_only_table_of_the_migrations_is_looked_at(database_url: str) -> None:
    migrations = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "migrations").glob("*.sql"))
    guarded = re.findall(r"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON (\w+)", migrations)

    with open_pool(database_url, size=1) as pool:
        seen = SetUps(pool).read()

    assert seen.append_only == sorted(guarded)
    assert (seen.changeable, seen.unguarded, seen.acts_as) == ([], [], "tootsoo_app")


@pytest.mark.parametrize(
    "server",
    [
        Server(version=140_011, version_text="14.11", read_only=False, encoding="UTF8"),
        Server(version=180_003, version_text="18.3", read_only=True, encoding="UTF8"),
        Server(version=180_003, version_text="18.3", read_only=False, encoding="LATIN1"),
    ],
)
def test_a_server_that_money_cannot_be_kept_in_is_a_failure(server: Server) -> None:
    assert worst(judge_database(server))[0] is Verdict.FAILURE


def test_a_session_that_is_not_ours_and_a_commit_that_is_none_are_failures() -> None:
    seen = SetUp(
        acts_as="postgres", is_superuser=False, may_become_owner=True, append_only=(), changeable=(), unguarded=(),
        durability={"fsync": "on", "full_page_writes": "on", "synchronous_commit": "off"},
    )  # fmt: skip

    assert worst(judge_roles(seen))[0] is Verdict.FAILURE
    assert worst(judge_durability(seen, live=True))[0] is Verdict.FAILURE
    assert worst(judge_durability(seen, live=False))[0] is Verdict.WARNING


# --- How checks end --------------------------------------------------------------------------------------------------


def test_one_that_hangs_and_one_that_breaks_stop_no_other() -> None:
    over = threading.Event()

    def hang() -> list[Finding]:
        over.wait(2 * BUSY_S)
        return []

    def break_off() -> list[Finding]:
        raise ValueError("a secret")

    begun_s = time.monotonic()
    found = examine(
        [
            Check(name="hangs", look=hang, limit_s=0.2),
            Check(name="hangs too", look=hang, limit_s=0.2),
            Check(name="breaks", look=break_off),
            Check(name="needs it", look=lambda: [About("needs it").ok("")], needs=("breaks",)),
            Check(name="is well", look=lambda: [About("is well").ok("")]),
        ]
    )
    took_s = time.monotonic() - begun_s
    over.set()

    failed, untested, ok = Verdict.FAILURE, Verdict.UNTESTED, Verdict.OK
    assert [one.verdict for one in found] == [failed, failed, failed, untested, ok]
    assert took_s < BUSY_S
    assert "a secret" not in str(found)
    assert not is_well(found)


def test_a_job_that_comes_often_shows_that_a_scheduler_runs_and_none_shows_nothing() -> None:
    quiet = replace(STATE, unrung_s=0.0)
    never = Planned(job=Job(name="seal", cadence=Every(every_s=10)), last=None, next_at=NOON)

    assert worst(judge_scheduler(quiet, [], now=NOON))[0] is Verdict.UNTESTED
    assert worst(judge_scheduler(quiet, [never], now=NOON))[0] is Verdict.FAILURE
    assert worst(judge_scheduler(replace(STATE, unrung_s=31.0), [], now=NOON))[0] is Verdict.FAILURE
