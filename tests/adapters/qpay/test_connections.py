"""A connection serves one question after the other, and what is told of one QR is never read as told of another."""

import json
from collections.abc import Callable

import pytest

from adapters.qpay.gateway import QPayGateway
from tests.adapters.qpay.scripted import Exchange, Reply, ScriptedQPay, rows
from tests.adapters.refs import ref

CHECK = "POST /v2/payment/check"
UNPAID = b'{"count": 0, "rows": []}'
PAID = json.dumps(
    {
        "count": 1,
        "rows": [
            {"payment_id": "1", "payment_status": "PAID", "payment_amount": "100.00", "payment_currency": "MNT"},
        ],
    }
).encode()


def whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def in_chunks(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def at_once(*parts: bytes) -> Reply:
    """Send everything in one piece, so that it is read in one."""

    def reply(exchange: Exchange) -> None:
        exchange.connection.sendall(b"".join(parts))

    return reply


@pytest.mark.parametrize(
    "behind",
    [whole(PAID), in_chunks(PAID), whole(PAID)[:-20], whole(PAID)[:20], b"\r\n"],
    ids=["an answer", "one in chunks", "most of one", "the beginning of one", "an empty line"],
)
@pytest.mark.parametrize("framed", [whole, in_chunks])
def test_what_comes_behind_an_answer_answers_no_other_question(
    qpay: ScriptedQPay, logged_in: QPayGateway, framed: Callable[[bytes], bytes], behind: bytes
) -> None:
    qpay.will(CHECK, at_once(framed(UNPAID), behind), rows())

    told = [logged_in.check(ref(qr)).rows for qr in ("i-1", "i-2", "i-3")]

    assert told == [(), (), ()]
    assert [seen.json["object_id"] for seen in qpay.checks[-3:]] == ["i-1", "i-2", "i-3"]


def test_what_comes_behind_a_login_answers_no_question(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    login = whole(json.dumps({"access_token": "access-1", "expires_in": 86_400}).encode())
    qpay.will("POST /v2/auth/token", at_once(login, whole(PAID)))
    qpay.will(CHECK, rows())

    assert gateway.check(ref("i-1")).rows == ()
