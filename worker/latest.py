"""Ask in the background, one question at a time, and wait for the answer no longer than one can."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """The newest answer to a question, shared by everybody who asks at the same time.

    A question that hangs, because a server is there and does not answer, holds one thread and nobody else: those who
    ask get None after `wait_s`, until it has ended. Answers younger than `fresh_s` are given again.
    """

    def __init__(self, ask: Callable[[], T], *, fresh_s: float, wait_s: float) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._asking: Future[T] | None = None
        self._ended_at = 0.0

    def __call__(self) -> T | None:
        """Return an answer, or None when none came in time; raises what the question raised."""
        asking = self._join()
        try:
            return asking.result(timeout=self._wait_s)
        except TimeoutError:
            return None

    def _join(self) -> Future[T]:
        with self._lock:
            if self._asking is not None:
                fresh = time.monotonic() - self._ended_at < self._fresh_s
                if not self._asking.done() or fresh:
                    return self._asking
            asking: Future[T] = Future()
            self._asking = asking
            threading.Thread(target=self._answer, args=(asking,), name="latest", daemon=True).start()
            return asking

    def _answer(self, asking: Future[T]) -> None:
        try:
            answer = self._ask()
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            self._ended_at = time.monotonic()
            asking.set_exception(error)
        else:
            self._ended_at = time.monotonic()
            asking.set_result(answer)
