"""Ten thousand QRs renewed by a process that is killed five times end as undisturbed; its memory is flat."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from simulator.clock import utc_now
from simulator.facts import PAID, Invoice, InvoiceState, Payment, PaymentType
from simulator.server import Running, serving
from simulator.world import Switches
from tests.worker.conftest import MERCHANT, WEBHOOK_SECRET
from worker.settings import environment_without_settings

QRS = 10_000
KILLS = 5
THREADS = 8
AMOUNT, PART = 100_000, 30_000
GROWTH_MAX_KB = 25_000
"""Of the process, after its first thousand: less than a tenth of what 10,000 QRs' images alone would take."""

FILL = """
WITH numbered AS (
    SELECT 'order-' || n AS id, n, md5('qr' || n)::uuid AS qr FROM generate_series(1, %(qrs)s) AS n
),
made AS (
    INSERT INTO invoice (id, description, receiver_code, created_at)
    SELECT id, 'An order', 'terminal', now() FROM numbered
),
asked AS (
    INSERT INTO invoice_change (invoice_id, kind, amount_minor, currency, who, changed_at)
    SELECT id, 'amount', %(amount)s * 100, 'MNT', 'filled', now() FROM numbered
),
balanced AS (
    INSERT INTO invoice_balance (invoice_id, currency, due_minor) SELECT id, 'MNT', %(amount)s * 100 FROM numbered
)
INSERT INTO gateway_invoice (
    id, invoice_id, gateway, generation, number, external_id, amount_minor, currency, state, qr_text, issued_at,
    expires_at, issue_deadline
)
SELECT qr, id, 'qpay', 1, id, qr::text, %(amount)s * 100, 'MNT', 'open', id, now() - interval '6 days',
    now() + interval '1 hour', now() - interval '6 days'
FROM numbered
"""


@dataclass(slots=True, kw_only=True)
class Night:
    """What is renewed, by whom, and what is to come of it."""

    env: dict[str, str]
    folder: Path
    simulator: Running
    sql: psycopg.Connection[tuple[object, ...]]
    expected: dict[str, tuple[str, int]]
    """Of each invoice the status, and the amount that can be paid in the end."""

    def start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "worker.cli", "refresh", "--json"]
        return subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, text=True)

    def begun(self) -> int:
        ((count,),) = self.sql.execute("SELECT count(*) FROM gateway_invoice WHERE generation = 1 AND state <> 'open'")
        return int(str(count))

    def let_time_pass(self) -> None:
        """Let creates be given up that nobody knows the outcome of, and what failed be tried again."""
        self.sql.execute("UPDATE gateway_invoice SET issue_deadline = now() WHERE state = 'issuing'")
        self.sql.execute("UPDATE owed_qr SET next_try_at = now()")

    def found(self) -> dict[str, tuple[str, int]]:
        rows = self.sql.execute(
            "SELECT b.invoice_id, b.status, coalesce(sum(g.amount_minor), 0)::bigint / 100"
            " FROM invoice_balance AS b"
            " LEFT JOIN gateway_invoice AS g ON g.invoice_id = b.invoice_id AND g.state = 'open'"
            " GROUP BY b.invoice_id, b.status"
        )
        return {str(invoice): (str(status), int(str(amount))) for invoice, status, amount in rows}


@pytest.mark.slow
def test_ten_thousand_renewed_by_a_process_that_is_killed_five_times_end_as_undisturbed(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - to play it again
    rng = random.Random(seed)
    with _night(tmp_path, database_url, redis_url, rng=rng) as night:
        began_s, kept_kb = time.monotonic(), Counter[str]()
        for kill_at in sorted(rng.sample(range(QRS // 20, QRS * 19 // 20), KILLS)):
            _kill_when_begun(night, kill_at)
            night.let_time_pass()
        _run_to_the_end(night, kept_kb)
        took_s = time.monotonic() - began_s
        print(f"{QRS} QRs in {took_s:.0f} s, {KILLS} kills; {dict(kept_kb)} kB")  # noqa: T201 - what was measured

        assert night.found() == night.expected
        assert _payable_twice(night) <= KILLS * THREADS  # creates whose answer a killed process did not live to see
        assert _not_ours(night) == 0
        ((events, payments),) = night.sql.execute("SELECT count(*), count(DISTINCT payment_id) FROM payment_event")
        assert events == payments == len(night.simulator.world.book.payments())
        assert kept_kb["last"] - kept_kb["early"] < GROWTH_MAX_KB


def _kill_when_begun(night: Night, count: int) -> None:
    process = night.start()
    while night.begun() < count:
        assert process.poll() is None, process.stdout and process.stdout.read()
        time.sleep(0.02)
    process.kill()
    process.communicate()


def _run_to_the_end(night: Night, kept_kb: "Counter[str]") -> None:
    """Run until nothing is owed, and note the memory early on and at the end of the longest run."""
    for _ in range(5):
        process = night.start()
        before = night.begun()
        while process.poll() is None:
            if night.begun() >= before + min(1_000, (QRS - before) // 3) and not kept_kb["early"]:
                kept_kb["early"] = _rss_kb(process.pid)
            kept_kb["last"] = max(kept_kb["last"], _rss_kb(process.pid))
            time.sleep(0.05)
        process.communicate()
        if process.returncode == 0:
            return
        night.let_time_pass()
    pytest.fail("something is still owed after five runs")


def _rss_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)


def _payable_twice(night: Night) -> int:
    """Count the QRs that could be paid at the gateway beside another one of their invoice."""
    world = night.simulator.world
    open_of = Counter(
        invoice.number.split("-g")[0]
        for invoice in world.book.invoices()
        if world.book.state(invoice, now=world.clock()) is InvoiceState.OPEN
    )
    return sum(count - 1 for count in open_of.values())


def _not_ours(night: Night) -> int:
    """Count the QRs that are open here and cannot be paid there."""
    world = night.simulator.world
    rows = night.sql.execute("SELECT external_id FROM gateway_invoice WHERE state = 'open'").fetchall()
    found = [world.book.invoice(str(external_id)) for (external_id,) in rows]
    states = [None if one is None else world.book.state(one, now=world.clock()) for one in found]
    return sum(state is not InvoiceState.OPEN for state in states)


@contextmanager
def _night(folder: Path, database_url: str, redis_url: str, *, rng: random.Random) -> Iterator[Night]:
    with (
        serving(merchants=[MERCHANT], clock=utc_now, switches=Switches(qr_image_is_empty=True)) as simulator,
        psycopg.connect(database_url, autocommit=True, options="-c search_path=tootsoo") as sql,
    ):
        sql.execute(FILL, {"qrs": QRS, "amount": AMOUNT})
        expected = {f"order-{n}": ("unpaid", AMOUNT) for n in range(1, QRS + 1)}
        for n, qr in sql.execute("SELECT invoice_id, id FROM gateway_invoice").fetchall():
            _enter(simulator, str(n), qr)
        paid, part, void = (iter(rng.sample(sorted(expected), QRS // 50)) for _ in range(3))
        for invoice in void:
            expected[invoice] = ("void", 0)
            sql.execute("UPDATE invoice_balance SET voided_at = now() WHERE invoice_id = %s", [invoice])
        for kind, amount, invoices in (("paid", AMOUNT, paid), ("partially_paid", PART, part)):
            for invoice in invoices:
                if expected[invoice] == ("unpaid", AMOUNT):
                    expected[invoice] = (kind, AMOUNT - amount)
                    _pay(simulator, invoice, amount=amount)
        inherited = environment_without_settings()
        env = inherited | {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PUBLIC_URL": "http://127.0.0.1:9",
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
            "QPAY_BASE_URL": simulator.url,
            "QPAY_USERNAME": MERCHANT.username,
            "QPAY_PASSWORD": MERCHANT.password,
            "QPAY_INVOICE_CODE": MERCHANT.invoice_code,
            "REFRESH_PER_S": "1000",
            "REFRESH_THREADS": str(THREADS),
        }
        yield Night(env=env, folder=folder, simulator=simulator, sql=sql, expected=expected)


def _enter(simulator: Running, number: str, qr: UUID) -> None:
    now = utc_now()
    simulator.world.book.add_invoice(
        Invoice(
            gateway="qpay",
            invoice_id=str(qr),
            merchant=MERCHANT.username,
            invoice_code=MERCHANT.invoice_code,
            number=number,
            description="An order",
            amount=AMOUNT,
            callback_url="http://127.0.0.1:9/nowhere",
            qr_text=number,
            created_at=now - timedelta(days=6),
            expires_at=now + timedelta(hours=1),
            has_own_expiry=True,
            allow_partial=True,
        )
    )


def _pay(simulator: Running, invoice: str, *, amount: int) -> None:
    book = simulator.world.book
    of = book.newest(invoice, now=utc_now())
    assert of is not None
    book.add_payment(
        Payment(
            payment_id=f"{len(book.payments()):015}",
            invoice_id=of.invoice_id,
            amount=amount,
            fee=0,
            type=PaymentType.P2P,
            status=PAID,
            paid_at=utc_now(),
        )
    )
