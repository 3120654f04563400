"""The rendering processes: a zygote that loads Jinja once, and a limited fork of it for each request.

Over its control socket the zygote gets frames of an operation and a child's number: FORK, with a
socket, makes the child that will answer one request there; START says that its request begins now,
from when on the zygote ends what takes too long. The zygote ends when the control socket is closed
at the other end, which also happens when its parent dies.
"""

import contextlib
import ctypes
import gc
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from typing import NoReturn

import orjson

from adapters.rendering import work

WALL_SECONDS = 1.5
CPU_SECONDS = 1
MEMORY_BYTES = 256 * 1024 * 1024
"""Address space of one request, beside what the zygote itself has."""

PATIENT_SECONDS = 0.1
"""After so long a request is no ordinary one: it gives way to all others."""

LENGTH = struct.Struct("!I")
ORDER = struct.Struct("!cI")
FORK, START = b"F", b"S"
PR_SET_PDEATHSIG = 1

WARM_UP = {
    "op": "render",
    "templates": [["warm", "{% set x = [1] %}{% for a in x %}{{ a ~ '\\u00e9' }}{% endfor %}{{ x|tojson|wordwrap }}"]],
    "variables": {},
    "includes": {},
}


def serve(descriptor: int) -> None:
    """Fork for each socket that arrives on the control socket, until it is closed."""
    control = socket.socket(fileno=descriptor)
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    first_to_go_when_memory_is_short()
    for request in (WARM_UP, WARM_UP | {"op": "check"}):
        work.answer(dict(request))
    limit = address_space() + MEMORY_BYTES
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    gc.collect()
    gc.freeze()
    zygote = os.getpid()
    children: dict[int, int] = {}
    started: dict[int, float] = {}
    while True:
        readable, _, _ = select.select([control, woken], [], [], until_next(started))
        if woken in readable:
            woken.recv(4096)
        for number in [number for number, pid in children.items() if os.waitpid(pid, os.WNOHANG)[0]]:
            del children[number]
            started.pop(number, None)
        look_after(children, started)
        if control in readable:
            order, descriptors, _, _ = socket.recv_fds(control, ORDER.size, 1)
            if not order:
                break
            operation, number = ORDER.unpack(order)
            if operation == START and number in children:
                started[number] = time.monotonic()
            elif operation == FORK:
                request_end = socket.socket(fileno=descriptors[0])
                children[number] = os.fork()
                if children[number] == 0:
                    for inherited in (control, woken, wake):
                        inherited.close()
                    be_limited(limit, zygote, libc)
                    work_on(request_end)
                request_end.close()
    for pid in children.values():
        os.kill(pid, signal.SIGKILL)


def until_next(started: dict[int, float]) -> float | None:
    """Return the seconds until a child must be looked after; None where there is none."""
    if not started:
        return None
    now = time.monotonic()
    ages = [now - at for at in started.values()]
    return max(0.001, min((WALL_SECONDS if age >= PATIENT_SECONDS else PATIENT_SECONDS) - age for age in ages))


def look_after(children: dict[int, int], started: dict[int, float]) -> None:
    """Put back the children that take long, and end those that take too long."""
    now = time.monotonic()
    for number, at in started.items():
        pid = children[number]
        if now - at >= WALL_SECONDS:
            os.kill(pid, signal.SIGKILL)
        elif now - at >= PATIENT_SECONDS:
            os.setpriority(os.PRIO_PROCESS, pid, 15)


def be_limited(address_limit: int, zygote: int, libc: ctypes.CDLL | None) -> None:
    """Take from this process what rendering needs not: files, processes, time and memory."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if libc is not None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != zygote:
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # What is open stays open; nothing else can be opened: no file, no socket, no library.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (address_limit, address_limit))


def work_on(request_end: socket.socket) -> NoReturn:
    """Read one request, answer it and end; a process that ends without an answer was out of bounds."""
    try:
        # Most of a request's time in a fresh fork is the copying of pages that it touches first.
        work.answer(dict(WARM_UP))
        request = orjson.loads(received(request_end))
        answer = work.answer(request)
        try:
            body = orjson.dumps(answer)
        except (MemoryError, orjson.JSONEncodeError):
            body = orjson.dumps(work.NO_ROOM)
        request_end.sendall(LENGTH.pack(len(body)) + body)
    finally:
        os._exit(0)


def received(end: socket.socket) -> bytes:
    """Return one frame: a length of 4 bytes and so many bytes."""
    (length,) = LENGTH.unpack(exactly(end, LENGTH.size))
    return exactly(end, length)


def exactly(end: socket.socket, size: int) -> bytes:
    """Return so many bytes, or raise EOFError."""
    body = bytearray(size)
    view = memoryview(body)
    while view:
        count = end.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return bytes(body)


def address_space() -> int:
    """Return the bytes of address space this process has now; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def first_to_go_when_memory_is_short() -> None:
    """Ask Linux to end these processes before any other when memory runs out."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb") as score:
        score.write(b"1000")
