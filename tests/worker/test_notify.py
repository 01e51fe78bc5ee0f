"""The application is told what happened: in order for each invoice, at least once, and never by two at a time."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise

import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.merchant.application import MerchantApplication
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.notifications import DeliveryState, Notifications
from domain.delivery import GIVE_UP_AFTER_S, RETRY_MAX_S, Lane, Reply
from tests.adapters.postgres.samples import append, put
from tests.domain.samples import an_event
from tests.merchant import OTHER_SECRET, SECRET, Application, an_application
from worker.clock import utc_now
from worker.notify import Notify, Post

TIMEOUT_S = 5.0
ORDER_1 = Lane(invoice_id="order-1")


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=16) as pool:
        yield pool


@pytest.fixture
def application() -> Iterator[Application]:
    with an_application() as running:
        yield running


@pytest.fixture
def notifications(pool: Pool) -> Notifications:
    return Notifications(pool, timeout_s=TIMEOUT_S)


@pytest.fixture
def post(application: Application) -> Iterator[Post]:
    with MerchantApplication(application.url, allow_private=True) as merchant:
        yield merchant.post


@pytest.fixture
def notify(notifications: Notifications, post: Post) -> Notify:
    return telling(notifications, post)


def telling(notifications: Notifications, post: Post, *secrets: str) -> Notify:
    return Notify(
        notifications=notifications, post=post, secrets=secrets or (SECRET,), timeout_s=TIMEOUT_S, clock=utc_now
    )


def pay(pool: Pool, invoice_id: str = "order-1", *, parts: int = 1, of: int = 0) -> None:
    """Let an invoice of 100 be paid in so many parts of 10; `of` have been paid before."""
    put(Invoices(pool), invoice_id)
    for part in range(of, of + parts):
        append(Ledger(pool), [an_event(f"{invoice_id}:{part}", amount="10", invoice_id=invoice_id)])


def time_passes(pool: Pool, seconds: float) -> None:
    with pool.connection() as connection:
        connection.execute(
            "UPDATE notification SET next_try_at = next_try_at - %(s)s * interval '1 second',"
            " first_tried_at = first_tried_at - %(s)s * interval '1 second',"
            " rung_at = rung_at - %(s)s * interval '1 second', lease_until = lease_until - %(s)s * interval '1 second'",
            {"s": seconds},
        )


def waits_are_over(pool: Pool) -> None:
    """Let what failed be due, and nobody's lease end."""
    with pool.connection() as connection:
        connection.execute("UPDATE notification SET next_try_at = now(), rung_at = NULL WHERE lease_token IS NULL")


def sequences(application: Application, invoice_id: str = "order-1") -> list[int]:
    return [one.sequence for one in application.taken() if one.invoice == invoice_id]


def test_what_waits_in_a_lane_is_told_in_order_at_one_waking(
    pool: Pool, notify: Notify, application: Application
) -> None:
    pay(pool, parts=11)

    assert notify(ORDER_1) == 11

    assert sequences(application) == list(range(1, 12))
    assert [one.type for one in application.told] == [
        *["invoice.partially_paid"] * 9,
        "invoice.paid",
        "invoice.overpaid",
    ]
    assert len({one.id for one in application.told}) == 11
    assert notify(ORDER_1) == 0


def test_one_that_fails_is_sent_again_under_its_id_and_the_later_ones_wait(
    pool: Pool, notify: Notify, application: Application
) -> None:
    pay(pool, parts=3)
    application.answer = lambda _: (500, {}, b"not now")
    assert notify(ORDER_1) == 0
    application.answer = lambda _: (200, {}, b"ok")
    assert notify(ORDER_1) == 0

    time_passes(pool, 10)
    assert notify(ORDER_1) == 3

    assert [(one.sequence, one.status) for one in application.told] == [(1, 500), (1, 200), (2, 200), (3, 200)]
    assert application.told[0].id == application.told[1].id
    assert application.told[0].payload == application.told[1].payload


def test_one_that_the_application_will_never_take_is_parked_and_the_next_is_told(
    pool: Pool, notify: Notify, notifications: Notifications, application: Application
) -> None:
    pay(pool, parts=2)
    application.answer = lambda payload: (410 if payload["data"]["sequence"] == 1 else 204, {}, b"")

    assert (notify(ORDER_1), notify(ORDER_1)) == (0, 1)

    parked = notifications.list(states=[DeliveryState.PARKED], after=0, page=9)
    assert [(one.staged.sequence, one.last_status, one.last_error) for one in parked] == [(1, 410, "answered 410")]


def test_when_the_application_asks_for_a_pause_nothing_is_sent(
    pool: Pool, notify: Notify, application: Application
) -> None:
    pay(pool)
    pay(pool, "order-2")
    application.answer = lambda _: (429, {"Retry-After": "60"}, b"")
    notify(ORDER_1)

    assert notify(Lane(invoice_id="order-2")) == 0

    assert [one.invoice for one in application.told] == ["order-1"]


@pytest.mark.parametrize("kept", [SECRET, OTHER_SECRET])
def test_while_a_secret_is_replaced_the_new_and_the_old_one_verify(
    pool: Pool, notifications: Notifications, post: Post, application: Application, kept: str
) -> None:
    pay(pool)
    application.secret = kept

    assert telling(notifications, post, SECRET, OTHER_SECRET)(ORDER_1) == 1

    assert len(application.told[0].headers["webhook-signature"].split()) == 2


def test_a_worker_who_dies_after_the_answer_sends_the_same_again(
    pool: Pool, notifications: Notifications, post: Post, application: Application
) -> None:
    pay(pool, parts=2)

    def fatal(body: bytes, /, *, headers: dict[str, str], until_s: float) -> Reply:
        post(body, headers=headers, until_s=until_s)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        telling(notifications, fatal)(ORDER_1)
    assert telling(notifications, post)(ORDER_1) == 0  # the lease is not over

    time_passes(pool, TIMEOUT_S + 6)
    assert telling(notifications, post)(ORDER_1) == 2

    assert [one.sequence for one in application.told] == [1, 1, 2]
    assert application.told[0].id == application.told[1].id


def test_who_comes_too_late_sends_nothing(
    pool: Pool, notifications: Notifications, post: Post, application: Application
) -> None:
    pay(pool)

    def paused(body: bytes, /, *, headers: dict[str, str], until_s: float) -> Reply:
        return post(body, headers=headers, until_s=until_s - TIMEOUT_S)  # as if it had slept for so long

    assert telling(notifications, paused)(ORDER_1) == 0
    assert application.told == []

    assert telling(notifications, post)(ORDER_1) == 1  # at once: it was let go
    assert notifications.read(1) is not None


def test_no_transaction_is_open_while_the_application_is_called(
    pool: Pool, notify: Notify, application: Application, database_url: str
) -> None:
    pay(pool)
    open_transactions: list[int] = []

    def answer(_: object) -> tuple[int, dict[str, str], bytes]:
        with psycopg.connect(database_url) as eyes:
            row = eyes.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            ).fetchone()
        open_transactions.append(row[0] if row else -1)
        return 204, {}, b""

    application.answer = answer
    assert notify(ORDER_1) == 1

    assert open_transactions == [0]


def test_several_workers_at_once_tell_each_invoice_in_order_and_nothing_twice(
    pool: Pool, notifications: Notifications, application: Application
) -> None:
    names = [f"order-{number}" for number in range(6)]
    for name in names:
        pay(pool, name, parts=5)
    chance = random.Random(4)

    def answer(_: object) -> tuple[int, dict[str, str], bytes]:
        application.released.wait(0.01)  # it takes a moment over each, in which others may come
        return (204 if chance.random() < 0.7 else 500, {}, b"")

    application.answer = answer

    with ExitStack() as undo:
        workers = [
            telling(notifications, undo.enter_context(MerchantApplication(application.url, allow_private=True)).post)
            for _ in range(4)
        ]

        def work(worker: Notify) -> None:
            until_s = time.monotonic() + 30
            while len(application.taken()) < 30 and time.monotonic() < until_s:
                for lane in notifications.ring_due(page=100) or [Lane(invoice_id=name) for name in names]:
                    worker(lane)
                waits_are_over(pool)

        with ThreadPoolExecutor(max_workers=4) as threads:
            list(threads.map(work, workers))

    assert application.at_once_max > 1
    for name in names:
        assert sequences(application, name) == [1, 2, 3, 4, 5]
        mine = sorted((one for one in application.told if one.invoice == name), key=lambda one: one.began_s)
        assert all(one.ended_s <= after.began_s for one, after in pairwise(mine))


def test_everything_is_told_in_order_after_the_application_was_down_for_a_day(
    pool: Pool, notifications: Notifications
) -> None:
    with an_application() as gone:
        pass  # its port is closed now
    names = [f"order-{number}" for number in range(4)]
    with MerchantApplication(gone.url, allow_private=True) as nobody:
        for half_hour in range(48):
            if half_hour % 12 == 0:
                for name in names:
                    pay(pool, name, parts=2, of=half_hour // 6)
            for lane in notifications.ring_due(page=100):
                assert telling(notifications, nobody.post)(lane) == 0
            time_passes(pool, 1_800)

    with an_application(port=int(gone.url.rsplit(":", 1)[1].split("/")[0])) as back:
        with MerchantApplication(back.url, allow_private=True) as merchant:
            time_passes(pool, RETRY_MAX_S)
            while lanes := notifications.ring_due(page=100):
                for lane in lanes:
                    telling(notifications, merchant.post)(lane)
                time_passes(pool, 11)

        assert {name: sequences(back, name) for name in names} == {name: list(range(1, 9)) for name in names}
    assert notifications.list(states=[DeliveryState.PENDING, DeliveryState.PARKED], after=0, page=9) == []


def test_what_fails_for_three_days_is_parked_and_a_person_has_it_sent(
    pool: Pool, notify: Notify, notifications: Notifications, application: Application
) -> None:
    pay(pool)
    application.answer = lambda _: (400, {}, b"unknown order")
    notify(ORDER_1)
    time_passes(pool, GIVE_UP_AFTER_S)

    assert notify(ORDER_1) == 0
    (parked,) = notifications.list(states=[DeliveryState.PARKED], after=0, page=9)
    assert parked.last_error == "answered 400: unknown order"
    application.answer = lambda _: (204, {}, b"")
    assert notify(ORDER_1) == 0

    assert notifications.resend_all(DeliveryState.PARKED, since=None) == 1
    assert notify(ORDER_1) == 1


def test_neither_secrets_nor_what_the_application_says_reach_the_log(
    pool: Pool, notify: Notify, application: Application
) -> None:
    pay(pool)
    with capture_logs() as logs:
        for status in (500, 410, 200):
            application.answer = lambda _, status=status: (status, {}, b"my password is hunter2")  # type: ignore[misc]
            notify(ORDER_1)
            time_passes(pool, 100)
            pay(pool, parts=1, of=5)

    text = str(logs)
    assert [one["event"] for one in logs][:2] == ["notify.failed", "notify.parked"]
    assert "hunter2" not in text
    assert SECRET not in text
    assert application.url not in text
