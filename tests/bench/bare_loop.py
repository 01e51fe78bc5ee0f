"""The limit of settling: messages, one POST and three transactions for each payment, bare, in one loop."""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from adapters.redis.doorbell import SETTLE_ACTOR, queue_of
from tests.bench.database import OpenQr, load_bench_queries
from tests.bench.payments import NOON

_bare = load_bench_queries("bare")

_APPEND = (
    _bare.insert_event.sql,
    _bare.insert_payment.sql,
    _bare.update_balance.sql,
    _bare.insert_notification.sql,
    _bare.finish_check.sql,
)


class BareLoop:
    """So many threads, each with its own connections to PostgreSQL and to the gateway, which are kept."""

    def __init__(self, *, database_url: str, redis_url: str, gateway_url: str, threads: int) -> None:
        self._queue = queue_of("qpay")
        self._broker = RedisBroker(url=redis_url, namespace="bare", middleware=[])  # type: ignore[no-untyped-call]
        self._check_url = f"{gateway_url}/v2/payment/check"
        self._lanes = [
            (
                psycopg.connect(database_url, autocommit=True, options="-c search_path=tootsoo"),
                httpx.Client(trust_env=False, headers={"Authorization": "Bearer A"}),
            )
            for _ in range(threads)
        ]

    def close(self) -> None:
        for connection, client in self._lanes:
            connection.close()
            client.close()
        self._broker.close()

    def settle(self, qrs: Iterable[OpenQr]) -> None:
        """Settle the payments on all of these QRs."""
        known = {str(qr.gateway_invoice_id): qr for qr in qrs}
        waiting = iter(list(known))
        with ThreadPoolExecutor(len(self._lanes)) as threads:
            for done in [threads.submit(self._work, *lane, waiting, known) for lane in self._lanes]:
                done.result()

    def _work(
        self,
        connection: psycopg.Connection[Any],
        client: httpx.Client,
        waiting: Iterable[str],
        known: Mapping[str, OpenQr],
    ) -> None:
        for asked in waiting:
            connection.execute(_bare.request_check.sql, {"id": UUID(asked)}, prepare=True)
            self._enqueue(asked)
            message = Message.decode(self._broker.do_fetch(self._queue, 1)[0])
            qr = known[message.args[0]]
            claim = {"id": qr.gateway_invoice_id, "lease_token": uuid4()}
            connection.execute(_bare.claim_check.sql, claim, prepare=True)
            self._append(connection, qr, self._ask(client, qr))
            self._broker.do_ack(self._queue, message.options["redis_message_id"])

    def _enqueue(self, asked: str) -> None:
        message: Message[None] = Message(
            queue_name=self._queue, actor_name=SETTLE_ACTOR, args=(asked,), kwargs={}, options={}
        )
        self._broker.enqueue(message)

    def _ask(self, client: httpx.Client, qr: OpenQr) -> dict[str, Any]:
        offset = {"page_number": 1, "page_limit": 100}
        body = {"object_type": "INVOICE", "object_id": qr.external_id, "offset": offset}
        rows: list[dict[str, Any]] = client.post(self._check_url, json=body).json()["rows"]
        return rows[0]

    def _append(self, connection: psycopg.Connection[Any], qr: OpenQr, row: Mapping[str, Any]) -> None:
        parameters = {
            "payment_id": row["payment_id"],
            "invoice_id": qr.invoice_id,
            "gateway_invoice_id": qr.gateway_invoice_id,
            "amount_minor": round(float(row["payment_amount"]) * 100),
            "occurred_at": NOON,
            "recorded_at": NOON,
            "raw": json.dumps(row, ensure_ascii=False),
        }
        with connection.transaction(), connection.cursor() as cursor:
            for statement in _APPEND:
                cursor.execute(statement, parameters, prepare=True)
