"""The peers: the same PAID rows recorded by us, by the usual inline handler and by `eventsourcing`."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from tests.bench.contest import Answer, Contestant, answers_of, expected_balances
from tests.bench.contestants import event_sourced, inline_handler, our_ledger
from tests.bench.database import database, invoice_id_of, running_server
from tests.bench.figures import Figure
from tests.bench.rounds import interleave, say, seconds
from tests.bench.sizes import Sizes

AHEAD = 1.0
ANSWER_ROWS = 5
BATCH_ROWS = 500

INLINE_IS = "the usual inline handler: SELECT the payment, else INSERT it and UPDATE its invoice; a transaction a row"
EVENTSOURCING_IS = "eventsourcing: an aggregate an invoice, a save for the same rows, until its projection is there too"


class UnequalBalancesError(Exception):
    """Somebody did not do the work: the figures would say nothing."""


def measure_peers(sizes: Sizes) -> Iterator[Figure]:
    """One connection and one thread that records; fsync off, which favours those who commit often."""
    warm_up = sizes.slice_invoices // 10
    invoice_ids = [invoice_id_of(number) for number in range(1, warm_up + sizes.slices * sizes.slice_invoices + 1)]
    slices = [answers_of(invoice_ids[:warm_up])] + [
        answers_of(invoice_ids[start : start + sizes.slice_invoices])
        for start in range(warm_up, len(invoice_ids), sizes.slice_invoices)
    ]
    with ExitStack() as stack:
        contestants = _contestants(stack, invoice_ids)
        count = sum(len(answer.rows) for answers in slices[1:] for answer in answers)
        say(f"Peers: {count:,} rows, {len(invoice_ids) - warm_up:,} invoices, {sizes.slices} slices ", end="")
        rounds = interleave(
            {name: partial(_record, contestant, slices) for name, contestant in contestants.items()},
            rounds=sizes.slices,
        )
        expected = expected_balances([answer for answers in slices for answer in answers])
        for name, contestant in contestants.items():
            if contestant.balances() != expected:
                raise UnequalBalancesError(f"{name} came to other balances")
    pairs = (
        ("5 rows at a time / inline handler", "ours", "inline", INLINE_IS),
        ("5 rows at a time / eventsourcing", "ours", "eventsourcing", EVENTSOURCING_IS),
        ("500 rows at a time / inline handler", "ours, batches", "inline", INLINE_IS),
        ("500 rows at a time / eventsourcing", "ours, batches", "eventsourcing, batches", EVENTSOURCING_IS),
    )
    for work, ours, peer, peer_is in pairs:
        yield Figure(
            id="Peers",
            work=work,
            ours=rounds.median(ours),
            limit=rounds.median(peer),
            unit="/s",
            limit_is=peer_is,
            ratio=rounds.ratio(ours, peer),
            ratios=tuple(rounds.ratios(ours, peer)),
            reach=AHEAD,
            note=f"all {len(expected):,} balances equal",
        )


def _contestants(stack: ExitStack, invoice_ids: Sequence[str]) -> dict[str, Contestant]:
    admin_url = stack.enter_context(running_server(fsync=False))

    def fresh(name: str, *, migrated: bool = False) -> str:
        say(f"Peers: preparing {name}")
        return stack.enter_context(database(admin_url, name, migrated=migrated))

    enter, count = stack.enter_context, len(invoice_ids)
    return {
        "ours": enter(our_ledger(fresh("ours", migrated=True), invoices=count, rows_together=ANSWER_ROWS)),
        "inline": enter(inline_handler(fresh("inline"), invoice_ids=invoice_ids)),
        "eventsourcing": enter(
            event_sourced(fresh("eventsourcing"), invoice_ids=invoice_ids, rows_together=ANSWER_ROWS)
        ),
        "ours, batches": enter(
            our_ledger(fresh("ours_batches", migrated=True), invoices=count, rows_together=BATCH_ROWS)
        ),
        "eventsourcing, batches": enter(
            event_sourced(fresh("eventsourcing_batches"), invoice_ids=invoice_ids, rows_together=BATCH_ROWS)
        ),
    }


def _record(contestant: Contestant, slices: Sequence[Sequence[Answer]], number: int) -> float:
    answers = slices[number]
    rate = sum(len(answer.rows) for answer in answers) / seconds(partial(contestant.record, answers))
    if number == 0:
        contestant.analyse()
    return rate
