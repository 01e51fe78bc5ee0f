"""The web application: routes, errors and limits put together."""

from fastapi import FastAPI

from worker.web import corrections, health, invoices, manual, metrics, payments, webhooks
from worker.web.broken import Broken
from worker.web.errors import install_error_handlers
from worker.web.headers import SecurityHeaders
from worker.web.limits import BodyLimit
from worker.web.measure import Measure
from worker.web.parts import WebParts
from worker.web.pay.routes import router as pay_page


def create_app(parts: WebParts) -> FastAPI:
    """Make the application around its parts."""
    app = FastAPI(
        title="Tootsoo",
        summary="Event-sourced payment reconciliation.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        # A redirect would lead to whatever Host was asked for, by http behind a TLS proxy, and a key with it.
        redirect_slashes=False,
    )
    app.state.parts = parts
    app.add_middleware(Broken)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders, https=parts.https)
    app.add_middleware(Measure, metrics=parts.metrics)
    install_error_handlers(app)
    # Tried in this order: what comes most often is first.
    app.include_router(invoices.often)
    for module in (webhooks, invoices, corrections, manual, payments, health, metrics):
        app.include_router(module.router)
    app.include_router(pay_page)
    return app
