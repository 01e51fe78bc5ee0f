"""Settings: whether they load, whether a name is misspelt, and whether an example or a weak secret was left."""

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from itertools import combinations
from urllib.parse import urlsplit

from worker.doctor.finding import About, Finding
from worker.doctor.loaded import Loaded

SETTINGS, PLACEHOLDERS, SECRETS = About("settings"), About("placeholders"), About("secrets")

_ALIKE = 0.87
"""How like a setting's name another one must be to be taken for a mistake: one letter or two of a short name."""

_PLACEHOLDER = re.compile(
    r"change.?me|replace.?(this|me)|your.|example|placeholder|dummy|secret.?here|todo|xxxx|^<.*>$|^\*+$"
    r"|simulator-password|simulator-secret",
    re.IGNORECASE,
)
_EXAMPLE_HOST = re.compile(r"(^|\.)example(\.[a-z]+)?$", re.IGNORECASE)
"""Names that are set aside for documents (RFC 2606), and those of .env.example."""

_OURS_MIN_CHARS = 20
"""A secret that we ask for is longer; a gateway's is as long as the gateway likes."""

_DIFFERENT_CHARS_MIN = 10
"""Random text of 32 characters has more, in hexadecimal too."""


_NONE = "no secret can be loaded: see settings"


def judge_settings(loaded: Loaded, *, given: Collection[str], known: Collection[str]) -> Iterator[Finding]:
    """Say what is missing or wrong, and which names are given that look like a setting and are none."""
    for error in loaded.errors:
        yield SETTINGS.failure(error, "Mend it in the environment or in .env: .env.example explains each.")
    misspelt = False
    for name in sorted(set(given) - set(known)):
        meant = get_close_matches(name, known, n=1, cutoff=_ALIKE)
        if meant and meant[0] not in given:
            misspelt = True
            yield SETTINGS.warning(f"{name} is no setting, and nobody reads it", f"Write {meant[0]} if that is meant.")
    if not loaded.errors and not misspelt:
        yield SETTINGS.ok("all of them can be loaded")


def judge_placeholders(loaded: Loaded) -> Iterator[Finding]:
    """Say which values were copied from an example and never replaced."""
    left = [name for name, value in loaded.secrets if _PLACEHOLDER.search(value)]
    addresses = {
        "PUBLIC_URL": loaded.web and loaded.web.public_url,
        "QPAY_CALLBACK_URL": loaded.accounts.qpay and loaded.accounts.qpay.qpay_callback_url,
        "NOTIFY_URL": loaded.notify and loaded.notify.notify_url,
    }
    left += [name for name, url in addresses.items() if url and _EXAMPLE_HOST.search(urlsplit(url).hostname or "")]
    for name in dict.fromkeys(left):
        yield PLACEHOLDERS.fault(
            f"{name} holds a value out of an example", f"Replace {name} by a value of your own.", live=loaded.live
        )
    if not loaded.secrets:
        yield PLACEHOLDERS.untested(_NONE)
    elif not left:
        yield PLACEHOLDERS.ok("no value of an example is left")


def judge_secrets(loaded: Loaded) -> Iterator[Finding]:
    """Say which secrets are no random text, and which are used for two purposes."""
    named = loaded.secrets
    weak = [name for name, value in _ours(named) if len(set(value)) < _DIFFERENT_CHARS_MIN]
    for name in dict.fromkeys(weak):
        yield SECRETS.fault(
            f"{name} can be guessed: it is made of few different characters",
            "Make another: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
            live=loaded.live,
        )
    pairs = [(one, other) for (one, value), (other, same) in combinations(named, 2) if value == same and one != other]
    for one, other in dict.fromkeys(pairs):
        yield SECRETS.fault(
            f"{one} and {other} are the same: whoever learns one has the other",
            f"Give {other} a value of its own.",
            live=loaded.live,
        )
    if not named:
        yield SECRETS.untested(_NONE)
    elif not weak and not pairs:
        yield SECRETS.ok(f"{len(dict.fromkeys(name for name, _ in named))} of them, no two the same")


def _ours(named: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in named if len(value) >= _OURS_MIN_CHARS]
