"""Of each invoice one notification is at hand at any time, the first that is not told; and none is lost or stuck."""

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.connection import Pool
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.notifications import Claimed, DeliveryState, Notifications
from domain.delivery import GIVE_UP_AFTER_S, Lane, Reply
from domain.discrepancy import Discrepancy, DiscrepancyKind
from tests.adapters.postgres.samples import NOON, append, put
from tests.domain.samples import an_event

ORDER_1 = Lane(invoice_id="order-1")
OK, DOWN = Reply(status=204, reason="answered 204"), Reply(status=None, reason="cannot be reached")


@pytest.fixture
def notifications(pool: Pool) -> Notifications:
    return Notifications(pool, timeout_s=10)


def stage(invoices: Invoices, ledger: Ledger, invoice_id: str = "order-1", *, count: int = 3) -> None:
    """Let an invoice be paid in so many parts."""
    put(invoices, invoice_id)
    for part in range(count):
        append(ledger, [an_event(f"{invoice_id}:{part}", amount="1", invoice_id=invoice_id)])


def claim(notifications: Notifications, lane: Lane = ORDER_1) -> Claimed:
    claimed = notifications.claim(lane, lease_token=uuid4())
    assert claimed is not None
    return claimed


def refuses(notifications: Notifications, lane: Lane = ORDER_1) -> bool:
    return notifications.claim(lane, lease_token=uuid4()) is None


def time_passes(pool: Pool, seconds: float) -> None:
    """Move everything that was written down into the past."""
    with pool.connection() as connection:
        connection.execute(
            "UPDATE notification SET next_try_at = next_try_at - %(s)s * interval '1 second',"
            " first_tried_at = first_tried_at - %(s)s * interval '1 second',"
            " rung_at = rung_at - %(s)s * interval '1 second', lease_until = lease_until - %(s)s * interval '1 second',"
            " ended_at = ended_at - %(s)s * interval '1 second'",
            {"s": seconds},
        )


def states(notifications: Notifications, invoice_id: str | None = None) -> list[str]:
    found = notifications.list(states=list(DeliveryState), invoice_id=invoice_id, after=0, page=1_000)
    return [one.state.value for one in found]


def test_an_invoices_notifications_are_told_one_after_the_other(
    invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger)

    told = []
    while (claimed := notifications.claim(ORDER_1, lease_token=uuid4())) is not None:
        assert refuses(notifications)
        told.append(claimed.staged.sequence)
        assert notifications.delivered(claimed, OK)

    assert told == [1, 2, 3]
    assert states(notifications) == ["delivered"] * 3


def test_one_that_fails_holds_back_the_later_ones_of_its_invoice_and_no_others(
    pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger)
    stage(invoices, ledger, "order-2", count=1)

    assert notifications.try_again(claim(notifications), DOWN, delay_s=60)

    assert refuses(notifications)
    assert claim(notifications, Lane(invoice_id="order-2")).staged.sequence == 1
    time_passes(pool, 61)
    again = claim(notifications)
    assert (again.staged.sequence, again.attempts) == (1, 2)
    assert again.tried_for_s > 60


def test_one_that_is_parked_holds_back_nothing(
    invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger)

    assert notifications.park(claim(notifications), DOWN)

    assert claim(notifications).staged.sequence == 2
    assert states(notifications) == ["parked", "pending", "pending"]


def test_a_late_holder_changes_nothing(
    pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger, count=1)
    late = claim(notifications)
    time_passes(pool, 60)
    current = claim(notifications)

    assert not notifications.delivered(late, OK)
    assert not notifications.park(late, DOWN)
    assert not notifications.try_again(late, DOWN, delay_s=1)

    assert current.attempts == 2
    assert current.staged.message_id == late.staged.message_id
    assert notifications.delivered(current, OK)


def test_a_holder_who_dies_makes_the_next_wait_longer(
    pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger, count=1)
    for _ in range(6):
        claim(notifications)
        time_passes(pool, 400)

    claim(notifications)
    time_passes(pool, 60)

    assert refuses(notifications)


def test_what_kills_workers_for_days_is_parked(
    pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger, count=1)
    claim(notifications)
    time_passes(pool, GIVE_UP_AFTER_S)
    assert notifications.park_overdue(page=10) == 0

    time_passes(pool, 3_601)

    assert notifications.park_overdue(page=10) == 1
    assert states(notifications) == ["parked"]


def test_a_pause_holds_back_everything_and_ends_by_itself(
    pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger, count=1)
    stage(invoices, ledger, "order-2", count=1)

    notifications.pause(120)

    assert refuses(notifications)
    assert notifications.ring_due(page=10) == []
    with pool.connection() as connection:
        connection.execute("UPDATE notification_pause SET until = until - interval '121 seconds'")
    assert len(notifications.ring_due(page=10)) == 2
    claim(notifications)


@pytest.mark.parametrize("column", ["next_try_at", "lease_until", "until"])
def test_a_clock_that_was_set_back_holds_up_nothing(
    pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications, column: str
) -> None:
    stage(invoices, ledger, count=1)
    with pool.connection() as connection:
        match column:
            case "next_try_at":
                connection.execute("UPDATE notification SET next_try_at = now() + interval '1 day'")
            case "lease_until":
                connection.execute(
                    "UPDATE notification SET lease_token = gen_random_uuid(), lease_until = now() + interval '1 day'"
                )
            case _:
                notifications.pause(86_400)

    assert notifications.ring_due(page=10) == [ORDER_1]
    assert claim(notifications).staged.sequence == 1


def test_each_lane_is_rung_once_in_ten_seconds_and_only_for_its_first(
    pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger)
    Discrepancies(pool).ask(a_question(), now=NOON)

    assert sorted(str(lane) for lane in notifications.ring_due(page=10)) == ["invoice order-1", "notification 4"]
    assert notifications.ring_due(page=10) == []
    time_passes(pool, 11)
    assert len(notifications.ring_due(page=10)) == 2


def test_what_is_of_no_invoice_waits_for_nobody(ledger: Ledger, notifications: Notifications) -> None:
    append(ledger, [an_event("7", invoice_id=None), an_event("8", invoice_id=None)])

    lanes = notifications.ring_due(page=10)
    claimed = [claim(notifications, lane) for lane in lanes]

    assert sorted(one.staged.data["payment_id"] for one in claimed) == ["7", "8"]
    assert all(notifications.delivered(one, OK) for one in claimed)
    assert [refuses(notifications, lane) for lane in lanes] == [True, True]


def test_where_nobody_is_told_for_days_it_is_left_unsent_and_sent_when_a_person_says_so(
    pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger)
    assert notifications.leave_unsent(page=10) == 0

    time_passes(pool, GIVE_UP_AFTER_S + 1)
    stage(invoices, ledger, "order-2", count=1)

    assert notifications.leave_unsent(page=10) == 3
    assert states(notifications) == ["unsent", "unsent", "unsent", "pending"]
    assert refuses(notifications)
    assert notifications.resend_all(DeliveryState.UNSENT, since=NOON + timedelta(days=1)) == 0
    assert notifications.resend_all(DeliveryState.UNSENT, since=NOON) == 3
    assert claim(notifications).staged.sequence == 1


def test_what_waits_behind_one_that_fails_for_days_gets_days_of_its_own(
    pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger)
    first = claim(notifications)
    notifications.try_again(first, DOWN, delay_s=0)
    time_passes(pool, GIVE_UP_AFTER_S + 1)
    assert notifications.leave_unsent(page=10) == 0

    notifications.park(claim(notifications), DOWN)

    assert notifications.leave_unsent(page=10) == 0
    assert claim(notifications).staged.sequence == 2


def test_what_was_delivered_is_sent_again_under_its_id_when_a_person_says_so(
    invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger, count=2)
    first = claim(notifications)
    notifications.delivered(first, OK)

    assert notifications.resend([first.staged.id]) == 1

    again = claim(notifications)
    assert (again.staged, again.attempts) == (first.staged, 1)
    assert refuses(notifications)
    assert notifications.resend([again.staged.id]) == 0  # it is being sent


def test_housekeeping_keeps_what_waits_and_the_last_of_each_invoice(
    database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger, notifications: Notifications
) -> None:
    stage(invoices, ledger, count=4)
    stage(invoices, ledger, "order-2", count=2)
    append(ledger, [an_event("7", invoice_id=None)])
    for lane in (ORDER_1, ORDER_1, ORDER_1, ORDER_1, Lane(notification_id=7)):
        notifications.delivered(claim(notifications, lane), OK)
    notifications.park(claim(notifications, Lane(invoice_id="order-2")), DOWN)
    with psycopg.connect(database_url) as superuser:
        superuser.execute("UPDATE tootsoo.notification SET staged_at = now() - interval '100 days'")
    assert notifications.remove_older(days=90, page=2) == 0  # delivered just now

    time_passes(pool, 91 * 86_400)

    assert notifications.remove_older(days=90, page=2) == 4
    assert states(notifications) == ["delivered", "parked", "pending"]
    append(ledger, [an_event("more", amount="1")])
    assert notifications.list(states=list(DeliveryState), after=7, page=9)[0].staged.sequence == 5


def test_the_application_may_not_change_what_was_staged(pool: Pool, invoices: Invoices, ledger: Ledger) -> None:
    stage(invoices, ledger, count=1)

    for column in ("data", "sequence", "type", "message_id", "staged_at", "invoice_id"):
        change = sql.SQL("UPDATE notification SET {} = DEFAULT").format(sql.Identifier(column))
        with pool.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(change)


@pytest.mark.parametrize("seed", range(3))
def test_many_holders_at_once_tell_each_invoice_in_order_and_nothing_twice_at_a_time(
    invoices: Invoices, ledger: Ledger, notifications: Notifications, seed: int
) -> None:
    names = [f"order-{number}" for number in range(5)]
    for name in names:
        stage(invoices, ledger, name, count=6)
    begun: dict[str, list[int]] = {name: [] for name in names}
    ended: dict[str, list[int]] = {name: [] for name in names}

    def work(worker: int) -> None:
        chance = random.Random(f"{seed}:{worker}")
        while any(len(one) < 6 for one in ended.values()):
            name = chance.choice(names)
            claimed = notifications.claim(Lane(invoice_id=name), lease_token=uuid4())
            if claimed is None:
                continue
            sequence = claimed.staged.sequence or 0
            assert len(begun[name]) == len(ended[name])  # nobody else is at it
            begun[name].append(sequence)
            ended[name].append(sequence)
            if chance.random() < 0.3:
                ended[name].pop()
                begun[name].pop()
                assert notifications.try_again(claimed, DOWN, delay_s=0)
            else:
                assert notifications.delivered(claimed, OK)

    with ThreadPoolExecutor(max_workers=6) as threads:
        _all(threads.map(work, range(6)))

    assert ended == {name: [1, 2, 3, 4, 5, 6] for name in names}


def _all(results: Iterable[None]) -> None:
    for _ in results:
        pass


def a_question() -> Discrepancy:
    return Discrepancy(
        kind=DiscrepancyKind.CHANGED_STATUS,
        gateway="qpay",
        subject="1",
        fingerprint="",
        detail="the payment was PAID and is now NEW",
        invoice_id=None,
        payment_id="1",
    )
