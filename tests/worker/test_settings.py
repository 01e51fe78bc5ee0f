"""A wrong or missing setting is one line that names it and says what it should be, and never repeats a secret."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from worker import runfile
from worker.accounts import load_accounts
from worker.notify_target import NotifyTarget, notify_target
from worker.settings import (
    CheckSettings,
    CommonSettings,
    DatabaseSettings,
    HistorySettings,
    NotifySettings,
    QPaySettings,
    RedisSettings,
    SettingsError,
    WebSettings,
    load,
    names_of_settings,
    secrets_in,
)

GROUPS = (CommonSettings, DatabaseSettings, RedisSettings, CheckSettings, QPaySettings, WebSettings)

RIGHT = {
    "DATABASE_URL": "postgresql://tootsoo:pass%20word@db.example.mn:5432/tootsoo",
    "REDIS_URL": "redis://:redis-pass@cache.example.mn:6379/0",
    "PUBLIC_URL": "https://pay.example.mn",
    "WEBHOOK_SECRET": "0123456789abcdef0123456789abcdef",
    "QPAY_BASE_URL": "https://merchant-sandbox.qpay.mn",
    "QPAY_USERNAME": "TEST_MERCHANT",
    "QPAY_PASSWORD": "qpay-pass",
    "QPAY_INVOICE_CODE": "TEST_INVOICE",
}


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in names_of_settings():
        monkeypatch.delenv(name, raising=False)
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def complaint() -> str:
    with pytest.raises(SettingsError) as wrong:
        [load(group) for group in GROUPS]
    return str(wrong.value)


def test_right_settings_are_taken() -> None:
    _, database, _, checks, qpay, web = [load(group) for group in GROUPS]

    assert isinstance(database, DatabaseSettings)
    assert isinstance(checks, CheckSettings)
    assert isinstance(qpay, QPaySettings)
    assert isinstance(web, WebSettings)
    assert checks.check_spacing_s == 2
    assert web.qr_lifetime == timedelta(days=7)
    assert qpay.qpay_allow_partial is False
    assert qpay.qpay_calls_per_s is None


TELLING = {
    "NOTIFY_URL": "https://shop.example.mn/tootsoo/?shop=1",
    "NOTIFY_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}


def target(monkeypatch: pytest.MonkeyPatch, **env: str) -> NotifyTarget | None:
    for name, value in (TELLING | env).items():
        monkeypatch.setenv(name, value)
    return notify_target(load(NotifySettings))


def test_without_an_address_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target(monkeypatch, NOTIFY_URL="") is None


def test_an_address_for_notifications_is_taken_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    told = target(monkeypatch, NOTIFY_SECRET=f"{TELLING['NOTIFY_SECRET']}, whsec_{'A' * 32}")

    assert told == NotifyTarget(
        url="https://shop.example.mn/tootsoo/?shop=1",
        secrets=(TELLING["NOTIFY_SECRET"], f"whsec_{'A' * 32}"),
        allow_private=False,
        timeout_s=10,
    )


def test_plain_http_is_for_private_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    told = target(monkeypatch, NOTIFY_URL="http://shop.internal:3000/x", NOTIFY_ALLOW_PRIVATE="true")

    assert told is not None
    assert told.allow_private


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFY_SECRET", ""),
        ("NOTIFY_SECRET", "s3cret-word"),
        ("NOTIFY_SECRET", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("NOTIFY_SECRET", "whsec_c2hvcnQ="),
        ("NOTIFY_SECRET", f"whsec_{'s3cret!-' * 6}"),
        ("NOTIFY_SECRET", f"whsec_{'A' * 92}"),
        ("NOTIFY_URL", "http://shop.example.mn/"),
        ("NOTIFY_URL", "ftp://shop.example.mn/"),
        ("NOTIFY_URL", "https:///path"),
        ("NOTIFY_URL", "https://user:s3cret-word@shop.example.mn/"),
        ("NOTIFY_URL", "https://shop.example.mn/#here"),
        ("NOTIFY_URL", "https://shop.example.mn:99999/"),
        ("NOTIFY_URL", "https://shop.example.mn/a b"),
        ("NOTIFY_URL", f"https://shop.example.mn/{'a' * 2_000}"),
        ("NOTIFY_TIMEOUT_S", "31"),
        ("NOTIFY_THREADS", "0"),
    ],
)
def test_what_cannot_tell_anybody_stops_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as wrong:
        target(monkeypatch, **{name: value})

    line = str(wrong.value)
    assert re.match(rf"{name} is (wrong|missing): ", line)
    assert "\n" not in line
    assert "s3cret" not in line


@pytest.mark.parametrize("name", sorted(RIGHT))
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_setting_is_named_with_what_it_should_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    monkeypatch.delenv(name)
    if value is not None:
        monkeypatch.setenv(name, value)

    line = complaint()

    assert line.startswith(f"{name} is missing: it should be ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://root:hidden-word@db/x"),
        ("DATABASE_URL", "hidden-word"),
        ("DATABASE_URL", "postgresql://u:hidden-word@db:99999/x"),
        ("REDIS_URL", "redis://:hidden-word@cache:99999"),
        ("REDIS_URL", "http://:hidden-word@cache"),
        ("PUBLIC_URL", "https://pay.example.mn/" + "x" * 155),
        ("PUBLIC_URL", "pay.example.mn/hidden-word"),
        ("PUBLIC_URL", "https://pay.example.mn/?a=hidden-word"),
        ("PUBLIC_URL", "https://pay.example.mn/hidden-word" + "x" * 200),
        ("QPAY_CALLBACK_URL", "https://pay.example.mn/hidden-word#x"),
        ("WEBHOOK_SECRET", "hidden-word"),
        ("WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef,hidden-word"),
        ("WEBHOOK_SECRET", ","),
        ("QPAY_ENV", "hidden-word"),
        ("QPAY_BASE_URL", "merchant.qpay.mn/hidden-word"),
        ("QPAY_INVOICE_CODE", "hidden-word" * 10),
        ("QPAY_ALLOW_PARTIAL", "hidden-word"),
        ("QPAY_CALLS_PER_S", "hidden-word"),
        ("QPAY_CALLS_PER_S", "0"),
        ("QPAY_CALLS_PER_S", "nan"),
        ("QR_LIFETIME", "hidden-word"),
        ("QR_LIFETIME", "1m"),
        ("QR_LIFETIME", "9999d"),
        ("CHECK_SPACING_S", "hidden-word"),
        ("CHECK_SPACING_S", "0"),
        ("CHECK_SPACING_S", "-1"),
        ("CHECK_SPACING_S", "nan"),
        ("RETRY_MAX_S", "inf"),
        ("DATABASE_POOL_SIZE", "0"),
        ("TIMEZONE", "Asia/hidden-word"),
        ("TIMEZONE", "/etc/passwd"),
        ("LOG_FORMAT", "hidden-word"),
        ("TOOTSOO_ENV", "hidden-word"),
    ],
)
def test_a_malformed_setting_is_named_and_its_value_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    line = complaint()

    assert line.startswith(f"{name} is wrong: ")
    assert "hidden-word" not in line
    assert "\n" not in line


def test_the_environment_comes_before_dotenv_and_dotenv_before_the_run_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL"):
        monkeypatch.delenv(name)
    running = {"DATABASE_URL": "postgresql://run/x", "REDIS_URL": "redis://run", "PUBLIC_URL": "http://run"}
    (tmp_path / ".env").write_text("REDIS_URL=redis://dotenv\nPUBLIC_URL=http://dotenv\nUNKNOWN_THING=1\n")
    monkeypatch.setenv("PUBLIC_URL", "http://environment")

    with runfile.published(tmp_path, env=running):
        assert load(DatabaseSettings).database_url == "postgresql://run/x"
        assert load(RedisSettings).redis_url == "redis://dotenv"
        assert load(WebSettings).public_url == "http://environment"


def test_a_run_file_is_for_its_user_alone_and_ends_with_whoever_wrote_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    path = tmp_path / runfile.RUN_FILE
    with runfile.published(tmp_path, env={"DATABASE_URL": "postgresql://run/x"}):
        assert path.stat().st_mode & 0o077 == 0
        left_behind = path.read_text()
    assert not path.exists()

    path.write_text(left_behind)

    assert complaint().startswith("DATABASE_URL is missing")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"env": []}', '{"env": {"DATABASE_URL": 1}}'])
def test_a_broken_run_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.delenv("DATABASE_URL")
    path = tmp_path / runfile.RUN_FILE

    with runfile.published(tmp_path, env={}):
        path.write_text(text)

        assert "run.json" in complaint()


def test_every_secret_is_known_to_the_logs() -> None:
    found = secrets_in(*[load(group) for group in GROUPS])

    assert set(found) == {
        "pass%20word", "pass word", "redis-pass", "0123456789abcdef0123456789abcdef", "qpay-pass",
    }  # fmt: skip


def test_every_setting_is_explained_in_the_example() -> None:
    text = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")

    assert [name for name in sorted(names_of_settings()) if f"{name}=" not in text] == []


@pytest.mark.parametrize("value", ["0", "3651", "1.5", "hidden-word"])
def test_history_is_kept_for_a_day_to_ten_years(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HISTORY_DAYS", value)

    with pytest.raises(SettingsError, match=r"^HISTORY_DAYS is wrong: it should be") as wrong:
        load(HistorySettings)

    assert "hidden-word" not in str(wrong.value)


SOCIALPAY = {
    "SOCIALPAY_BASE_URL": "https://instore.golomtbank.com",
    "SOCIALPAY_TERMINAL": "95000059",
    "SOCIALPAY_SECRET": "terminal-secret",
}
QPAY = ("QPAY_BASE_URL", "QPAY_USERNAME", "QPAY_PASSWORD", "QPAY_INVOICE_CODE")


def test_either_gateway_may_be_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = load_accounts()
    for name, value in SOCIALPAY.items():
        monkeypatch.setenv(name, value)
    both = load_accounts()
    for name in QPAY:
        monkeypatch.delenv(name)
    other = load_accounts()

    assert [(one.qpay is not None, one.socialpay is not None) for one in (alone, both, other)] == [
        (True, False),
        (True, True),
        (False, True),
    ]
    assert set(secrets_in(both)) == {"qpay-pass", "terminal-secret"}


@pytest.mark.parametrize("missing", SOCIALPAY)
def test_half_of_socialpay_stops_the_start_and_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in SOCIALPAY.items():
        if name != missing:
            monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^{missing} is missing: it should be"):
        load_accounts()


@pytest.mark.parametrize("missing", QPAY)
def test_half_of_qpay_is_named_also_beside_socialpay(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in SOCIALPAY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)

    with pytest.raises(SettingsError, match=f"^{missing} is missing"):
        load_accounts()


def test_no_gateway_at_all_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QPAY:
        monkeypatch.delenv(name)

    with pytest.raises(SettingsError, match=r"^QPAY_BASE_URL is missing, and so is SOCIALPAY_BASE_URL: set all"):
        load_accounts()


@pytest.mark.parametrize(
    ("name", "value"),
    [("SOCIALPAY_TERMINAL", "hidden-word"), ("SOCIALPAY_PATH_CHECK", "hidden-word"), ("SOCIALPAY_ISSUE_BY", "hidden")],
)
def test_what_is_wrong_of_socialpay_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for each, right in SOCIALPAY.items():
        monkeypatch.setenv(each, right)
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^{name} is wrong: it should") as wrong:
        load_accounts()

    assert "hidden" not in str(wrong.value)
