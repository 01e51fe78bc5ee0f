"""The alert rules and the page about them speak of metrics, labels and alerts that there are."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
import yaml
from dramatiq.brokers.stub import StubBroker
from prometheus_client import generate_latest
from prometheus_client.core import Metric

from adapters.postgres.check_requests import ClaimedCheck
from adapters.postgres.ledger import Appended, Opened
from adapters.postgres.notifications import Staged
from adapters.postgres.state import JobState, ReconciledState, State
from domain.delivery import TryAgain
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.gateway import GatewayUnauthorisedError
from domain.notification import NotificationType
from domain.payment_event import Source
from tests.adapters.postgres.samples import NOON
from tests.adapters.refs import ref
from tests.domain.samples import an_event
from tests.worker.scrape import Scrape
from worker.metrics.instruments import Metrics
from worker.metrics.messages import MessageMetrics
from worker.metrics.state import StateCollector
from worker.sight import Sight

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
RULES: list[dict[str, Any]] = yaml.safe_load((DOCS / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]

METRIC = r"\b(?:tootsoo|dramatiq|process|python)_[a-z0-9_]+"

STATE = State(
    check_requests={"due": 1, "running": 1, "waiting": 1},
    oldest_due_s=1.0,
    unrung_s=1.0,
    discrepancies={},
    suspense_minor={("qpay", "MNT"): 1},
    parked={"check": 1, "close": 1, "notification": 1},
    notifications_pending=1,
    oldest_notification_s=1.0,
    found={("qpay", "callback"): 1, ("qpay", "sweep"): 1},
    jobs={"seal": JobState(done_ago_s=1.0, unfinished_s=0.0, failed=False)},
    reconciled={"qpay": ReconciledState(behind_s=1.0, open=1)},
)
STAGED = Staged(
    id=1, message_id=uuid4(), invoice_id="order-1", sequence=1, type=NotificationType.INVOICE_PAID, data={},
    staged_at=NOON,
)  # fmt: skip
CHECK = ClaimedCheck(
    gateway_invoice_id=uuid4(), invoice_id="order-1", gateway="qpay", generation=1, at_gateway=ref("x"),
    source=Source.CALLBACK, lease_token=uuid4(), claimed=1, attempts=1, answered_before=False, unpaid_minor=None,
    check_id=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def everything() -> Metrics:
    """Everything that any process ever tells, having happened once."""
    metrics = Metrics()
    metrics.registry.register(StateCollector(lambda: Sight(missing={}, state=STATE), notifies=True))
    messages = MessageMetrics(StubBroker(middleware=[]), registry=metrics.registry)
    message = cast("Any", SimpleNamespace(queue_name="settle", actor_name="settle", message_id="1"))
    cast("Any", messages).before_process_message(None, message)
    cast("Any", messages).after_process_message(None, message)
    question = Discrepancy(
        kind=DiscrepancyKind.UNMATCHED, gateway="qpay", subject="1", fingerprint="", detail="", invoice_id=None,
        payment_id="1",
    )  # fmt: skip
    metrics.appended(Appended(events=(an_event("1", amount="1"),), opened=(Opened(id=1, discrepancy=question),)))
    metrics.check_ended(CHECK, GatewayUnauthorisedError("no"))
    metrics.request_answered(method="GET", route="/x", status=500, duration_s=0.1)
    metrics.gateway_called("qpay")("POST auth/token", 200, 0.1)
    metrics.notification_tried(STAGED, TryAgain(delay_s=5), 0.1)
    metrics.counting_errors("settle", lambda: None)()
    metrics.counting_ticks("ring", lambda: 0)()
    return metrics


@pytest.fixture(scope="module")
def told(everything: Metrics) -> Scrape:
    return Scrape(generate_latest(everything.registry).decode())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_asks_for_series_that_there_are(told: Scrape, rule: dict[str, Any]) -> None:
    expr = str(rule["expr"])
    metrics = re.findall(METRIC, expr)

    assert metrics
    for metric in metrics:
        assert metric in told.names(), metric
    for metric, selector in re.findall(rf"({METRIC})\{{([^}}]*)\}}", expr):
        wanted = dict(re.findall(r'([a-z_]+)!?="([^"]*)"', selector))
        assert wanted
        assert told(metric, **wanted) >= 0
    for labels in re.findall(r"\bby \(([a-z_, ]*)\)", expr):
        for label in labels.replace(" ", "").split(","):
            assert any(label in dict(of) for name, of in told.series if name in metrics), label


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert str(rule["expr"]).count("(") == str(rule["expr"]).count(")")
    assert f"\n### {rule['alert']}\n" in PAGE


def test_the_page_knows_no_alert_that_there_is_not() -> None:
    headings = re.findall(r"^### (\w+)$", PAGE, flags=re.MULTILINE)

    assert headings == [rule["alert"] for rule in RULES]


def test_the_page_lists_every_metric_of_ours_with_its_labels(everything: Metrics) -> None:
    rows = dict(re.findall(r"^\| `(tootsoo_\w+)` \|([^|]*)\|", PAGE, flags=re.MULTILINE))

    listed = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows.items()}

    told = {_name(family): _labels(family) for family in everything.registry.collect() if "tootsoo" in family.name}
    assert listed == told


def test_other_metrics_that_the_page_names_exist(told: Scrape) -> None:
    known = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told.names()}
    named = {name.rstrip("_") for name in re.findall(METRIC, PAGE)}

    assert {name for name in named if not any(each.startswith(name) for each in known)} == set()


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _labels(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels if label != "le"}
