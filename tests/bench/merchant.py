"""A merchant for benchmarks of discovery: seeded QRs, a QPay in this process whose clock is set, and what sweeps it."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import SecretStr

from adapters.embedded.servers import EmbeddedServers
from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.discoveries import Discoveries
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.history import History
from adapters.postgres.ledger import Ledger
from adapters.postgres.ties import Ties
from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.following import Unmatched
from simulator.book import Book
from simulator.facts import Invoice, Merchant, Payment, PaymentType
from simulator.server import Running, serving
from tests.bench.database import OpenQr, database, seed_unasked_qrs
from worker.discover import Discover
from worker.follow import Follow
from worker.held import Held
from worker.logs import configure_logs
from worker.ring import Ring
from worker.settle import Settle
from worker.sweep import Sweep

ACCOUNT = Merchant(username="TEST_MERCHANT", password="simulator-password", invoice_code="TEST_INVOICE")
AMOUNT = 15_000
THREADS = 4
CHECK, LOOK_UP, LIST = "POST /v2/payment/check", "GET /v2/payment/{payment_id}", "POST /v2/payment/list"


@dataclass(slots=True)
class BenchClock:
    """A clock that stands still until it is moved."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def timestamp(self) -> float:
        return self.now.timestamp()


@dataclass(slots=True, kw_only=True)
class BenchMerchant:
    """One merchant with its database, its QPay and its clock."""

    url: str
    clock: BenchClock
    qpay: Running
    qrs: Iterator[OpenQr]
    pool: Pool
    discover: Discover
    settle: Settle
    bell: list[UUID]
    """The QRs that workers should be woken for."""
    paid: int = 0

    def pay(self, at: datetime) -> OpenQr:
        """Let a customer pay the next QR at that time, and say nothing."""
        qr = next(self.qrs)
        self.paid += 1
        _pay(self.qpay.world.book, qr, number=self.paid, at=at)
        return qr

    def settle_due(self) -> None:
        """Make every check for which the bell was rung."""
        rung = list(self.bell)
        self.bell.clear()
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(self.settle, rung))

    def calls(self, *endpoints: str) -> int:
        """Count the calls that QPay has had."""
        counted = self.qpay.world.calls.by_endpoint()
        return sum(counted.get(endpoint, 0) for endpoint in endpoints)


@contextmanager
def bench_merchant(servers: EmbeddedServers, admin_url: str, *, name: str, qrs: int) -> Iterator[BenchMerchant]:
    """Make a database with `qrs` open QRs of which QPay knows those that are paid, and what sweeps it. Logs errors."""
    configure_logs(process="bench", log_format="console", log_level="error")
    clock = BenchClock()
    with (
        database(admin_url, name) as url,
        serving(merchants=[ACCOUNT], clock=clock) as qpay,
        open_pool(url, size=THREADS + 2) as pool,
        QPayGateway(
            QPayConfig(
                base_url=qpay.url,
                username=ACCOUNT.username,
                password=SecretStr(ACCOUNT.password),
                invoice_code=ACCOUNT.invoice_code,
                allow_partial=False,
            ),
            redis_url=servers.redis_url,
            now=clock.timestamp,
            limits=Limits(),
        ) as gateway,
    ):
        seeded = seed_unasked_qrs(url, qrs, due_minor=AMOUNT * 100)
        bell: list[UUID] = []
        ring: Ring = lambda _, qr, __: bell.append(qr)  # noqa: E731 - the queue of a worker
        requests = CheckRequests(pool, spacing_s=0.0, retry_base_s=2.0, retry_max_s=600.0)
        yield BenchMerchant(
            url=url,
            clock=clock,
            qpay=qpay,
            qrs=iter(seeded),
            pool=pool,
            discover=_discover(pool, gateway, requests, clock, ring),
            settle=_settle(pool, gateway, requests, clock, ring),
            bell=bell,
        )


def _discover(pool: Pool, gateway: QPayGateway, requests: CheckRequests, clock: BenchClock, ring: Ring) -> Discover:
    discoveries = Discoveries(pool)
    return Discover(
        gateways={gateway.name: gateway},
        sweep=Sweep(
            discoveries=discoveries, discrepancies=Discrepancies(pool), clock=clock, told_to_stop=threading.Event()
        ),
        follow=Follow(
            discoveries=discoveries,
            ties=Ties(pool),
            check_requests=requests,
            ledger=Ledger(pool),
            ring=ring,
            clock=clock,
            unmatched=Unmatched.SUSPENSE,
            told_to_stop=threading.Event(),
        ),
    )


def _settle(pool: Pool, gateway: QPayGateway, requests: CheckRequests, clock: BenchClock, ring: Ring) -> Settle:
    return Settle(
        gateways={gateway.name: gateway},
        check_requests=requests,
        ledger=Ledger(pool),
        history=History(pool),
        ring=ring,
        clock=clock,
        retry_base_s=2.0,
        retry_max_s=600.0,
        retry_limit=600,
        held=Held(),
    )


def _pay(book: Book, qr: OpenQr, *, number: int, at: datetime) -> None:
    book.add_invoice(
        Invoice(
            gateway="qpay",
            invoice_id=qr.external_id,
            merchant=ACCOUNT.username,
            invoice_code=ACCOUNT.invoice_code,
            number=qr.invoice_id,
            description="An order",
            amount=AMOUNT,
            callback_url="http://127.0.0.1:9/nobody",
            qr_text=f"qr of {qr.external_id}",
            created_at=at,
            expires_at=None,
            has_own_expiry=False,
        )
    )
    book.add_payment(
        Payment(
            payment_id=str(10**14 + number),
            invoice_id=qr.external_id,
            amount=AMOUNT,
            fee=AMOUNT // 100,
            type=PaymentType.P2P,
            status="PAID",
            paid_at=at,
        )
    )


def minutes_before(clock: BenchClock, count: int) -> Sequence[datetime]:
    """Return `count` times, evenly over the last five minutes."""
    return [clock.now - timedelta(minutes=5) * (n + 1) / (count + 1) for n in range(count)]
