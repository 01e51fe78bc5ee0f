"""The servers of the local stack."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.process import die_with_parent
from adapters.embedded.servers import EmbeddedServers as EmbeddedServers  # noqa: PLC0414 - handed on to the local stack
from adapters.embedded.servers import remove_home, start_servers
from worker.starting import StartError


@contextmanager
def embedded_servers(home: Path) -> Iterator[EmbeddedServers]:
    """Run embedded servers on new data in `home`, which is removed at the end.

    Raises:
        StartError: they do not start, or somebody else uses the folder.

    """
    try:
        remove_home(home)
        # Data that nobody keeps needs no protection from a power cut.
        with start_servers(home, fsync=False, appendonly=False) as servers:
            yield servers
        remove_home(home)
    except EmbeddedServerError as error:
        raise StartError(str(error)) from None


def child_guard(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what lets a child process be signalled when this one dies, even by SIGKILL; None where that cannot be."""
    return die_with_parent(stop_signal)
