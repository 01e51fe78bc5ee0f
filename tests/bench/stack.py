"""Whole processes on one machine, for a benchmark, with servers of their own and a gateway that answers at once."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from adapters.embedded.servers import EmbeddedServers
from adapters.postgres.schema import migrate
from tests.bench.database import OpenQr, fill_events, seed_unasked_qrs
from tests.bench.instant import payment_of
from tests.faults.fleet import Fleet, await_start, wait_for
from tests.faults.servers import own_servers
from worker.local import StackSecrets, free_port
from worker.webhook_token import WebhookTokens

UP_WITHIN_S = 60.0
AMOUNT = 15_000
"""Tögrög, of each QR and its payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What runs, and where."""

    servers: EmbeddedServers
    fleet: Fleet
    instant_port: int
    web_port: int
    qrs: Iterator[OpenQr]
    """Each with nothing asked for yet."""
    tokens: WebhookTokens

    def path_of(self, qr: OpenQr) -> str:
        """Return what QPay would call about a payment on a QR."""
        return (
            f"/v2/qpay/webhook/{self.tokens.make(qr.gateway_invoice_id)}?qpay_payment_id={payment_of(qr.external_id)}"
        )

    def start_worker(self) -> None:
        """Start what settles, and wait until it works."""
        for name in ("worker", "scheduler"):
            await_start(self.fleet.start(name))

    def waiting(self, queue: str) -> int:
        """Count the messages in a queue of Redis."""
        with redis.Redis.from_url(self.servers.redis_url) as client:
            return int(client.llen(queue))

    def forget_messages(self) -> None:
        with redis.Redis.from_url(self.servers.redis_url) as client:
            client.flushdb()


@contextmanager
def running_stack(*, qrs: int, events: int) -> Iterator[Stack]:
    """Run PostgreSQL, Valkey, web and the gateway for as long as the context lasts, on `qrs` QRs and `events` events.

    Nothing is synced to disk: a disk that everybody waits for would hide what our processes cost.
    """
    with ExitStack() as undo:
        servers = undo.enter_context(own_servers())
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="tootsoo-bench-")))
        migrate(servers.postgres_url, qpay_env="sandbox")
        fill_events(servers.postgres_url, events)
        seeded = seed_unasked_qrs(servers.postgres_url, qrs, due_minor=AMOUNT * 100)
        kept = StackSecrets.make()
        instant_port, web_port = free_port(), free_port()
        fleet = Fleet(
            folder,
            env={
                "DATABASE_URL": servers.postgres_url,
                "REDIS_URL": servers.redis_url,
                "PUBLIC_URL": f"http://127.0.0.1:{web_port}",
                "WEBHOOK_SECRET": kept.webhook_secret,
                "SEAL_SECRET": kept.seal_secret,
                "QPAY_ENV": "sandbox",
                "QPAY_BASE_URL": f"http://127.0.0.1:{instant_port}",
                "QPAY_USERNAME": "TEST_MERCHANT",
                "QPAY_PASSWORD": kept.qpay_password,
                "QPAY_INVOICE_CODE": "TEST_INVOICE",
                "BENCH_AMOUNT": str(AMOUNT),
                "RATE_PER_KEY": "1000000",
            },
            logs=folder,
        )
        undo.callback(fleet.stop)
        start_module(fleet, "instant", port=instant_port)
        fleet.start("web", "--port", str(web_port))
        await_listening(web_port)
        yield Stack(
            servers=servers,
            fleet=fleet,
            instant_port=instant_port,
            web_port=web_port,
            qrs=iter(seeded),
            tokens=WebhookTokens([kept.webhook_secret]),
        )


def start_module(fleet: Fleet, name: str, *, port: int) -> None:
    """Start a module of this folder as a process that listens on a port, and wait until it does."""
    fleet.start(name, python=("-P", "-m", f"tests.bench.{name}"), BENCH_PORT=str(port))
    await_listening(port)


def await_listening(port: int) -> None:
    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(f"somebody listens on {port}", listens, within_s=UP_WITHIN_S)
