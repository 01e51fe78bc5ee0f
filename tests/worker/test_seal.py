"""The job seals what was committed, behind nobody's back, and a command tells what was changed since."""

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import structlog
from pydantic import SecretStr

from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.horizon import Horizons
from adapters.postgres.seals import Seals
from domain.seal import SealKey
from domain.seal_audit import SealProblemKind
from tests.worker.test_cli import run
from worker import seal as sealing
from worker.clock import utc_now
from worker.compose.database import compose_seal
from worker.seal import Seal, late_after, seal_keys
from worker.settings import DatabaseSettings, SealSettings, SettingsError, load, secrets_in
from worker.verify import PROBLEMS_SHOWN_MAX, PublishedHead, SealReport, WrongSealSecretError, verify_seals

SECRET = "a seal secret that only tests know"
OTHER_SECRET = "another seal secret that tests know"
KEY = SealKey.of(SECRET)
LATE_AFTER = timedelta(minutes=15)


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=4) as pool:
        yield pool


def a_sealer(pool: Pool) -> Seal:
    """One that was just started, so that it knows of no seal."""
    return Seal(seals=Seals(pool), horizons=Horizons(pool), key=KEY, clock=utc_now)


@pytest.fixture
def seals(pool: Pool) -> Seals:
    return Seals(pool)


@pytest.fixture
def tick(pool: Pool) -> Seal:
    return a_sealer(pool)


@pytest.fixture
def superuser(database_url: str) -> Callable[[str], None]:
    def execute(statement: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SET search_path TO tootsoo")
            connection.execute("ALTER TABLE payment_event DISABLE TRIGGER append_only")
            connection.execute("ALTER TABLE event_seal DISABLE TRIGGER append_only")
            connection.execute(statement)

    return execute


INSERT = """
    INSERT INTO tootsoo.payment_event (gateway, payment_id, kind, ref, amount_minor, currency, occurred_at,
        occurred_at_source, recorded_at, source, raw)
    SELECT 'qpay', gen_random_uuid(), 'received', 'gateway', n, 'MNT', now(), 'gateway', now() - %s, 'callback', '{}'
    FROM generate_series(1, %s) AS n
"""


def record(database_url: str, count: int = 5, *, ago: timedelta = timedelta()) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(INSERT, [ago, count])


def sealed(seals: Seals) -> list[int]:
    return [seal.position for seal in seals.seals(up_to=2**63 - 1)]


def report_of(seals: Seals, *, published: PublishedHead | None = None, key: SealKey = KEY) -> SealReport:
    return verify_seals(
        seals, keys=[key], published=published, now=utc_now(), late_after=LATE_AFTER, tell=lambda _, __: None
    )


def found(seals: Seals, *, published: PublishedHead | None = None) -> list[tuple[int, str]]:
    return [(problem.position, problem.kind.value) for problem in report_of(seals, published=published).problems]


def published_head(seals: Seals) -> PublishedHead:
    head = seals.head()
    assert head is not None
    return PublishedHead(position=head.position, seal=head.seal)


# --- The job ---------------------------------------------------------------------------------------------------------


def test_a_tick_seals_all_that_is_committed(database_url: str, seals: Seals, tick: Seal) -> None:
    record(database_url)

    assert (tick(), tick()) == (5, 0)
    assert sealed(seals) == [1, 2, 3, 4, 5]


def test_an_event_that_is_committed_late_is_sealed_in_its_place(database_url: str, seals: Seals, tick: Seal) -> None:
    with psycopg.connect(database_url) as late:
        late.execute(INSERT, [timedelta(), 1])
        record(database_url, 2)

        while_open = [tick(), tick()]
        late.commit()
    after = tick()

    assert while_open == [0, 0]
    assert after == 3
    assert sealed(seals) == [1, 2, 3]
    assert report_of(seals).ok


def test_writers_without_a_pause_do_not_hold_up_what_was_committed_before(
    database_url: str, seals: Seals, tick: Seal
) -> None:
    record(database_url, 1)
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        first.execute(INSERT, [timedelta(), 1])
        record(database_url, 1)
        assert tick() == 0
        second.execute(INSERT, [timedelta(), 1])
        first.commit()

        assert tick() == 3

    assert sealed(seals) == [1, 2, 3]


def test_a_writer_that_does_not_end_is_told_of(database_url: str, tick: Seal) -> None:
    with psycopg.connect(database_url) as stuck, structlog.testing.capture_logs() as logs:
        stuck.execute(INSERT, [timedelta(), 1])
        for _ in range(sealing.WARN_AFTER_TICKS):
            tick()

    assert [line["event"] for line in logs] == ["seal.waits"]


def test_a_backlog_is_sealed_in_pages_and_a_bounded_number_of_them(
    database_url: str, seals: Seals, tick: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "PAGE", 2)
    monkeypatch.setattr(sealing, "PAGES", 2)
    record(database_url, 5)

    with structlog.testing.capture_logs() as logs:
        assert (tick(), tick(), tick()) == (4, 1, 0)

    assert [(line["count"], line["position"], line["total"]) for line in logs] == [(2, 2, 2), (2, 4, 4), (1, 5, 5)]
    head = seals.head()
    assert head is not None
    assert logs[-1]["seal"] == head.seal.hex()


def test_without_a_secret_there_is_no_job(database_url: str) -> None:
    with compose_seal(DatabaseSettings(database_url=database_url), seals=SealSettings()) as job:
        assert job is None


def test_the_first_secret_seals(database_url: str, seals: Seals) -> None:
    settings = SealSettings(seal_secret=(SecretStr(OTHER_SECRET), SecretStr(SECRET)))
    record(database_url)

    with compose_seal(DatabaseSettings(database_url=database_url), seals=settings) as job:
        assert job is not None
        assert job() == 5

    assert seals.newest_key_id() == seal_keys(settings)[0].id == SealKey.of(OTHER_SECRET).id


# --- The settings ----------------------------------------------------------------------------------------------------


def test_secrets_are_read_in_their_order_and_kept_out_of_logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEAL_SECRET", f"{OTHER_SECRET}, {SECRET}")

    settings = load(SealSettings)

    assert secrets_in(settings) == [OTHER_SECRET, SECRET]
    assert SECRET not in repr(settings) + repr(seal_keys(settings))


@pytest.mark.parametrize("value", ["hidden-word", f"{SECRET},hidden-word", ","])
def test_a_short_secret_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEAL_SECRET", value)

    with pytest.raises(SettingsError, match=r"^SEAL_SECRET is wrong: it should be .*32 characters") as refused:
        load(SealSettings)

    assert "hidden-word" not in str(refused.value)


# --- The use case ----------------------------------------------------------------------------------------------------


def test_what_is_not_sealed_yet_is_a_number_and_no_problem(database_url: str, seals: Seals, tick: Seal) -> None:
    record(database_url, 3)
    before = report_of(seals)
    tick()
    record(database_url, 2)

    report = report_of(seals)

    assert (before.events, before.sealed, before.unsealed, before.ok, before.head) == (3, 0, 3, True, None)
    assert (report.events, report.sealed, report.unsealed, report.ok) == (5, 3, 2, True)


def test_a_cut_tail_is_found_against_the_published_head(
    database_url: str, seals: Seals, tick: Seal, superuser: Callable[[str], None]
) -> None:
    record(database_url)
    tick()
    head = seals.head()
    assert head is not None
    published = PublishedHead.parse(f"{head.position}:{head.seal.hex()}")
    assert report_of(seals, published=published).ok

    superuser("DELETE FROM payment_event WHERE position > 3; DELETE FROM event_seal WHERE position > 3")

    assert report_of(seals).ok
    cut = report_of(seals, published=published)
    assert [(problem.position, problem.kind) for problem in cut.problems] == [(5, SealProblemKind.TAIL_CUT)]


@pytest.mark.parametrize("left", [0, 4])
def test_sealing_anew_what_was_cut_is_found_against_the_published_head(
    pool: Pool, database_url: str, seals: Seals, tick: Seal, superuser: Callable[[str], None], left: int
) -> None:
    record(database_url)
    tick()
    published = published_head(seals)

    superuser(f"UPDATE payment_event SET amount_minor = 7 WHERE position > {left}")  # noqa: S608 - a number
    superuser(f"DELETE FROM event_seal WHERE position > {left}")  # noqa: S608 - a number
    a_sealer(pool)()

    assert found(seals) == []
    assert found(seals, published=published) == [(5, "rewritten")]


# --- Sealing anew ----------------------------------------------------------------------------------------------------


FORGERY = "DELETE FROM event_seal WHERE position > 3; UPDATE payment_event SET amount_minor = 7 WHERE position = 4"


@pytest.mark.parametrize("forgery", [FORGERY, "DELETE FROM event_seal"])
def test_a_sealer_never_seals_anew_what_it_has_sealed(
    database_url: str, seals: Seals, tick: Seal, superuser: Callable[[str], None], forgery: str
) -> None:
    record(database_url)
    tick()
    head, left = published_head(seals), []

    superuser(forgery)
    left += sealed(seals)
    record(database_url, 1)
    with structlog.testing.capture_logs() as logs:
        done = [tick(), tick()]

    assert done == [0, 0]
    assert sealed(seals) == left
    assert [(line["event"], line["log_level"]) for line in logs] == [("seal.refused", "error")] * 2
    assert logs[0]["expect_head"] == f"{head.position}:{head.seal.hex()}"


def test_a_sealer_knows_what_another_has_sealed(
    pool: Pool, database_url: str, seals: Seals, tick: Seal, superuser: Callable[[str], None]
) -> None:
    record(database_url)
    another = a_sealer(pool)
    another()
    tick()

    superuser(FORGERY)

    assert tick() == 0
    assert sealed(seals) == [1, 2, 3]


def test_a_sealer_does_not_take_what_another_sealed_anew_for_its_own(
    pool: Pool, database_url: str, seals: Seals, tick: Seal, superuser: Callable[[str], None]
) -> None:
    record(database_url)
    tick()
    superuser(FORGERY)
    a_sealer(pool)()
    record(database_url, 1)

    with structlog.testing.capture_logs() as logs:
        assert tick() == 0

    assert [line["event"] for line in logs] == ["seal.refused"]
    assert sealed(seals) == [1, 2, 3, 4, 5]


def test_what_another_sealer_goes_on_with_is_no_reason_to_stop(
    pool: Pool, database_url: str, seals: Seals, tick: Seal
) -> None:
    record(database_url, 2)
    another = a_sealer(pool)

    for sealer in (tick, another, another, tick):
        record(database_url, 1)
        sealer()

    assert sealed(seals) == [1, 2, 3, 4, 5, 6]
    assert found(seals) == []


def test_what_was_sealed_anew_long_after_it_was_recorded_is_one_problem(
    pool: Pool, database_url: str, seals: Seals, tick: Seal, superuser: Callable[[str], None]
) -> None:
    record(database_url)
    tick()
    superuser("UPDATE payment_event SET recorded_at = now() - interval '16 minutes', amount_minor = 7")

    superuser("DELETE FROM event_seal")
    a_sealer(pool)()

    (problem,) = report_of(seals).problems
    assert (problem.position, problem.kind) == (1, SealProblemKind.SEALED_LATE)
    assert "to position 5" in problem.detail


def test_a_published_head_vouches_for_what_was_sealed_late_before_it(
    database_url: str, seals: Seals, tick: Seal
) -> None:
    record(database_url, ago=LATE_AFTER * 2)
    tick()
    published = published_head(seals)
    vouched = found(seals, published=published)

    record(database_url, 2, ago=LATE_AFTER * 2)
    tick()

    assert vouched == []
    assert found(seals, published=published) == [(6, "sealed_late")]
    assert found(seals) == [(1, "sealed_late")]


def test_a_head_that_does_not_stand_vouches_for_nothing(database_url: str, seals: Seals, tick: Seal) -> None:
    record(database_url, ago=LATE_AFTER * 2)
    tick()

    wrong = found(seals, published=PublishedHead(position=5, seal=bytes(32)))

    assert wrong == [(5, "rewritten"), (1, "sealed_late")]


@pytest.mark.parametrize("sealed_before", [True, False])
def test_old_events_that_nobody_sealed_are_one_problem(
    database_url: str, seals: Seals, tick: Seal, sealed_before: bool
) -> None:
    if sealed_before:
        record(database_url)
        tick()
    record(database_url, 3, ago=LATE_AFTER * 2)
    record(database_url, 1)

    (problem,) = report_of(seals).problems

    assert (problem.position, problem.kind) == (6 if sealed_before else 1, SealProblemKind.UNSEALED)
    assert ": 3" in problem.detail


@pytest.mark.parametrize(("seal_every_s", "minutes"), [(1, 15), (10, 15), (3_600, 180)])
def test_late_is_later_than_any_sealer_that_runs(seal_every_s: int, minutes: int) -> None:
    assert late_after(SealSettings(seal_every_s=seal_every_s)) == timedelta(minutes=minutes)


SEAL_AHEAD = """
    ALTER TABLE event_seal DISABLE TRIGGER USER;
    INSERT INTO event_seal VALUES (9000000000, 1, now(), '00000000', sha256(''));
"""
EVENT_AHEAD = """
    INSERT INTO payment_event OVERRIDING SYSTEM VALUE
    SELECT 9000000000, gateway, 'forged', kind, ref, NULL, NULL, amount_minor, currency, NULL, now(),
        occurred_at_source, now(), source, raw
    FROM payment_event LIMIT 1;
"""


@pytest.mark.parametrize("ahead", [SEAL_AHEAD, EVENT_AHEAD])
def test_a_seal_or_an_event_far_ahead_does_not_stop_the_sealing_silently(
    database_url: str, seals: Seals, tick: Seal, superuser: Callable[[str], None], ahead: str
) -> None:
    record(database_url)
    tick()
    superuser(ahead)
    tick()
    record(database_url, 1)

    with structlog.testing.capture_logs() as logs:
        tick()

    (told,) = [line for line in logs if line["log_level"] == "error"]
    assert (told["event"], told["position"]) == ("seal.passed_over", 6)
    assert (6, "inserted") in found(seals)


def test_a_wrong_secret_is_no_forgery(database_url: str, seals: Seals, tick: Seal) -> None:
    record(database_url)
    tick()

    with pytest.raises(WrongSealSecretError, match=KEY.id) as wrong:
        report_of(seals, key=SealKey.of(OTHER_SECRET))

    assert SealKey.of(OTHER_SECRET).id in str(wrong.value)


def test_a_tampered_key_id_everywhere_is_no_wrong_secret(
    database_url: str, seals: Seals, tick: Seal, superuser: Callable[[str], None]
) -> None:
    record(database_url)
    tick()

    superuser("UPDATE event_seal SET key_id = '00000000'; UPDATE payment_event SET amount_minor = 7 WHERE position = 1")

    assert found(seals) == [(1, "unknown_key"), *((n, "seal_changed") for n in range(2, 6))]


def test_more_problems_than_anybody_reads_are_counted(
    database_url: str, seals: Seals, tick: Seal, superuser: Callable[[str], None]
) -> None:
    count = PROBLEMS_SHOWN_MAX + 10
    record(database_url, count)
    tick()

    superuser("UPDATE payment_event SET who = ''")

    report = report_of(seals)
    assert (len(report.problems), report.problems_found) == (PROBLEMS_SHOWN_MAX, count)


@pytest.mark.parametrize("text", ["", "5", "5:", ":00", "5:zz", "5:00", "x:" + "00" * 32, "5:" + "00" * 33])
def test_a_published_head_is_read_or_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        PublishedHead.parse(text)


# --- The commands ----------------------------------------------------------------------------------------------------


def verify(folder: Path, options: str, database_url: str, *, secret: str = SECRET) -> subprocess.CompletedProcess[str]:
    return run(folder, f"verify {options}", DATABASE_URL=database_url, SEAL_SECRET=secret)


def test_a_superusers_change_to_one_event_is_found_by_verify_seals(
    tmp_path: Path, database_url: str, tick: Seal, superuser: Callable[[str], None]
) -> None:
    record(database_url)
    tick()
    before = verify(tmp_path, "--seals", database_url)

    superuser("UPDATE payment_event SET amount_minor = 1000000, payment_id = 'p' WHERE position = 3")

    after = verify(tmp_path, "--seals", database_url)
    assert (before.returncode, before.stdout) == (
        0, "✓ 5 events, 5 seals, 0 not sealed yet; all as they were sealed\n",
    )  # fmt: skip
    assert after.returncode == 1
    assert after.stdout.splitlines() == [
        "✗ position 3 (qpay:p): changed: is not what was sealed",
        "✗ 5 events, 5 seals, 0 not sealed yet; problems: 1",
    ]


def test_the_report_is_there_for_machines(
    tmp_path: Path, database_url: str, tick: Seal, seals: Seals, superuser: Callable[[str], None]
) -> None:
    record(database_url)
    tick()
    superuser("DELETE FROM payment_event WHERE position = 2")
    record(database_url, 1)
    head = seals.head()
    assert head is not None

    done = verify(tmp_path, "--seals --json", database_url)

    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "events": 5,
        "sealed": 5,
        "unsealed": 1,
        "ok": False,
        "problems": [
            {"position": 2, "problem": "removed", "payment": None, "detail": "its seal is there, the event is not"}
        ],
        "problemsFound": 1,
        "head": {"position": 5, "count": 5, "seal": head.seal.hex()},
    }


def test_a_published_head_is_printed_and_taken_again(
    tmp_path: Path, database_url: str, tick: Seal, superuser: Callable[[str], None]
) -> None:
    nothing = verify(tmp_path, "--head", database_url)
    record(database_url)
    tick()

    head = verify(tmp_path, "--head", database_url).stdout.strip()
    as_json = json.loads(verify(tmp_path, "--head --json", database_url).stdout)["head"]
    intact = verify(tmp_path, f"--seals --expect-head {head}", database_url)
    superuser("DELETE FROM payment_event WHERE position > 3; DELETE FROM event_seal WHERE position > 3")
    unaware = verify(tmp_path, "--seals", database_url)
    cut = verify(tmp_path, f"--seals --expect-head {head}", database_url)

    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert head == f"{as_json['position']}:{as_json['seal']}"
    assert (intact.returncode, unaware.returncode, cut.returncode) == (0, 0, 1)
    assert "✗ position 5: tail_cut" in cut.stdout


def test_without_the_secret_or_with_another_nothing_is_claimed(tmp_path: Path, database_url: str, tick: Seal) -> None:
    record(database_url)
    tick()

    missing = verify(tmp_path, "--seals", database_url, secret="")
    wrong = verify(tmp_path, "--seals", database_url, secret=OTHER_SECRET)

    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("tootsoo: SEAL_SECRET is missing: it should be ")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("tootsoo: SEAL_SECRET is wrong: no seal was made with it")
    assert OTHER_SECRET not in wrong.stderr
    assert missing.stderr.count("\n") == wrong.stderr.count("\n") == 1


def test_key_ids_that_were_all_written_over_are_bad_news_and_no_wrong_setting(
    tmp_path: Path, database_url: str, tick: Seal, superuser: Callable[[str], None]
) -> None:
    record(database_url)
    tick()

    superuser("UPDATE event_seal SET key_id = '00000000'")

    told = verify(tmp_path, "--seals", database_url)
    assert (told.returncode, told.stderr) == (1, "")
    assert told.stdout.endswith("problems: 5\n")


def test_what_was_sealed_late_is_told_and_the_answer_is_no(tmp_path: Path, database_url: str, tick: Seal) -> None:
    record(database_url, ago=LATE_AFTER * 2)
    before = verify(tmp_path, "--seals", database_url)
    tick()

    after = verify(tmp_path, "--seals", database_url)

    assert (before.returncode, after.returncode) == (1, 1)
    assert before.stdout.startswith("✗ position 1: unsealed: ")
    assert after.stdout.startswith("✗ position 1: sealed_late: ")


@pytest.mark.parametrize(
    "options", ["--expect-head 1:00", "--seals --head", "--head --expect-head 1:00", "--seals --expect-head 1:00"]
)
def test_unclear_options_are_refused(tmp_path: Path, database_url: str, options: str) -> None:
    assert verify(tmp_path, options, database_url).returncode == 2
