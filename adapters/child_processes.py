"""What limited child processes share: frames on their sockets, their memory, and what they may know."""

import contextlib
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from ctypes import CDLL
from pathlib import Path

LENGTH = struct.Struct("!I")
PR_SET_PDEATHSIG = 1
ROOT = Path(__file__).resolve().parents[1]
KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "SYSTEMROOT")
"""What Python may need to start at all; nothing else of the environment reaches the children."""


def kept_environment() -> dict[str, str]:
    """Return what of the environment reaches the children."""
    return {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}


def end_with_parent(by: signal.Signals) -> None:
    """Have the system send this process a signal when the one that started it is gone, however that ended (Linux only)."""
    if sys.platform == "linux":
        CDLL(None).prctl(PR_SET_PDEATHSIG, by)


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a process that leads its own session, and all its children."""
    if process.returncode is None:
        # It is not waited for yet, so that its number still stands for its own group.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
        process.wait()


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
        return int(Path("/proc/self/statm").read_text("ascii").split(maxsplit=1)[0]) * resource.getpagesize()
    except OSError:
        return 0


def first_to_go_when_memory_is_short() -> None:
    """Ask Linux to end these processes before any other when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
