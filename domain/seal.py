"""Seals: each payment event's canonical text, and the keyed chain over them by which a later change is found."""

import hmac
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Never, Self

SEAL_BYTES = 32
"""HMAC-SHA256."""

_KEY_ID_BYTES = 4
"""Tells the few secrets of an installation apart."""


@dataclass(frozen=True, slots=True)
class Link:
    """What the next seal is chained to: the number and the seal before it."""

    number: int
    seal: bytes


START = Link(number=0, seal=bytes(SEAL_BYTES))
"""What the first seal is chained to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """A payment event as its row says it, in plain values that even a forged row can have.

    Times are text as `utc_text` writes it; `raw` is JSON text. `domain.payment_event` says what the fields mean.
    """

    position: int
    gateway: str
    payment_id: str
    kind: str
    ref: str
    invoice_id: str | None
    gateway_invoice_id: str | None
    amount_minor: int
    currency: str
    fee_minor: int | None
    occurred_at: str
    occurred_at_source: str
    recorded_at: str
    source: str
    raw: str
    who: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSeal:
    """One seal. `number` counts from 1 without a gap; positions may have gaps. `sealed_at` as `utc_text` writes it."""

    number: int
    position: int
    sealed_at: str
    key_id: str
    seal: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SealKey:
    """A secret to seal with, and the name under which seals refer to it."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: str) -> Self:
        """Name a secret by a hash of it that tells nothing about it."""
        key = secret.encode()
        return cls(id=hmac.digest(key, b"tootsoo seal key id 1\n", "sha256")[:_KEY_ID_BYTES].hex(), secret=key)


def seal_events(
    events: Iterable[StoredEvent], *, after: Link, key: SealKey, sealed_at: datetime
) -> Sequence[EventSeal]:
    """Chain seals of these events, in the order given, to the seal before them."""
    seals: list[EventSeal] = []
    link, at = after, utc_text(sealed_at)
    for event in events:
        link = Link(link.number + 1, seal_of(canonical_text(event), after=link, key=key, sealed_at=at))
        seals.append(
            EventSeal(number=link.number, position=event.position, sealed_at=at, key_id=key.id, seal=link.seal)
        )
    return seals


def seal_of(text: str, *, after: Link, key: SealKey, sealed_at: str) -> bytes:
    """Compute one seal: HMAC-SHA256 over two lines of JSON, the place in the chain and the event's text.

    The first line is `["tootsoo seal 1",number,"the seal before, in hex","sealed at"]`. JSON holds no line break of its
    own, so no two different inputs make the same bytes.
    """
    place = _dumps(["tootsoo seal 1", after.number + 1, after.seal.hex(), sealed_at])
    return hmac.digest(key.secret, f"{place}\n{text}".encode(), "sha256")


def canonical_text(event: StoredEvent) -> str:
    """Write an event in the one way that is sealed: a JSON array of all its columns, without spaces, `raw` last.

    Null and the empty string differ; any change of any value changes the text.
    """
    columns = _dumps(
        [
            "tootsoo event 1",
            event.position,
            event.gateway,
            event.payment_id,
            event.kind,
            event.ref,
            event.invoice_id,
            event.gateway_invoice_id,
            event.amount_minor,
            event.currency,
            event.fee_minor,
            event.occurred_at,
            event.occurred_at_source,
            event.recorded_at,
            event.source,
            event.who,
        ]
    )
    return f"{columns[:-1]},{canonical_json(event.raw)}]"


def utc_text(time: datetime) -> str:
    """Write a time in UTC with six digits of a second: 2026-11-22T04:00:00.000000Z."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def canonical_json(text: str) -> str:
    """Write JSON text in one way: keys in the order of their code points, no spaces, no needless escapes.

    Numbers stay as they are written: a parsed one could come out rounded. The text is taken to be JSON without a key
    twice in one object, as jsonb gives it; it may be nested as deep as it likes.
    """
    try:
        return _dumps_sorted(_decoder.decode(text))
    except (_NotPlainError, RecursionError):
        return _canonical_by_token(text)


class _NotPlainError(Exception):
    """The JSON holds a number that Python would not write again as it was."""


def _plain_int(text: str) -> int:
    if len(text) > _INT_DIGITS_MAX or text.startswith("-0"):
        raise _NotPlainError
    return int(text)


def _refuse(_: str) -> Never:
    raise _NotPlainError


_INT_DIGITS_MAX = 18
_decoder = json.JSONDecoder(parse_int=_plain_int, parse_float=_refuse, parse_constant=_refuse)
_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_dumps_sorted = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]|[^\s,:{}\[\]"]+')
"""Strings, brackets, and numbers or words; what separates them is left out."""


def _canonical_by_token(text: str) -> str:
    """Do the same without parsing a number and without a stack; five times slower."""
    outer: list[list[str]] = []
    items: list[str] = []
    for token in _TOKEN.findall(text):
        match token:
            case "{" | "[":
                outer.append(items)
                items = []
            case "}":
                pairs = sorted(zip(items[0::2], items[1::2], strict=True), key=_decoded_key)
                items = outer.pop()
                items.append("{" + ",".join([f"{key}:{value}" for key, value in pairs]) + "}")
            case "]":
                listed = items
                items = outer.pop()
                items.append("[" + ",".join(listed) + "]")
            case _:
                items.append(_dumps(json.loads(token)) if "\\" in token else token)
    (whole,) = items
    return whole


def _decoded_key(pair: tuple[str, str]) -> str:
    """Return a key without its quotes: they would sort before letters and after spaces."""
    key: str = json.loads(pair[0]) if "\\" in pair[0] else pair[0][1:-1]
    return key
