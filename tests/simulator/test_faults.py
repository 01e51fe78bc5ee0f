"""The simulated QPay misbehaves: each fault, at the endpoint and as often as it is told, the same again by its seed."""

import json
import math
import time
from typing import Any

import httpx
import pytest

from simulator.faults import Fault
from simulator.qpay.endpoints import POSSIBLE
from simulator.tampering import UNKNOWN_STATUS
from tests.simulator.shapes import recorded
from tests.simulator.shop import Bearer, Shop, invoice_request

CHECK = "POST /v2/payment/check"


@pytest.fixture
def invoice_id(shop: Shop, bearer: Bearer) -> str:
    invoice_id = bearer.issue("rent-1", amount=300, allow_partial=True)["invoice_id"]
    for _ in range(3):
        shop.paid(invoiceId=invoice_id, amount=100, callback="drop")
    return str(invoice_id)


def types(value: Any) -> Any:
    """As `shape`, but for every element of a list."""
    if isinstance(value, list):
        return [types(inner) for inner in value]
    return {key: types(inner) for key, inner in value.items()} if isinstance(value, dict) else type(value).__name__


def injected(shop: Shop) -> dict[str, Any]:
    found: dict[str, Any] = shop.look("faults")["injected"]
    return found


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("busy", 500, "SYSTEM_BUSY"), ("tooMany", 429, "TOO_MANY_REQUESTS"), ("unauthorized", 401, "NO_CREDENTIALS")],
)
def test_a_call_can_be_refused_without_being_acted_upon(
    shop: Shop, bearer: Bearer, kind: str, status: int, code: str
) -> None:
    shop.always(kind, "POST /v2/invoice", seconds=7)

    answer = bearer.create()

    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert answer.headers.get("Retry-After") == ("7" if kind == "tooMany" else None)
    assert answer.headers["X-Simulator"] == "tootsoo"
    assert shop.look("facts")["invoices"] == []
    assert injected(shop) == {"POST /v2/invoice": {kind: 1}}
    assert shop.look("log")["calls"][0]["fault"] == kind


def test_busy_is_told_as_recorded(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.always("busy")

    assert bearer.check(invoice_id).json() == recorded("system_busy_500")


def test_a_bad_gateway_is_html(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.always("badGateway")

    answer = bearer.check(invoice_id)

    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert "<h1>502 Bad Gateway</h1>" in answer.text


def test_a_login_elsewhere_kills_the_token_for_good(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.always("loggedOut")
    assert bearer.check(invoice_id).status_code == 401

    shop.faults()

    assert bearer.check(invoice_id).status_code == 401
    assert shop.bearer().check(invoice_id).status_code == 200


@pytest.mark.parametrize(("kind", "created"), [("reset", 0), ("resetAfter", 1)])
def test_a_connection_is_reset_before_or_after_the_call_was_acted_upon(
    shop: Shop, bearer: Bearer, kind: str, created: int
) -> None:
    shop.always(kind, "POST /v2/invoice")

    with pytest.raises(httpx.ReadError):
        bearer.create()

    assert len(shop.look("facts")["invoices"]) == created
    assert shop.look("log")["calls"][0] | {"at": ""} == {
        "at": "",
        "endpoint": "POST /v2/invoice",
        "invoiceId": None,
        "statusCode": None,
        "code": None,
        "fault": kind,
    }


@pytest.mark.parametrize(("kind", "created"), [("hang", 0), ("hangAfter", 1)])
def test_a_call_hangs_before_or_after_it_was_acted_upon(shop: Shop, bearer: Bearer, kind: str, created: int) -> None:
    shop.always(kind, "POST /v2/invoice")

    with pytest.raises(httpx.ReadTimeout):
        bearer.call("POST", "/v2/invoice", json=invoice_request(), timeout=0.2)

    assert len(shop.look("facts")["invoices"]) == created


def test_a_hanging_call_ends_in_a_reset(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.always("hang", seconds=0.1)

    with pytest.raises(httpx.ReadError):
        bearer.check(invoice_id)


def test_latency_is_waited_for(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.always("latency", seconds=0.2)

    began = time.monotonic()
    answer = bearer.check(invoice_id)

    assert answer.json()["count"] == 3
    assert time.monotonic() - began >= 0.2


def test_a_drip_comes_byte_by_byte_and_is_whole_in_the_end(shop: Shop, bearer: Bearer) -> None:
    unpaid = bearer.issue("unpaid")["invoice_id"]
    whole = bearer.check(unpaid).content
    shop.always("drip", seconds=0.02)

    began = time.monotonic()
    answer = bearer.check(unpaid)

    assert answer.content == whole
    assert time.monotonic() - began >= 0.02 * (len(whole) - 1)


@pytest.mark.parametrize("seed", range(5))
def test_truncated_json_is_no_json(shop: Shop, bearer: Bearer, invoice_id: str, seed: int) -> None:
    shop.faults({"kind": "truncated", "endpoint": CHECK, "probability": 1}, seed=seed)

    answer = bearer.check(invoice_id)

    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


@pytest.mark.parametrize("seed", range(10))
def test_one_value_has_another_type(shop: Shop, bearer: Bearer, invoice_id: str, seed: int) -> None:
    right = types(bearer.check(invoice_id).json())
    shop.faults({"kind": "wrongTypes", "endpoint": CHECK, "probability": 1}, seed=seed)

    assert types(bearer.check(invoice_id).json()) != right


@pytest.mark.parametrize("seed", range(5))
def test_one_number_is_nan(shop: Shop, bearer: Bearer, invoice_id: str, seed: int) -> None:
    shop.faults({"kind": "nan", "endpoint": CHECK, "probability": 1}, seed=seed)

    answer = bearer.check(invoice_id)

    found: list[str] = []
    json.loads(answer.content, parse_constant=found.append)
    assert found == ["NaN"]
    assert math.isnan(float(found[0]))


def test_an_oversized_answer_is_far_too_long_and_can_be_left(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.always("oversized")

    with shop.http.stream(
        "POST",
        "/v2/payment/check",
        headers={"Authorization": f"Bearer {bearer.access_token}"},
        json={"object_type": "INVOICE", "object_id": invoice_id},
    ) as answer:
        came = 0
        for chunk in answer.iter_raw():
            came += len(chunk)
            if came > 6_000_000:
                break

    assert came > 6_000_000
    shop.faults()
    assert bearer.check(invoice_id).json()["count"] == 3


def test_rows_are_doubled(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.always("duplicatedRows")

    body = bearer.check(invoice_id).json()

    told = [row["payment_id"] for row in body["rows"]]
    assert (body["count"], len(told), len(set(told))) == (4, 4, 3)


def test_rows_move_on_between_two_pages(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    first = bearer.check(invoice_id, page_number=1, page_limit=2).json()
    shop.always("movingRows")

    second = bearer.check(invoice_id, page_number=2, page_limit=2).json()

    together = {row["payment_id"] for row in [*first["rows"], *second["rows"]]}
    assert (first["count"], second["count"]) == (3, 3)
    assert len(together) == 2, "one came twice, so one did not come"


@pytest.mark.parametrize("listed", [False, True])
def test_a_stale_answer_lacks_the_newest_row(shop: Shop, bearer: Bearer, invoice_id: str, *, listed: bool) -> None:
    def read() -> dict[str, Any]:
        body: dict[str, Any] = (bearer.list() if listed else bearer.check(invoice_id)).json()
        return body

    fresh = read()
    shop.always("stale", "POST /v2/payment/list" if listed else CHECK)

    stale = read()

    assert stale["count"] == 2
    assert len(fresh["rows"]) == 3
    assert all(row in fresh["rows"] for row in stale["rows"])
    assert listed or stale["paid_amount"] == 200


def test_a_status_can_be_unknown_while_the_neighbours_are_well(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.always("unknownStatus")

    statuses = [row["payment_status"] for row in bearer.check(invoice_id).json()["rows"]]

    assert sorted(statuses) == sorted(["PAID", "PAID", UNKNOWN_STATUS])


def test_unknown_fields_are_everywhere_and_nothing_is_missing(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    right = bearer.check(invoice_id).json()
    shop.always("unknownFields")

    body = bearer.check(invoice_id).json()

    assert body.pop("field_of_the_future")
    assert all(row.pop("field_of_the_future") for row in body["rows"])
    for row in body["rows"]:
        assert all(transfer.pop("field_of_the_future") for transfer in row["p2p_transactions"])
    assert body == right


def test_what_is_refused_is_not_spoiled_and_not_counted(shop: Shop, bearer: Bearer) -> None:
    shop.always("nan")

    assert bearer.check("nothing").json()["error"] == "INVOICE_NOTFOUND"
    assert injected(shop) == {}
    assert shop.look("log")["calls"][0]["fault"] is None


def test_only_the_endpoint_that_is_named_is_met(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.always("busy")

    assert bearer.call("GET", f"/v2/invoice/{invoice_id}").status_code == 200
    assert bearer.check(invoice_id).status_code == 500


def test_a_rule_for_one_endpoint_goes_before_that_for_every(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    shop.faults({"kind": "busy", "probability": 1}, {"kind": "busy", "endpoint": CHECK, "probability": 0})

    assert bearer.check(invoice_id).status_code == 200
    assert bearer.call("GET", f"/v2/invoice/{invoice_id}").status_code == 500


def test_the_same_seed_is_the_same_fate_and_another_is_another(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    def fates(seed: int) -> list[int]:
        shop.faults({"kind": "busy", "endpoint": CHECK, "probability": 0.5}, seed=seed)
        return [bearer.check(invoice_id).status_code for _ in range(40)]

    one = fates(7)
    assert shop.look("faults")["seed"] == 7

    assert fates(7) == one
    assert fates(8) != one
    assert set(one) == {200, 500}


def test_all_kinds_share_one_probability(shop: Shop) -> None:
    shop.faults({"probability": 0.2}, seed=3)

    drawn = [shop.world.faults.draw(CHECK) for _ in range(20_000)]

    kinds = [one.kind for one in drawn if one is not None]
    assert 0.18 < len(kinds) / len(drawn) < 0.22
    assert set(kinds) == set(Fault)


def test_a_login_is_never_refused_for_its_token(shop: Shop) -> None:
    assert not POSSIBLE["POST /v2/auth/token"] & {Fault.UNAUTHORIZED, Fault.LOGGED_OUT}
    shop.faults({"kind": "unauthorized", "probability": 1})

    assert shop.http.post("/v2/auth/token", auth=("nobody", "")).json()["error"] == "AUTHENTICATION_FAILED"
    shop.log_in()


def test_a_reset_ends_all_faults(shop: Shop) -> None:
    shop.faults({"probability": 1}, seed=9)

    shop.http.post("/simulator/reset")

    assert shop.look("faults") == {"seed": 9, "rules": [], "injected": {}}


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "nonsense", "probability": 1},
        {"endpoint": "GET /nothing", "probability": 1},
        {"endpoint": "POST /v2/auth/token", "kind": "movingRows", "probability": 1},
        {"kind": "busy", "probability": 1.5},
        {"kind": "busy"},
        {"kind": "hang", "probability": 1, "seconds": 601},
    ],
)
def test_faults_that_cannot_be_change_nothing(shop: Shop, rule: dict[str, Any]) -> None:
    shop.faults({"kind": "busy", "probability": 0.5})

    answer = shop.http.put("/simulator/faults", json={"rules": [rule]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID")
    assert [one["kind"] for one in shop.look("faults")["rules"]] == ["busy"]


def test_faults_more_likely_than_certain_are_refused(shop: Shop) -> None:
    rules = [{"kind": kind, "probability": 0.6} for kind in ("busy", "reset")]

    answer = shop.http.put("/simulator/faults", json={"rules": rules})

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID")
