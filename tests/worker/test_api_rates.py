"""Too many requests are turned away: of one key, and of an address that shows no key of ours."""

import httpx
import pytest

from tests.worker.conftest import Stack
from worker.settings import ApiSettings
from worker.web.rates import network_of


@pytest.fixture
def api_limits() -> ApiSettings:
    return ApiSettings(rate_per_key=8, rate_per_address=5)


def test_a_key_that_calls_too_often_is_told_when_to_come_again(stack: Stack) -> None:
    answers = [stack.api.get("/v2/payments") for _ in range(9)]

    assert [answer.status_code for answer in answers] == [200] * 8 + [429]
    assert answers[-1].json()["error"]["code"] == "TOO_MANY_REQUESTS"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60


def test_a_flood_without_a_key_is_turned_away_and_a_known_key_still_let_in(stack: Stack) -> None:
    wrong = {"Authorization": "Bearer tootsoo_000000000000_" + "A" * 43}
    before = stack.api.get("/v2/payments")

    flood = [stack.api.get("/v2/payments", headers=wrong).status_code for _ in range(6)]
    known = stack.api.get("/v2/payments")
    callback = httpx.get(f"{stack.api.base_url}/v2/qpay/webhook/forged", trust_env=False)

    assert flood == [401] * 4 + [429] * 2
    assert (before.status_code, known.status_code) == (200, 200)
    assert callback.status_code == 404


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", "unknown"),
    ],
)
def test_what_is_one_customer_of_a_provider_is_counted_as_one(address: str, network: str) -> None:
    assert network_of(address) == network
