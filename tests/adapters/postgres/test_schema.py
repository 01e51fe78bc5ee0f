"""The schema is migrated safely, by anybody at any time, and checked before a process starts."""

import multiprocessing
import os
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from adapters.postgres.schema import SchemaError, migrate, require_schema
from tests.databases import url_of
from tests.waiting import wait_until

MIGRATIONS = Path(__file__).parents[3] / "migrations"


def test_migrating_twice_applies_everything_once(blank_database_url: str) -> None:
    first = migrate(blank_database_url, qpay_env="sandbox")
    second = migrate(blank_database_url, qpay_env="sandbox")

    assert first
    assert second == []
    require_schema(blank_database_url, qpay_env="sandbox")


def test_three_processes_migrate_an_empty_database_at_once(blank_database_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as processes:
        applied = processes.map(_migrate, [blank_database_url] * 3)

    assert [len(one) > 0 for one in sorted(applied, key=len)] == [False, False, True]
    require_schema(blank_database_url, qpay_env="sandbox")


def test_migrating_after_a_kill_finishes_what_was_begun(blank_database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_migrate, args=(blank_database_url,))
    with psycopg.connect(blank_database_url, autocommit=True) as watcher:
        process.start()
        wait_until(lambda: _is_half_way(watcher) or not process.is_alive())
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()

    migrate(blank_database_url, qpay_env="sandbox")

    require_schema(blank_database_url, qpay_env="sandbox")


def test_a_lock_row_that_a_kill_left_behind_is_broken(blank_database_url: str) -> None:
    migrate(blank_database_url, qpay_env="sandbox")
    with psycopg.connect(blank_database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO tootsoo.yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")

    assert migrate(blank_database_url, qpay_env="sandbox") == []


def test_an_unmigrated_database_is_refused_with_the_command(blank_database_url: str) -> None:
    with pytest.raises(SchemaError, match="tootsoo migrate"):
        require_schema(blank_database_url, qpay_env="sandbox")


def test_a_database_that_lacks_a_migration_is_refused_with_the_command(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM tootsoo._yoyo_migration WHERE migration_id LIKE '0003%'")

    with pytest.raises(SchemaError, match=r"0003.*tootsoo migrate"):
        require_schema(database_url, qpay_env="sandbox")


def test_a_database_that_later_versions_only_added_to_is_worked_on(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO tootsoo._yoyo_migration VALUES ('x', '9999_next', now())")

    require_schema(database_url, qpay_env="sandbox")


def test_a_database_from_which_a_later_version_took_something_away_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO tootsoo._yoyo_migration VALUES ('x', '9999_next', now())")
        connection.execute("UPDATE tootsoo.installation SET compatible_since = '9999_next'")

    with pytest.raises(SchemaError, match=r"ahead.*9999_next"):
        require_schema(database_url, qpay_env="sandbox")


def test_what_was_taken_away_before_this_version_does_not_matter_to_it(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE tootsoo.installation SET compatible_since = '0003_payment_events'")

    require_schema(database_url, qpay_env="sandbox")


def test_a_database_of_the_other_environment_is_refused(database_url: str) -> None:
    with pytest.raises(SchemaError, match="QPAY_ENV=sandbox"):
        require_schema(database_url, qpay_env="production")
    with pytest.raises(SchemaError, match="QPAY_ENV=sandbox"):
        migrate(database_url, qpay_env="production")


def test_a_login_that_may_not_make_roles_migrates_once_they_are_there(blank_database_url: str) -> None:
    name = urlsplit(blank_database_url).path.removeprefix("/")
    login = f"login_{name[-12:]}"
    with psycopg.connect(blank_database_url, autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE {login} LOGIN")
        migrate_url = urlsplit(blank_database_url)._replace(
            netloc=f"{login}@127.0.0.1:{urlsplit(blank_database_url).port}"
        )
        try:
            superuser.execute("CREATE ROLE tootsoo_owner NOLOGIN; CREATE ROLE tootsoo_app NOLOGIN")
        except psycopg.errors.DuplicateObject:
            superuser.execute("SELECT 1")
        with pytest.raises(SchemaError, match="As a superuser"):
            migrate(migrate_url.geturl(), qpay_env="sandbox")

        superuser.execute(f"GRANT tootsoo_owner, tootsoo_app TO {login}")
        superuser.execute(f"GRANT CREATE ON DATABASE {name} TO {login}")
        migrate(migrate_url.geturl(), qpay_env="sandbox")
        require_schema(migrate_url.geturl(), qpay_env="sandbox")

        superuser.execute(f"DROP OWNED BY {login}")
        superuser.execute(f"REVOKE tootsoo_owner, tootsoo_app FROM {login}")
        superuser.execute(f"DROP ROLE {login}")


def test_a_login_that_may_make_roles_needs_no_superuser(blank_database_url: str) -> None:
    name = urlsplit(blank_database_url).path.removeprefix("/")
    login = f"maker_{name[-12:]}"
    url = (
        urlsplit(blank_database_url)._replace(netloc=f"{login}@127.0.0.1:{urlsplit(blank_database_url).port}").geturl()
    )
    with psycopg.connect(blank_database_url, autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE {login} LOGIN CREATEROLE")
        superuser.execute(f"GRANT CREATE ON DATABASE {name} TO {login}")
        version = superuser.info.server_version
        if version >= 160_000:
            # What CREATE ROLE gives its maker: it may grant the role, and may not yet act as it.
            superuser.execute(f"GRANT tootsoo_owner, tootsoo_app TO {login} WITH ADMIN TRUE, SET FALSE, INHERIT FALSE")

        migrate(url, qpay_env="sandbox")
        require_schema(url, qpay_env="sandbox")

        superuser.execute(f"DROP OWNED BY {login}")
        superuser.execute(f"REVOKE tootsoo_owner, tootsoo_app FROM {login} CASCADE")
        superuser.execute(f"DROP OWNED BY {login}")
        superuser.execute(f"DROP ROLE {login}")


def test_a_database_that_is_not_in_utf8_is_refused(postgres_admin_url: str) -> None:
    name = f"ascii_{uuid4().hex}"
    with psycopg.connect(postgres_admin_url, autocommit=True) as superuser:
        superuser.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        with pytest.raises(SchemaError, match="SQL_ASCII"):
            migrate(url_of(postgres_admin_url, name), qpay_env="sandbox")
        superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_every_table_and_column_is_described(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        silent = connection.execute(
            """
            SELECT c.relname, a.attname
            FROM pg_class AS c
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped
            WHERE c.relnamespace = 'tootsoo'::regnamespace AND c.relkind = 'r'
                AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)
            """
        ).fetchall()

    assert silent == []


TAKES_AWAY = re.compile(
    r"\bDROP\s+(TABLE|COLUMN|FUNCTION|VIEW|TYPE|SCHEMA)\b|\bRENAME\b|\bREVOKE\b|\bSET\s+NOT\s+NULL\b"
    r"|\bALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE\b|\bADD\s+(CONSTRAINT\s+\w+\s+)?(CHECK|UNIQUE|FOREIGN)\b",
    re.IGNORECASE,
)


def says_that_it_takes_away(sql: str, name: str) -> bool:
    return bool(re.search(rf"UPDATE\s+installation\s+SET\s+compatible_since\s*=\s*'{name}'", sql))


@pytest.mark.parametrize(
    "path", [path for path in sorted(MIGRATIONS.glob("*.sql")) if path.name >= "0009"], ids=lambda path: path.stem
)
def test_a_migration_only_adds_or_says_that_it_does_not(path: Path) -> None:
    sql = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))

    assert not TAKES_AWAY.search(sql) or says_that_it_takes_away(sql, path.stem)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE invoice DROP COLUMN due_at;",
        "ALTER TABLE invoice RENAME due_at TO due;",
        "ALTER TABLE invoice ALTER COLUMN due_at SET NOT NULL;",
        "ALTER TABLE invoice ALTER COLUMN description TYPE varchar(10);",
        "ALTER TABLE invoice ADD CONSTRAINT short CHECK (char_length(description) < 10);",
        "REVOKE UPDATE ON invoice FROM tootsoo_app;",
    ],
)
def test_what_an_older_version_would_miss_is_recognised(sql: str) -> None:
    assert TAKES_AWAY.search(sql)
    mark = "UPDATE installation SET compatible_since = '0099_less';"
    assert says_that_it_takes_away(f"{sql}\n{mark}", "0099_less")


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in MIGRATIONS.glob("*.sql"))

    assert numbers == list(range(1, len(numbers) + 1))


def _migrate(url: str) -> list[str]:
    return migrate(url, qpay_env="sandbox")


def _is_half_way(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT to_regclass('tootsoo.invoice') IS NOT NULL").fetchone()
    return bool(row and row[0])
