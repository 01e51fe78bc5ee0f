"""P6, P7, P9: what it costs to find payments that nobody announced, in calls to the gateway, in time and in memory."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from adapters.embedded.servers import EmbeddedServers
from tests.bench.database import superuser
from tests.bench.figures import Figure
from tests.bench.load import LoadError
from tests.bench.merchant import ACCOUNT, CHECK, LIST, LOOK_UP, BenchMerchant, bench_merchant, minutes_before
from tests.bench.rounds import interleave, say, seconds
from tests.bench.sizes import Sizes
from tests.faults.servers import own_servers
from tests.faults.stage import Stage, new_stage
from worker.settings import environment_without_settings

SWEEP = timedelta(minutes=5)
SWEEPS_OF_A_DAY = 288
WINDOW = timedelta(minutes=15)

P6_LIMIT = "one call of payment/check for each invoice that was paid; looks at GET payment count too"
P7_LIMIT = "none: QPay forbids polling; a check every minute would be 1,440"
P9_LIMIT = "the same sweep with fewer open QRs"
P9_DAY_LIMIT = "3,000 calls of payment/list"


def measure_calls(sizes: Sizes) -> Iterator[Figure]:
    """P6: real processes and real callbacks, swept every two seconds; then the same with every callback lost."""
    with (
        tempfile.TemporaryDirectory(prefix="tootsoo-bench-") as folder,
        new_stage(seed="bench", logs=Path(folder), env={"DISCOVER_EVERY_S": "2"}) as stage,
    ):
        stage.start_workers(1)
        for callbacks, said in (("send", "intact"), ("drop", "all lost")):
            say(f"P6: {sizes.swept_payments:,} payments, callbacks {said}")
            before = _calls(stage)
            sales = stage.shop.open_many(sizes.swept_payments, stage.rng, prefix=said.replace(" ", "-"), patience_s=60)
            for sale in sales:
                stage.shop.pay(sale, callback=callbacks)
            stage.await_recorded(*(payment for sale in sales for payment in sale.payments), within_s=300)
            made = {endpoint: count - before.get(endpoint, 0) for endpoint, count in _calls(stage).items()}
            ours = (made.get(CHECK, 0) + made.get(LOOK_UP, 0)) / len(sales)
            others = ", ".join(f"{endpoint} {count:,}" for endpoint, count in sorted(made.items()) if count)
            yield Figure(
                id="P6",
                work=f"calls per settled invoice, callbacks {said}",
                ours=ours,
                limit=1.0,
                unit="calls",
                limit_is=P6_LIMIT,
                ratio=ours,
                ratios=(ours,),
                reach=1.05,
                at="most",
                note=f"callbacks {said}, {len(sales):,} invoices: {others}",
            )


def _calls(stage: Stage) -> dict[str, int]:
    endpoints: dict[str, int] = stage.shop.calls()["endpoints"]
    return dict(endpoints)


def measure_day(sizes: Sizes) -> Iterator[Figure]:
    """P7 and P9: a day of payments that nobody announces, swept every five minutes by a clock that is set."""
    with (
        own_servers() as servers,
        bench_merchant(servers, _admin(servers), name="day", qrs=sizes.day_payments + sizes.day_unpaid) as merchant,
    ):
        say(f"P9: a day of {sizes.day_payments:,} payments ", end="")
        per_sweep = sizes.day_payments / SWEEPS_OF_A_DAY
        for sweep in range(1, SWEEPS_OF_A_DAY + 1):
            merchant.clock.now += SWEEP
            for at in minutes_before(merchant.clock, round(sweep * per_sweep) - merchant.paid):
                merchant.pay(at)
            merchant.discover()
            merchant.settle_due()
            if sweep % 24 == 0:
                say(".", end="")
        say("")
        _require_all_recorded(merchant)
        checks, lists = merchant.calls(CHECK, LOOK_UP), merchant.calls(LIST)
    # Of the QRs that nobody paid QPay knows nothing: a call about one would be refused, and is counted all the same.
    unpaid = (checks - merchant.paid) / sizes.day_unpaid
    yield Figure(
        id="P7",
        work=f"calls per unpaid QR and day, {sizes.day_unpaid:,} QRs",
        ours=unpaid,
        limit=0.0,
        unit="calls",
        limit_is=P7_LIMIT,
        ratio=unpaid,
        ratios=(unpaid,),
        reach=1.0,
        at="most",
    )
    budget = 3_000
    yield Figure(
        id="P9",
        work=f"a day of {merchant.paid:,} payments swept every 5 minutes",
        ours=lists,
        limit=budget,
        unit="calls",
        limit_is=P9_DAY_LIMIT,
        ratio=lists / budget,
        ratios=(lists / budget,),
        reach=1.0,
        at="most",
        note=f"all callbacks of that day lost: {checks / merchant.paid:.3f} checks and looks a payment",
    )


def measure_sweep(sizes: Sizes) -> Iterator[Figure]:
    """P9: one sweep that finds one payment in a hundred QRs, by how many QRs are open, and by how many were paid."""
    found, rounds = sizes.open_qrs // 100, sizes.sweep_rounds
    few = found * (2 * rounds + 3)
    with (
        own_servers() as servers,
        bench_merchant(servers, _admin(servers), name="many", qrs=sizes.open_qrs) as many,
        bench_merchant(servers, _admin(servers), name="few", qrs=few) as some,
    ):
        say(f"P9, {sizes.open_qrs:,} open QRs ", end="")
        done = interleave(
            {
                "many": lambda _: _sweep_s(many, found),
                "some": lambda _: _sweep_s(some, found),
                "fewer payments": lambda _: _sweep_s(many, found // 4),
            },
            rounds=rounds,
        )
        memory = {name: _peak_mb(servers, one, found) for name, one in (("many", many), ("some", some))}
    times = done.ratio("many", "fewer payments")
    yield Figure(
        id="P9",
        work=f"sweep that finds {found:,} of {sizes.open_qrs:,} open QRs paid",
        ours=done.median("many") * 1_000,
        limit=done.median("some") * 1_000,
        unit="ms",
        limit_is=f"{P9_LIMIT} ({few:,})",
        ratio=done.ratio("many", "some"),
        ratios=tuple(done.ratios("many", "some")),
        reach=1.2,
        at="most",
        note=f"with a fourth of the payments a sweep takes 1/{times:.1f} of the time",
    )
    yield Figure(
        id="P9",
        work="peak memory of `tootsoo discover` in that sweep",
        ours=memory["many"],
        limit=memory["some"],
        unit="MB",
        limit_is=f"{P9_LIMIT} ({few:,})",
        ratio=memory["many"] / memory["some"],
        ratios=(memory["many"] / memory["some"],),
        reach=1.1,
        at="most",
    )


def _sweep_s(merchant: BenchMerchant, payments: int) -> float:
    """Let customers pay, and time the sweep that finds them."""
    merchant.clock.now += 2 * WINDOW
    for at in minutes_before(merchant.clock, payments):
        merchant.pay(at)
    took = seconds(merchant.discover)
    _require_found(merchant, payments)
    return took


def _require_found(merchant: BenchMerchant, payments: int) -> None:
    with superuser(merchant.url) as connection:
        rung = connection.execute(
            "SELECT count(*) FROM gateway_invoice WHERE requested > served AND request_source = 'sweep'"
        ).fetchone()
        connection.execute("UPDATE gateway_invoice SET served = requested WHERE requested > served")
        # As if they had been settled: a recorded payment costs nothing more, and is not followed.
        connection.execute(
            "INSERT INTO payment (gateway, payment_id, invoice_id, currency, received_minor)"
            " SELECT 'qpay', f.payment_id, g.invoice_id, 'MNT', g.amount_minor"
            " FROM found_payment AS f JOIN gateway_invoice AS g USING (gateway, external_id)"
        )
        connection.execute("TRUNCATE found_payment")
    merchant.bell.clear()
    if rung != (payments,):
        raise LoadError(f"of {payments} payments {rung} were found")


def _require_all_recorded(merchant: BenchMerchant) -> None:
    with superuser(merchant.url) as connection:
        recorded = connection.execute("SELECT count(*) FROM payment_event WHERE invoice_id IS NOT NULL").fetchone()
    if recorded != (merchant.paid,):
        raise LoadError(f"of {merchant.paid} payments {recorded} were recorded")


def _peak_mb(servers: EmbeddedServers, merchant: BenchMerchant, payments: int) -> float:
    """Have the command find so many payments of the last minutes in a process of its own, and weigh that."""
    merchant.clock.now += 2 * WINDOW
    for at in minutes_before(merchant.clock, payments):
        merchant.pay(at)
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "worker.cli", "discover", "--json"],
        env={**environment_without_settings(), **_settings(servers, merchant)},
        cwd=tempfile.gettempdir(),
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise LoadError(f"tootsoo discover ended with {child.returncode}")
    _require_found(merchant, payments)
    return usage.ru_maxrss / 1_024


def _settings(servers: EmbeddedServers, merchant: BenchMerchant) -> Mapping[str, str]:
    return {
        "DATABASE_URL": merchant.url,
        "REDIS_URL": servers.redis_url,
        "QPAY_BASE_URL": merchant.qpay.url,
        "QPAY_USERNAME": ACCOUNT.username,
        "QPAY_PASSWORD": ACCOUNT.password,
        "QPAY_INVOICE_CODE": ACCOUNT.invoice_code,
    }


def _admin(servers: EmbeddedServers) -> str:
    return urlsplit(servers.postgres_url)._replace(path="/postgres").geturl()
