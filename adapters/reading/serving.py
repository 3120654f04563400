"""Answering requests in a child process, with bounds on memory and without secrets.

All that parsers may need is loaded first: afterwards it can open nothing, no file and no connection. It answers one
request after another, so that a small document costs no start of a process; what takes too long is ended
from outside. It ends when the socket is closed at the other end.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import resource
import signal
import socket
import sys
from collections.abc import Callable
from importlib.machinery import BuiltinImporter, FrozenImporter
from types import ModuleType
from typing import Any

from adapters.child_processes import address_space, end_with_parent, first_to_go_when_memory_is_short, received
from adapters.reading.wire import frame
from commands.knowledge.reading import ReadingLimit, Unreadable

MEMORY_BYTES = 1536 * 1024 * 1024
"""Address space beside what the process has when all is loaded: that of one document, or of one page by OCR."""

SECONDS = 150
"""Time of a processor for one request, should nobody be there to end it from outside."""

NICE = 5
"""A document gives way to what answers people."""

Answer = tuple[bytes, bytes]
"""Both parts of an answer: what is said of it as JSON, and a text or other data."""


def serve(descriptor: int, load: Callable[[], None], answer: Callable[[dict[str, Any], bytes], Answer]) -> None:
    """Load all, be limited, and answer requests until the socket is closed."""
    end = socket.socket(fileno=descriptor)
    load()
    find_no_more_modules()
    be_limited()
    while True:
        try:
            head, body = json.loads(received(end)), received(end)
        except EOFError:
            return
        limit_time()
        for part in answer(head, body):
            end.sendall(frame(part))


def told(work: Callable[[], Answer]) -> Answer:
    """Return what work answers, or an error."""
    try:
        return work()
    except Unreadable as error:
        return refused(error)
    except (MemoryError, RecursionError):
        return refused(ReadingLimit("Reading the document took too much memory, or is nested too deeply."))
    except Exception as error:
        # Parsers raise whatever a document's damage leads to.
        return refused(Unreadable(f"The document is damaged ({type(error).__name__})."))


def refused(error: Unreadable) -> Answer:
    """Return the answer that tells an error."""
    return json.dumps({"error": {"code": error.error_code, "message": str(error)}}).encode(), b""


def load_all_of(*packages: ModuleType) -> None:
    """Load what these packages would load late: soon no file can be opened."""
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(ImportError):  # some are for other systems
                importlib.import_module(module.name)


def find_no_more_modules() -> None:
    """Let what was not loaded not be there.

    What looks for modules in folders would fail with an error of the system, which nobody expects of an import.
    """
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter]


def be_limited() -> None:
    """Take from this process what reading needs not: memory, files, connections, further processes."""
    end_with_parent(signal.SIGKILL)
    if sys.platform == "linux":
        limit = address_space() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    first_to_go_when_memory_is_short()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    # What is open stays open; nothing else can be opened: no file, no socket, no library.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    os.nice(NICE)


def limit_time() -> None:
    """Give this process the time of one more request."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    time = int(used.ru_utime + used.ru_stime) + SECONDS
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (time if most == resource.RLIM_INFINITY else min(time, most), most))
