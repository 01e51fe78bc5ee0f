"""Tie: find the QR of ours that a payment is on which a gateway told of without being asked for its invoice."""

from collections.abc import Sequence

import structlog

from adapters.postgres.ties import TiedQr, Ties
from domain.gateway import PaymentGateway
from domain.payment_row import FoundPayment, UnreadableRow

log = structlog.get_logger()


def tie(found: Sequence[FoundPayment], *, gateway: PaymentGateway, ties: Ties) -> list[tuple[TiedQr, ...]]:
    """Return the QRs that each payment should be on, the likeliest first, by what the list told: no call is made.

    By the gateway's id of the gateway invoice, else by the text of its QR. A row may tell one of our QRs wrongly: only
    a check of it proves that the payment is there. Those that come back empty may be looked up.
    """
    return ties.find(gateway.name, found)


def tie_by_look_up(found: FoundPayment, *, gateway: PaymentGateway, ties: Ties) -> tuple[TiedQr, ...]:
    """Ask the gateway once for one payment that its list does not tie to a QR of ours; empty when it leads to none.

    At QPay this is `GET payment/{id}`, which must not be repeated from a schedule: remember that it was made.

    Raises:
        GatewayError: the gateway gave no answer.

    """
    told = gateway.look_up(found.row.payment_id)
    if told is None or isinstance(told, UnreadableRow):
        log.warning("tie.not_told", payment=found.row.payment_id, gateway=gateway.name, known=told is not None)
        return ()
    (tied,) = ties.find(gateway.name, [told])
    return tied
