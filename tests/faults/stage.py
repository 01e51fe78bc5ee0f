"""Where one scenario plays: servers, the network to each of them, our processes, the simulator, and a shop."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import psycopg
import redis

from adapters.embedded.servers import EmbeddedServers
from adapters.redis.doorbell import Doorbell, open_broker
from tests.faults import oracle
from tests.faults.clock import Clock
from tests.faults.fleet import FaultError, Fleet, Process, await_start, wait_for
from tests.faults.network import Network
from tests.faults.servers import kill_server, own_servers, start_again
from tests.faults.shop import Shop
from tests.merchant import SECRET
from worker.clock import utc_now
from worker.compose.database import open_keys
from worker.kill_points import KillPoint
from worker.local import StackSecrets, free_port
from worker.settings import DatabaseSettings
from worker.webhook_token import WebhookTokens

UP_WITHIN_S = 60.0
QUIET_WITHIN_S = 90.0
"""Until it is quiet after the last fault was mended; the bounds that matter are the oracle's, for each payment."""

STUCK_FOR_S = 5.0
"""What still holds a lock after this, when nothing is due, has been left behind."""

DUE_FOR_S = 10.0
"""A check that is still due after this, or leased, has been left behind: the doorbell rings every 2 s."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything a scenario can use and break."""

    seed: str
    rng: random.Random
    servers: EmbeddedServers
    postgres: Network
    redis: Network
    gateway: Network
    fleet: Fleet
    shop: Shop
    eyes_url: str
    """The database as its superuser, beside the network."""
    web: Process
    simulator: Process
    scheduler: Process
    clock: Clock | None = None
    """That of all of them, where it can be set."""
    notify_port: int | None = None
    """Where they tell an application."""
    workers: list[Process] = field(default_factory=list)
    healed_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    witnessed: dict[int, str] = field(default_factory=dict)
    expected: set[str] = field(default_factory=set)
    """The gateway's ids of what it may be asked about without a callback."""
    notes: list[str] = field(default_factory=list)
    """What was measured, for people."""

    # --- Processes ---

    def start_workers(self, count: int = 1, **env: str) -> list[Process]:
        """Start workers, and wait until they work."""
        new = [self.fleet.start("worker", **env) for _ in range(count)]
        for worker in new:
            await_start(worker)
        self.workers += new
        return new

    def one_at_each_point(self, how: str) -> list[Process]:
        """Start a worker for each kill point, which has its accident there."""
        new = [self.fleet.start("worker", KILL_POINT=f"{how}:{point}") for point in KillPoint]
        for worker in new:
            await_start(worker)
        return new

    def eyes(self) -> psycopg.Connection[dict[str, object]]:
        """Look into the database, beside every fault."""
        return oracle.open_eyes(self.eyes_url)

    def look(self) -> None:
        """Remember every event that there is now: none of them may ever change or vanish."""
        with self.eyes() as eyes:
            self.witnessed |= oracle.witness(eyes)

    def recorded(self) -> set[str]:
        """Return the payments that are recorded."""
        with self.eyes() as eyes:
            rows = eyes.execute("SELECT payment_id FROM payment_event WHERE kind = 'received'").fetchall()
        return {str(row["payment_id"]) for row in rows}

    def await_recorded(self, *payments: str, within_s: float = 60.0) -> float:
        """Wait until these payments are recorded, and return how long that took."""
        wanted = set(payments)
        return wait_for("payments are recorded", lambda: wanted <= self.recorded(), within_s=within_s, look_every_s=0.1)

    # --- Servers ---

    def as_superuser(self, statement: str) -> None:
        """Do something to the database that only its owner could do."""
        with self.eyes() as eyes:
            eyes.execute(statement)

    def kill_postgres(self) -> None:
        kill_server(self.servers.postgres)

    def start_postgres(self) -> None:
        start_again(self.servers.postgres)

    def kill_valkey(self) -> None:
        kill_server(self.servers.valkey)

    def start_valkey(self) -> None:
        start_again(self.servers.valkey)

    def valkey(self, *command: str) -> None:
        """Give Valkey a command, beside every fault."""
        with redis.Redis.from_url(self.servers.redis_url) as client:
            client.execute_command(*command)

    def ring(self, qr: UUID) -> None:
        """Wake a worker for a QR."""
        broker = open_broker(self.servers.redis_url, timeout_s=5)
        Doorbell(broker).ring([qr], gateway="qpay")
        broker.close()

    # --- The end of a fault ---

    def healed(self) -> None:
        """Say that from now on nothing is wrong: what is to be found must be found in time."""
        self.look()
        self.healed_at = datetime.now(UTC)

    def await_ready(self, within_s: float = UP_WITHIN_S) -> float:
        """Wait until web says that it can work."""
        return wait_for("/readyz is green", lambda: self.shop.readiness().is_success, within_s=within_s)

    def await_degraded(self, within_s: float = 30.0) -> float:
        """Wait until /readyz says that something is missing without which callbacks can still be written down."""
        return wait_for(
            "/readyz is degraded",
            lambda: self.shop.readiness().json()["status"] == "degraded",
            within_s=within_s,
        )

    def await_unready(self, within_s: float = 30.0) -> float:
        """Wait until web says that it cannot work."""
        return wait_for("/readyz is red", lambda: self.shop.readiness().status_code == 503, within_s=within_s)

    def await_quiet(self, within_s: float = QUIET_WITHIN_S) -> float:
        """Have callbacks repeated that nobody took, and wait until nothing is left to do; the oracle judges if not."""
        begun = time.monotonic()

        def quiet() -> bool:
            self.fleet.require_alive(self.web, self.simulator, self.scheduler)
            if self.shop.callbacks()["pending"] or self.shop.repeat_what_was_not_taken():
                return False
            with self.eyes() as eyes:
                return oracle.is_quiet(oracle.read(eyes), self.shop.facts())

        try:
            wait_for("it is quiet", quiet, within_s=within_s, look_every_s=0.25)
        except FaultError:
            self.notes.append(f"not quiet after {within_s:.0f} s")
        return time.monotonic() - begun


@contextmanager
def new_stage(
    *,
    seed: str,
    logs: Path,
    env: Mapping[str, str],
    haste: str | None = None,
    older: Sequence[str] | None = None,
    home: Path | None = None,
    clock: Clock | None = None,
    notify_port: int | None = None,
) -> Iterator[Stage]:
    """Put everything up but the workers, and take it down at the end. Call it from the main thread.

    `env` is what differs from the defaults, `haste` by how much the waits of our processes are shorter (`hasty.py`),
    `home` where the servers keep their data, if that matters. `older` is how an older version is called: its worker is
    there before the database is migrated to this one.
    """
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        servers = undo.enter_context(own_servers(home))
        direct = servers.postgres_url
        database, doorbell = _network(undo, direct), _network(undo, servers.redis_url)
        web_port, simulator_port = free_port(), free_port()
        simulator_url, web_url = f"http://127.0.0.1:{simulator_port}", f"http://127.0.0.1:{web_port}"
        gateway = _network(undo, simulator_url)
        kept = StackSecrets.make()
        settings = {
            "DATABASE_URL": _through(database, direct),
            "REDIS_URL": _through(doorbell, servers.redis_url),
            "PUBLIC_URL": web_url,
            "WEBHOOK_SECRET": kept.webhook_secret,
            "SEAL_SECRET": kept.seal_secret,
            "QPAY_ENV": "sandbox",
            "QPAY_BASE_URL": _through(gateway, simulator_url),
            "QPAY_USERNAME": "TEST_MERCHANT",
            "QPAY_PASSWORD": kept.qpay_password,
            "QPAY_INVOICE_CODE": "TEST_INVOICE",
            "QPAY_ALLOW_PARTIAL": "true",
            **({} if notify_port is None else _telling(notify_port)),
            **env,
        }
        folder = logs / "empty"  # where no .env and no run file is
        folder.mkdir(exist_ok=True)
        if haste is None:
            fleet = Fleet(folder, env=settings, logs=logs)
        else:
            fleet = Fleet(folder, env=settings | {"HASTE": haste}, logs=logs, python=("-P", "-m", "tests.faults.hasty"))
        undo.callback(fleet.stop)
        workers = [] if older is None else [_older_worker(fleet, older)]
        migrated = fleet.run("migrate")
        if migrated.returncode:
            raise FaultError(f"migrate failed: {migrated.stderr}")
        simulator = fleet.start("simulate", "--port", str(simulator_port))
        web = fleet.start("web", "--port", str(web_port))
        scheduler = fleet.start("scheduler")
        with open_keys(DatabaseSettings(database_url=direct, database_pool_size=1)) as keys:
            api_key = keys.create("shop", now=utc_now())
        shop = Shop(
            web_url=web_url, simulator_url=simulator_url, api_key=api_key, tokens=WebhookTokens([kept.webhook_secret])
        )
        undo.callback(shop.close)
        stage = Stage(
            seed=seed,
            rng=random.Random(seed),
            servers=servers,
            postgres=database,
            redis=doorbell,
            gateway=gateway,
            fleet=fleet,
            shop=shop,
            eyes_url=direct,
            web=web,
            simulator=simulator,
            scheduler=scheduler,
            clock=clock,
            notify_port=notify_port,
            workers=workers,
        )
        _await_answers(stage)
        await_start(scheduler)
        yield stage


def _telling(port: int) -> Mapping[str, str]:
    url = f"http://127.0.0.1:{port}/tootsoo/notifications/"
    return {"NOTIFY_URL": url, "NOTIFY_SECRET": SECRET, "NOTIFY_ALLOW_PRIVATE": "true"}


def _older_worker(fleet: Fleet, older: Sequence[str]) -> Process:
    migrating = fleet.start("migrate", python=older)
    if migrating.child.wait(UP_WITHIN_S):
        raise FaultError(f"the older version could not migrate: {migrating.log}")
    worker = fleet.start("worker", python=older)
    await_start(worker)
    return worker


def _await_answers(stage: Stage) -> None:
    def up(ask: Callable[[], bool]) -> bool:
        stage.fleet.require_alive(stage.web, stage.simulator)
        try:
            return ask()
        except httpx.HTTPError:
            return False

    wait_for("the simulator answers", lambda: up(lambda: bool(stage.shop.facts()) or True), within_s=UP_WITHIN_S)
    wait_for("web is ready", lambda: up(lambda: stage.shop.readiness().is_success), within_s=UP_WITHIN_S)


def _network(undo: ExitStack, url: str) -> Network:
    parts = urlsplit(url)
    network = Network((parts.hostname or "127.0.0.1", parts.port or 0))
    undo.callback(network.close)
    return network


def _through(network: Network, url: str) -> str:
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=f"{user}127.0.0.1:{network.port}").geturl()
