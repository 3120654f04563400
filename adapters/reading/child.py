"""A reading process: reads and cuts what arrives on its socket, with bounds on memory and without secrets.

All that parsers may need is loaded first: afterwards it can open nothing, no file and no connection. It answers one
request after another, so that a small document costs no start of a process; what takes too long is ended
from outside. It ends when the socket is closed at the other end.
"""

import contextlib
import encodings
import importlib
import json
import os
import pkgutil
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from ctypes import CDLL
from functools import partial
from importlib.machinery import BuiltinImporter, FrozenImporter
from typing import Any

import pypdf

from adapters.child_processes import PR_SET_PDEATHSIG, address_space, first_to_go_when_memory_is_short, received
from adapters.reading.counting import Count, count_of
from adapters.reading.cutting import cut, load_splitter, tokens
from adapters.reading.docx import read_docx
from adapters.reading.eml import read_eml
from adapters.reading.epub import read_epub
from adapters.reading.growing import must_not_be_longer
from adapters.reading.html import read_html
from adapters.reading.pdf import read_pdf
from adapters.reading.plain import read_plain
from adapters.reading.pptx import read_pptx
from adapters.reading.wire import frame, text_document, text_of
from adapters.reading.xlsx import read_xlsx
from commands.knowledge.reading import ReadingLimit, Text, Unreadable

MEMORY_BYTES = 1536 * 1024 * 1024
"""Address space beside what the process has when all is loaded: that of one document."""

SECONDS = 150
"""Time of a processor for one document, should nobody be there to end it from outside."""

PARSERS: Mapping[str, Callable[[bytes], Text]] = {
    "html": read_html,
    "pdf": read_pdf,
    "docx": read_docx,
    "pptx": read_pptx,
    "xlsx": read_xlsx,
    "epub": read_epub,
    "eml": read_eml,
}
COUNTS: dict[str, Count] = {}
"""What counts tokens, by the names of the tokenizers that were sent here."""

NICE = 5
"""A document gives way to what answers people."""


def serve(descriptor: int) -> None:
    """Answer requests until the socket is closed."""
    end = socket.socket(fileno=descriptor)
    load()
    be_limited()
    while True:
        try:
            head, body = json.loads(received(end)), received(end)
        except EOFError:
            return
        limit_time()
        for part in answer(head, body):
            end.sendall(frame(part))


def answer(head: dict[str, Any], body: bytes) -> tuple[bytes, bytes]:
    """Return the answer to a request: what is said of it, and a text or the places of chunks."""
    match head["op"]:
        case "count":
            return told(lambda: counted(head["name"], body))
        case "read":
            return told(lambda: said(body, head["kind"]))
        case _:
            return b"{}", cuts(head["texts"], body)


def told(work: Callable[[], tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
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


def counted(name: str, data: bytes) -> tuple[bytes, bytes]:
    """Keep what counts tokens."""
    COUNTS[name] = count_of(name, data)
    return b"{}", b""


def said(content: bytes, kind: str) -> tuple[bytes, bytes]:
    """Return a text without its characters, and those."""
    text = read(content, kind)
    must_not_be_longer("document", len(text.text))
    return json.dumps(text_document(text)).encode(), text.text.encode()


def cuts(heads: Sequence[dict[str, Any]], body: bytes) -> bytes:
    """Return a JSON list: of each text, which stand one after another, the places of its chunks or an error."""
    found, at = [], 0
    for head in heads:
        end = at + head["size"]
        error, places = told(partial(places_of, head, body[at:end]))
        found.append(places or error)
        at = end
    return b"[" + b",".join(found) + b"]"


def places_of(head: dict[str, Any], body: bytes) -> tuple[bytes, bytes]:
    """Return the places of a text's chunks."""
    count = COUNTS[head["tokenizer"]] if head["tokenizer"] else tokens
    chunks = cut(text_of(head["text"], body.decode()), head["chunking"], count)
    places = [
        [each.start, each.end, each.page, each.heading, each.tokens, each.searched, each.parent] for each in chunks
    ]
    return b"{}", json.dumps(places).encode()


def refused(error: Unreadable) -> tuple[bytes, bytes]:
    """Return the answer that tells an error."""
    return json.dumps({"error": {"code": error.error_code, "message": str(error)}}).encode(), b""


def read(content: bytes, kind: str) -> Text:
    """Return the text of a content."""
    parser = PARSERS.get(kind)
    return read_plain(content, kind) if parser is None else parser(content)


def load() -> None:
    """Load what would be loaded late: soon no file can be opened, and what was not loaded is then not there."""
    load_splitter()
    for package in (encodings, pypdf):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(ImportError):  # some are for other systems
                importlib.import_module(module.name)
    # What looks for modules in folders would fail with an error of the system, which nobody expects of an import.
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter]


def be_limited() -> None:
    """Take from this process what reading needs not: memory, files, connections, further processes."""
    if sys.platform == "linux":
        CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
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
    """Give this process the time of one more document."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    time = int(used.ru_utime + used.ru_stime) + SECONDS
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (time if most == resource.RLIM_INFINITY else min(time, most), most))
