"""Whom the simulated QPay calls, and what it shows of the URL."""

import pytest

from simulator.callbacks import masked, stays_here
from simulator.qpay.callback import callback_target
from tests.simulator.receiver import SECRET
from tests.simulator.shop import Bearer, Shop


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://a/t", "http://a/t?qpay_payment_id=7"),
        ("http://a/t?x=1", "http://a/t?x=1&qpay_payment_id=7"),
        ("http://a/t#part", "http://a/t?qpay_payment_id=7"),
    ],
)
def test_the_id_is_appended_as_the_url_needs(url: str, target: str) -> None:
    assert callback_target(url, payment_id="7") == target


@pytest.mark.parametrize(
    "url",
    [f"http://u:{SECRET}@a:1/b/{SECRET}?x={SECRET}", f"http://a/{SECRET}/", f"http://a/{SECRET}", f"http://[/{SECRET}"],
)
def test_masked_urls_show_no_secret(url: str) -> None:
    assert SECRET not in masked(url)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/", True),
        ("http://127.9.9.9/", True),
        ("http://localhost/", True),
        ("http://[::1]/", True),
        ("http://192.0.2.1/", False),
        ("http://example.mn/", False),
        ("http://127.0.0.1@192.0.2.1/", False),
        ("http://127.0.0.1.example.mn/", False),
        ("http://[broken", False),
    ],
)
def test_this_machine_is_told_from_others(url: str, *, here: bool) -> None:
    assert stays_here(url) is here


def test_no_other_machine_is_called(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("rent-1", callback_url="http://192.0.2.1/webhook/secret")

    shop.paid(number="rent-1")

    assert [one["error"] for one in shop.callbacks(1)] == ["not sent: the target is not on this machine"]
