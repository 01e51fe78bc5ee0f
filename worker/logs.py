"""Structured logs: one line an event, on standard error, with secrets taken out whatever line they got into."""

import json
import logging
import sys
from collections.abc import Iterable
from contextlib import suppress
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
    """Let this process log under its name, in its format; `secrets` never appear, even inside an error's text.

    Our own lines go straight to standard error: by way of the standard library each would cost twice as much.
    """
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_process(process),
    ]
    last: list[Processor] = [_put_in_order, *_renderers(log_format), _without(secrets)]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[log_level.upper()]),
        logger_factory=lambda *_: _Unfailing(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=log_level.upper(), force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Unfailing(structlog.WriteLogger):
    """Writes lines; where that fails, on a full disk perhaps, the line is lost and whatever it told of goes on."""

    def msg(self, message: str) -> None:
        """Write one line."""
        with suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warning = error = critical = exception = msg


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
        # Its own tracebacks show local variables, and with them tokens and keys that no setting names.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _ways_to_write(secret: str) -> set[str]:
    """Return a secret as it stands in text, in JSON, and in the repr of an error."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}


def _without(secrets: Iterable[str]) -> Processor:
    """Take secrets out of the finished line: an exception's text may hold what nobody meant to log."""
    known = [secret for secret in secrets if len(secret) >= SECRET_MIN]
    written = sorted({form for secret in known for form in _ways_to_write(secret)}, key=len, reverse=True)

    def redact(_: WrappedLogger, __: str, line: EventDict | str) -> str:
        text = str(line)  # rendered before; the type is that of all processors
        for form in written:
            text = text.replace(form, _HIDDEN)
        return text

    return redact
