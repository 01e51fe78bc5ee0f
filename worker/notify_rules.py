"""What the settings of notifications should be: an address that is called as it stands, and secrets that sign."""

import base64
import binascii
import secrets
from urllib.parse import urlsplit

from pydantic import SecretStr

URL_MAX = 2_000
SECRET_PREFIX = "whsec_"  # noqa: S105 - it is no secret
SECRET_BYTES = range(24, 65)
"""What Standard Webhooks asks of a symmetric secret."""


def callable_url(text: str) -> str:
    """Return the address as it stands: a slash at its end, or a query, may matter to the application.

    Raises:
        ValueError: it is none that can be called.

    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("should be a URL that begins with https://, or http:// where the address is private")
    if parts.username is not None or parts.fragment:
        raise ValueError("should have no user, no password and no fragment in it")
    if len(text) > URL_MAX or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"should be at most {URL_MAX} ASCII characters, without spaces")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("should have a port from 0 to 65535") from None
    return text


def signing_secrets(text: object) -> object:
    """Return the secrets, of which each signs.

    Raises:
        ValueError: one is none that a receiver's library would take.

    """
    if not isinstance(text, str):
        return text
    given = [part.strip() for part in text.split(",") if part.strip()]
    if not given or not all(_signs(secret) for secret in given):
        raise ValueError(
            f"should be {SECRET_PREFIX} and the base64 of {SECRET_BYTES[0]} to {SECRET_BYTES[-1]} random bytes,"
            " several with commas between while rotating"
        )
    return tuple(SecretStr(secret) for secret in given)


def new_secret() -> str:
    """Make a secret that signs."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def _signs(secret: str) -> bool:
    encoded = secret.removeprefix(SECRET_PREFIX)
    try:
        return encoded != secret and len(base64.b64decode(encoded, validate=True)) in SECRET_BYTES
    except binascii.Error:
        return False
