"""Who may read metrics: whoever has one of the tokens in METRICS_TOKEN."""

import hmac
from collections.abc import Sequence

from pydantic import SecretStr


def is_let_in(authorization: str | None, tokens: Sequence[SecretStr]) -> bool:
    """Tell whether an Authorization header carries one of these tokens, in a time that tells nothing about them."""
    scheme, _, given = (authorization or "").partition(" ")
    guess = given.strip().encode(errors="surrogateescape")
    matches = [hmac.compare_digest(token.get_secret_value().encode(), guess) for token in tokens]
    return scheme.lower() == "bearer" and any(matches)
