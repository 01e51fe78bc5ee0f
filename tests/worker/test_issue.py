"""A QR for what is outstanding: the same for everybody who asks, and never two that can be paid."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from simulator.world import Switches
from tests.proxy import held
from tests.waiting import wait_until
from tests.worker.conftest import MERCHANT, Stack


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second request waits for the first one's answer a second, not twelve."""
    monkeypatch.setattr("worker.issue.AWAIT_S", 1.0)


PNG = b"\x89PNG\r\n\x1a\n"


def test_a_pay_link_has_everything_that_a_customer_needs(stack: Stack) -> None:
    stack.put(amount=1_500_000)

    link = stack.pay_link().json()

    assert set(link) == {
        "gateway", "gatewayInvoiceId", "qrText", "qrImage", "payUrl", "links", "expiresAt", "amount",
    }  # fmt: skip
    assert link["amount"] == {"amount": "1500000.00", "currency": "MNT"}
    assert base64.b64decode(link["qrImage"]).startswith(PNG)
    assert all(set(bank) == {"name", "description", "logo", "link"} for bank in link["links"])
    assert link["expiresAt"].endswith("Z")


def test_two_requests_at_once_create_one_qr_and_get_the_same_answer(stack: Stack) -> None:
    def asked(invoice_id: str) -> str:
        """Ask until it is answered: on a busy machine a login, or another's create, may take longer than is waited."""
        answers: list[httpx.Response] = []

        def answered() -> bool:
            answers.append(stack.pay_link(invoice_id))
            assert answers[-1].status_code in {200, 503, 504}, answers[-1].text
            return answers[-1].status_code == 200

        wait_until(answered, within_s=60)
        return answers[-1].text

    stack.put("order-0")
    asked("order-0")  # logs in
    stack.put()

    with ThreadPoolExecutor(max_workers=8) as threads:
        links = list(threads.map(asked, ["order-1"] * 8))

    assert len(set(links)) == 1
    facts = httpx.get(f"{stack.simulator.url}/simulator/facts", trust_env=False).json()["invoices"]
    assert [invoice["number"] for invoice in facts if invoice["number"].startswith("order-1")] == ["order-1"]


def test_an_open_qr_is_given_again(stack: Stack) -> None:
    stack.put()

    assert stack.pay_link().json() == stack.pay_link().json()
    assert stack.creates() == 1


def test_a_changed_amount_cancels_the_old_qr_and_makes_the_next_generation(stack: Stack) -> None:
    stack.put(amount=100_000)
    first = stack.pay_link().json()
    stack.put(amount=80_000)

    second = stack.pay_link().json()

    assert second["gatewayInvoiceId"] != first["gatewayInvoiceId"]
    assert second["amount"]["amount"] == "80000.00"
    states = {one["generation"]: one["state"] for one in stack.invoice()["gatewayInvoices"]}
    assert states == {1: "superseded", 2: "open"}
    facts = httpx.get(f"{stack.simulator.url}/simulator/facts", trust_env=False).json()["invoices"]
    assert [invoice["number"] for invoice in facts] == ["order-1", "order-1-g2"]
    assert facts[0]["state"] != facts[1]["state"]


@pytest.mark.usefixtures("working")
def test_what_is_left_after_a_part_payment_gets_a_qr_of_its_own(stack: Stack) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    stack.pay(amount=30_000)
    wait_until(lambda: stack.invoice()["balance"]["status"] == "partially_paid")

    def asked() -> bool:
        return stack.pay_link().status_code == 200

    wait_until(asked)
    assert stack.pay_link().json()["amount"]["amount"] == "70000.00"
    stack.pay("order-1-g2")
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("switches", [Switches(partly_paid_stays_open=True)])
def test_a_partly_paid_qr_that_the_gateway_keeps_open_is_given_again_and_none_is_made_beside_it(stack: Stack) -> None:
    stack.put(amount=100_000)
    first = stack.pay_link().json()
    stack.pay(amount=30_000)
    wait_until(lambda: stack.invoice()["balance"]["status"] == "partially_paid")

    again = stack.pay_link()
    calls = stack.calls()["endpoints"]
    assert stack.pay_link().text == again.text
    assert stack.calls()["endpoints"] == calls
    stack.pay()
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")

    assert (again.status_code, again.json()["gatewayInvoiceId"]) == (200, first["gatewayInvoiceId"])
    assert again.json()["amount"]["amount"] == "70000.00"
    assert stack.creates() == 1
    assert [one["state"] for one in stack.invoice()["gatewayInvoices"]] == ["settled"]


def test_what_nobody_announced_is_found_before_a_qr_is_replaced(stack: Stack) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    stack.pay(amount=30_000, callback="drop")
    stack.put(amount=90_000)

    link = stack.pay_link().json()

    assert link["amount"]["amount"] == "60000.00"
    assert stack.invoice()["balance"]["received"]["amount"] == "30000.00"
    assert stack.checks() == 1


def test_a_qr_that_is_no_longer_right_is_closed_without_anybody_asking(
    stack: Stack, working: Callable[[], int]
) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    stack.put(amount=90_000)

    working()
    wait_until(lambda: [one["state"] for one in stack.invoice()["gatewayInvoices"]] == ["superseded"])

    (invoice,) = stack.simulator.world.book.invoices()
    assert invoice.canceled_at is not None


def test_the_other_qr_of_an_invoice_that_was_paid_is_cancelled(stack: Stack, working: Callable[[], int]) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    stack.put(amount=90_000)
    stack.pay_link()
    old, _ = stack.simulator.world.book.invoices()
    stack.pay(None, invoiceId=old.invoice_id, force=True)
    wait_until(lambda: stack.invoice()["balance"]["status"] == "overpaid")

    working()
    wait_until(lambda: [one["state"] for one in stack.invoice()["gatewayInvoices"]] == ["superseded", "cancelled"])

    assert all(invoice.canceled_at for invoice in stack.simulator.world.book.invoices())


def _changed_while_created(stack: Stack, change: Callable[[], object]) -> httpx.Response:
    """Ask for a QR, and change its invoice before the gateway answers."""
    stack.put("order-0")
    stack.pay_link("order-0")
    stack.put(amount=100_000)
    with ThreadPoolExecutor(max_workers=1) as threads:
        with held(stack.gateway):
            asked = threads.submit(stack.pay_link)
            wait_until(lambda: [one["state"] for one in stack.invoice()["gatewayInvoices"]] == ["issuing"])
            change()
        return asked.result()


def test_an_amount_that_changes_while_the_qr_is_created_gets_a_qr_of_its_own(stack: Stack) -> None:
    link = _changed_while_created(stack, lambda: stack.put(amount=80_000)).json()

    assert link["amount"]["amount"] == "80000.00"
    states = {one["generation"]: one["state"] for one in stack.invoice()["gatewayInvoices"]}
    assert states == {1: "superseded", 2: "open"}


@pytest.mark.parametrize("change", ["void", "paid"])
def test_a_qr_that_is_no_longer_wanted_when_its_create_is_answered_is_closed_without_anybody_asking(
    stack: Stack, working_unscheduled: Callable[[], int], change: str
) -> None:
    void = {"reason": "a mistake"}
    changes = {
        "void": lambda: stack.api.post("/v2/invoices/order-1/void", json=void),
        "paid": lambda: stack.record(100_000),
    }

    answer = _changed_while_created(stack, changes[change])

    assert answer.status_code == 409
    assert [one["state"] for one in stack.invoice()["gatewayInvoices"]] == ["closing"]
    working_unscheduled()
    wait_until(lambda: [one["state"] for one in stack.invoice()["gatewayInvoices"]] == ["cancelled"])
    assert stack.simulator.world.book.invoices()[-1].canceled_at is not None


@pytest.mark.parametrize("gateway", ["qpay", "socialpay"])
def test_a_fraction_is_refused_before_any_call_and_leaves_nothing_behind(stack: Stack, gateway: str) -> None:
    stack.put(amount=1_000)
    stack.record("899.50")

    answers = [stack.pay_link(gateway=gateway) for _ in range(2)]

    assert {(one.status_code, one.json()["error"]["code"]) for one in answers} == {(409, "FRACTION_OUTSTANDING")}
    assert stack.invoice()["gatewayInvoices"] == []
    assert stack.creates() == 0
    stack.record("0.50")
    assert stack.pay_link(gateway=gateway).json()["amount"]["amount"] == "100.00"


def test_an_open_qr_is_closed_when_what_is_left_is_a_fraction(stack: Stack) -> None:
    stack.put(amount=1_000)
    stack.pay_link()
    stack.record("899.50")

    answer = stack.pay_link()

    assert answer.json()["error"]["code"] == "FRACTION_OUTSTANDING"
    assert [one["state"] for one in stack.invoice()["gatewayInvoices"]] == ["superseded"]


@pytest.mark.usefixtures("working")
def test_a_qr_that_was_paid_while_it_is_closed_is_settled_instead(stack: Stack) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    stack.pay(callback="drop")
    stack.put(amount=90_000)

    answer = stack.pay_link()

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NOTHING_OUTSTANDING")
    balance = stack.invoice()["balance"]
    assert (balance["status"], balance["overpaid"]["amount"]) == ("overpaid", "10000.00")
    assert stack.creates() == 1


@pytest.mark.usefixtures("working")
def test_nothing_is_issued_for_a_paid_invoice(stack: Stack) -> None:
    stack.put()
    stack.pay_link()
    stack.pay()
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")

    answer = stack.pay_link()

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NOTHING_OUTSTANDING")


def test_an_expired_qr_is_replaced_on_demand(stack: Stack, database_url: str) -> None:
    stack.put()
    first = stack.pay_link().json()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE tootsoo.gateway_invoice SET expires_at = now() - interval '1 second'")

    second = stack.pay_link().json()

    assert second["gatewayInvoiceId"] != first["gatewayInvoiceId"]
    assert stack.creates() == 2


def test_a_create_whose_outcome_is_unknown_is_not_repeated_before_its_deadline(stack: Stack, database_url: str) -> None:
    stack.put()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO tootsoo.gateway_invoice (
                id, invoice_id, gateway, generation, number, amount_minor, currency, state, issued_at, expires_at,
                issue_deadline
            )
            SELECT %s, 'order-1', 'qpay', 1, 'order-1', 150000000, 'MNT', 'issuing', now(), now() + interval '7 days',
                now() + interval '60 seconds'
            """,
            [uuid4()],
        )

    unknown = stack.pay_link()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE tootsoo.gateway_invoice SET issue_deadline = now()")
    given_up = stack.pay_link()

    assert (unknown.status_code, unknown.json()["error"]["code"]) == (504, "OUTCOME_UNKNOWN")
    assert given_up.status_code == 200
    assert {one["generation"]: one["state"] for one in stack.invoice()["gatewayInvoices"]} == {1: "failed", 2: "open"}


def test_a_refused_create_says_so_with_the_gateways_code_and_may_be_asked_for_again(stack: Stack) -> None:
    stack.put()
    known = stack.simulator.world.merchants
    known["TEST_MERCHANT"] = replace(MERCHANT, invoice_code="ANOTHER_CODE")

    refused = stack.pay_link()
    known["TEST_MERCHANT"] = MERCHANT
    given = stack.pay_link()

    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "GATEWAY_REFUSED")
    assert "INVOICE_CODE_INVALID" in refused.json()["error"]["message"]
    assert given.status_code == 200


def test_an_answer_that_was_lost_is_unknown_and_shows_no_qr_to_anybody(stack: Stack) -> None:
    stack.put("order-0")
    assert stack.pay_link("order-0").status_code == 200
    stack.put()
    stack.gateway.cut()

    lost = stack.pay_link()
    stack.gateway.mend()
    again = stack.pay_link()

    assert (lost.status_code, lost.json()["error"]["code"]) == (504, "OUTCOME_UNKNOWN")
    assert (again.status_code, again.json()["error"]["code"]) == (504, "OUTCOME_UNKNOWN")
    assert [one["state"] for one in stack.invoice()["gatewayInvoices"]] == ["issuing"]


def test_wrong_credentials_are_named_without_being_shown(stack: Stack) -> None:
    stack.put()
    stack.simulator.world.merchants["TEST_MERCHANT"] = replace(MERCHANT, password="changed at the gateway")

    answer = stack.pay_link()

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "GATEWAY_REFUSED")
    assert MERCHANT.password not in answer.text


def test_the_image_is_made_here_when_the_gateway_sends_none(stack: Stack) -> None:
    stack.simulator.world.switches = Switches(qr_image_is_empty=True)
    stack.put()

    link = stack.pay_link().json()

    assert base64.b64decode(link["qrImage"]).startswith(PNG)


def test_the_callback_address_names_the_qr_and_nothing_else(stack: Stack) -> None:
    stack.put()
    link = stack.pay_link().json()

    (invoice,) = stack.simulator.world.book.invoices()

    token = invoice.callback_url.rsplit("/", 1)[1]
    assert len(invoice.callback_url) <= 255
    assert stack.parts.tokens.read(token) == UUID(link["gatewayInvoiceId"])
