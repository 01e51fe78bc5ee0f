"""Structured logs: one line an event, on standard error, with secrets taken out whatever line they got into."""

import json
import logging
import sys
from collections.abc import Iterable
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_HIDDEN = "[secret]"

SECRET_MIN = 4
"""What is shorter protects nothing, and would be found in every word."""

_FIRST = ("timestamp", "level", "process", "event", "invoice", "gateway_invoice")

_QUIET = ("httpx", "httpcore", "dramatiq", "apscheduler", "yoyo", "uvicorn", "psycopg.pool")
"""Libraries that would tell every call, with addresses that hold webhook tokens, at a level where we tell our own."""


def configure_logs(
    *, process: str, log_format: Literal["json", "console"], log_level: str, secrets: Iterable[str] = ()
) -> None:
    """Let this process log under its name, in its format; `secrets` never appear, even inside an error's text."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_process(process),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[log_level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _put_in_order,
            *_renderers(log_format),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(formatter, secrets))
    logging.basicConfig(handlers=[handler], level=log_level.upper(), force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _name_process(process: str) -> Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add


def _put_in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Begin each line with when, how bad, where and what, so that a column of them can be read."""
    first = {name: event.pop(name) for name in _FIRST if name in event}
    return {**first, **event}


def _renderers(log_format: Literal["json", "console"]) -> list[Processor]:
    if log_format == "console":
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _ways_to_write(secret: str) -> set[str]:
    """Return a secret as it stands in text, in JSON, and in the repr of an error."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}


class _Redacting(logging.Formatter):
    """Takes secrets out of the finished line: an exception's text may hold what nobody meant to log."""

    def __init__(self, inner: logging.Formatter, secrets: Iterable[str]) -> None:
        super().__init__()
        self._inner = inner
        known = [secret for secret in secrets if len(secret) >= SECRET_MIN]
        written = {form for secret in known for form in _ways_to_write(secret)}
        self._secrets = sorted(written, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = self._inner.format(record)
        for secret in self._secrets:
            line = line.replace(secret, _HIDDEN)
        return line
