"""Logging in to the simulated QPay."""

import httpx
import pytest

from simulator.world import Switches
from tests.simulator.shapes import recorded, shape
from tests.simulator.shop import OTHER, SHOP, Bearer, Shop


def refresh(shop: Shop, refresh_token: str) -> httpx.Response:
    return shop.http.post("/v2/auth/refresh", headers={"Authorization": f"Bearer {refresh_token}"})


def status(shop: Shop, access_token: str) -> int:
    return Bearer(shop.http, access_token).check("no-such-invoice").status_code


def test_login_answers_as_recorded(shop: Shop) -> None:
    assert shape(shop.log_in()) == shape(recorded("auth_token_200"))


def test_expires_in_is_the_time_of_the_end_not_a_duration(shop: Shop) -> None:
    body = shop.log_in()

    assert body["expires_in"] == int(shop.clock.now.timestamp()) + 86_400
    assert body["refresh_expires_in"] == body["expires_in"]


def test_expires_in_can_be_switched_to_a_duration(shop: Shop) -> None:
    shop.world.switches = Switches(expires_in_is_duration=True)

    assert shop.log_in()["expires_in"] == 86_400


@pytest.mark.parametrize(
    "auth",
    [
        httpx.BasicAuth(SHOP.username, "wrong"),
        httpx.BasicAuth("nobody", SHOP.password),
        httpx.BasicAuth(SHOP.username, OTHER.password),
        httpx.Auth(),
    ],
)
def test_wrong_credentials_are_refused_as_recorded(shop: Shop, auth: httpx.Auth) -> None:
    answer = shop.http.post("/v2/auth/token", auth=auth)

    assert answer.status_code == 401
    assert answer.json() == recorded("auth_token_401")


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic //79", "Bearer x", "Basic Zm9v"])
def test_unreadable_credentials_are_refused(shop: Shop, header: str) -> None:
    answer = shop.http.post("/v2/auth/token", headers={"Authorization": header})

    assert (answer.status_code, answer.json()["error"]) == (401, "AUTHENTICATION_FAILED")


def test_a_second_login_kills_the_first_token(shop: Shop) -> None:
    first, second = shop.log_in(), shop.log_in()

    assert status(shop, first["access_token"]) == 401
    assert status(shop, second["access_token"]) == 422


def test_a_second_login_kills_the_first_refresh_token(shop: Shop) -> None:
    first = shop.log_in()
    shop.log_in()

    assert refresh(shop, first["refresh_token"]).json() == recorded("unauthorized_401")


def test_another_merchants_login_kills_nothing(shop: Shop) -> None:
    ours = shop.log_in()
    shop.log_in(OTHER)

    assert status(shop, ours["access_token"]) == 422


def test_refresh_answers_a_full_new_pair_and_ends_the_old_one(shop: Shop) -> None:
    old = shop.log_in()

    new = refresh(shop, old["refresh_token"]).json()

    assert shape(new) == shape(recorded("auth_token_200"))
    assert status(shop, old["access_token"]) == 401
    assert status(shop, new["access_token"]) == 422
    assert refresh(shop, old["refresh_token"]).status_code == 401
    assert refresh(shop, new["refresh_token"]).status_code == 200


def test_tokens_are_not_taken_for_one_another(shop: Shop) -> None:
    tokens = shop.log_in()

    assert status(shop, tokens["refresh_token"]) == 401
    assert refresh(shop, tokens["access_token"]).status_code == 401


def test_both_tokens_run_out_after_a_day(shop: Shop) -> None:
    tokens = shop.log_in()

    shop.clock.advance(seconds=86_399)
    assert status(shop, tokens["access_token"]) == 422

    shop.clock.advance(seconds=1)
    assert status(shop, tokens["access_token"]) == 401
    assert refresh(shop, tokens["refresh_token"]).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/invoice"),
        ("GET", "/v2/invoice/x"),
        ("DELETE", "/v2/invoice/x"),
        ("POST", "/v2/payment/check"),
        ("GET", "/v2/payment/x"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer made-up"}, {"Authorization": "Bearer"}])
def test_no_call_goes_without_a_live_token(shop: Shop, method: str, path: str, headers: dict[str, str]) -> None:
    answer = shop.http.request(method, path, headers=headers, content=b"{" if method == "POST" else None)

    assert answer.status_code == 401
    assert answer.json() == recorded("unauthorized_401")
