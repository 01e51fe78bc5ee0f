"""`tootsoo explain` tells what happened to an invoice, a payment or a QR so that anybody can follow it."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from adapters.postgres.connection import open_pool
from adapters.postgres.dossiers import Dossiers
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from domain.payment_event import Source
from tests.adapters.postgres.samples import append, open_qr, put
from tests.domain.samples import an_event
from tests.waiting import wait_until
from tests.worker.conftest import MERCHANT, WEBHOOK_SECRET, Stack
from tests.worker.test_cli import run
from tests.worker.test_settle import settle
from worker.clock import utc_now
from worker.explain import explain as tell_story
from worker.settings import environment_without_settings
from worker.settle import Settled

BOXES = re.compile(r"[─-╿]")


@pytest.fixture
def explain(tmp_path: Path, database_url: str) -> Callable[[str], str]:
    """What the command prints when all is well."""

    def tell(arguments: str) -> str:
        done = run(tmp_path, f"explain {arguments}", DATABASE_URL=database_url)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return tell


@pytest.fixture
def explain_json(explain: Callable[[str], str]) -> Callable[[str], dict[str, Any]]:
    return lambda name: json.loads(explain(f"{name} --json"))


@pytest.fixture
def sql(database_url: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """A superuser's look, or hand, behind everything."""

    def query(text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url, autocommit=True, options="-c search_path=tootsoo") as connection:
            done = connection.execute(text)
            return done.fetchall() if done.description else []

    return query


def paid_with_a_hundred_callbacks(stack: Stack) -> dict[str, Any]:
    """An invoice that is paid, whose callback then comes a hundred times at once, and that is checked once."""
    stack.put(amount=250_000)
    qr = stack.pay_link().json()["gatewayInvoiceId"]
    paid = stack.pay(callback="drop")
    path = stack.callback_path(qr)

    def call(_: int) -> int:
        return stack.api.get(path, params={"qpay_payment_id": paid["paymentId"]}).status_code

    with ThreadPoolExecutor(max_workers=10) as threads:
        assert set(threads.map(call, range(100))) == {200}
    assert settle(stack)(UUID(qr)) is Settled.CHECKED
    return {**paid, "qr": qr}


def test_a_story_reads_well(stack: Stack, explain: Callable[[str], str]) -> None:
    paid = paid_with_a_hundred_callbacks(stack)

    told = explain("order-1")

    told = re.sub(r"\d\d:\d\d(:\d\d)?", "TIME", told)
    told = re.sub(r"\d{4}-\d\d-\d\d", "DATE", told)
    told = re.sub(r"[A-Z][a-z]+day", "DAY", told)
    told = re.sub(r"\d+ ms", "MS", told.replace(paid["paymentId"], "PAYMENT"))
    assert told == (
        "Invoice order-1: An order\n"
        "It is paid: 250,000.00 ₮ received of 250,000.00 ₮ due, 0.00 ₮ outstanding.\n"
        "\n"
        "DAY, DATE (Asia/Ulaanbaatar)\n"
        "TIME  The invoice was made: 250,000.00 ₮ is due, by test.\n"
        "TIME  QPay was asked for QR 1 over 250,000.00 ₮, to be paid until DATE TIME.\n"
        "TIME  QR 1 was made: it can be paid.\n"
        "TIME  100 callbacks came for QR 1, the last at TIME. The last one named payment PAYMENT. "
        "A callback proves nothing; it makes us ask QPay.\n"
        "TIME  QPay was asked about QR 1 because callbacks came. "
        "It answered after MS: 1 payment, 250,000.00 ₮ PAID (PAYMENT).\n"
        "TIME  Recorded: 250,000.00 ₮ received on invoice order-1, payment PAYMENT, first seen DATE TIME, "
        "looked up because of a callback. QPay keeps 2,500.00 ₮ of it as its fee.\n"
        "          order-1 is now paid: 250,000.00 ₮ received of 250,000.00 ₮ due, 0.00 ₮ outstanding.\n"
        "TIME  Your application is to be told: invoice.paid (number 1).\n"
        "TIME  QR 1 is paid in full.\n"
    )


def test_checks_that_found_nothing_new_are_one_line(stack: Stack, explain: Callable[[str], str]) -> None:
    qr = UUID(paid_with_a_hundred_callbacks(stack)["qr"])
    for _ in range(3):
        check_again(stack, qr)

    told = explain("order-1")

    (line,) = [line for line in told.splitlines() if "3 times" in line]
    assert "because a person wanted to know" in line
    assert line.endswith("Nothing new.")
    assert told.count("QPay was asked about QR 1") == 2


def test_checks_without_an_answer_are_told_with_the_reason(stack: Stack, explain: Callable[[str], str]) -> None:
    stack.put()
    qr = UUID(stack.pay_link().json()["gatewayInvoiceId"])
    stack.gateway.cut()
    stack.parts.check_requests.request(qr, source=Source.CALLBACK)
    assert settle(stack)(qr) is Settled.FAILED

    told = explain("order-1")

    assert re.search(r"QPay was asked about QR 1 because a callback came\. It gave no answer after .*: Gateway", told)
    assert "It is asked again later." in told


def check_again(stack: Stack, qr: UUID) -> None:
    requested = stack.parts.check_requests.request(qr, source=Source.COMMAND)
    assert requested
    wait_until(lambda: settle(stack)(qr) is Settled.CHECKED)


def test_a_check_whose_worker_was_killed_is_told(
    stack: Stack, redis_url: str, database_url: str, explain: Callable[[str], str], sql: Callable[[str], Any]
) -> None:
    stack.put()
    stack.pay_link()
    stack.gateway.hold()
    with worker_process(stack, database_url=database_url, redis_url=redis_url) as worker:
        stack.api.get(stack.callback_path(stack.invoice()["gatewayInvoices"][0]["id"]))
        wait_until(lambda: sql("SELECT id FROM gateway_check") != [])
        worker.kill()
        worker.wait()

    running = explain("order-1")
    sql("UPDATE gateway_check SET started_at = started_at - interval '13 seconds'")
    afterwards = explain("order-1")

    assert worker.returncode == -signal.SIGKILL
    assert "because a callback came. Its answer is awaited right now." in running
    assert "This was begun and never finished" in afterwards


@contextmanager
def worker_process(stack: Stack, *, database_url: str, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    inherited = environment_without_settings()
    env = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "QPAY_BASE_URL": stack.groups.qpay.qpay_base_url,
        "QPAY_USERNAME": MERCHANT.username,
        "QPAY_PASSWORD": MERCHANT.password,
        "QPAY_INVOICE_CODE": MERCHANT.invoice_code,
        "PUBLIC_URL": stack.groups.web.public_url,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    worker = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "worker"], env=inherited | env, stderr=subprocess.DEVNULL
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.usefixtures("working")
def test_a_qr_that_is_replaced_is_told_to_its_end(stack: Stack, explain: Callable[[str], str]) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    stack.put(amount=120_000)
    stack.pay_link()
    wait_until(lambda: [qr["state"] for qr in stack.invoice()["gatewayInvoices"]] == ["superseded", "open"])

    told = explain("order-1")

    steps = [
        "The invoice was made: 100,000.00 ₮ is due, by test.",
        "QR 1 was made: it can be paid.",
        "The amount was changed to 120,000.00 ₮, by test.",
        "QR 1 is no longer right: QPay is asked to cancel it.",
        "QPay was asked about QR 1 once more while it was being cancelled.",
        "QR 1 was cancelled at QPay: another one takes its place.",
        "QPay was asked for QR 2 over 120,000.00 ₮",
    ]
    places = [told.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_a_payment_is_found_by_its_id_alone_and_with_its_gateway(
    stack: Stack, explain_json: Callable[[str], dict[str, Any]]
) -> None:
    paid = paid_with_a_hundred_callbacks(stack)

    alone, whole = explain_json(paid["paymentId"]), explain_json(f"qpay:{paid['paymentId']}")

    assert alone == whole
    assert alone["subject"]["payment"] == f"qpay:{paid['paymentId']}"
    assert whats(alone) == ["qr", "qr", "callbacks", "check", "event", "qr"]
    assert [invoice["id"] for invoice in alone["invoices"]] == ["order-1"]


def test_a_qr_is_found_by_our_id_the_gateways_and_its_number(
    stack: Stack, explain_json: Callable[[str], dict[str, Any]], sql: Callable[[str], Any]
) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    stack.put(amount=120_000)
    second = stack.pay_link().json()["gatewayInvoiceId"]
    ((theirs,),) = sql("SELECT external_id FROM gateway_invoice WHERE generation = 2")

    told = [explain_json(name) for name in (second, theirs, "order-1-g2")]

    assert told[0] == told[1] == told[2]
    assert told[0]["subject"] == {
        "kind": "qr",
        "invoice": "order-1",
        "gatewayInvoiceId": second,
        "payment": None,
    }
    assert [qr["number"] for qr in told[0]["qrs"]] == ["order-1-g2"]


@pytest.fixture
def corrected(tmp_path: Path, database_url: str) -> str:
    """A payment without an invoice that a person assigned, moved on, and refunded a part of; one invoice is void."""
    with open_pool(database_url, size=2) as pool:
        for invoice_id in ("order-1", "order-2"):
            put(Invoices(pool), invoice_id, amount="100")
        append(Ledger(pool), [an_event("7", amount="100", invoice_id=None)])
    for command in (
        "assign qpay:7 order-1 --key k1 --who Bat --reason no-order",
        "assign qpay:7 order-2 --amount 40 --from order-1 --key k2 --who Dulam --reason wrong-order",
        "refund qpay:7 --invoice order-2 --amount 10 --key k3 --who Bat --reason returned",
        "void order-1 --who Bat --reason cancelled",
        "discrepancies resolve 1 --who Dulam --reason kept-for-the-next-order",
    ):
        done = run(tmp_path, command, DATABASE_URL=database_url)
        assert done.returncode == 0, done.stderr
    return database_url


@pytest.mark.usefixtures("corrected")
def test_who_did_what_and_why_is_told_with_the_balance_after_it(explain: Callable[[str], str]) -> None:
    told = explain("order-1")

    steps = [
        "Recorded: 100.00 ₮ of payment 7 moved to invoice order-1 from no invoice (suspense), by Bat: no-order",
        "order-1 is now paid: 100.00 ₮ received of 100.00 ₮ due, 0.00 ₮ outstanding.",
        "Recorded: 40.00 ₮ of payment 7 moved from invoice order-1 to invoice order-2, by Dulam: wrong-order.",
        "order-1 is now partially paid: 60.00 ₮ received of 100.00 ₮ due, 40.00 ₮ outstanding.",
        "The invoice was voided: nothing is due any more, by Bat: cancelled.",
        "Question 1 for a person came up (paid after void): the invoice was voided while it held",
        "Question 1 was answered, by Dulam: kept-for-the-next-order.",
    ]
    places = [told.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.usefixtures("corrected")
def test_a_payment_that_was_moved_is_told_over_all_its_invoices(
    explain_json: Callable[[str], dict[str, Any]],
) -> None:
    told = explain_json("7")

    events = [item for item in told["story"] if item["what"] == "event"]
    assert [(item["kind"], item["invoice"]) for item in events] == [
        ("received", None),
        ("assigned", "order-1"),
        ("unassigned", None),
        ("assigned", "order-2"),
        ("unassigned", "order-1"),
        ("refunded", "order-2"),
    ]
    assert [item["balance"] and item["balance"]["received"]["amount"] for item in events] == [
        None,
        "100.00",
        None,
        "40.00",
        "60.00",
        "40.00",
    ]
    assert all(invoice["ok"] for invoice in told["invoices"])


def test_a_payment_in_suspense_is_told_without_an_invoice(explain: Callable[[str], str], database_url: str) -> None:
    with open_pool(database_url, size=2) as pool:
        append(Ledger(pool), [an_event("7", amount="100", invoice_id=None)])

    told = explain("qpay:7")

    assert "It counts for no invoice: it lies in suspense until a person assigns it" in told
    assert "Recorded: 100.00 ₮ received on no invoice (suspense), payment 7" in told


def test_the_shape_for_machines(stack: Stack, explain_json: Callable[[str], dict[str, Any]]) -> None:
    paid = paid_with_a_hundred_callbacks(stack)

    told = explain_json("order-1")

    assert set(told) == {"subject", "alsoNamed", "invoices", "qrs", "story", "leftOut"}
    assert whats(told) == ["amount", "qr", "qr", "callbacks", "check", "event", "notification", "qr"]
    by_what = {item["what"]: item for item in told["story"]}
    assert by_what["callbacks"]["count"] == 100
    check = by_what["check"]
    assert (check["cause"], check["outcome"], check["requests"]) == ("callback", "answered", 100)
    assert (check["rows"], check["newEvents"], check["newDiscrepancies"], check["error"]) == (1, 1, 0, None)
    assert check["answer"] == [
        {
            "paymentId": paid["paymentId"],
            "status": "PAID",
            "amount": {"amount": "250000.00", "currency": "MNT"},
            "unreadable": None,
        }
    ]
    assert by_what["event"]["payment"] == f"qpay:{paid['paymentId']}"
    assert by_what["event"]["balance"]["status"] == "paid"
    assert (by_what["notification"]["type"], by_what["notification"]["sequence"]) == ("invoice.paid", 1)
    assert told["invoices"][0]["ok"]
    assert told["leftOut"] == {"checks": 0, "discrepancies": 0}
    assert all(item["at"].endswith("Z") for item in told["story"])


def whats(told: dict[str, Any]) -> list[str]:
    return [item["what"] for item in told["story"]]


def test_what_was_settled_stays_settled_when_its_history_cannot_be_written(
    stack: Stack, explain: Callable[[str], str], sql: Callable[[str], Any]
) -> None:
    sql("REVOKE UPDATE ON gateway_check FROM tootsoo_app")

    paid_with_a_hundred_callbacks(stack)

    assert stack.invoice()["balance"]["status"] == "paid"
    assert "Its answer is awaited right now." in explain("order-1")
    assert "order-1 is now paid" in explain("order-1")


def test_a_long_history_is_cut_to_the_newest_checks_and_no_event_is_left_out(
    explain_json: Callable[[str], dict[str, Any]], sql: Callable[[str], Any], database_url: str
) -> None:
    with open_pool(database_url, size=2) as pool:
        put(Invoices(pool), amount="1000")
        open_qr(pool)
        append(Ledger(pool), [an_event(str(number), amount="1") for number in range(1_000)])
    sql(
        """
        INSERT INTO gateway_check (gateway_invoice_id, started_at, cause, gateway_invoice_state, requests, attempt)
        SELECT id, now() - n * interval '1 minute', 'callback', 'open', 1, 1
        FROM gateway_invoice, generate_series(300, 1, -1) AS n
        """
    )

    told = explain_json("order-1")

    assert (whats(told).count("event"), whats(told).count("check"), told["leftOut"]["checks"]) == (1_000, 200, 100)
    last = [item for item in told["story"] if item["what"] == "event"][-1]
    assert last["balance"]["received"]["amount"] == "1000.00"


def test_a_story_is_of_one_moment_while_payments_come_in(database_url: str) -> None:
    with open_pool(database_url, size=4) as pool, ThreadPoolExecutor(max_workers=1) as threads:
        put(Invoices(pool), amount="1000")
        ledger = Ledger(pool)

        def pay() -> None:
            for number in range(200):
                append(ledger, [an_event(str(number), amount="1")])

        paying, wrong, told = threads.submit(pay), 0, set()
        while not paying.done():
            story = tell_story(Dossiers(pool), "order-1", checks_max=10, clock=utc_now)
            assert story is not None
            wrong += len(story.wrong_balances)
            told.add(len(story.items))
        paying.result()

    assert wrong == 0
    assert len(told) > 10


def test_a_name_of_two_things_is_the_invoice_and_says_what_else(
    explain: Callable[[str], str], explain_json: Callable[[str], dict[str, Any]], database_url: str
) -> None:
    with open_pool(database_url, size=2) as pool:
        put(Invoices(pool), "1001", amount="100")
        append(Ledger(pool), [an_event("1001", invoice_id="1001")])

    assert explain_json("1001")["subject"]["kind"] == "invoice"
    assert explain_json("1001")["alsoNamed"][0]["payment"] == "qpay:1001"
    assert "The same name has a payment: tootsoo explain qpay:1001" in explain("1001")


def test_a_stored_balance_that_is_not_its_events_is_bad_news(
    tmp_path: Path, database_url: str, sql: Callable[[str], Any]
) -> None:
    with open_pool(database_url, size=2) as pool:
        put(Invoices(pool), amount="100")
        append(Ledger(pool), [an_event("7", amount="100")])
    sql("UPDATE invoice_balance SET received_minor = 1")

    done = run(tmp_path, "explain order-1", DATABASE_URL=database_url)

    assert done.returncode == 1
    assert "✗ The stored balance of order-1 is wrong: its changes and events make it paid: 100.00 ₮" in done.stdout


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE invoice_balance SET currency = 'USD'",
        "UPDATE invoice_balance SET currency = 'ZZQ'",
        "DELETE FROM invoice_balance",
        "UPDATE invoice_balance SET first_paid_at = 'infinity'",
    ],
)
def test_a_ledger_that_is_damaged_is_said_in_one_line(
    tmp_path: Path, stack: Stack, database_url: str, damage: str
) -> None:
    paid_with_a_hundred_callbacks(stack)
    with psycopg.connect(database_url, autocommit=True, options="-c search_path=tootsoo") as superuser:
        superuser.execute("SET session_replication_role TO replica")
        superuser.execute(damage.encode())

    in_words = run(tmp_path, "explain order-1", DATABASE_URL=database_url)
    in_json = run(tmp_path, "explain order-1 --json", DATABASE_URL=database_url)

    assert (in_words.returncode, in_json.returncode) == (1, 1)
    for told in (in_words.stderr, in_json.stdout):
        assert "cannot be told" in told
        assert told.count("\n") == 1


@pytest.mark.parametrize("name", ["nothing", "qpay:1", "5a2043dc-1423-4943-b1c6-e8dba0eeea91", "a:b:c", "%"])
def test_what_names_nothing_is_one_line_and_exits_1(tmp_path: Path, database_url: str, name: str) -> None:
    done = run(tmp_path, f"explain {name}", DATABASE_URL=database_url)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"tootsoo: no invoice, payment or QR is called {name}\n"


@pytest.mark.parametrize("arguments", ["", "x" * 201, "a\x1b[2J", "order-1 --checks -1", "order-1 order-2"])
def test_wrong_usage_exits_2(tmp_path: Path, database_url: str, arguments: str) -> None:
    assert run(tmp_path, f"explain {arguments}", DATABASE_URL=database_url).returncode == 2


def test_the_words_of_others_cannot_steer_a_terminal(explain: Callable[[str], str], database_url: str) -> None:
    with open_pool(database_url, size=2) as pool:
        put(Invoices(pool), amount="100")
        Invoices(pool).void(
            "order-1", reason="\x1b[2Jgone\nTIME  [red]Paid[/red]", now=an_event().occurred_at, who="Bat"
        )

    told = explain("order-1")

    assert "\x1b" not in told
    assert "by Bat:  [2Jgone TIME  [red]Paid[/red]." in told


def test_a_pipe_gets_one_line_for_each_thing_and_no_boxes(stack: Stack, explain: Callable[[str], str]) -> None:
    paid_with_a_hundred_callbacks(stack)

    told = explain("order-1")

    assert not BOXES.search(told)
    assert max(map(len, told.splitlines())) > 120


def test_times_are_those_of_the_setting(tmp_path: Path, database_url: str) -> None:
    with open_pool(database_url, size=2) as pool:
        put(Invoices(pool), amount="100")

    there = run(tmp_path, "explain order-1", DATABASE_URL=database_url).stdout
    here = run(tmp_path, "explain order-1", DATABASE_URL=database_url, TIMEZONE="UTC").stdout

    assert "12:00:00  The invoice was made" in there
    assert "04:00:00  The invoice was made" in here


def test_a_terminal_gets_lines_that_fit_and_hang_below_their_time(
    stack: Stack, tmp_path: Path, database_url: str
) -> None:
    paid_with_a_hundred_callbacks(stack)

    told = run(tmp_path, "explain order-1", DATABASE_URL=database_url, FORCE_COLOR="1").stdout
    told = re.sub(r"\x1b\[[0-9;]*m", "", told)

    assert max(map(len, told.splitlines())) <= 120
    assert re.search(r"(?m)^          \S.*ask QPay\.\s*$", told)
    assert not BOXES.search(told)
