"""P2 and P3: what appending and projecting costs, against the bare statements that write the same rows."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.ledger import Ledger
from adapters.postgres.recorded import nothing_paid
from domain.reconciler import Decision, reconcile
from domain.recorded import Recorded
from tests.adapters.postgres.samples import append
from tests.bench.database import database, fill_events, load_bench_queries, running_server, seed_qrs
from tests.bench.figures import Figure
from tests.bench.payments import NOON, Payment, Supply
from tests.bench.rounds import Rounds, interleave, say, seconds
from tests.bench.sizes import Sizes

REACH = 0.8
CONNECTIONS = (1, 8)
BATCH = 500

SINGLE_LIMIT = (
    "INSERT event, payment and notification, UPDATE balance and QR: prepared, one transaction a payment, on the same "
    "connections"
)
BATCH_LIMIT = (
    "INSERT 500 events, payments and notifications, UPDATE their balances and QRs: prepared, one transaction a batch"
)

_bare = load_bench_queries("bare")

Work = Callable[[Sequence[Payment]], object]
Prepare = Callable[[Pool, Sequence[Payment]], Callable[[], object]]
"""Gets everything ready for one thread's payments and returns what is to be timed."""


def measure_single(sizes: Sizes) -> Iterator[Figure]:
    """P2: one payment at a time, with 1 and with 8 connections, with fsync on and off."""
    per_round = sizes.single_payments
    for fsync in (False, True):
        with running_server(fsync=fsync) as admin_url, database(admin_url, "single") as url:
            count = 2 * len(CONNECTIONS) * per_round * (sizes.rounds + 1)
            say(f"P2, fsync {_on(fsync)}: seeding {count:,} QRs")
            fill_events(url, sizes.small_events)
            supply = Supply(seed_qrs(url, count))
            for connections in CONNECTIONS:
                say(f"P2, fsync {_on(fsync)}, {connections} connection(s) ", end="")
                rounds = _race(url, supply, per_round, sizes.rounds, connections, ours=_our_single, bare=_bare_single)
                yield _figure(
                    "P2", f"one payment, {connections} conn, fsync {_on(fsync)}", rounds, limit_is=SINGLE_LIMIT
                )


def measure_batches(sizes: Sizes) -> Iterator[Figure]:
    """P3: batches of 500 payments, each of its own invoice."""
    per_round = sizes.batches * BATCH
    for fsync in (False, True):
        with running_server(fsync=fsync) as admin_url, database(admin_url, "batches") as url:
            count = 2 * per_round * (sizes.rounds + 1)
            say(f"P3, fsync {_on(fsync)}: seeding {count:,} QRs")
            fill_events(url, sizes.small_events)
            supply = Supply(seed_qrs(url, count))
            say(f"P3, fsync {_on(fsync)} ", end="")
            rounds = _race(url, supply, per_round, sizes.rounds, 1, ours=_our_batches, bare=_bare_batches)
            yield _figure("P3", f"batches of {BATCH}, fsync {_on(fsync)}", rounds, limit_is=BATCH_LIMIT)


def _race(
    url: str, supply: Supply, per_round: int, rounds: int, connections: int, *, ours: Prepare, bare: Prepare
) -> Rounds:
    with open_pool(url, size=connections) as pool, _lanes(connections) as rate:

        def turn(prepare: Prepare, _: int) -> float:
            return rate(partial(prepare, pool), supply.take(per_round))

        return interleave({"ours": partial(turn, ours), "limit": partial(turn, bare)}, rounds=rounds)


@contextmanager
def _lanes(
    count: int,
) -> Iterator[Callable[[Callable[[Sequence[Payment]], Callable[[], object]], Sequence[Payment]], float]]:
    """As many threads as connections, each with its own share; yields what tells their rate together."""
    with ThreadPoolExecutor(max_workers=count) as threads:

        def rate(prepare: Callable[[Sequence[Payment]], Callable[[], object]], payments: Sequence[Payment]) -> float:
            ready = [prepare(payments[lane::count]) for lane in range(count)]
            return len(payments) / seconds(lambda: [one.result() for one in [threads.submit(work) for work in ready]])

        yield rate


def our_append(pool: Pool) -> Callable[[Payment], object]:
    """Our transaction for one payment: append, project, finish the check that found it."""
    ledger, requests = Ledger(pool), CheckRequests(pool, spacing_s=2.0, retry_base_s=2.0, retry_max_s=600.0)

    def settle(payment: Payment) -> None:
        check = payment.check
        guess = nothing_paid(check.invoice_id, due_minor=payment.qr.amount_minor, currency=check.currency)
        ledger.append(
            payment.about,
            partial(_reconcile, payment),
            recorded_at=NOON,
            finished=requests.finished(check, seen_payment_ids=[payment.event.payment_id]),
            guess=guess,
        )

    return settle


def _reconcile(payment: Payment, recorded: Recorded) -> Decision:
    return reconcile(payment.answer, checked=payment.checked, recorded=recorded, seen_at=NOON)


def _our_single(pool: Pool, payments: Sequence[Payment]) -> Callable[[], object]:
    settle = our_append(pool)

    def work() -> None:
        for payment in payments:
            settle(payment)

    return work


def _bare_single(pool: Pool, payments: Sequence[Payment]) -> Callable[[], object]:
    """Five prepared statements for each payment, their parameters ready, on a connection that is kept."""
    statements = (
        _bare.insert_event.sql,
        _bare.insert_payment.sql,
        _bare.update_balance.sql,
        _bare.insert_notification.sql,
        _bare.finish_check.sql,
    )
    parameters = [payment.parameters for payment in payments]

    def work() -> None:
        with pool.connection() as connection, connection.cursor() as cursor:
            for one in parameters:
                with connection.transaction():
                    for statement in statements:
                        cursor.execute(statement, one, prepare=True)

    return work


def _our_batches(pool: Pool, payments: Sequence[Payment]) -> Callable[[], object]:
    ledger = Ledger(pool)

    def work() -> None:
        for batch in _batches(payments):
            append(ledger, [payment.event for payment in batch])

    return work


def _bare_batches(pool: Pool, payments: Sequence[Payment]) -> Callable[[], object]:
    """Five prepared statements for each batch, their parameters ready, on a connection that is kept."""
    statements = (
        _bare.insert_events.sql,
        _bare.insert_payments.sql,
        _bare.update_balances.sql,
        _bare.insert_notifications.sql,
        _bare.settle_qrs.sql,
    )
    parameters = [_columns(batch) for batch in _batches(payments)]

    def work() -> None:
        with pool.connection() as connection, connection.cursor() as cursor:
            for one in parameters:
                with connection.transaction():
                    for statement in statements:
                        cursor.execute(statement, one, prepare=True)

    return work


def _columns(batch: Sequence[Payment]) -> dict[str, object]:
    rows = [payment.parameters for payment in batch]
    columns: dict[str, object] = {
        f"{name}s": [row[name] for row in rows]
        for name in ("payment_id", "invoice_id", "gateway_invoice_id", "occurred_at", "raw")
    }
    return {**columns, "amounts_minor": [row["amount_minor"] for row in rows], "recorded_at": NOON}


def _batches(payments: Sequence[Payment]) -> Iterator[Sequence[Payment]]:
    return (payments[start : start + BATCH] for start in range(0, len(payments), BATCH))


def _figure(id_: str, work: str, rounds: Rounds, *, limit_is: str) -> Figure:
    return Figure(
        id=id_,
        work=work,
        ours=rounds.median("ours"),
        limit=rounds.median("limit"),
        unit="/s",
        limit_is=limit_is,
        ratio=rounds.ratio("ours", "limit"),
        ratios=tuple(rounds.ratios("ours", "limit")),
        reach=REACH,
    )


def _on(fsync: bool) -> str:
    return "on" if fsync else "off"
