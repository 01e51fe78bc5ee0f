"""Seals: whether events are sealed, by the secret that we have, and in time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters.postgres.seals import Head, Unsealed
from domain.seal import SealKey
from worker.doctor.finding import About, Finding

SEALS = About("seals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What stands in the database."""

    head: Head | None
    newest_key_id: str | None
    late: Unsealed | None
    """Events that a sealer would have sealed long ago."""


def judge_seals(keys: Sequence[SealKey], seen: Sealed) -> Iterator[Finding]:
    """Judge the seals by their newest; `tootsoo verify --seals` reads all."""
    if not keys:
        yield SEALS.warning(
            "SEAL_SECRET is not set: nobody can tell when an event was changed in the database",
            "Set it where the workers, the scheduler and tootsoo verify run, and keep a copy elsewhere.",
        )
        return
    if seen.newest_key_id is not None and seen.newest_key_id not in {key.id for key in keys}:
        yield SEALS.failure(
            f"the newest seal was made with key {seen.newest_key_id}, and SEAL_SECRET has"
            f" {', '.join(key.id for key in keys)}",
            "Give every process the same SEAL_SECRET, the older ones behind commas.",
        )
        return
    if seen.late is not None:
        yield SEALS.failure(
            f"{seen.late.count:,} events wait for their seal, the first since {seen.late.since[:16]}",
            "See what the workers' log says of seal, then tootsoo verify --seals.",
        )
        return
    if seen.head is None:
        yield SEALS.untested("nothing is sealed yet", "Look again after the first payment.")
        return
    yield SEALS.ok(f"{seen.head.count:,} events, none waits")
    yield SEALS.untested(
        "whether a head is kept where the database's people cannot change it",
        "Keep what tootsoo verify --head prints, and verify against it the next time.",
    )
