"""The servers that all tests of one run share: started once, by the process that hands out the tests."""

import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.servers import EmbeddedServers, remove_home, start_servers

VALKEY_DATABASES = 64  # one for each xdist worker, and one for a run without


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """Where the servers of this run are; travels to the xdist workers as plain strings."""

    postgres_admin: str
    valkey: str

    def as_plain(self) -> dict[str, str]:
        return asdict(self)


class ThrowawayServers:
    """Servers that sync nothing to disk, and whose data goes with them."""

    def __init__(self, servers: EmbeddedServers, home: Path) -> None:
        self._servers = servers
        self._home = home

    @classmethod
    def start(cls) -> Self:
        # Not in pytest's own folders: they are 0700, and root's PostgreSQL runs as another user.
        home = Path(tempfile.mkdtemp(prefix="tootsoo-tests-"))
        home.chmod(0o711)
        try:
            servers = start_servers(home, fsync=False, appendonly=False, databases=VALKEY_DATABASES)
        except BaseException:
            with suppress(EmbeddedServerError):  # the first error is the one to show
                remove_home(home)
            shutil.rmtree(home, ignore_errors=True)
            raise
        return cls(servers, home)

    @property
    def urls(self) -> ServerUrls:
        admin = urlsplit(self._servers.postgres_url)._replace(path="/postgres").geturl()
        return ServerUrls(postgres_admin=admin, valkey=self._servers.redis_url)

    def stop(self) -> None:
        complaints = self._servers.stop()
        remove_home(self._home)
        if complaints:
            raise EmbeddedServerError("; ".join(complaints))


def valkey_database(url: str, worker: str) -> str:
    """The URL of the database that belongs to this xdist worker ("gw3"), or to the only process ("master")."""
    number = 0 if worker == "master" else int(worker.removeprefix("gw")) + 1
    if number >= VALKEY_DATABASES:
        raise EmbeddedServerError(f"the test servers have {VALKEY_DATABASES} Valkey databases: use fewer xdist workers")
    return urlsplit(url)._replace(path=f"/{number}").geturl()
