"""Requests of somebody who means no good: many, large, guessed. On plain sockets, which is how fast they can come."""

import base64
import random
import re
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

BATCH = 25
"""Requests that are sent at once on one connection, without waiting for answers."""
ANSWERED_WITHIN_S = 60.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@dataclass(slots=True)
class Flooded:
    """What came of it."""

    statuses: Counter[int | str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest_s: float = 0.0
    """The longest that a batch took to be answered."""


def forged_token(rng: random.Random, *, qr: UUID | None = None) -> str:
    """Make a token of the right form that nobody signed: of a QR that is there, or of none."""
    message = qr.bytes if qr else rng.randbytes(16)
    return base64.urlsafe_b64encode(message + rng.randbytes(32)).decode()


def asked(path: str) -> bytes:
    """Write a request for a path."""
    return f"GET {path} HTTP/1.1\r\nHost: forger\r\n\r\n".encode()


def posted(path: str, body: bytes) -> bytes:
    """Write a request that posts JSON, or what is none."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: forger\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def flood(address: tuple[str, int], requests: list[bytes], *, per_s: float, connections: int = 4) -> Flooded:
    """Send all these requests, `per_s` of them a second or as fast as they are answered."""
    flooded, lock = Flooded(), threading.Lock()
    batches = [requests[first : first + BATCH] for first in range(0, len(requests), BATCH)]
    begun = time.monotonic()

    def send(mine: list[tuple[int, list[bytes]]]) -> None:
        with socket.create_connection(address, timeout=ANSWERED_WITHIN_S) as line:
            for number, batch in mine:
                time.sleep(max(0.0, begun + number * BATCH / per_s - time.monotonic()))  # so many a second
                statuses, took_s = _ask(line, batch)
                with lock:
                    flooded.statuses.update(statuses)
                    flooded.slowest_s = max(flooded.slowest_s, took_s)

    numbered = list(enumerate(batches))
    threads = [threading.Thread(target=send, args=(numbered[one::connections],)) for one in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flooded.seconds = time.monotonic() - begun
    return flooded


def _ask(line: socket.socket, batch: list[bytes]) -> tuple[list[int | str], float]:
    begun = time.monotonic()
    line.sendall(b"".join(batch))
    answers = b""
    while len(_STATUS.findall(answers)) < len(batch):
        data = line.recv(65_536)
        if not data:
            return ["closed"] * len(batch), time.monotonic() - begun
        answers += data
    return [int(status) for status in _STATUS.findall(answers)], time.monotonic() - begun


def post_too_much(address: tuple[str, int], path: str, *, megabytes: int, announced: bool) -> int | str:
    """Post a body of so many MB, with its length or in chunks without end; return the status, or how it ended."""
    length = f"Content-Length: {megabytes * 1_000_000}" if announced else "Transfer-Encoding: chunked"
    with socket.create_connection(address, timeout=ANSWERED_WITHIN_S) as line:
        line.sendall(f"POST {path} HTTP/1.1\r\nHost: forger\r\n{length}\r\n\r\n".encode())
        piece = b"x" * 100_000
        chunk = piece if announced else b"%x\r\n%s\r\n" % (len(piece), piece)
        with suppress(OSError):  # it hangs up on us, and rightly
            for _ in range(megabytes * 10):
                line.sendall(chunk)
        answer = b""
        with suppress(OSError):
            answer = line.recv(65_536)
    status = _STATUS.search(answer)
    return int(status[1]) if status else "closed"
