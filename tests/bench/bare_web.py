"""The limits of what the web process does: the same server, with two more handlers that do no more than they must.

One is a bare UPDATE and a bare enqueue, as for a callback; one is a bare SELECT, as for an invoice. Run as a process,
with the settings of `tootsoo web` and BENCH_PORT.
"""

import os
from unittest.mock import patch
from uuid import UUID

import psycopg
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from psycopg_pool import ConnectionPool

from adapters.redis.doorbell import SETTLE_ACTOR, queue_of
from tests.bench.database import load_bench_queries
from worker.cli import processes
from worker.settings import DatabaseSettings, RedisSettings, load
from worker.web.app import create_app
from worker.web.parts import WebParts

BARE_QUEUE = f"bare:{queue_of('qpay')}"

_bare = load_bench_queries("bare")


def add_bare_handlers(app: FastAPI, pool: ConnectionPool[psycopg.Connection], broker: RedisBroker) -> None:
    """Let GET /bare/{id} write that a check of a QR is asked for, and ring; GET /bare-invoice/{id} reads a balance."""
    router, queue, statement = APIRouter(), queue_of("qpay"), _bare.request_check.sql
    select = _bare.read_balance.sql

    @router.get("/bare/{gateway_invoice_id}")
    def take(gateway_invoice_id: UUID) -> PlainTextResponse:
        with pool.connection() as connection:
            connection.execute(statement, {"id": gateway_invoice_id}, prepare=True)
        arguments = (str(gateway_invoice_id),)
        broker.enqueue(Message(queue_name=queue, actor_name=SETTLE_ACTOR, args=arguments, kwargs={}, options={}))
        return PlainTextResponse("SUCCESS")

    @router.get("/bare-invoice/{invoice_id}")
    def read(invoice_id: str) -> JSONResponse:
        with pool.connection() as connection:
            row = connection.execute(select, {"id": invoice_id}, prepare=True).fetchone()
        return JSONResponse(row)

    app.include_router(router)
    app.router.routes.insert(0, app.router.routes.pop())  # ours is the first that is tried, too


def main() -> None:
    database, redis = load(DatabaseSettings), load(RedisSettings)
    broker = RedisBroker(url=redis.redis_url, namespace="bare", middleware=[])  # type: ignore[no-untyped-call]
    pool = ConnectionPool(
        database.database_url,
        kwargs={"autocommit": True, "options": "-c search_path=tootsoo"},
        min_size=1,
        max_size=database.database_pool_size,
        open=True,
    )

    def create_app_with_bare_handlers(parts: WebParts) -> FastAPI:
        app = create_app(parts)
        add_bare_handlers(app, pool, broker)
        return app

    with pool, patch.object(processes, "create_app", create_app_with_bare_handlers):
        processes.web(port=int(os.environ["BENCH_PORT"]))


if __name__ == "__main__":
    main()
