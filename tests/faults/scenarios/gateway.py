"""10, 11, 12, 14: a gateway that is down, whose answers get lost or make no sense, and whose rows move."""

import time
from collections.abc import Callable

import httpx

from tests.faults.fleet import FaultError, wait_for
from tests.faults.oracle import Budget
from tests.faults.scenario import Scenario
from tests.faults.shop import Sale
from tests.faults.stage import Stage

HASTE = 10
"""So many seconds stand for one, where it is long that something is down."""

CHECKS = "check_timeout_s=8 look_timeout_s=8 LEASE_S=12"
"""Their own time, where it is not silence that is played: a busy machine must not look like it."""

SILENT_S, LOUD_S = 120, 600
"""How long nothing is answered, and how long 500, 502 and 429."""
SILENT_CALLS_MAX = 20
LOUD_CALLS_MAX = 30
"""Five failures, then a probe after 5, 10, 20, 40 and each further 60 seconds make thirteen; a margin for the clock."""
IN_FLIGHT = 16
"""Two workers with eight threads each: whoever asked before it was known that nobody answers."""

CREATE, CANCEL = "POST /v2/invoice", "DELETE /v2/invoice/{invoice_id}"
CHECK, LIST = "POST /v2/payment/check", "POST /v2/payment/list"
ASK_AGAIN = {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT}

AT_ONCE = 16
MEMORY_MB = 250
"""How much more a process may hold: eight threads with 5 MB each, a few times over on their way. Without a limit it is
eight times 50 MB, as often."""

ROWS = 230
COME_MEANWHILE = 3
LISTED = 130
"""More than a page of the list, each on a QR of its own: only the list can tell of any of them."""


def down_for_ten_minutes(stage: Stage) -> None:
    """Two minutes nobody answers, then ten minutes everything is 500, 502 or 429; customers go on paying."""
    stage.start_workers(2)
    sales = stage.shop.open_many(40, stage.rng)
    silence = [{"kind": "hang", "probability": 1}]
    _stay_down(stage, sales[:16], rules=silence, for_s=SILENT_S / HASTE, calls_max=SILENT_CALLS_MAX)
    noise = [
        {"kind": "busy", "probability": 0.4},
        {"kind": "badGateway", "probability": 0.3},
        {"kind": "tooMany", "probability": 0.3, "seconds": 20 / HASTE},
    ]
    _stay_down(stage, sales[16:], rules=noise, for_s=LOUD_S / HASTE, calls_max=LOUD_CALLS_MAX)


def _stay_down(
    stage: Stage, sales: list[Sale], *, rules: list[dict[str, object]], for_s: float, calls_max: int
) -> None:
    """Let it be down, with payments at once and one by one; count its calls, and wait for what was held back."""
    half = len(sales) // 2
    stage.shop.break_gateway(*rules, seed=stage.rng.randrange(2**31))
    before, until = stage.shop.gateway_calls(), time.monotonic() + for_s
    for sale in sales[:half]:
        stage.shop.pay(sale)
    for sale in sales[half:]:
        time.sleep(max(0.0, (until - time.monotonic()) / (half + 1)))  # customers come all the time
        stage.shop.pay(sale)
    invoice = f"unlucky-{half}"
    stage.shop.put(invoice, 1_000).raise_for_status()
    if (status := stage.shop.ask_for_qr(invoice).status_code) not in ASK_AGAIN:
        raise FaultError(f"a pay-link was answered with {status} by a gateway that is down")
    time.sleep(max(0.0, until - time.monotonic()))  # the outage lasts as long as it lasts
    calls = stage.shop.gateway_calls() - before
    stage.notes.append(f"{calls} calls in {for_s * HASTE:.0f} s")
    if calls > calls_max + IN_FLIGHT:
        raise FaultError(f"{calls} calls in {for_s * HASTE:.0f} s, allowed are {calls_max} and {IN_FLIGHT} in flight")
    stage.shop.mend_gateway()
    stage.healed()
    stage.await_recorded(*(payment for sale in sales for payment in sale.payments), within_s=60)


def answers_lost(stage: Stage) -> None:
    """The gateway makes a QR, or cancels one, and its answer does not come: by a reset, or by silence."""
    stage.start_workers(1)
    stage.shop.open("order-first", 1_000)  # somebody has logged in
    for number in range(4):
        _lose_a_create(stage, f"lost-{number}")
        _lose_a_cancel(stage, f"kept-{number}")
    stage.healed()


def _lost(stage: Stage, endpoint: str) -> dict[str, object]:
    return {"endpoint": endpoint, "kind": stage.rng.choice(("resetAfter", "hangAfter")), "probability": 1}


def _lose_a_create(stage: Stage, invoice: str) -> None:
    amount = stage.rng.randint(100, 10**6)
    stage.shop.put(invoice, amount).raise_for_status()
    stage.shop.break_gateway(_lost(stage, CREATE))
    first = stage.shop.ask_for_qr(invoice)
    stage.shop.mend_gateway()
    second = stage.shop.ask_for_qr(invoice)
    for answer in (first, second):
        if answer.status_code != httpx.codes.GATEWAY_TIMEOUT:
            raise FaultError(
                f"a create whose answer was lost was answered with {answer.status_code}: {answer.text[:200]}"
            )
    if _made(stage, invoice) != [invoice]:
        raise FaultError(f"a create whose answer was lost was repeated: {_made(stage, invoice)}")
    sale = stage.shop.open(invoice, amount, patience_s=60)
    if sale.number == invoice:
        raise FaultError("the QR that nobody has seen is shown")
    stage.shop.pay(sale)


def _lose_a_cancel(stage: Stage, invoice: str) -> None:
    amount = stage.rng.randint(100, 10**6)
    old = stage.shop.open(invoice, amount, patience_s=60)
    stage.expected.add(_external_id(stage, old))  # a QR that is closed is looked at once more
    stage.shop.break_gateway(_lost(stage, CANCEL))
    stage.shop.put(invoice, amount + 1).raise_for_status()
    wait_for("the answer to a cancel is lost", lambda: stage.shop.went_wrong() > 0, within_s=60)
    answer = stage.shop.ask_for_qr(invoice)
    if answer.status_code not in ASK_AGAIN:
        raise FaultError(f"a second QR was given out ({answer.status_code}) while nobody knows about the first")
    if (state := _state(stage, old)) != "closing":
        raise FaultError(f"a QR whose cancel was not answered is {state}")
    stage.shop.mend_gateway()
    new = stage.shop.open(invoice, amount + 1, patience_s=60)
    if (state := _state(stage, old)) != "superseded":
        raise FaultError(f"a QR whose cancel was answered in the end is {state}")
    stage.shop.pay(new)


def _made(stage: Stage, invoice: str) -> list[str]:
    return [one["number"] for one in stage.shop.facts()["invoices"] if one["number"].partition("-g")[0] == invoice]


def _state(stage: Stage, sale: Sale) -> str:
    known = stage.shop.api.get(f"/v2/invoices/{sale.invoice}").raise_for_status().json()["gatewayInvoices"]
    (state,) = (one["state"] for one in known if one["id"] == str(sale.qr))
    return str(state)


def makes_no_sense(stage: Stage) -> None:
    """Every answer is cut off, HTML, NaN, of other types, or 50 MB long: no event, and no memory."""
    workers = stage.start_workers(2)
    for sale in stage.shop.open_many(AT_ONCE, stage.rng, prefix="warm"):
        stage.shop.pay(sale)
    stage.await_quiet()
    asked = (stage.web, *workers)
    before_mb = [process.peak_mb() for process in asked]
    for kind in stage.rng.sample(("truncated", "badGateway", "nan", "wrongTypes", "oversized"), 5):
        _say_nonsense(stage, kind)
    grown = [(process, process.peak_mb() - mb) for process, mb in zip(asked, before_mb, strict=True)]
    stage.notes.append("memory " + ", ".join(f"{process.name} +{mb:.0f} MB" for process, mb in grown))
    for process, mb in grown:
        if mb > MEMORY_MB:
            raise FaultError(f"{process.name} took {mb:.0f} MB for answers of which it may read 5 at a time")
    stage.fleet.require_alive(*asked)


def _say_nonsense(stage: Stage, kind: str) -> None:
    sales = stage.shop.open_many(AT_ONCE, stage.rng, prefix=kind.lower(), patience_s=60)
    stage.shop.break_gateway(*({"endpoint": each, "kind": kind, "probability": 1} for each in (CHECK, CREATE)))
    for sale in sales:
        stage.shop.pay(sale)
    wait_for(f"checks are answered with {kind}", lambda: stage.shop.went_wrong() >= 5, within_s=60)
    invoice = f"{kind.lower()}-unseen"
    stage.shop.put(invoice, 1_000).raise_for_status()
    answer = stage.shop.ask_for_qr(invoice)
    if answer.status_code not in ASK_AGAIN | {httpx.codes.OK}:
        raise FaultError(f"a pay-link was answered with {answer.status_code} because of {kind}")
    if answer.is_success and kind != "wrongTypes":  # there, what matters may be as it should
        raise FaultError(f"a QR was read out of {kind}")
    payments = [payment for sale in sales for payment in sale.payments]
    if kind != "wrongTypes" and stage.recorded() & set(payments):
        raise FaultError(f"money was read out of {kind}")
    stage.shop.mend_gateway()
    stage.healed()
    stage.await_recorded(*payments, within_s=90)


def rows_move(stage: Stage) -> None:
    """More payments than a page holds, in the list and in a check, the newest first; more come while pages are read."""
    stage.start_workers(1)
    ways = {"checkNewestFirst": True, "listNewestFirst": True}
    stage.shop.gateway.patch("/simulator/switches", json=ways).raise_for_status()
    _list_while_it_grows(stage)
    for number in range(3):
        _read_while_it_grows(stage, f"grows-{number}")
    stage.healed()


def _list_while_it_grows(stage: Stage) -> None:
    """Whenever a page of the list has been asked for somebody pays, so that the rows move onto pages not yet read."""
    sales = stage.shop.open_many(LISTED + COME_MEANWHILE, stage.rng, prefix="listed", patience_s=60)
    early, late = sales[:LISTED], sales[LISTED:]
    stage.shop.pay(early[0], callback="drop")
    if stage.fleet.run("discover").returncode:  # by this one it is found out by which clock the list is read
        raise FaultError("tootsoo discover did not end well with a single payment in the list")
    for sale in early[1:]:
        stage.shop.pay(sale, callback="drop")
    stage.shop.break_gateway({"endpoint": LIST, "kind": "latency", "probability": 1, "seconds": 0.7})
    before = _lists(stage)
    sweep = stage.fleet.start("discover")
    for number, sale in enumerate(late, 1):
        wait_for("a page is asked for", lambda n=number: _lists(stage) >= before + n, within_s=30)  # type: ignore[misc]
        stage.shop.pay(sale, callback="drop")
    wait_for("the list was read", sweep.has_ended, within_s=60)
    stage.shop.mend_gateway()
    again = stage.fleet.run("discover")
    if sweep.child.returncode or again.returncode:
        raise FaultError(f"tootsoo discover ended with {sweep.child.returncode}, then {again.returncode}: {sweep.log}")
    stage.await_recorded(*(payment for sale in sales for payment in sale.payments), within_s=60)
    stage.notes.append(f"{len(sales)} payments listed in {_lists(stage) - before} pages")


def _lists(stage: Stage) -> int:
    return int(stage.shop.calls()["endpoints"].get(LIST, 0))


def _read_while_it_grows(stage: Stage, invoice: str) -> None:
    sale = stage.shop.open(invoice, (ROWS + COME_MEANWHILE) * 10)
    for _ in range(ROWS):
        stage.shop.pay(sale, 10, callback="drop")
    slow = {"endpoint": CHECK, "kind": "latency", "probability": 1, "seconds": 0.7}
    stage.shop.break_gateway(slow)
    pages = _pages(stage, sale)
    stage.shop.call_back(sale, sale.payments[0])
    wait_for("the second page is asked for", lambda: pages() >= 2, within_s=30)
    for _ in range(COME_MEANWHILE):
        stage.shop.pay(sale, 10, callback="drop")
    stage.await_recorded(*sale.payments, within_s=60)
    stage.shop.mend_gateway()
    stage.notes.append(f"{len(sale.payments)} payments in {pages()} pages")


def _pages(stage: Stage, sale: Sale) -> Callable[[], int]:
    external_id = _external_id(stage, sale)
    return lambda: int(stage.shop.calls()["checks"].get(external_id, 0))


def _external_id(stage: Stage, sale: Sale) -> str:
    (external_id,) = (one["invoiceId"] for one in stage.shop.facts()["invoices"] if one["number"] == sale.number)
    return str(external_id)


SCENARIOS = (
    Scenario(
        number=10,
        title="nothing for two minutes, then 500, 502 and 429 for ten (at ten times the speed)",
        play=down_for_ten_minutes,
        within_s=40,
        budget=Budget(checks_per_qr=8, logins=3),
        env={"RETRY_BASE_S": "0.2", "RETRY_MAX_S": "60"},
        haste=f"{HASTE} LEASE_S=4",
    ),
    Scenario(
        number=11,
        title="the answer lost after a create, and after a cancel",
        play=answers_lost,
        within_s=20,
        budget=Budget(checks_per_qr=4, logins=2),
        haste=f"{HASTE} issue_timeout_s=3 cancel_timeout_s=3 {CHECKS} ISSUE_DEADLINE_S=6",
    ),
    Scenario(
        number=12,
        title="answers that are cut off, HTML, NaN, of other types, 50 MB",
        play=makes_no_sense,
        within_s=60,
        budget=Budget(checks_per_qr=12, logins=2),
        env={"RETRY_BASE_S": "0.2", "RETRY_MAX_S": "5"},
        haste=f"{HASTE} issue_timeout_s=10 {CHECKS} ISSUE_DEADLINE_S=12",
    ),
    Scenario(
        number=14,
        title="more rows than pages hold, and more on the first page meanwhile",
        play=rows_move,
        within_s=20,
        budget=Budget(checks_per_qr=40, logins=1),  # three pages are three calls, and the harness repeats callbacks
    ),
)
