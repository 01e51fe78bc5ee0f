"""Database: whether it is one to keep money in, who we are there, and whether a commit is a commit."""

from collections.abc import Iterator

from adapters.postgres.set_up import Server, SetUp
from worker.doctor.finding import About, Finding

DATABASE, MIGRATIONS, STAMP = About("database"), About("migrations"), About("stamp")
ROLES, DURABILITY = About("database-roles"), About("durability")

VERSION_MIN = 150_000
"""PostgreSQL 15, as PostgreSQL numbers it."""


def judge_database(seen: Server) -> Iterator[Finding]:
    """Judge the server."""
    if seen.version < VERSION_MIN:
        yield DATABASE.failure(f"PostgreSQL {seen.version_text} is too old", "Move to PostgreSQL 15 or newer.")
    elif seen.read_only:
        yield DATABASE.failure(
            "it takes no writes: a standby, or set to be read-only",
            "Point DATABASE_URL to the primary, or see whether its disk is full.",
        )
    elif seen.encoding != "UTF8":
        yield DATABASE.failure(f"it keeps text in {seen.encoding}", "Make a database with ENCODING 'UTF8'.")
    else:
        yield DATABASE.ok(f"PostgreSQL {seen.version_text}, writes are taken")


def judge_stamp(stamped: str | None, *, qpay_env: str) -> Iterator[Finding]:
    """Judge whose money is in a database that was migrated."""
    if stamped == qpay_env:
        yield STAMP.ok(f"the database holds {qpay_env} money, as QPAY_ENV says")
    else:
        yield STAMP.failure(
            f"the database holds {stamped} money, and QPAY_ENV={qpay_env}",
            "Mend QPAY_ENV, or point DATABASE_URL to the other database: one is for one environment, for good.",
        )


def judge_roles(seen: SetUp) -> Iterator[Finding]:
    """Judge who the processes are there, and whether they could change what was recorded."""
    wrong = False
    if seen.acts_as != "tootsoo_app":
        wrong = True
        yield ROLES.failure(
            f"the processes act as {seen.acts_as}, not as tootsoo_app",
            "Let DATABASE_URL lead to PostgreSQL itself, or to a pooler that keeps sessions.",
        )
    if seen.changeable:
        wrong = True
        yield ROLES.failure(
            f"tootsoo_app may change {', '.join(seen.changeable)}, which are append-only",
            "As tootsoo_owner: REVOKE UPDATE, DELETE, TRUNCATE ON ALL of these FROM tootsoo_app.",
        )
    if seen.unguarded:
        wrong = True
        yield ROLES.failure(
            f"nothing refuses changes of {', '.join(seen.unguarded)}: the trigger append_only is off or gone",
            "Find out who took it away, then: ALTER TABLE … ENABLE ALWAYS TRIGGER append_only.",
        )
    if seen.is_superuser:
        wrong = True
        yield ROLES.warning(
            "DATABASE_URL logs in as a superuser, who can change any event",
            "Give the processes a login that is a member of tootsoo_app alone, and keep the other for tootsoo migrate.",
        )
    if not wrong:
        more = "; it can become tootsoo_owner, as tootsoo migrate needs" if seen.may_become_owner else ""
        yield ROLES.ok(f"the processes act as tootsoo_app, which can change no event{more}")


def judge_durability(seen: SetUp, *, live: bool) -> Iterator[Finding]:
    """Judge whether what was answered with SUCCESS outlives a power cut."""
    off = [name for name, value in seen.durability.items() if value == "off"]
    if off:
        yield DURABILITY.fault(
            f"{' and '.join(off)} off: after a power cut callbacks and payments are gone that were answered for",
            f"Set {' and '.join(f'{name}=on' for name in off)} in PostgreSQL.",
            live=live,
        )
    else:
        yield DURABILITY.ok("a commit is on the disk before it is answered")
