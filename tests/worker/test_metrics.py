"""Metrics move with what happens, answer whatever is away, and do not grow with what strangers send."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dramatiq
import httpx
import psycopg
import pytest
from prometheus_client import generate_latest

from tests.proxy import held
from tests.waiting import wait_until
from tests.worker.conftest import METRICS_TOKEN, Stack
from tests.worker.scrape import Scrape, scrape
from worker.compose.processes import compose_worker
from worker.metrics.instruments import Metrics
from worker.settings import DiscoverySettings, HistorySettings, LookBackSettings, RefreshSettings, SealSettings


def of_web(stack: Stack) -> Scrape:
    return scrape(f"{stack.api.base_url}/metrics", METRICS_TOKEN)


def of_worker(metrics: Metrics) -> Scrape:
    return Scrape(generate_latest(metrics.registry).decode())


@pytest.fixture
def counting(stack: Stack) -> Iterator[Metrics]:
    """A worker, and what it counts. Nobody rings for it but callbacks."""
    groups, metrics = stack.groups, Metrics()
    with compose_worker(
        database=groups.database,
        redis=groups.redis,
        checks=groups.checks,
        accounts=groups.accounts,
        web=stack.groups.web,
        refresh=RefreshSettings(),
        discovery=DiscoverySettings(),
        seals=SealSettings(),
        history=HistorySettings(),
        look_back=LookBackSettings(),
        timezone="Asia/Ulaanbaatar",
        metrics=metrics,
    ) as (broker, _):
        worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=50)
        worker.start()
        try:
            yield metrics
        finally:
            worker.stop()


def test_a_payment_moves_what_it_should_by_one(stack: Stack, counting: Metrics) -> None:
    stack.put()
    stack.pay_link()
    web_before, worker_before = of_web(stack), of_worker(counting)

    stack.pay()
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")
    wait_until(lambda: _risen(worker_before, of_worker(counting), "dramatiq_messages_total") >= 1)
    web, worker = of_web(stack), of_worker(counting)

    assert _risen(web_before, web, "tootsoo_callbacks_total", gateway="qpay", outcome="taken") == 1
    assert _risen(web_before, web, "tootsoo_callbacks_total") == 1
    assert worker("tootsoo_events_total", gateway="qpay", kind="received", source="callback") == 1
    assert _risen(worker_before, worker, "tootsoo_checks_total", cause="callback", outcome="answered") == 1
    assert _risen(worker_before, worker, "tootsoo_checks_total") == 1
    assert worker("tootsoo_gateway_calls_total", endpoint="POST payment/check", status="200") == 1
    assert worker("tootsoo_gateway_call_seconds_count", endpoint="POST payment/check") == 1
    assert worker("dramatiq_messages_total", actor_name="settle") >= 1
    assert worker("dramatiq_message_duration_milliseconds_count", actor_name="settle") >= 1
    assert worker("tootsoo_actor_errors_total") == 0
    assert web("tootsoo_gateway_calls_total", endpoint="POST invoice", status="200") == 1
    assert web("tootsoo_http_requests_total", route="/v2/qpay/webhook/{token}", status="200") == 1
    assert web("tootsoo_check_requests", state="due") == 0


def test_a_failed_check_is_counted_by_why_and_waits(stack: Stack, counting: Metrics) -> None:
    stack.put()
    stack.pay_link()
    before = of_worker(counting)
    stack.gateway.cut()

    stack.pay()
    wait_until(lambda: _risen(before, of_worker(counting), "tootsoo_checks_total", outcome="outcome_unknown") >= 1)

    after = of_worker(counting)
    assert _risen(before, after, "tootsoo_checks_total", outcome="answered") == 0
    assert after("tootsoo_gateway_calls_total", endpoint="POST payment/check", status="lost") >= 1
    assert "tootsoo_events_total" not in after.names()


@pytest.mark.slow
def test_a_gateway_that_hangs_is_counted_as_timed_out(stack: Stack, counting: Metrics) -> None:
    stack.put()
    stack.pay_link()
    before = of_worker(counting)

    with held(stack.gateway):
        stack.pay()
        wait_until(lambda: _risen(before, of_worker(counting), "tootsoo_checks_total", outcome="outcome_unknown") == 1)

    assert of_worker(counting)("tootsoo_gateway_calls_total", endpoint="POST payment/check", status="timed_out") == 1


def test_what_waits_is_told_with_its_age(stack: Stack, database_url: str) -> None:
    stack.put()
    stack.api.get(stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"]))
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            "UPDATE tootsoo.gateway_invoice"
            " SET next_check_at = now() - interval '90 s', rung_at = now() - interval '40 s'"
        )

    wait_until(lambda: of_web(stack)("tootsoo_check_requests", state="due") == 1)

    seen = of_web(stack)
    assert 90 <= seen("tootsoo_check_request_oldest_due_seconds") < 120
    assert 30 <= seen("tootsoo_check_request_unrung_seconds") < 60
    assert seen("tootsoo_up", need="scheduler") == 0


def test_questions_and_suspense_are_told(stack: Stack, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO tootsoo.discrepancy (kind, gateway, subject, fingerprint, detail, state, first_seen_at,"
            " last_seen_at) SELECT kind, 'qpay', n::text, '', '', 'open', now(), now()"
            " FROM generate_series(1, 3) AS n, unnest(ARRAY['unmatched', 'of_a_newer_version']) AS kind"
        )
        owner.execute(
            "INSERT INTO tootsoo.suspense_balance (gateway, currency, received_minor) VALUES ('qpay', 'MNT', 150000)"
        )

    wait_until(lambda: of_web(stack)("tootsoo_discrepancies_open", kind="unmatched") == 3)

    seen = of_web(stack)
    assert seen("tootsoo_discrepancies_open", kind="other") == 3
    assert seen("tootsoo_discrepancies_open", kind="changed_amount") == 0
    assert seen("tootsoo_suspense_minor_units", gateway="qpay", currency="MNT") == 150_000


def test_with_postgresql_away_a_scrape_tells_the_counters_and_that_it_is_away(stack: Stack) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])
    stack.api.get(path)
    stack.postgres.cut()
    wait_until(lambda: of_web(stack)("tootsoo_up", need="postgresql") == 0)

    stack.api.get(path)
    started_s = time.monotonic()
    down = of_web(stack)
    took_s = time.monotonic() - started_s
    stack.postgres.mend()

    assert took_s < 7
    assert down("tootsoo_ready") == 0
    assert (down("tootsoo_callbacks_total", outcome="taken"), down("tootsoo_callbacks_total", outcome="lost")) == (1, 1)
    assert "tootsoo_check_requests" not in down.names()
    wait_until(lambda: of_web(stack)("tootsoo_ready") == 1)
    assert "tootsoo_check_requests" in of_web(stack).names()


@pytest.mark.slow
def test_a_postgresql_that_hangs_holds_no_scrape_and_no_thread_for_each(stack: Stack) -> None:
    threads_before = threading.active_count()

    with held(stack.postgres):
        time_of_each = [_timed(lambda: of_web(stack)("tootsoo_ready")) for _ in range(2)]
        threads = threading.active_count()

    assert max(time_of_each) < 7
    assert threads - threads_before < 12


def test_with_redis_away_a_scrape_says_so_and_callbacks_count_as_taken(stack: Stack) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])
    stack.redis.cut()

    stack.api.get(path)
    wait_until(lambda: of_web(stack)("tootsoo_up", need="redis") == 0)

    seen = of_web(stack)
    assert (seen("tootsoo_ready"), seen("tootsoo_up", need="postgresql")) == (1, 1)
    assert seen("tootsoo_callbacks_total", outcome="taken") == 1
    assert seen("tootsoo_check_requests") >= 1


def test_strangers_make_no_new_series(stack: Stack) -> None:
    stack.put()
    _knock(stack, 0)
    of_web(stack)
    before = of_web(stack).series.keys()

    for number in range(1, 60):
        _knock(stack, number)

    after = of_web(stack).series.keys()
    assert after - before == set()
    assert len(after) < 1_000


def test_no_label_holds_an_id_or_a_secret(stack: Stack, counting: Metrics) -> None:
    stack.put("order-of-somebody")
    link = stack.pay_link("order-of-somebody").json()
    paid = stack.pay("order-of-somebody")
    wait_until(lambda: stack.invoice("order-of-somebody")["balance"]["status"] == "paid")

    text = of_web(stack).text + of_worker(counting).text

    for word in (
        "order-of-somebody", link["gatewayInvoiceId"], str(paid["paymentId"]), METRICS_TOKEN, "127.0.0.1",
        stack.groups.qpay.qpay_username, stack.groups.qpay.qpay_password.get_secret_value(),
    ):  # fmt: skip
        assert word not in text


def test_nobody_reads_metrics_without_the_token(stack: Stack, subtests: pytest.Subtests) -> None:
    for header in [None, "Bearer", f"Basic {METRICS_TOKEN}", f"Bearer {METRICS_TOKEN[:-1]}", "Bearer \xff"]:
        with subtests.test(header=header):
            headers: Any = {} if header is None else {"Authorization": header.encode("latin-1")}

            answer = httpx.get(f"{stack.api.base_url}/metrics", headers=headers, trust_env=False)

            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORISED")
            assert "tootsoo_" not in answer.text


def test_an_api_key_is_no_metrics_token(stack: Stack) -> None:
    assert stack.api.get("/metrics").status_code == 401


def test_many_scrapes_at_once_are_one_look(stack: Stack, database_url: str) -> None:
    with ThreadPoolExecutor(max_workers=16) as threads:
        scrapes = list(threads.map(lambda _: of_web(stack), range(32)))

    with psycopg.connect(database_url) as owner:
        row = owner.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert all(seen("tootsoo_ready") == 1 for seen in scrapes)
    assert row is not None
    assert row[0] <= stack.groups.database.database_pool_size + 1


def _risen(before: Scrape, after: Scrape, metric: str, **labels: str) -> float:
    def read(seen: Scrape) -> float:
        return seen(metric, **labels) if metric in seen.names() else 0.0

    return read(after) - read(before)


def _timed(act: Callable[[], object]) -> float:
    started_s = time.monotonic()
    act()
    return time.monotonic() - started_s


def _knock(stack: Stack, number: int) -> None:
    """What comes from the internet: unknown paths, methods, tokens, ids, gateways."""
    stack.api.get(f"/nothing/{number}")
    stack.api.request(f"M{number}", "/healthz")
    stack.api.get(f"/v2/qpay/webhook/{number}")
    stack.api.post(f"/v2/pay{number}/webhook/{number}")
    stack.api.get(f"/v2/invoices/order-{number + 100}")
    stack.api.get(f"/v2/invoices/order_{number}")
    stack.api.get("/v2/payments", params={"gateway": f"g{number}"})
    stack.api.put("/v2/invoices/order-1", content=b"x" * 70_000)
