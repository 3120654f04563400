"""The rendering processes: a zygote that loads Jinja once, and a limited fork of it for each request.

Over its control socket the zygote gets frames of an operation and a child's number: FORK, with a
socket, makes the child that will answer one request there; START says that its request begins now,
from when on the zygote ends what takes too long. The zygote ends when the control socket is closed
at the other end, which also happens when its parent dies.
"""

import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from typing import NoReturn

from adapters.child_processes import (
    LENGTH,
    PR_SET_PDEATHSIG,
    address_space,
    first_to_go_when_memory_is_short,
    received,
)
from adapters.rendering import work

WALL_SECONDS, STARVED_SECONDS = 1.5, 5.0
"""How long a request may take; one that gets little of a busy machine's processor is no bomb, and may take the latter."""

CPU_SECONDS = 1
MEMORY_BYTES = 256 * 1024 * 1024
"""Address space of one request, beside what the zygote itself has."""

ORDINARY_SECONDS = 0.1
"""Of the processor: a request that takes more is no ordinary one, and gives way to all others."""

LOOK_EVERY = 0.1

ORDER = struct.Struct("!cI")
FORK, START = b"F", b"S"

WARM_UP = {
    "op": "render",
    "templates": [["warm", "{% set x = [1] %}{% for a in x %}{{ a ~ '\\u00e9' }}{% endfor %}{{ x|tojson|wordwrap }}"]],
    "variables": {},
    "includes": {},
}


def serve(descriptor: int) -> None:
    """Do what arrives on the control socket, until it is closed."""
    control = socket.socket(fileno=descriptor)
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    first_to_go_when_memory_is_short()
    for request in (WARM_UP, WARM_UP | {"op": "check"}):
        work.answer(dict(request))
    zygote = Zygote((control, woken, wake))
    gc.collect()
    gc.freeze()
    try:
        while True:
            readable, _, _ = select.select([control, woken], [], [], until_next(zygote.started))
            if woken in readable:
                woken.recv(4096)
            zygote.look_after_children()
            if control in readable:
                order, descriptors, _, _ = socket.recv_fds(control, ORDER.size, 1)
                if not order:
                    break
                operation, number = ORDER.unpack(order)
                if operation == FORK:
                    zygote.fork(number, socket.socket(fileno=descriptors[0]))
                else:
                    zygote.start(number)
    finally:
        zygote.end_children()


class Zygote:
    """The children of this process: pid by number, and when the time of each began."""

    def __init__(self, own_sockets: tuple[socket.socket, ...]) -> None:
        self.own_sockets = own_sockets
        self.pid = os.getpid()
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self.address_limit = address_space() + MEMORY_BYTES
        self.children: dict[int, int] = {}
        self.started: dict[int, float] = {}

    def fork(self, number: int, request_end: socket.socket) -> None:
        """Make the child that answers one request on this socket."""
        pid = os.fork()
        if pid == 0:
            for inherited in self.own_sockets:
                inherited.close()
            be_limited(self.address_limit, self.pid, self.libc)
            work_on(request_end)
        request_end.close()
        self.children[number] = pid

    def start(self, number: int) -> None:
        """Begin to count a child's time, if it is still there."""
        if number in self.children:
            self.started[number] = time.monotonic()

    def look_after_children(self) -> None:
        """Bury the dead, put back those that take long, and end those that take too long."""
        for number in [number for number, pid in self.children.items() if os.waitpid(pid, os.WNOHANG)[0]]:
            del self.children[number]
            self.started.pop(number, None)
        now = time.monotonic()
        for number, at in self.started.items():
            if now - at < LOOK_EVERY:
                continue
            extraordinary = processor_seconds(self.children[number]) >= ORDINARY_SECONDS
            if now - at >= (WALL_SECONDS if extraordinary else STARVED_SECONDS):
                os.kill(self.children[number], signal.SIGKILL)
            elif extraordinary:
                os.setpriority(os.PRIO_PROCESS, self.children[number], 15)

    def end_children(self) -> None:
        """End all children."""
        for pid in self.children.values():
            os.kill(pid, signal.SIGKILL)


def processor_seconds(pid: int) -> float:
    """Return what a process has had of the processor; without limit where the system doesn't tell."""
    if sys.platform != "linux":
        return float("inf")
    try:
        return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes it, which Python has not
    except OSError:
        return 0.0  # it has ended since, and is buried at the next look


def until_next(started: dict[int, float]) -> float | None:
    """Return the seconds until a child must be looked after; None where there is none."""
    if not started:
        return None
    now = time.monotonic()
    return max(0.001, min(LOOK_EVERY - (now - at) % LOOK_EVERY for at in started.values()))


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
        body = answered(received(request_end))
        request_end.sendall(LENGTH.pack(len(body)) + body)
    finally:
        os._exit(0)


def answered(request: bytes) -> bytes:
    """Return the answer to a request, both as JSON.

    By the standard library, which says so where memory is short; faster ones crash.
    """
    try:
        answer = work.answer(json.loads(request))
        return json.dumps(answer, ensure_ascii=False).encode()
    except (MemoryError, RecursionError, UnicodeEncodeError):
        return json.dumps(work.NO_ROOM).encode()
