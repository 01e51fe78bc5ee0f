"""Both embedded servers, started and stopped together."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from adapters.embedded import postgresql, valkey
from adapters.embedded.account import server_account
from adapters.embedded.binaries import postgres_programs, runnable_by, valkey_programs
from adapters.embedded.data import prepare_home, remove_data
from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.server import Server

DATABASE = "tootsoo"


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """A running PostgreSQL and a running Valkey; leaving the `with` block stops them."""

    postgres: Server
    valkey: Server

    @property
    def postgres_url(self) -> str:
        """The URL of the database `tootsoo`, as the superuser."""
        return postgresql.database_url(self.postgres.port, DATABASE)

    @property
    def redis_url(self) -> str:
        """The URL of Valkey's database 0."""
        return valkey.valkey_url(self.valkey.port)

    def stop(self) -> list[str]:
        """Stop both and return a line for each that had to be killed. May be called again."""
        both = (self.postgres, self.valkey)
        for server in both:
            server.ask_to_stop()
        return [complaint for server in both if (complaint := server.stop()) is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        complaints = "; ".join(self.stop())
        if not complaints:
            return
        if error is None:
            raise EmbeddedServerError(complaints)
        error.add_note(complaints)


def start_servers(home: Path, *, fsync: bool = True, appendonly: bool = True, databases: int = 16) -> EmbeddedServers:
    """Start PostgreSQL and Valkey on the data in the folder `home`, which is made when missing and kept afterwards.

    Call it from the main thread: on Linux the servers stop when the thread that started them ends, killed or not (see
    `process.die_with_parent`). Root's servers run as `nobody`. Without `fsync` a power cut can spoil PostgreSQL's
    data; without `appendonly` Valkey forgets its data at the stop. `databases` is how many Valkey has. Raises
    EmbeddedServerError, and leaves no server behind, when one does not start or another process uses the data.
    """
    try:
        return _start(home, fsync=fsync, appendonly=appendonly, databases=databases)
    except OSError as error:
        raise EmbeddedServerError(f"cannot start the embedded servers in {home}: {error}") from error


def _start(home: Path, *, fsync: bool, appendonly: bool, databases: int) -> EmbeddedServers:
    account = server_account()
    postgres_wheel = runnable_by(postgres_programs(), account)
    valkey_wheel = runnable_by(valkey_programs(), account)
    home = prepare_home(home)
    with ExitStack() as undo:
        # Processes, not threads: Valkey comes up while PostgreSQL makes its data.
        second = valkey.launch_valkey(home, valkey_wheel, account=account, appendonly=appendonly, databases=databases)
        undo.callback(second.stop)
        first = postgresql.launch_postgres(home, postgres_wheel, account=account, fsync=fsync)
        undo.callback(first.stop)
        first.wait_until_ready()
        second.wait_until_ready()
        postgresql.ensure_database(first.port, DATABASE)
        undo.pop_all()
    return EmbeddedServers(postgres=first, valkey=second)


def remove_home(home: Path) -> None:
    """Remove the folder `home` with all servers' data, wherever that is; nothing happens when there is none.

    Raises EmbeddedServerError when a server uses it.
    """
    if home.is_dir():
        remove_data(home.resolve(), postgresql.FOLDER, valkey.FOLDER, account=server_account())
