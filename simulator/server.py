"""Serving the simulator over HTTP: until a signal, or in a thread beside a test."""

import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from secrets import randbelow
from types import FrameType

import uvicorn
from fastapi import FastAPI

from simulator.app import create_app
from simulator.clock import Clock, utc_now
from simulator.facts import Merchant, Terminal
from simulator.faults import Rule
from simulator.loopback import is_loopback
from simulator.wire import Protocol
from simulator.world import Switches, World

GRACE_S = 3
"""So long requests under way may take to end at shutdown."""
BACKLOG = 2_048
SEED_MAX = 10**9
"""Seeds by chance are below: short enough to be typed again."""


def run(
    *,
    merchants: Iterable[Merchant],
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[str], None] | None = None,
    switches: Switches | None = None,
    allow_public: bool = False,
    call_anywhere: bool = False,
    seed: int | None = None,
    rules: Iterable[Rule] = (),
    terminals: Iterable[Terminal] = (),
) -> None:
    """Serve a simulator until SIGTERM or SIGINT, then return.

    `port` 0 takes a free one; `on_ready` gets the URL once calls are taken, by default it is printed, with the seed.
    Faults begin with these `rules`, and are drawn from `seed`, or from one by chance. Raises ValueError for a host that
    others can reach, unless `allow_public`, and for rules that cannot be; OSError when the address is taken.
    """
    seed = randbelow(SEED_MAX) if seed is None else seed
    app = create_app(
        merchants=merchants,
        clock=utc_now,
        switches=switches,
        call_anywhere=call_anywhere,
        seed=seed,
        terminals=terminals,
    )
    app.state.world.faults.set(rules)
    with _listening(host, port, allow_public=allow_public) as listener:
        _Server(app, url=_url(listener), on_ready=on_ready or partial(_print, seed=seed)).run(sockets=[listener])


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A simulator that is being served. Its world may be read, and its switches replaced, from any thread."""

    url: str
    world: World


@contextmanager
def serving(
    *,
    merchants: Iterable[Merchant],
    clock: Clock,
    switches: Switches | None = None,
    call_anywhere: bool = False,
    seed: int = 0,
    terminals: Iterable[Terminal] = (),
) -> Iterator[Running]:
    """Serve a simulator on a free port of this machine, in a thread, for as long as the context lasts."""
    app = create_app(
        merchants=merchants,
        clock=clock,
        switches=switches,
        call_anywhere=call_anywhere,
        seed=seed,
        terminals=terminals,
    )
    with _listening("127.0.0.1", 0, allow_public=False) as listener:
        url, ready = _url(listener), threading.Event()
        server = _Server(app, url=url, on_ready=lambda _: ready.set())
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="simulator")
        thread.start()
        try:
            while not ready.wait(timeout=0.05):
                if not thread.is_alive():
                    raise RuntimeError("the simulator did not start; its log says why")
            yield Running(url=url, world=app.state.world)
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    """uvicorn, telling when it is ready, and ending quietly at a signal instead of raising it again."""

    def __init__(self, app: FastAPI, *, url: str, on_ready: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._url = url
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then tell."""
        await super().startup(sockets=sockets)
        if self.started:
            self._on_ready(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Break off what only waits because of a fault, then end as uvicorn does."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, Protocol) and connection.stalls:
                connection.reset()
        await super().shutdown(sockets=sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Remember to end; a second signal does not wait for requests under way."""
        self.force_exit = self.should_exit
        self.should_exit = True


@contextmanager
def _listening(host: str, port: int, *, allow_public: bool) -> Iterator[socket.socket]:
    if not (allow_public or is_loopback(host)):
        raise ValueError(f"others could reach {host}: only this machine is served, unless it is said to be --public")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=BACKLOG) as listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _print(url: str, *, seed: int) -> None:
    sys.stdout.write(f"{url}\nThis is a simulator: no money moves here. Faults are drawn from seed {seed}.\n")
    sys.stdout.flush()
