"""Explain: tell the story of one invoice, one QR or one payment from what is recorded."""

from collections.abc import Mapping
from dataclasses import dataclass

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
        PoolTimeout, psycopg.Error: PostgreSQL is away.

    """
    found = dossiers.read(name, checks_max=checks_max, discrepancies_max=DISCREPANCIES_MAX)
    if found is None:
        return None
    return Story(
        dossier=found.dossier,
        items=tell(found.dossier, now=clock()),
        rebuilt=rebuilt(found.dossier),
        others=found.others,
    )
