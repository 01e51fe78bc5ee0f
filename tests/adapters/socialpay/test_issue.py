"""An invoice is made by QR, by link or by phone, signed over what is sent, and only a plain yes is one."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from moneyed import Money

from adapters.socialpay.checksum import checksum
from adapters.socialpay.config import IssueBy, Paths, SocialPayConfig
from adapters.socialpay.gateway import SocialPayGateway
from domain.gateway import GatewayRefusedError, GatewayUnreadableError, InvoiceToIssue
from tests.adapters.qpay.scripted import ScriptedQPay, answer
from tests.adapters.socialpay.conftest import CREATE, SECRET, fixture, refused

ORDER = InvoiceToIssue(
    number="rent-2026-03-1",
    amount=Money(1_500_000, "MNT"),
    description="Rent",
    receiver_code="terminal",
    callback_url="https://pay.example.mn/never-sent",
    expires_at=datetime(2026, 3, 18, tzinfo=UTC),
)
DEEPLINK = "POST /pos/invoice/qr/deeplink"
PHONE = "POST /pos/invoice/phone"


def test_qr_is_asked_for_as_recorded_and_read_as_recorded(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(CREATE, answer(200, fixture("invoice_qr_200")))

    issued = gateway.issue(ORDER)

    assert socialpay.calls(CREATE)[0].json == fixture("invoice_qr_request")["body"]
    assert (issued.external_id, issued.qr_text) == (ORDER.number, "socialpay-payment://key=ZXhhbXBsZQ==")
    assert [link.link for link in issued.links] == [issued.qr_text]


def test_link_and_paths_are_as_configured(socialpay: ScriptedQPay, config: SocialPayConfig, redis_url: str) -> None:
    socialpay.will(DEEPLINK, answer(200, fixture("invoice_qr_200")))
    socialpay.will("POST /SmartPos/invoice/check", answer(200, fixture("check_200_unpaid_assumed")))
    other = replace(config, issue_by=IssueBy.DEEPLINK, paths=Paths(check="/SmartPos/invoice/check"))

    with SocialPayGateway(other, redis_url=redis_url, now=time.time) as gateway:
        gateway.issue(ORDER)

    assert len(socialpay.calls(DEEPLINK)) == 1


def test_phone_is_sent_and_signed(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(PHONE, answer(200, fixture("invoice_qr_200")))

    gateway.issue_to_phone(ORDER, phone="99112233")

    sent = socialpay.calls(PHONE)[0].json
    assert sent["phone"] == "99112233"
    assert sent["checksum"] == checksum(SECRET, "95000059", ORDER.number, "1500000", "99112233")


@pytest.mark.parametrize("phone", ["", "9911223", "+97699112233", "9911223x"])
def test_phone_that_is_none_is_refused_before_any_call(
    socialpay: ScriptedQPay, gateway: SocialPayGateway, phone: str
) -> None:
    with pytest.raises(ValueError, match="phone"):
        gateway.issue_to_phone(ORDER, phone=phone)

    assert socialpay.seen == []


@pytest.mark.parametrize("change", [{"number": "x" * 33}, {"number": ""}, {"amount": Money("1.50", "MNT")}])
def test_what_socialpay_does_not_take_is_refused_before_any_call(
    socialpay: ScriptedQPay, gateway: SocialPayGateway, change: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        gateway.issue(replace(ORDER, **change))  # type: ignore[arg-type]  # one field each

    assert socialpay.seen == []


@pytest.mark.parametrize(
    "response", [{}, {"status": "SUCCESS"}, {"status": "FAIL", "desc": "x"}, {"status": "SUCCESS", "desc": " "}]
)
def test_success_that_shows_nothing_leaves_the_outcome_unknown(
    socialpay: ScriptedQPay, gateway: SocialPayGateway, response: dict[str, str]
) -> None:
    socialpay.will(CREATE, answer(200, {"header": {"code": 200}, "body": {"response": response}}))

    with pytest.raises(GatewayUnreadableError):
        gateway.issue(ORDER)


def test_refusal_keeps_its_type_as_the_code(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(CREATE, refused("INVOICE_DUPLICATED", "Давхардсан", code=409))

    with pytest.raises(GatewayRefusedError) as no:
        gateway.issue(ORDER)

    assert (no.value.code, no.value.final) == ("INVOICE_DUPLICATED", False)


def test_no_secret_comes_back_in_a_message(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    signature = fixture("invoice_qr_request")["body"]["checksum"]
    socialpay.will(CREATE, refused("BAD", f"we expected {signature} from {SECRET}"))

    with pytest.raises(GatewayRefusedError) as no:
        gateway.issue(ORDER)

    assert "[hidden]" in no.value.message
    assert SECRET not in repr(vars(gateway)) + no.value.message
    assert signature not in no.value.message


@pytest.mark.parametrize(
    "wrong",
    [{"base_url": "instore.golomtbank.com"}, {"base_url": "https://u:hunter2@x.mn"}, {"terminal": "hunter2"}],
)
def test_configuration_that_is_wrong_is_refused_without_repeating_it(
    config: SocialPayConfig, wrong: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))) as refusal:
        replace(config, **wrong)  # type: ignore[arg-type]  # one field each

    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("path", ["", "pos/invoice", "/pos?x=1", "/pos//x", "https://x.mn/pos"])
def test_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        Paths(check=path)
