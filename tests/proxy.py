"""A TCP proxy between our processes and a server, which can be cut and mended like a network."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Proxy:
    """Forwards connections while it is not cut; a cut closes those there are and refuses new ones."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._whole = threading.Event()
        self._whole.set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._lost_requests = 0
        self._lost_answers = 0
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def cut(self) -> None:
        self._whole.clear()
        with self._lock:
            while self._open:
                close_socket(self._open.pop())

    def mend(self) -> None:
        self._whole.set()

    def hold(self) -> None:
        """Take connections, and let nothing through until it flows again."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def lose(self, *, requests: int = 0, answers: int = 0) -> None:
        """Cut the connection of the next so many requests before, or answers after, the server has read them."""
        self._lost_requests, self._lost_answers = requests, answers

    def close(self) -> None:
        self.flow()
        self.cut()
        close_socket(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed: the test is over
            while True:
                client, _ = self._listener.accept()
                if not self._whole.is_set():
                    close_socket(client)
                    continue
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            close_socket(client)
            return
        server.settimeout(None)
        with self._lock:
            self._open += [client, server]
        self._start_pumps(client, server)

    def _start_pumps(self, client: socket.socket, server: socket.socket) -> None:
        for source, sink, losing in ((client, server, self._loses_request), (server, client, self._loses_answer)):
            threading.Thread(target=self._pump, args=(source, sink, losing), daemon=True).start()

    def _loses_request(self) -> bool:
        self._lost_requests -= 1
        return self._lost_requests >= 0

    def _loses_answer(self) -> bool:
        self._lost_answers -= 1
        return self._lost_answers >= 0

    def _pump(self, source: socket.socket, sink: socket.socket, loses: Callable[[], bool]) -> None:
        with contextlib.suppress(OSError):  # one side went away, so the other does too
            while data := source.recv(65_536):
                self._flowing.wait()
                if loses():
                    break
                sink.sendall(data)
        close_socket(source)
        close_socket(sink)


@contextmanager
def held(proxy: Proxy) -> Iterator[None]:
    """Let nothing through for as long as the context lasts."""
    proxy.hold()
    try:
        yield
    finally:
        proxy.flow()


@contextmanager
def proxied(host: str, port: int) -> Iterator[Proxy]:
    proxy = Proxy((host, port))
    try:
        yield proxy
    finally:
        proxy.close()


def close_socket(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
