"""From a template to a page, in the language of its reader, with nothing in it that comes from elsewhere."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_currency
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from moneyed import Money

from worker.web.pay.view import bank_name
from worker.web.pay.words import DEFAULT, GATEWAYS, LANGUAGES, WORDS
from worker.web.qr import png_of

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Robots-Tag": "noindex, nofollow",
}

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def language_of(wish: str | None) -> str:
    """Return the language that is wished for, if there is one of that code; else Mongolian."""
    return wish if wish is not None and wish in LANGUAGES else DEFAULT


def page(template: str, *, language: str, status: int = 200, **values: object) -> HTMLResponse:
    """Fill a template; `t` in it says a word in the reader's language."""
    words = WORDS[language]

    def say(word: str, **parts: str) -> str:
        return words[word].format(**parts) if parts else words[word]

    html = _ENVIRONMENT.get_template(template).render(
        t=say, language=language, languages=LANGUAGES, gateway_names=GATEWAYS, **values
    )
    return HTMLResponse(html, status_code=status, headers=HEADERS)


def message(word: str, *, language: str, status: int) -> HTMLResponse:
    """Say one thing, by its word, on a page of its own."""
    return page("message.html", language=language, status=status, word=word)


def money_text(amount: Money) -> str:
    """Write an amount as it is written in Mongolia, `1,500,000 ₮`; with two decimals where it has some."""
    pattern = "#,##0 ¤" if amount.amount == amount.amount.to_integral_value() else "#,##0.00 ¤"
    return format_currency(amount.amount, amount.currency.code, pattern, locale="mn", currency_digits=False)


def time_text(time: datetime, zone: ZoneInfo) -> str:
    """Write a time as the customer's clock shows it: `2026-11-24 18:30`."""
    return format_datetime(time.astimezone(zone), "yyyy-MM-dd HH:mm", locale="en")


_ENVIRONMENT.filters.update(money=money_text, time=time_text, bank_name=bank_name, png=png_of)
