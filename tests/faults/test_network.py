"""The network of the faults does what its weather says."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.network import DRIP_EVERY_S, Moment, Network, Weather
from tests.waiting import wait_until

SILENT_S = 0.3


class Echo:
    """A server that answers everything with itself, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            while data := client.recv(1_000):
                self.heard.append(data)
                client.sendall(data)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def network(echo: Echo) -> Iterator[Network]:
    network = Network(echo.address)
    yield network
    network.close()


def connect(network: Network) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", network.port), timeout=5)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def ask(client: socket.socket, words: bytes = b"hello") -> bytes:
    client.sendall(words)
    return client.recv(1_000)


def is_silent(client: socket.socket, words: bytes = b"hello?") -> bool:
    client.settimeout(SILENT_S)
    try:
        ask(client, words)
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)
    return False


def test_good_weather_lets_everything_through(network: Network) -> None:
    with connect(network) as client:
        assert ask(client) == b"hello"


def test_a_black_hole_swallows_and_gives_nothing_back(network: Network, echo: Echo) -> None:
    with connect(network) as before:
        ask(before)
        network.strike(Weather.BLACK_HOLE)
        with connect(network) as during:
            assert is_silent(before)
            assert is_silent(during)
            network.mend()

            assert is_silent(during)
            with connect(network) as after:
                assert ask(after) == b"hello"

    assert echo.heard == [b"hello", b"hello"]


def test_half_open_connections_are_silent_and_new_ones_work(network: Network) -> None:
    with connect(network) as before:
        ask(before)
        network.strike(Weather.HALF_OPEN)

        assert is_silent(before)
        with connect(network) as after:
            assert ask(after) == b"hello"


def test_a_drip_is_a_byte_a_second(network: Network) -> None:
    with connect(network) as client:
        ask(client)
        network.strike(Weather.DRIP)
        began = time.monotonic()
        client.sendall(b"ab")
        first, second = client.recv(10), client.recv(10)

    assert (first, second) == (b"a", b"b")
    assert time.monotonic() - began >= DRIP_EVERY_S


def test_a_reset_ends_old_and_new_connections(network: Network) -> None:
    with connect(network) as before:
        ask(before)
        network.strike(Weather.RESET)
        assert _is_over(before)
        with connect(network) as during:
            assert _is_over(during)
    network.mend()
    with connect(network) as after:
        assert ask(after) == b"hello"


def _is_over(client: socket.socket) -> bool:
    try:
        return ask(client) == b""
    except OSError:
        return True


@pytest.mark.parametrize(("moment", "heard"), [(Moment.BEFORE, False), (Moment.DURING, True), (Moment.AFTER, True)])
def test_a_trap_cuts_one_connection_at_its_moment(network: Network, echo: Echo, moment: Moment, heard: bool) -> None:
    sprung = threading.Event()
    network.trap(b"COMMIT", moment, then=sprung.set)

    with connect(network) as client, connect(network) as other:
        ask(client)
        assert _is_cut(client)
        assert sprung.wait(5)
        assert ask(other, b"COMMIT") == b"COMMIT"

    wait_until(lambda: echo.heard.count(b"x COMMIT;") == int(heard))
    assert network.trapped == 1


def _is_cut(client: socket.socket) -> bool:
    client.sendall(b"x COMMIT;")
    try:
        return client.recv(1_000) == b""
    except OSError:
        return True
