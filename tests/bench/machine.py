"""What the figures were measured on."""

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psycopg

from tests.bench.database import running_server


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    date: str
    cores: int
    cpu: str
    memory_gb: int
    load: float
    """Of the last minute before the start: what others do on the same cores."""
    system: str
    python: str
    postgresql: str
    settings: dict[str, str]
    """Of PostgreSQL; fsync stands with each figure."""
    psycopg: str
    eventsourcing: str

    def as_plain(self) -> dict[str, object]:
        return asdict(self)


def this_machine() -> Machine:
    with running_server(fsync=False) as admin_url, psycopg.connect(admin_url) as connection:
        names = ("server_version", "shared_buffers", "synchronous_commit", "max_wal_size")
        shown = {name: _show(connection, name) for name in names}
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu=_cpu(),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        load=round(os.getloadavg()[0], 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        postgresql=shown.pop("server_version"),
        settings=shown,
        psycopg=f"{version('psycopg')} ({psycopg.pq.__impl__})",
        eventsourcing=version("eventsourcing"),
    )


def _show(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    return "" if row is None else str(row[0])


def _cpu() -> str:
    """The model's name, where /proc tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
