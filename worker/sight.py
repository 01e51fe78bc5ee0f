"""Look: whether what the web process needs is there, and how the installation stands. For /readyz and /metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from adapters.postgres.schema import SchemaError
from adapters.postgres.state import ReadOnlyError, State

log = structlog.get_logger()

SILENT_AFTER_S = 30.0
"""What is due and rung by nobody for so long is rung by nobody at all: a scheduler looks every two seconds."""

FRESH_S = 1.0
"""However many ask, the servers are asked once a second."""

WAIT_S = 5.0
"""Longer than PostgreSQL and Redis may take to be given up, one after the other; half of what Prometheus waits."""


class Need(StrEnum):
    """What can be missing."""

    POSTGRESQL = "postgresql"
    SCHEMA = "schema"
    REDIS = "redis"
    SCHEDULER = "scheduler"


REQUIRED = frozenset({Need.POSTGRESQL, Need.SCHEMA})
"""Without these no callback can be written down, so none should come here. Without the others it can, and has to be:
they are missing for every web process at once, and taking all of them away would lose callbacks to no gain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen at one moment."""

    missing: Mapping[Need, str]
    """With the reason, in words without addresses: /readyz is open to everybody."""
    state: State | None
    """None while PostgreSQL does not tell."""

    @property
    def is_ready(self) -> bool:
        """Tell whether requests can be served."""
        return not REQUIRED & self.missing.keys()


NOTHING_SEEN = Sight(missing={Need.POSTGRESQL: f"no answer within {WAIT_S:.0f} s"}, state=None)
"""Redis is asked with a limit of its own, so it is PostgreSQL that hangs."""


def look(read_state: Callable[[], State], ping: Callable[[], str | None]) -> Sight:
    """Ask PostgreSQL for the state and Redis for a sign of life; `ping` returns why there was none."""
    missing: dict[Need, str] = {}
    state = None
    try:
        state = read_state()
    except SchemaError as error:
        missing[Need.SCHEMA] = str(error)
    except ReadOnlyError as error:
        missing[Need.POSTGRESQL] = str(error)
    except PoolTimeout:
        missing[Need.POSTGRESQL] = "it cannot be reached"
    except psycopg.Error as error:
        # An error's own text names addresses and logins.
        missing[Need.POSTGRESQL] = f"it cannot be asked: {type(error).__name__}"
    silence = ping()
    if silence is not None:
        missing[Need.REDIS] = silence
    elif state is not None and state.unrung_s > SILENT_AFTER_S:
        missing[Need.SCHEDULER] = (
            f"nobody was woken for {state.unrung_s:.0f} s for a check that is due: "
            "no scheduler runs, or workers do not keep up"
        )
    return Sight(missing=missing, state=state)
