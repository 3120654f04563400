"""A reading process: reads and cuts what arrives on its socket, with bounds on memory and without secrets.

It answers one request after another, so that a small document costs no start of a process; what takes
too long is ended from outside. It ends when the socket is closed at the other end.
"""

import json
import os
import resource
import signal
import socket
import sys
from ctypes import CDLL
from typing import Any

from adapters.child_processes import PR_SET_PDEATHSIG, address_space, first_to_go_when_memory_is_short, received
from adapters.reading.cutting import cut
from adapters.reading.plain import read_plain
from adapters.reading.wire import frame, text_document, text_of
from commands.reading import ReadingLimit, Text, TooLarge, Unreadable

MEMORY_BYTES = 1536 * 1024 * 1024
"""Address space beside what the process has when it starts: libraries that it loads later, and one document."""

LONGEST_TEXT = 50_000_000
"""Characters of a document's text."""

FILES = 64
"""What may be open at once: the libraries that are loaded."""

NICE = 5
"""A document gives way to what answers people."""


def serve(descriptor: int) -> None:
    """Answer requests until the socket is closed."""
    end = socket.socket(fileno=descriptor)
    be_limited()
    while True:
        try:
            head, body = json.loads(received(end)), received(end)
        except EOFError:
            return
        for part in answer(head, body):
            end.sendall(frame(part))


def answer(head: dict[str, Any], body: bytes) -> tuple[bytes, bytes]:
    """Return the answer to a request: what is said of it, and a text or the places of chunks."""
    try:
        if head["op"] == "read":
            text = read(body, head["kind"])
            if len(text.text) > LONGEST_TEXT:
                raise TooLarge(f"The document's text has more than {LONGEST_TEXT:,} characters.")
            return json.dumps(text_document(text)).encode(), text.text.encode()
        chunks = cut(text_of(head["text"], body.decode()), head["chunking"])
        places = [[each.start, each.end, each.page, each.heading] for each in chunks]
        return b"{}", json.dumps(places).encode()
    except Unreadable as error:
        return refused(error)
    except (MemoryError, RecursionError):
        return refused(ReadingLimit("Reading the document took too much memory, or is nested too deeply."))
    except Exception as error:
        # Parsers raise whatever a document's damage leads to.
        return refused(Unreadable(f"The document is damaged ({type(error).__name__})."))


def refused(error: Unreadable) -> tuple[bytes, bytes]:
    """Return the answer that tells an error."""
    return json.dumps({"error": {"code": error.error_code, "message": str(error)}}).encode(), b""


def read(content: bytes, kind: str) -> Text:
    """Return the text of a content; a parser is loaded when the first document needs it."""
    if kind == "html":
        from adapters.reading.html import read_html  # noqa: PLC0415

        return read_html(content)
    if kind == "pdf":
        from adapters.reading.pdf import read_pdf  # noqa: PLC0415

        return read_pdf(content)
    if kind == "docx":
        from adapters.reading.docx import read_docx  # noqa: PLC0415

        return read_docx(content)
    return read_plain(content, kind)


def be_limited() -> None:
    """Take from this process what reading needs not: memory, files that are written, further processes."""
    if sys.platform == "linux":
        CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        limit = address_space() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    first_to_go_when_memory_is_short()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    os.nice(NICE)
