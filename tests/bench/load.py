"""HTTP requests by the thousand, from a client that costs so little that it is not what is measured."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TypeVar, cast

import uvloop

ANSWER_WITHIN_S = 30.0

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

T = TypeVar("T")


class LoadError(Exception):
    """A request was not answered as it must be: the figures would say nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a number of requests came to. Seconds."""

    took_s: float
    latencies_s: tuple[float, ...]
    """Of each request: until the end of its answer, from when it should have been sent."""
    client_cpu_s: float

    @property
    def rate(self) -> float:
        return len(self.latencies_s) / self.took_s

    @property
    def p99_s(self) -> float:
        return sorted(self.latencies_s)[int(0.99 * len(self.latencies_s))]


def get(path: str, *, key: str | None = None) -> bytes:
    """Make a GET request, ready to be sent; with a key of the API where one is asked for."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{authorization}\r\n".encode()


def as_fast_as_possible(port: int, requests: Sequence[bytes], *, connections: int, expected: bytes) -> Load:
    """Send each as soon as one of the connections is free. `expected` is the body of every answer."""

    async def send(lines: Sequence[_Connection]) -> list[float]:
        waiting, latencies = iter(requests), list[float]()
        await asyncio.gather(*(_one_after_the_other(line, waiting, latencies, expected) for line in lines))
        return latencies

    return _load(port, connections, send)


def at_a_rate(port: int, requests: Sequence[bytes], *, per_s: float, connections: int, expected: bytes) -> Load:
    """Send so many a second, whether or not those before have been answered. Time spent waiting to be sent counts."""

    async def send(lines: Sequence[_Connection]) -> list[float]:
        free: asyncio.Queue[_Connection] = asyncio.Queue()
        for line in lines:
            free.put_nowait(line)
        began_s, asked = perf_counter(), list[asyncio.Task[float]]()
        for number, request in enumerate(requests):
            due_s = began_s + number / per_s
            await asyncio.sleep(due_s - perf_counter())
            asked.append(asyncio.create_task(_when_free(free, request, expected, due_s=due_s)))
        return await asyncio.gather(*asked)

    return _load(port, connections, send)


async def _one_after_the_other(
    line: "_Connection", waiting: Iterator[bytes], latencies: list[float], expected: bytes
) -> None:
    for request in waiting:
        sent_s = perf_counter()
        await line.ask(request, expected)
        latencies.append(perf_counter() - sent_s)


async def _when_free(free: "asyncio.Queue[_Connection]", request: bytes, expected: bytes, *, due_s: float) -> float:
    line = await free.get()
    await line.ask(request, expected)
    free.put_nowait(line)
    return perf_counter() - due_s


def _load(port: int, connections: int, send: "Callable[[Sequence[_Connection]], Awaitable[list[float]]]") -> Load:
    async def work() -> Load:
        loop = asyncio.get_running_loop()
        lines = [(await loop.create_connection(_Connection, "127.0.0.1", port))[1] for _ in range(connections)]
        began_s, cpu_began_s = perf_counter(), process_time()
        latencies = await send(lines)
        load = Load(perf_counter() - began_s, tuple(latencies), process_time() - cpu_began_s)
        for line in lines:
            line.close()
        return load

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


class _Connection(asyncio.Protocol):
    """One connection that is kept; it has one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._answered: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def close(self) -> None:
        self._transport.close()

    async def ask(self, request: bytes, expected: bytes) -> None:
        """Send a request and wait for its answer, which must be 200 with this body."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_WITHIN_S):
            answer = await self._answered
        if not (answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n" + expected)):
            raise LoadError(f"answered with {answer[:300]!r}")

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if found and length and len(body) >= int(length[1]) and self._answered is not None:
            answer, self._received = self._received, b""
            self._answered.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(LoadError(f"the connection was lost: {exc}"))
