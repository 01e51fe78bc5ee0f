"""Being told to stop: what SIGTERM and SIGINT mean to a process of ours."""

import signal
import threading
from types import FrameType


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on. Call it from the main thread."""
    told = threading.Event()

    def tell(_: int, __: FrameType | None) -> None:
        told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    return told
