"""The network to a server, and all that may be wrong with it: what a proxy in user space can do, without being root."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from tests.proxy import Proxy, close_socket

DRIP_EVERY_S = 1.0
CHUNK_BYTES = 65_536


class Weather(StrEnum):
    """What is wrong, from now until it is mended."""

    BLACK_HOLE = "black hole"
    """Whatever is sent vanishes, both ways, and does not come back; connections are taken and nobody answers."""
    HALF_OPEN = "half-open"
    """The server's side of each connection is gone and the client is not told. New connections work."""
    DRIP = "1 byte/s"
    """Both ways."""
    RESET = "reset"
    """Connections are reset, new ones with their first byte."""


class Moment(StrEnum):
    """When a connection is cut, seen from a request that is recognised."""

    BEFORE = "before the server has it"
    DURING = "while the server has it"
    AFTER = "when the server has answered"


@dataclass(eq=False, slots=True)
class _Link:
    client: socket.socket
    server: socket.socket | None
    lost: threading.Event = field(default_factory=threading.Event)
    """The client talks to nobody: nothing of this connection passes any more, also in better weather."""
    cut_at_answer: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        for end in (self.client, self.server):
            if end is not None:
                reset_socket(end)


@dataclass(slots=True, kw_only=True)
class _Trap:
    pattern: bytes
    moment: Moment
    then: Callable[[], None]
    left: int


class Network(Proxy):
    """A proxy with weather, and with traps that cut a connection at a request that holds some bytes."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._weather: Weather | None = None
        self._better = threading.Event()
        self._links: list[_Link] = []
        self._trap: _Trap | None = None
        self.trapped = 0
        self._answering = threading.Event()
        self._answering.set()
        super().__init__(target)

    def strike(self, weather: Weather) -> None:
        """Let there be bad weather for all connections, those that are open included."""
        with self._lock:
            self._better.clear()
            self._weather = weather
            links = list(self._links)
        for link in links:
            match weather:
                case Weather.BLACK_HOLE:
                    link.lost.set()
                case Weather.HALF_OPEN:
                    link.lost.set()
                    if link.server is not None:
                        close_socket(link.server)
                case Weather.RESET:
                    link.reset()
                case Weather.DRIP:
                    pass

    def mend(self) -> None:
        """Let everything through again. What was lost stays lost; servers learn that their clients are gone."""
        super().mend()
        with self._lock:
            self._weather = None
            self._better.set()
            lost = [link.server for link in self._links if link.lost.is_set() and link.server is not None]
        for server in lost:
            reset_socket(server)

    def trap(self, pattern: bytes, moment: Moment, *, then: Callable[[], None] = lambda: None, times: int = 1) -> None:
        """Cut the next `times` connections on which a request with `pattern` comes by, and call `then`."""
        with self._lock:
            self._trap = _Trap(pattern=pattern, moment=moment, then=then, left=times)

    @contextlib.contextmanager
    def answers_held(self) -> Iterator[None]:
        """Let requests through, and no answers, for as long as the context lasts."""
        self._answering.clear()
        try:
            yield
        finally:
            self._answering.set()

    def close(self) -> None:
        self._answering.set()
        self._better.set()
        super().close()
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.reset()

    def _join(self, client: socket.socket) -> None:
        if self._weather is Weather.BLACK_HOLE:
            link = _Link(client, None)
            link.lost.set()
            self._add(link)
            threading.Thread(target=self._swallow, args=(link,), daemon=True).start()
            return
        super()._join(client)

    def _start_pumps(self, client: socket.socket, server: socket.socket) -> None:
        link = _Link(client, server)
        self._add(link)
        threading.Thread(target=self._upwards, args=(link, server), daemon=True).start()
        threading.Thread(target=self._downwards, args=(link, server), daemon=True).start()

    def _add(self, link: _Link) -> None:
        with self._lock:
            self._links.append(link)

    def _forget(self, link: _Link) -> None:
        with self._lock:
            if link in self._links:
                self._links.remove(link)

    def _swallow(self, link: _Link) -> None:
        with contextlib.suppress(OSError):  # the client was closed, or reset
            while link.client.recv(CHUNK_BYTES):
                pass
        close_socket(link.client)
        self._forget(link)

    def _upwards(self, link: _Link, server: socket.socket) -> None:
        tail = b""
        with contextlib.suppress(OSError):  # one side went away, so the other does too
            while data := link.client.recv(CHUNK_BYTES):
                self._flowing.wait()
                if link.lost.is_set():
                    continue
                trap = self._sprung(tail + data)
                if trap is not None:
                    self._cut(link, server, data, trap)
                    continue
                tail = data[-64:]
                self._pass(link, server, data)
        close_socket(link.client)
        if not (link.lost.is_set() and self._weather is Weather.BLACK_HOLE):  # else nobody tells the server either
            close_socket(server)
            self._forget(link)

    def _downwards(self, link: _Link, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(CHUNK_BYTES):
                self._flowing.wait()
                self._answering.wait()
                if link.lost.is_set():
                    continue
                if link.cut_at_answer.is_set():
                    link.reset()
                    break
                self._pass(link, link.client, data)
        close_socket(server)
        if not link.lost.is_set():  # else the client is not told
            close_socket(link.client)
            self._forget(link)

    def _pass(self, link: _Link, sink: socket.socket, data: bytes) -> None:
        while data:
            match self._weather:
                case Weather.DRIP:
                    sink.sendall(data[:1])
                    data = data[1:]
                    self._better.wait(DRIP_EVERY_S)
                case Weather.RESET:
                    link.reset()
                    return
                case _:
                    sink.sendall(data)
                    return

    def _sprung(self, data: bytes) -> _Trap | None:
        with self._lock:
            trap = self._trap
            if trap is None or trap.pattern not in data:
                return None
            trap.left -= 1
            if trap.left == 0:
                self._trap = None
            self.trapped += 1
            return trap

    def _cut(self, link: _Link, server: socket.socket, data: bytes, trap: _Trap) -> None:
        match trap.moment:
            case Moment.BEFORE:
                link.reset()
            case Moment.DURING:
                link.cut_at_answer.set()  # an answer that is faster than we are is not passed on either
                server.sendall(data)
                link.reset()
            case Moment.AFTER:
                link.cut_at_answer.set()
                server.sendall(data)
        trap.then()


def reset_socket(connection: socket.socket) -> None:
    """End a connection with RST instead of FIN, whoever is reading from it in another thread."""
    with contextlib.suppress(OSError):  # it may be closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Wakes the thread that reads; the close alone would wait for it, and send nothing before.
        connection.shutdown(socket.SHUT_RD)
    connection.close()
