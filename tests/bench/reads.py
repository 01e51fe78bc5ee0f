"""What it costs to read an invoice over the API, against the same server with a handler of one bare SELECT."""

from collections.abc import Iterator
from functools import partial

import httpx

from tests.bench.figures import Figure
from tests.bench.load import as_fast_as_possible, get
from tests.bench.rounds import interleave, say
from tests.bench.sizes import Sizes
from tests.bench.stack import running_stack, start_module
from worker.clock import utc_now
from worker.compose.database import open_keys
from worker.local import free_port
from worker.settings import DatabaseSettings

REACH = 0.8
CONNECTIONS = 16


def measure_reads(sizes: Sizes) -> Iterator[Figure]:
    """GET of one invoice with one QR by a key, as a checkout polls it, as fast as it is answered."""
    say("reads: seeding")
    with running_stack(qrs=10, events=sizes.small_events) as stack:
        bare_port = free_port()
        start_module(stack.fleet, "bare_web", port=bare_port)
        with open_keys(DatabaseSettings(database_url=stack.servers.postgres_url)) as keys:
            key = keys.create("checkout", now=utc_now())
        invoice_id = next(stack.qrs).invoice_id
        sides = {
            "ours": partial(_rate, stack.web_port, f"/v2/invoices/{invoice_id}", key, sizes.reads),
            "limit": partial(_rate, bare_port, f"/bare-invoice/{invoice_id}", key, sizes.reads),
        }
        say(f"reads, {CONNECTIONS} connections ", end="")
        rates = interleave(sides, rounds=sizes.rounds)
        yield Figure(
            id="reads",
            work=f"GET of an invoice, {CONNECTIONS} connections",
            ours=rates.median("ours"),
            limit=rates.median("limit"),
            unit="/s",
            limit_is="the same server with a handler of one bare SELECT",
            ratio=rates.ratio("ours", "limit"),
            ratios=tuple(rates.ratios("ours", "limit")),
            reach=REACH,
        )


def _rate(port: int, path: str, key: str, count: int, _: int) -> float:
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, trust_env=False).raise_for_status()
    requests = [get(path, key=key)] * count
    return as_fast_as_possible(port, requests, connections=CONNECTIONS, expected=answer.content).rate
