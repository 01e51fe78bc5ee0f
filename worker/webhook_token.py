"""The secret in a callback's path: names one gateway invoice and proves that we made the address."""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

_PURPOSE = b"tootsoo webhook 1\n"
"""Keeps these apart from whatever else is signed with the same secrets."""

PROBE_ID = UUID("746f6f74-736f-8000-8000-70726f626500")
"""Names no gateway invoice, for their ids are random (version 4): a callback about it asks whether callbacks arrive."""

_ID_BYTES = 16
_TOKEN = re.compile(r"[A-Za-z0-9_-]{64}")


class WebhookTokens:
    """Makes and reads tokens: base64url of the gateway invoice's uuid and its HMAC-SHA256, 64 characters."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Sign with the first secret, accept all of them: so they are rotated without losing a callback."""
        self._secrets = [secret.encode() for secret in secrets]

    def make(self, gateway_invoice_id: UUID) -> str:
        """Return the token of a gateway invoice."""
        message = gateway_invoice_id.bytes
        return base64.urlsafe_b64encode(message + _sign(self._secrets[0], message)).decode()

    def read(self, token: str) -> UUID | None:
        """Return the gateway invoice that a token names, or None for one that we did not make.

        Takes the same time for each wrong signature, and looks at nothing but the token.
        """
        if not _TOKEN.fullmatch(token):
            return None
        try:
            given = base64.b64decode(token, altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        message, signature = given[:_ID_BYTES], given[_ID_BYTES:]
        genuine = [hmac.compare_digest(signature, _sign(secret, message)) for secret in self._secrets]
        return UUID(bytes=message) if any(genuine) else None


def _sign(secret: bytes, message: bytes) -> bytes:
    return hmac.new(secret, _PURPOSE + message, sha256).digest()
