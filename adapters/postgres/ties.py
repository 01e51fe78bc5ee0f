"""Ties: which QR of ours a payment in a gateway's list is on, and which payments are recorded already."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from adapters.postgres.connection import Pool
from adapters.postgres.queries import load_queries

_queries = load_queries("ties")


class TiedBy(StrEnum):
    """What of a gateway's answer led to a QR of ours."""

    EXTERNAL_ID = "external_id"
    QR_TEXT = "qr_text"


@dataclass(frozen=True, slots=True, kw_only=True)
class TiedQr:
    """A QR of ours that a found payment should be on. A check of it is the proof."""

    gateway_invoice_id: UUID
    invoice_id: str
    tied_by: TiedBy


class Clues(Protocol):
    """What may tell on which QR a payment is; a `FoundPayment` has it."""

    @property
    def external_id(self) -> str | None:
        """What should be the gateway's own id of the gateway invoice."""

    @property
    def qr_text(self) -> str | None:
        """The text of the QR that was paid."""


class Ties:
    """Finds QRs and payments by what a gateway tells of them. Each method is one statement, whatever the number."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def find(self, gateway: str, found: Sequence[Clues]) -> list[tuple[TiedQr, ...]]:
        """Return for each payment, in the same order, the QRs of ours that it should be on, the likeliest first.

        At most two: that of its external id, then another one whose text it tells. None: nothing that the gateway told
        leads to a QR of ours. A text that two QRs have leads to neither.
        """
        with self._pool.connection() as connection:
            rows = list(
                _queries.find_ties(
                    connection,
                    gateway=gateway,
                    external_ids=[one.external_id for one in found],
                    qr_texts=[one.qr_text for one in found],
                )
            )
        ties: list[dict[UUID, TiedQr]] = [{} for _ in found]
        for row in sorted(rows, key=lambda row: row["tied_by"] != TiedBy.EXTERNAL_ID):
            tied = TiedQr(
                gateway_invoice_id=row["gateway_invoice_id"],
                invoice_id=row["invoice_id"],
                tied_by=TiedBy(row["tied_by"]),
            )
            ties[row["n"] - 1].setdefault(tied.gateway_invoice_id, tied)
        return [tuple(of_one.values()) for of_one in ties]

    def recorded(self, gateway: str, payment_ids: Collection[str]) -> set[str]:
        """Return those of these payments of a gateway that are recorded, on an invoice or in suspense."""
        with self._pool.connection() as connection:
            rows = _queries.find_recorded(connection, gateway=gateway, payment_ids=sorted(payment_ids))
            return {row["payment_id"] for row in rows}
