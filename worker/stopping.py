"""Being told to stop: what SIGTERM and SIGINT mean to a process of ours."""

import signal
import socket
import threading
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on. Call it once, from the main thread.

    A thread of its own sets it, woken by the descriptor that Python writes each signal to. A handler that set it would
    deadlock when it interrupts the main thread's own wait for the event, whose lock it needs; and it would not run at
    all while the main thread sleeps and the signal came to another.
    """
    told = threading.Event()
    reader, writer = socket.socketpair()
    writer.settimeout(0)
    threading.Thread(target=_tell, args=(told, reader, writer), name="stopping", daemon=True).start()
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in STOPS:  # last: until then a signal ends the process, and from then on none is lost
        signal.signal(number, _do_nothing)
    return told


def _tell(told: threading.Event, reader: socket.socket, _writer: socket.socket) -> None:
    """Set the event once a signal says so. Both ends stay open for as long as the process lives."""
    while numbers := reader.recv(64):
        if not set(STOPS).isdisjoint(numbers):
            told.set()


def _do_nothing(_: int, __: FrameType | None) -> None:
    """Be there: a signal that has a handler is written to the descriptor, and does not end the process."""
