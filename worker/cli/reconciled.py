"""How a comparison is shown: differences as lines, JSON and CSV, and the days as tables."""

from collections.abc import Sequence
from datetime import datetime

from moneyed import Money
from rich.table import Table

from domain.payment_row import UnreadableRow
from domain.reconciliation import Comparison, ListedPayment, OnRecord, Verdict
from domain.tally import Figures, Sums
from worker.cli.differences import value_json, value_text
from worker.cli.tables import print_table
from worker.clock import rfc3339
from worker.csv_file import safe_cell
from worker.follow_up import Action, Difference, words_of
from worker.reconcile import DayReport
from worker.words import plain, plural

CSV_HEADER = (
    "day", "gateway", "payment", "verdict", "differs_in", "invoice", "qr", "currency", "amount_there", "amount_here",
    "refunded_here", "fee_there", "fee_here", "status_there", "paid_at_there", "occurred_at_here", "action", "question",
)  # fmt: skip

_SHOWN = (
    (Verdict.MATCHED, "matched"),
    (Verdict.ONLY_THERE, "only there"),
    (Verdict.ONLY_HERE, "only here"),
    (Verdict.DIFFERENT, "different"),
    (Verdict.UNCLEAR, "unclear"),
    (Verdict.IN_SUSPENSE, "in suspense"),
    (Verdict.OTHER_FEE, "other fee"),
)

_DONE = {
    Action.CHECK_QUEUED: "a check is queued",
    Action.ASKED: "a person is asked",
    Action.ANSWERED: "a person has answered it",
    Action.NO_INVOICE: "it is of no invoice of ours",
    Action.UNTOLD: "the list does not tell of which invoice it is: discovery looks it up",
    Action.IGNORED: "it is of no invoice of ours, and such are ignored (UNMATCHED)",
    Action.NOTHING: "",
}


def difference_line(difference: Difference) -> str:
    """Write a difference in one line."""
    comparison = difference.comparison
    agreed = comparison.agrees or difference.action in {Action.ANSWERED, Action.IGNORED}
    number = f" (question {difference.question})" if difference.question is not None else ""
    done = f"; {_DONE[difference.action]}{number}" if _DONE[difference.action] else ""
    aspects = f" in {' and '.join(sorted(comparison.aspects))}" if comparison.aspects else ""
    return (
        f"{'·' if agreed else '✗'} {difference.day} {_payment(difference)}"
        f" {difference.invoice_id or ('suspense' if comparison.on_record else 'no invoice')}:"
        f" {comparison.verdict.replace('_', ' ')}{aspects}: {_words(comparison)}{done}"
    )


def difference_json(difference: Difference) -> dict[str, object]:
    """Write a difference as an object; amounts as the API does."""
    comparison, listed, known = _sides(difference)
    return {
        "day": difference.day.isoformat(),
        "gateway": difference.gateway,
        "payment": _payment(difference) if comparison.payment_id else None,
        "verdict": comparison.verdict.value,
        "differsIn": sorted(comparison.aspects),
        "invoice": difference.invoice_id,
        "gatewayInvoiceIds": [str(one) for one in difference.gateway_invoice_ids],
        "there": None
        if listed is None
        else {
            "status": listed.status_text,
            "amount": value_json(listed.amount),
            "fee": value_json(listed.fee),
            "paidAt": _time(listed.paid_at),
            "twoAmounts": listed.two_amounts,
        },
        "unreadable": comparison.listed.reason if isinstance(comparison.listed, UnreadableRow) else None,
        "here": None
        if known is None
        else {
            "received": value_json(known.received),
            "refunded": value_json(known.refunded),
            "inSuspense": value_json(known.in_suspense),
            "fee": value_json(known.fee),
            "occurredAt": _time(known.occurred_at),
            "occurredAtSource": known.occurred_at_source.value,
        },
        "action": difference.action.value,
        "discrepancy": difference.question,
    }


def csv_row(difference: Difference) -> list[str]:
    """Write a difference as the cells of a line; texts of others are made safe for spreadsheets."""
    comparison, listed, known = _sides(difference)
    money = listed.amount if listed else known.received if known else None
    texts = (
        difference.day.isoformat(),
        difference.gateway,
        comparison.payment_id or "",
        comparison.verdict.value,
        " ".join(sorted(comparison.aspects)),
        difference.invoice_id or "",
        " ".join(str(one) for one in difference.gateway_invoice_ids),
        money.currency.code if money else "",
    )
    amounts = (
        _cell(listed.amount if listed else None),
        _cell(known.received if known else None),
        _cell(known.refunded if known else None),
        _cell(listed.fee if listed else None),
        _cell(known.fee if known else None),
    )
    rest = (
        listed.status_text if listed else "",
        _time(listed.paid_at) if listed else None,
        _time(known.occurred_at) if known else None,
        difference.action.value,
        "" if difference.question is None else str(difference.question),
    )
    safe = [safe_cell(plain(text or "")) for text in (*texts, *rest)]
    return [*safe[: len(texts)], *amounts, *safe[len(texts) :]]


def day_json(report: DayReport) -> dict[str, object]:
    """Write one day at one gateway; `there` is null where the gateway has no list."""
    tally = report.tally
    return {
        "day": report.day.isoformat(),
        "gateway": report.gateway,
        "compared": tally is not None,
        "there": None if tally is None else _sums_json(tally.there),
        "here": _sums_json(report.here),
        "verdicts": None if tally is None else {_camel(verdict): count for verdict, count in tally.counts.items()},
        "open": report.open,
        "checksQueued": report.queued,
    }


def print_tables(reports: Sequence[DayReport]) -> None:
    """Print what both sides come to, and then what came of the payments."""
    money = Table("day", "gateway", "", "payments", "gross", "refunded", "fee", "net")
    verdicts = Table("day", "gateway", *(name for _, name in _SHOWN), "open")
    for table in (money, verdicts):
        for column in table.columns[2 if table is verdicts else 3 :]:
            column.justify = "right"
    for report in reports:
        day = report.day.isoformat()
        sides = (
            [("recorded", report.here)]
            if report.tally is None
            else [("there", report.tally.there), ("here", report.here)]
        )
        for side, sums in sides:
            for _, figures in sorted(sums.items()):
                money.add_row(day, report.gateway, side, *_cells(figures))
            if not sums:
                money.add_row(day, report.gateway, side, "0", *[""] * 4)
        if report.tally is not None:
            counts = [f"{report.tally.counts[verdict]:,}" for verdict, _ in _SHOWN]
            verdicts.add_row(day, report.gateway, *counts, f"{report.open:,}")
    print_table(money)
    if verdicts.row_count:
        print_table(verdicts)


def summary(reports: Sequence[DayReport]) -> str:
    """Say in the end whether it agrees, what was done, and what cannot be compared."""
    compared = [report for report in reports if report.tally is not None]
    still_open = sum(report.open for report in compared)
    lines = []
    if uncompared := sorted({report.gateway for report in reports if report.tally is None}):
        lines.append(f"· {', '.join(uncompared)} cannot be compared: no list is to be had there")
    days = plural(len({report.day for report in compared}), "day")
    if not compared:
        lines.append("· Nothing was compared")
    elif still_open:
        queued = plural(sum(report.queued for report in compared), "check")
        lines.append(f"✗ {days} compared: {plural(still_open, 'payment')} open, {queued} queued")
        if any(report.queued for report in compared):
            lines.append("· In a minute the same command tells what the checks came to")
    else:
        lines.append(f"✓ {days} compared: both sides agree")
    return "\n".join(lines)


def _sides(difference: Difference) -> tuple[Comparison, ListedPayment | None, OnRecord | None]:
    comparison = difference.comparison
    listed = comparison.listed if isinstance(comparison.listed, ListedPayment) else None
    return comparison, listed, comparison.on_record


def _payment(difference: Difference) -> str:
    return f"{difference.gateway}:{plain(difference.comparison.payment_id or '?')}"


def _words(comparison: Comparison) -> str:
    listed, known = comparison.listed, comparison.on_record
    if comparison.verdict is Verdict.OTHER_FEE and isinstance(listed, ListedPayment) and known is not None:
        return f"the gateway keeps {value_text(listed.fee)}, recorded is {value_text(known.fee)}"
    return words_of(comparison)


def _sums_json(sums: Sums) -> list[dict[str, object]]:
    return [
        {
            "currency": currency,
            "payments": figures.count,
            "gross": value_json(figures.gross),
            "refunded": value_json(figures.refunded),
            "fee": value_json(figures.fee),
            "feesUnknown": figures.fees_unknown,
            "net": value_json(figures.net),
        }
        for currency, figures in sorted(sums.items())
    ]


def _cells(figures: Figures) -> list[str]:
    unknown = " ?" if figures.fees_unknown else ""
    amounts = [value_text(one) for one in (figures.gross, figures.refunded, figures.fee, figures.net)]
    return [f"{figures.count:,}", *amounts[:2], amounts[2] + unknown, amounts[3] + unknown]


def _cell(amount: Money | None) -> str:
    return "" if amount is None else f"{amount.amount:.{len(str(amount.currency.sub_unit)) - 1}f}"


def _camel(verdict: Verdict) -> str:
    first, *others = verdict.split("_")
    return first + "".join(other.capitalize() for other in others)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
