"""A clock that can be set, for every process of a trial and for nobody else: the C library's, with an offset."""

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from adapters.embedded import server as embedded_server

# Only the time of day: what measures a duration goes on as ever, as it does when a clock is set.
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset_s;

__attribute__((constructor)) static void look(void) {
    const char *path = CLOCK_PATH;
    int file = open(path, O_RDONLY);
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) offset_s = page;
}

static int64_t offset(void) { return offset_s ? *offset_s : 0; }

int clock_gettime(clockid_t which, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, which, now);
    if (result == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (out) *out = precise.tv_sec;
    return precise.tv_sec;
}
"""


class Clock:
    """Sets the time of day of the processes that were started with its environment."""

    def __init__(self, page: Path, *, library: Path) -> None:
        self._page = page
        self.env = {"LD_PRELOAD": str(library)}
        self.offset_s = 0
        self.set(0)

    def set(self, offset_s: int) -> None:
        """Let it be so many seconds later than it is, from now on and for all of them at once."""
        self.offset_s = offset_s
        with self._page.open("r+b") as page:
            page.write(struct.pack("q", offset_s))


@contextmanager
def own_clock() -> Iterator[Clock | None]:
    """Give a clock to all servers that are started while the context lasts; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="tootsoo-clock-"))
    folder.chmod(0o755)  # root's servers run as another user
    page, source, library = folder / "offset", folder / "clock.c", folder / "clock.so"
    page.write_bytes(bytes(8))
    source.write_text(_SOURCE.replace("CLOCK_PATH", f'"{page}"'), encoding="utf-8")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True, timeout=60)
    clock = Clock(page, library=library)
    inherited = embedded_server.INHERITED_VARIABLES
    os.environ |= clock.env
    try:
        embedded_server.INHERITED_VARIABLES = cast("tuple[str, str]", (*inherited, "LD_PRELOAD"))
        yield clock
    finally:
        embedded_server.INHERITED_VARIABLES = inherited
        del os.environ["LD_PRELOAD"]
        shutil.rmtree(folder, ignore_errors=True)
