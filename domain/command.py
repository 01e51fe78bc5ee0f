"""A person's command about money: what makes it one command, who gave it, and why."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from moneyed import Money

from domain.money import minor_units
from domain.payment_event import GATEWAY_REF, Kind, OccurredAtSource, PaymentEvent, Source
from domain.recorded import PaymentKey, RecordedEvent

KEY_PATTERN = r"^[A-Za-z0-9._:-]{1,100}$"


class KeyUsedError(Exception):
    """The caller's key stands for something else already."""


def require_key(text: str) -> str:
    """Return a caller's key as it is.

    Raises:
        ValueError: it is none, or would stand for a gateway's own proof.

    """
    if not re.fullmatch(KEY_PATTERN, text, re.ASCII):
        raise ValueError("should be 1 to 100 of A-Z a-z 0-9 . _ : -")
    if text.startswith(GATEWAY_REF):
        raise ValueError(f"must not begin with {GATEWAY_REF}: that stands for a gateway's own proof")
    return text


def digest_of(verb: str, **content: str | Money | None) -> bytes:
    """Return what tells one command's content from another's, 32 bytes: its verb and all that it asked for.

    Not who asked: a double click is one, whoever is logged in at the second. 100 and 100.00 are the same amount.
    """
    parts = {name: _plain(part) for name, part in content.items()}
    return sha256(json.dumps([verb, parts], sort_keys=True).encode()).digest()


def _plain(part: str | Money | None) -> str | list[int | str] | None:
    return [minor_units(part), part.currency.code] if isinstance(part, Money) else part


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A person's word. The same key with the same content is done once; with another content it is refused."""

    key: str
    """See `require_key`."""
    who: str
    reason: str

    def event(
        self, kind: Kind, payment: PaymentKey, *, invoice_id: str | None, amount: Money, now: datetime
    ) -> PaymentEvent:
        """Make the event of it. `now` is UTC."""
        gateway, payment_id = payment
        return PaymentEvent(
            gateway=gateway,
            payment_id=payment_id,
            kind=kind,
            ref=self.key,
            invoice_id=invoice_id,
            gateway_invoice_id=None,
            amount=amount,
            fee=None,
            occurred_at=now,
            occurred_at_source=OccurredAtSource.PERSON,
            source=Source.COMMAND,
            raw={"reason": self.reason},
            who=self.who,
        )

    def require_same(self, before: RecordedEvent, *, invoice_id: str | None, amount: Money | None) -> None:
        """Let pass what was done before by this key.

        Raises:
            KeyUsedError: the key stood for another invoice, amount or reason. Without an amount any is the same.

        """
        if (before.invoice_id, before.reason) != (invoice_id, self.reason) or amount not in {None, before.amount}:
            raise KeyUsedError
