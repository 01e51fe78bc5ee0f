"""A process that is told to stop hears it, whatever its threads are about at that moment."""

import subprocess
import sys

import pytest

ENDS_WITHIN_S = 30.0

ANOTHER_THREAD_TAKES_IT = """
import signal, threading, time
from worker.stopping import stop_event

told = stop_event()
other = threading.Thread(target=threading.Event().wait, daemon=True)
other.start()
def send():
    time.sleep(0.5)  # until the main thread sleeps
    signal.pthread_kill(other.ident, signal.SIGTERM)
threading.Thread(target=send, daemon=True).start()
told.wait()
"""

THE_EVENT_IS_LOCKED = """
import os, signal
from worker.stopping import stop_event

told = stop_event()
with told._cond:  # where each wait for it begins and ends
    os.kill(os.getpid(), signal.SIGTERM)
told.wait()
"""

NOTHING_IS_AMISS = """
import os, signal
from worker.stopping import stop_event

told = stop_event()
os.kill(os.getpid(), signal.SIGINT)
told.wait()
"""

IT_COMES_AT_ONCE = """
import os, signal
from worker.stopping import stop_event

first = signal.signal
def set_and_send(number, handler):
    first(number, handler)
    os.kill(os.getpid(), number)
signal.signal = set_and_send
stop_event().wait()
"""

WEB_DOES_NOT_SERVE_YET = """
import os, signal
from fastapi import FastAPI
from worker.web import server

listening = server._listening
def send_first(host, port):
    os.kill(os.getpid(), signal.SIGTERM)
    return listening(host, port)
server._listening = send_first
server.serve(FastAPI(), host="127.0.0.1", port=0, trusted_proxies=[])
"""


@pytest.mark.parametrize(
    "program",
    [ANOTHER_THREAD_TAKES_IT, THE_EVENT_IS_LOCKED, NOTHING_IS_AMISS, IT_COMES_AT_ONCE, WEB_DOES_NOT_SERVE_YET],
    ids=["another thread takes it", "the event is locked", "nothing is amiss", "it comes at once", "web"],
)
def test_a_signal_to_stop_is_heard(program: str) -> None:
    ended = subprocess.run([sys.executable, "-c", program], timeout=ENDS_WITHIN_S, check=False)

    assert ended.returncode == 0
