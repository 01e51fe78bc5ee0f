"""Child processes that do not outlive their parent."""

import ctypes
import os
import sys
from collections.abc import Callable
from signal import Signals

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(stop_signal: Signals) -> Callable[[], None] | None:
    """Return a `preexec_fn` for `subprocess.Popen` that has the child signalled when its parent dies, even by SIGKILL.

    Linux only: elsewhere there is no such means and the answer is None, which Popen takes as well. The kernel sends the
    signal when the *thread* that started the child ends (prctl(2), PR_SET_PDEATHSIG), so start such children from the
    main thread. A child that changes its user afterwards loses it; `Popen(user=...)` changes it before, and keeps it.
    """
    if sys.platform != "linux":
        return None
    # Both are looked up here: between fork and exec as little as possible may happen.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arm() -> None:
        if prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        # A parent that died before the line above sends nothing any more.
        if os.getppid() != parent:
            os._exit(1)

    return arm
