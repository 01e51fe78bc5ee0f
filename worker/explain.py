"""Explain: tell the story of one invoice, one QR or one payment from what is recorded."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from moneyed import CurrencyDoesNotExist

from adapters.postgres.dossiers import Dossiers
from domain.balance import Balance
from domain.dossier import Dossier, Subject
from domain.story import Item, rebuilt, tell
from worker.clock import Clock

CHECKS_MAX = 200
"""So many checks of a story are told unless more are asked for; the older ones are counted."""

DISCREPANCIES_MAX = 500
"""Likewise for questions."""

NAME_MAX_CHARS = 200
"""Longer than any id there is."""


class DamagedLedgerError(Exception):
    """Something is recorded that no process of ours could have written."""


_IMPOSSIBLE = (TypeError, KeyError, ValueError, OverflowError, CurrencyDoesNotExist, psycopg.DataError)
"""What rules say to facts that cannot be: two currencies on an invoice, an event of no invoice, a time without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happened to a subject, oldest first, and how its invoices stand."""

    dossier: Dossier
    items: tuple[Item, ...]
    rebuilt: Mapping[str, Balance]
    """The balances of its invoices as their changes and events make them."""
    others: tuple[Subject, ...]
    """What the same text names as well."""

    @property
    def wrong_balances(self) -> tuple[str, ...]:
        """The invoices whose projected balance is not what their changes and events make."""
        return tuple(
            invoice.id for invoice in self.dossier.invoices.values() if invoice.live != self.rebuilt[invoice.id]
        )


def explain(dossiers: Dossiers, name: str, *, checks_max: int, clock: Clock) -> Story | None:
    """Tell the story of what `name` names: an invoice, a QR or a payment; None when it names nothing.

    Reads one snapshot, and writes nothing.

    Raises:
        DamagedLedgerError: what is recorded cannot be, so no story comes of it.
        PoolTimeout, psycopg.Error: PostgreSQL is away.

    """
    try:
        found = dossiers.read(name, checks_max=checks_max, discrepancies_max=DISCREPANCIES_MAX)
        if found is None:
            return None
        story = Story(
            dossier=found.dossier,
            items=tell(found.dossier, now=clock()),
            rebuilt=rebuilt(found.dossier),
            others=found.others,
        )
        missing = {subject.invoice_id for subject in (found.dossier.subject,)} - {None, *found.dossier.invoices}
    except _IMPOSSIBLE as error:
        raise DamagedLedgerError(f"what is recorded of it cannot be ({type(error).__name__})") from error
    if missing:
        raise DamagedLedgerError("its balance is missing")
    return story
