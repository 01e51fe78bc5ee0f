"""From a template to a page, in the language of its reader, with nothing in it that comes from elsewhere."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from simulator.pages.words import LANGUAGES, words_in

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
COOKIE = "simulator-language"
YEAR_S = 366 * 86_400
LOCAL = ZoneInfo("Asia/Ulaanbaatar")

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(request: Request, template: str, *, status_code: int = 200, **values: object) -> HTMLResponse:
    """Fill a template; `t` in it says words in the reader's language. A language that was asked for is remembered."""
    chosen = request.query_params.get("lang")
    language = _language(request)
    html = _ENVIRONMENT.get_template(template).render(
        t=words_in(language), language=language, languages=LANGUAGES, path=request.url.path, **values
    )
    answer = HTMLResponse(html, status_code=status_code, headers=HEADERS)
    if chosen in LANGUAGES:
        answer.set_cookie(COOKIE, chosen, max_age=YEAR_S, httponly=True, samesite="lax")
    return answer


def message(request: Request, word: str, *, detail: str = "", status_code: int) -> HTMLResponse:
    """Say one thing, by its word, on a page of its own."""
    return page(request, "message.html", word=word, detail=detail, status_code=status_code)


def not_found(request: Request) -> HTMLResponse:
    """Say that there is no such thing."""
    return message(request, "not_found", status_code=404)


def _language(request: Request) -> str:
    """Choose the language: as asked for, as remembered, as the browser prefers; else English."""
    for wish in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if wish in LANGUAGES:
            return wish
    preferred = request.headers.get("accept-language", "").lower()
    return "mn" if preferred.startswith("mn") else "en"


def _tugrug(amount: int) -> str:
    return f"{amount:,} ₮"


def _local(moment: datetime) -> str:
    return f"{moment.astimezone(LOCAL):%Y-%m-%d %H:%M:%S}"


_ENVIRONMENT.filters.update(tugrug=_tugrug, local=_local)
