"""Logs are one JSON object a line, carry what is bound, and never a secret."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import structlog

from worker.logs import configure_logs


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_says_who_when_what_and_about_which_payment(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(process="worker", log_format="json", log_level="info")

    with structlog.contextvars.bound_contextvars(invoice="order-1", gateway_invoice="7"):
        structlog.get_logger().info("payment.recorded", amount="100")

    (line,) = lines(capsys)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "payment.recorded", "level": "info", "process": "worker", "invoice": "order-1",
        "gateway_invoice": "7", "amount": "100",
    }  # fmt: skip


def test_a_secret_is_taken_out_of_whatever_line_it_got_into(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(process="web", log_format="json", log_level="info", secrets=["s3cret-word", ""])

    structlog.get_logger().info("told", url="postgresql://u:s3cret-word@db")
    logging.getLogger("some.library").warning("connecting with %s", "s3cret-word")
    try:
        int("s3cret-word")
    except ValueError:
        structlog.get_logger().exception("broken")

    output = capsys.readouterr().err
    assert "s3cret-word" not in output
    assert output.count("[secret]") >= 3
    assert all(json.loads(line) for line in output.splitlines())


def test_a_secret_that_json_has_to_escape_is_taken_out_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(process="web", log_format="json", log_level="info", secrets=['s3c"ret\\wörd', "x"])

    structlog.get_logger().info("told", url='postgresql://u:s3c"ret\\wörd@db', extra="exact")

    (line,) = lines(capsys)
    assert (line["url"], line["extra"]) == ("postgresql://u:[secret]@db", "exact")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_local_variables(
    capsys: pytest.CaptureFixture[str], log_format: Literal["json", "console"]
) -> None:
    configure_logs(process="web", log_format=log_format, log_level="info")

    token = "t0-kn"

    def call(authorization: str) -> int:
        return 1 // (len(authorization) - 13)

    try:
        call(f"Bearer {token}!")
    except ZeroDivisionError:
        structlog.get_logger().exception("broken")

    output = capsys.readouterr().err
    assert "ZeroDivisionError" in output
    assert "t0-kn" not in output


def test_a_line_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115 - closing it fails, as every write does
    monkeypatch.setattr(sys, "stderr", full)
    configure_logs(process="web", log_format="json", log_level="info")

    structlog.get_logger().error("told", to="nobody")
    structlog.get_logger().info("told", to="nobody either")

    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_libraries_that_tell_every_call_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(process="web", log_format="json", log_level="info")

    logging.getLogger("httpx").info("GET https://example.mn/a-token")
    logging.getLogger("uvicorn.access").info("GET /v2/qpay/webhook/a-token")

    assert lines(capsys) == []
