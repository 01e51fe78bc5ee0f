"""PostgreSQL: its data made once, its server started with our settings."""

import subprocess
from functools import partial
from pathlib import Path
from signal import SIGINT

import psycopg
from psycopg import sql

from adapters.embedded.account import Account
from adapters.embedded.binaries import Programs
from adapters.embedded.data import claim_data
from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.server import Server

FOLDER = "postgres"
INITDB_LIMIT_S = 120.0  # it takes half a second; slow disks are slow
# One ordering of text on every machine, whatever its locale.
INITDB_FLAGS = (
    *("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"),
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # nobody needs one, and a path above some 100 bytes fails
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def launch_postgres(home: Path, programs: Programs, *, account: Account | None, fsync: bool) -> Server:
    """Start PostgreSQL on `home`/postgres, whose data is made first when missing, and return without waiting for it.

    SIGINT is its fast shutdown: it ends sessions and writes a checkpoint. Without `fsync` a power cut can spoil the
    data; kill -9 cannot. Raises EmbeddedServerError.
    """
    data = claim_data(home, FOLDER, account)
    settings = SETTINGS | {"fsync": "on" if fsync else "off"}
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = Server(
        name="PostgreSQL",
        data=data,
        log=home / "postgres.log",
        stop_signal=SIGINT,
        command=lambda port: [str(programs.path("postgres")), "-D", str(data.path), "-p", str(port), *flags],
        answers=partial(_answers, data.path),
    )
    try:
        if not data.path.exists():
            _initialise(server, programs)
        _remove_stale_pid_file(data.path)
        server.launch()
    except BaseException:
        server.stop()
        raise
    return server


def database_url(port: int, database: str) -> str:
    """Return the URL of `database`, as the superuser, on the server at `port`."""
    return f"postgresql://postgres@127.0.0.1:{port}/{database}"


def ensure_database(port: int, database: str) -> None:
    """Create `database` on the server at `port` unless it is there; raises EmbeddedServerError when that fails."""
    try:
        with _connect(port) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    except psycopg.Error as error:
        raise EmbeddedServerError(f"cannot create the database {database}: {error}") from error


def _initialise(server: Server, programs: Programs) -> None:
    with server.data.creating() as folder:
        initdb = server.spawn([str(programs.path("initdb")), "-D", str(folder), *INITDB_FLAGS])
        try:
            code = initdb.wait(INITDB_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise EmbeddedServerError(f"initdb took longer than {INITDB_LIMIT_S:.0f} s: {server.log_tail()}") from error
        finally:
            initdb.kill()  # nothing happens when it has ended
            initdb.wait()
        if code != 0:
            raise EmbeddedServerError(f"initdb could not make the data: {server.log_tail()} (log: {server.log})")


def _remove_stale_pid_file(data: Path) -> None:
    """Remove a pid file whose process is not a postmaster on `data`.

    PostgreSQL refuses to start when the process id in there is alive, whatever that process is; in a container that was
    restarted it often is. A postmaster has its data folder as working directory. Without /proc it is left to decide.
    """
    pid_file = data / "postmaster.pid"
    if not Path("/proc/self/cwd").exists() or not pid_file.exists():
        return
    pid = pid_file.read_text().partition("\n")[0].strip()
    try:
        live = Path("/proc", pid, "cwd").samefile(data)
    except (FileNotFoundError, PermissionError):  # gone, or another user's, and so not on our data
        live = False
    if not live:
        pid_file.unlink()


def _answers(data: Path, port: int, _pid: int) -> bool:
    try:
        with _connect(port) as connection:
            shown = connection.execute("SHOW data_directory").fetchone()
    except psycopg.OperationalError:  # not yet listening, or starting up
        return False
    return shown is not None and Path(shown[0]) == data


def _connect(port: int) -> psycopg.Connection:
    # The server knows no TLS, whatever PGSSLMODE says.
    return psycopg.connect(database_url(port, "postgres"), sslmode="disable", connect_timeout=2, autocommit=True)
