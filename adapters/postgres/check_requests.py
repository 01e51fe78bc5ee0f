"""Check requests: that a gateway must be asked about one of its invoices, who is asking it now, and when again."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import structlog

from adapters.postgres.connection import Pool
from adapters.postgres.queries import load_queries
from domain.check_request import (
    DEATHS_MAX,
    DOUBT_S,
    LEASE_S,
    PARKED_LOOK_S,
    RECHECK_AFTER_S,
    RING_AGAIN_S,
    UNFAILED_WAIT_MAX_S,
)
from domain.gateway import GatewayInvoiceRef
from domain.money import from_minor_units
from domain.payment_event import Source

_queries = load_queries("check_requests")

log = structlog.get_logger()

CODE_MAX_CHARS = 100
REASON_MAX_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A check request that was written down."""

    requested: int
    """Its number among the requests for this gateway invoice."""
    invoice_id: str
    gateway: str
    generation: int
    rings: bool
    """A worker should be woken, in `wait_s`; else somebody was already, or the scheduler does so in time."""
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedCheck:
    """A check that is the caller's to make until its lease runs out."""

    gateway_invoice_id: UUID
    invoice_id: str
    gateway: str
    generation: int
    at_gateway: GatewayInvoiceRef
    source: Source
    lease_token: UUID
    claimed: int
    """The count of requests that this check answers."""
    attempts: int
    """1 for the first check since one was finished."""
    answered_before: bool
    """Whether a check of this QR was finished before."""
    unpaid_minor: int | None
    """What is due, where the invoice is not void and no money ever came; None where there is more to know."""
    check_id: int
    """By which its outcome is written into the history."""
    may_be_unknown: bool = False
    """It is being closed, or its create was not answered: a gateway that goes by our number may know none of it."""

    @property
    def currency(self) -> str:
        """The ISO 4217 code of what the QR asks for."""
        return self.at_gateway.amount.currency.code


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedCheck:
    """That a check was made; the ledger writes it together with what followed from the answer."""

    check: ClaimedCheck
    seen_payment_ids: Collection[str]
    """The payments whose outcome is in the gateway's answer."""
    spacing_s: float

    def as_json(self) -> str:
        """Return what the function `finish_check` of the database takes."""
        return json.dumps(
            {
                "id": str(self.check.gateway_invoice_id),
                "lease_token": str(self.check.lease_token),
                "claimed": self.check.claimed,
                "seen_payment_ids": sorted(self.seen_payment_ids),
                "spacing_s": self.spacing_s,
                "recheck_after_s": RECHECK_AFTER_S,
                "doubt_s": DOUBT_S,
            }
        )


class CheckRequests:
    """The check requests of all gateway invoices. What is written is one statement, committed when a method returns."""

    def __init__(self, pool: Pool, *, spacing_s: float, retry_base_s: float, retry_max_s: float) -> None:
        self._pool = pool
        self._spacing_s = spacing_s
        self._retry_base_s = retry_base_s
        self._retry_max_s = retry_max_s

    def id_of_number(self, gateway: str, number: str) -> UUID | None:
        """Find a gateway invoice by its number at its gateway."""
        with self._pool.connection() as connection:
            found: UUID | None = _queries.id_of_number(connection, gateway=gateway, number=number)
        return found

    def request(
        self, gateway_invoice_id: UUID, *, source: Source, awaited_payment_id: str | None = None
    ) -> Requested | None:
        """Ask for one more check; None when there is no such gateway invoice. One that a callback asks for is counted.

        One that is parked remembers it, and is looked at once when it has been parked for `PARKED_LOOK_S`.
        `awaited_payment_id` is what a callback named: a reason to look again later if the gateway does not show it.
        """
        with self._pool.connection() as connection:
            row = _queries.request_check(
                connection,
                id=gateway_invoice_id,
                source=source,
                awaited_payment_id=awaited_payment_id,
                spacing_s=self._spacing_s,
                ring_again_s=RING_AGAIN_S,
                parked_look_s=PARKED_LOOK_S,
            )
        return Requested(**row) if row else None

    def claim(self, gateway_invoice_id: UUID, *, lease_token: UUID) -> ClaimedCheck | None:
        """Take the check if it is due and free; None when it is not. The lease is `LEASE_S` long.

        That it began is in the history from then on, whatever becomes of its holder. One over
        which `DEATHS_MAX` holders in a row have died is parked instead.
        """
        with self._pool.connection() as connection:
            row = _queries.claim_check(
                connection,
                id=gateway_invoice_id,
                lease_token=lease_token,
                lease_s=LEASE_S,
                retry_base_s=self._retry_base_s,
                retry_max_s=self._retry_max_s,
                deaths_max=DEATHS_MAX,
            )
        if row is None:
            return None
        if row["parked"]:
            log.error("check.parked", invoice=row["invoice_id"], gateway_invoice=str(row["id"]), reason="workers died")
            return None
        return ClaimedCheck(
            gateway_invoice_id=row["id"],
            invoice_id=row["invoice_id"],
            gateway=row["gateway"],
            generation=row["generation"],
            at_gateway=GatewayInvoiceRef(
                number=row["number"],
                external_id=row["external_id"],
                amount=from_minor_units(row["amount_minor"], currency=row["currency"]),
            ),
            source=Source(row["request_source"]),
            lease_token=lease_token,
            claimed=row["requested"],
            attempts=row["attempts"],
            answered_before=row["answered_before"],
            unpaid_minor=row["unpaid_minor"],
            check_id=row["check_id"],
            may_be_unknown=row["may_be_unknown"],
        )

    def finished(self, check: ClaimedCheck, *, seen_payment_ids: Collection[str]) -> FinishedCheck:
        """Name what is written when a check was made; nothing is when its lease has gone to somebody else."""
        return FinishedCheck(check=check, seen_payment_ids=seen_payment_ids, spacing_s=self._spacing_s)

    def has_served(self, gateway_invoice_id: UUID, *, requested: int) -> bool:
        """Tell whether a finished check has answered the request of this number."""
        with self._pool.connection() as connection:
            return bool(_queries.has_served(connection, id=gateway_invoice_id, requested=requested))

    def fail(self, check: ClaimedCheck, *, delay_s: float, error: str) -> bool:
        """Write that the check failed and is tried again after `delay_s`; False when the lease was not its own."""
        with self._pool.connection() as connection:
            written: int = _queries.fail_check(
                connection, id=check.gateway_invoice_id, lease_token=check.lease_token, delay_s=delay_s, error=error
            )
        return written == 1

    def put_back(self, check: ClaimedCheck, *, delay_s: float, why: str) -> bool:
        """Write that the check was not made and is due again in `delay_s`; False when the lease was not its own.

        It counts as no attempt: neither does the next one wait longer for it, nor is it a step towards giving up.
        """
        with self._pool.connection() as connection:
            written: int = _queries.put_back_check(
                connection, id=check.gateway_invoice_id, lease_token=check.lease_token, delay_s=delay_s, why=why
            )
        return written == 1

    def release(self, check: ClaimedCheck) -> bool:
        """Let another make the check at once, as if it had not been begun; False when the lease was not its own."""
        with self._pool.connection() as connection:
            written: int = _queries.release_check(
                connection, id=check.gateway_invoice_id, lease_token=check.lease_token
            )
        return written == 1

    def park(self, check: ClaimedCheck, *, code: str | None, reason: str) -> bool:
        """Write that the check failed too often; False when the lease was not its own. `code` is the gateway's."""
        with self._pool.connection() as connection:
            written: int = _queries.park_check(
                connection,
                id=check.gateway_invoice_id,
                lease_token=check.lease_token,
                code=None if code is None else code[:CODE_MAX_CHARS],
                reason=reason[:REASON_MAX_CHARS],
            )
        return written == 1

    def ring_due(self, gateway: str, *, page: int) -> list[UUID]:
        """Return up to `page` of a gateway's QRs whose check is due and which nobody was woken for of late.

        The longest overdue come first; those that another scheduler looks at are left to it.
        """
        with self._pool.connection() as connection:
            rows = _queries.ring_due(connection, gateway=gateway, page=page, ring_again_s=RING_AGAIN_S)
            return [row["id"] for row in rows]

    def mend_waits(self, gateway: str, *, page: int) -> int:
        """Let up to `page` QRs be due whose wait a clock wrote that has been set back since; return how many."""
        with self._pool.connection() as connection:
            mended: int = _queries.mend_waits(
                connection, gateway=gateway, wait_max_s=UNFAILED_WAIT_MAX_S, lease_s=LEASE_S, page=page
            )
        return mended
