"""SocialPay's checksum: HMAC-SHA256 over fields put one behind the other, in lowercase hex."""

import hmac
from hashlib import sha256


def checksum(secret: str, *fields: str) -> str:
    """Sign the fields in this order, exactly as they are sent."""
    return hmac.new(secret.encode(), "".join(fields).encode(), sha256).hexdigest()


def is_signed(given: str, secret: str, *fields: str) -> bool:
    """Tell whether a checksum is right, in a time that tells nothing about the right one."""
    return hmac.compare_digest(given.encode(errors="surrogateescape"), checksum(secret, *fields).encode())
