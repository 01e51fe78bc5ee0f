"""Two decide about one line of a statement at the same moment: its money is counted once, whoever is faster."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.bank.reader import open_statement
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Appended, Ledger
from adapters.postgres.statement_lines import Decided, StatementLines
from domain.manual import Method
from domain.statement_match import State, Why
from tests import statements as written
from tests.adapters.postgres.samples import put
from tests.statements import ACCOUNT, running
from tests.waiting import wait_until
from tests.worker.test_statements import enter_by_hand
from worker.clock import utc_now
from worker.compose.statements import import_on, match_on, review_on
from worker.match_lines import LOOKED_AT_STATES, MatchLines
from worker.review_lines import NotDoneError, Reviewed, ReviewLines

OnAppend = Callable[[Appended], None]
Act = Callable[[Pool, OnAppend], object]


class _KilledError(BaseException):
    """Stands for a kill between two transactions."""


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=6) as pool:
        yield pool


@pytest.fixture
def line(tmp_path: Path, pool: Pool) -> int:
    """A line that waits, since its invoice came later, and a payment by hand that it might settle."""
    path = written.khan_json(tmp_path / "a.json", running((50_000, "order-1001")))
    import_on(pool)(open_statement(path, bank="khan", account=ACCOUNT), who="Bat", dry_run=False, tell=lambda *_: None)
    put(Invoices(pool), "order-1001", amount="50000")
    put(Invoices(pool), "order-1002", amount="70000")
    enter_by_hand(pool, "order-1002", "40000", method=Method.TRANSFER, at=None)
    return 1


def assign(pool: Pool, on_append: OnAppend) -> object:
    ledger = Ledger(pool, on_append=on_append)
    review = ReviewLines(lines=StatementLines(pool), invoices=Invoices(pool), ledger=ledger, clock=utc_now)
    return review.assign(1, "order-1001", who="Bat")


def match(pool: Pool, on_append: OnAppend) -> object:
    look = MatchLines(lines=StatementLines(pool), ledger=Ledger(pool, on_append=on_append), clock=utc_now)
    return look(states=LOOKED_AT_STATES, tell=lambda *_: None)


def link(pool: Pool) -> Reviewed:
    return review_on(pool).link(1, ("manual_bank", "till-1"), who="Dorj", anyway=True)


def ignore(pool: Pool) -> Reviewed:
    return review_on(pool).ignore(1, who="Dorj", reason="The owner's own money")


def received(pool: Pool, gateway: str) -> int:
    return sum(one.gateway == gateway for one in Ledger(pool).payments(after=0, page=100))


def somebody_waits(pool: Pool) -> bool:
    with pool.connection() as connection:
        waiting = "SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
        waiting += " WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = current_database()"
        return connection.execute(waiting).fetchone() is not None


@pytest.mark.parametrize("faster", [assign, match])
@pytest.mark.parametrize("slower", [link, ignore])
def test_a_line_that_is_just_being_recorded_is_not_linked_or_ignored_as_well(
    pool: Pool, line: int, faster: Act, slower: Callable[[Pool], Reviewed]
) -> None:
    others: list[Future[Reviewed]] = []
    with ThreadPoolExecutor(max_workers=1) as somebody:

        def in_between(_: Appended) -> None:
            others.append(somebody.submit(slower, pool))
            wait_until(lambda: others[0].done() or somebody_waits(pool), within_s=60)

        faster(pool, in_between)
        with pytest.raises(NotDoneError, match="is recorded on order-1001"):
            others[0].result(timeout=60)

    assert review_on(pool).line(line).state is State.RECORDED
    assert received(pool, "bank") == 1


@pytest.mark.parametrize("later", [link, ignore])
def test_a_line_whose_recording_was_killed_half_way_is_recorded_and_nothing_else(
    pool: Pool, line: int, later: Callable[[Pool], Reviewed]
) -> None:
    def killed(_: Appended) -> None:
        raise _KilledError

    with pytest.raises(_KilledError):
        assign(pool, killed)

    with pytest.raises(NotDoneError, match="was recorded on order-1001 already"):
        later(pool)

    match_on(pool)(states=LOOKED_AT_STATES, tell=lambda *_: None)
    assert review_on(pool).line(line).state is State.RECORDED
    assert received(pool, "bank") == 1


def test_a_line_that_a_person_decided_about_after_it_was_read_is_not_matched(pool: Pool, line: int) -> None:
    lines = StatementLines(pool)
    ignored = Decided(line_id=line, state=State.IGNORED, why=Why.PERSON, who="Dorj", reason="The owner's own money")
    with ThreadPoolExecutor(max_workers=1) as somebody:
        with lines.deciding_alone():
            matching = somebody.submit(match_on(pool), states=LOOKED_AT_STATES, tell=lambda *_: None)
            wait_until(lambda: somebody_waits(pool), within_s=4)  # with the line read
            lines.decide([ignored], states=LOOKED_AT_STATES, now=utc_now())
        matched = matching.result(timeout=60)

    assert not matched.counts
    assert received(pool, "bank") == 0
    assert review_on(pool).line(line).state is State.IGNORED
