"""/readyz is red where no callback could be written down, says why, and heals; what else is missing it only tells."""

import time
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.proxy import held
from tests.waiting import wait_until
from tests.worker.conftest import Stack


def ready(stack: Stack) -> tuple[int, str]:
    answer = stack.api.get("/readyz")
    return answer.status_code, answer.json()["status"]


def test_with_everything_there_it_is_green(stack: Stack) -> None:
    answer = stack.api.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "reasons": {}, "degraded": {}})


def test_postgresql_away_is_red_and_heals(stack: Stack) -> None:
    stack.postgres.cut()
    wait_until(lambda: ready(stack) == (503, "not ready"))

    reasons = stack.api.get("/readyz").json()["reasons"]
    stack.postgres.mend()

    assert list(reasons) == ["postgresql"]
    assert "127.0.0.1" not in str(reasons)
    wait_until(lambda: ready(stack) == (200, "ok"))


def test_a_postgresql_that_hangs_is_red_in_bounded_time_and_heals(stack: Stack) -> None:
    with held(stack.postgres):
        started_s = time.monotonic()
        hanging = stack.api.get("/readyz")
        took_s = time.monotonic() - started_s

    assert (hanging.status_code, list(hanging.json()["reasons"])) == (503, ["postgresql"])
    assert took_s < 7
    wait_until(lambda: ready(stack) == (200, "ok"))


def test_a_read_only_postgresql_is_red_and_heals(stack: Stack, database_url: str, postgres_admin_url: str) -> None:
    set_read_only(postgres_admin_url, database_url, "on")
    # Red at first because its session was ended, perhaps, and then for this reason.
    wait_until(lambda: "no writes" in stack.api.get("/readyz").json().get("reasons", {}).get("postgresql", ""))

    status, _ = ready(stack)
    callback = stack.api.get(stack.callback_path("00000000-0000-4000-8000-000000000000"))
    set_read_only(postgres_admin_url, database_url, "off")

    assert status == 503
    assert callback.status_code == 503
    wait_until(lambda: ready(stack) == (200, "ok"))


def test_a_missing_migration_is_red_and_named(stack: Stack, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("DELETE FROM tootsoo._yoyo_migration WHERE migration_id LIKE '0006%'")
    wait_until(lambda: ready(stack) == (503, "not ready"))

    reasons = stack.api.get("/readyz").json()["reasons"]

    assert "tootsoo migrate" in reasons["schema"]


def test_without_redis_callbacks_are_taken_so_it_is_ready_and_tells(stack: Stack) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])
    stack.redis.cut()
    wait_until(lambda: ready(stack) == (200, "degraded"))

    answer = stack.api.get("/readyz").json()
    callback = stack.api.get(path)
    stack.redis.mend()

    assert (answer["reasons"], list(answer["degraded"])) == ({}, ["redis"])
    assert callback.text == "SUCCESS"
    wait_until(lambda: ready(stack) == (200, "ok"))


def test_a_silent_scheduler_is_told_once_something_waits_for_it(stack: Stack, database_url: str) -> None:
    stack.put()
    stack.api.get(stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"]))
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            "UPDATE tootsoo.gateway_invoice SET rung_at = rung_at - interval '1 minute',"
            " next_check_at = next_check_at - interval '1 minute'"
        )

    wait_until(lambda: ready(stack) == (200, "degraded"))

    assert "no scheduler" in stack.api.get("/readyz").json()["degraded"]["scheduler"]


def test_it_does_not_wait_for_requests_that_hold_every_connection(stack: Stack) -> None:
    pool = stack.parts.ledger._pool  # noqa: SLF001 - to hold what requests would hold
    connections = [pool.getconn() for _ in range(stack.groups.database.database_pool_size)]

    try:
        answers = [ready(stack) for _ in range(3)]
    finally:
        for connection in connections:
            pool.putconn(connection)

    assert answers == [(200, "ok")] * 3


def set_read_only(admin_url: str, database_url: str, value: str) -> None:
    """As an operator does whose disk is full; sessions that are open are told as well."""
    name = urlsplit(database_url).path[1:]
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only TO {}").format(
                sql.Identifier(name), sql.SQL(value)
            )
        )
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
