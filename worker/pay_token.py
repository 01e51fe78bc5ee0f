"""The address of an invoice's pay page: names the invoice, says until when it holds, and proves that we made it."""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from domain.invoice import INVOICE_ID_PATTERN

_PURPOSE = b"tootsoo pay page 1\n"
"""Keeps these apart from whatever else is signed with the same secrets."""

_TIME_BYTES = 5
"""Seconds since 1970: until the year 36812."""

_SIGNATURE_BYTES = 32
_MESSAGE_MAX_BYTES = _TIME_BYTES + 40
_TOKEN = re.compile(r"[A-Za-z0-9_-]{48,104}")
_INVOICE_ID = re.compile(INVOICE_ID_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayToken:
    """What a genuine token says."""

    invoice_id: str
    holds_until: datetime
    """UTC."""


class PayTokens:
    """Makes and reads tokens: base64url of time, invoice id and their HMAC-SHA256, 104 characters at most."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Sign with the first secret, accept all of them: so they are rotated without breaking a link."""
        self._secrets = [secret.encode() for secret in secrets]

    def make(self, invoice_id: str, *, holds_until: datetime) -> str:
        """Return the token of an invoice; the same for the same second."""
        message = int(holds_until.timestamp()).to_bytes(_TIME_BYTES, "big") + invoice_id.encode()
        token = base64.urlsafe_b64encode(message + _sign(self._secrets[0], message))
        return token.rstrip(b"=").decode()

    def read(self, token: str) -> PayToken | None:
        """Return what a token says, or None for one that we did not make; that it still holds is not looked at.

        Takes the same time for each wrong signature, and looks at nothing but the token.
        """
        if not _TOKEN.fullmatch(token):
            return None
        try:
            given = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        message, signature = given[:-_SIGNATURE_BYTES], given[-_SIGNATURE_BYTES:]
        genuine = [hmac.compare_digest(signature, _sign(secret, message)) for secret in self._secrets]
        if not any(genuine) or not _TIME_BYTES < len(message) <= _MESSAGE_MAX_BYTES:
            return None
        invoice_id = message[_TIME_BYTES:].decode("ascii", errors="replace")
        if not _INVOICE_ID.fullmatch(invoice_id):
            return None
        holds_until = datetime.fromtimestamp(int.from_bytes(message[:_TIME_BYTES], "big"), UTC)
        return PayToken(invoice_id=invoice_id, holds_until=holds_until)


def _sign(secret: bytes, message: bytes) -> bytes:
    return hmac.new(secret, _PURPOSE + message, sha256).digest()
