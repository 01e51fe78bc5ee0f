"""Being told to stop: what SIGTERM and SIGINT mean to a process of ours."""

import signal
import socket
import threading
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on. Call it from the main thread.

    A thread of its own sets it, woken by the descriptor that Python writes each signal to: a handler would run in the
    main thread, and hang there when it interrupted that thread's own wait for the event, whose lock it needs; and it
    would not run at all while the main thread sleeps and the signal came to another.
    """
    told = threading.Event()
    woken, wakes = socket.socketpair()
    wakes.settimeout(0)
    for number in STOPS:
        signal.signal(number, _heard)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_tell, args=(told, woken, wakes), name="stopping", daemon=True).start()
    return told


def _tell(told: threading.Event, woken: socket.socket, _wakes: socket.socket) -> None:
    """Set the event once a signal says so. Both ends stay open for as long as the process lives."""
    while numbers := woken.recv(64):
        if not set(STOPS).isdisjoint(numbers):
            told.set()


def _heard(_: int, __: FrameType | None) -> None:
    """Let the signal be Python's: without a handler it would end the process."""
