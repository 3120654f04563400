"""A reading process: reads and cuts what arrives on its socket."""

import encodings
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pypdf

from adapters.reading import serving
from adapters.reading.counting import count_of
from adapters.reading.cutting import cut, load_splitter, tokens
from adapters.reading.docx import read_docx
from adapters.reading.eml import read_eml
from adapters.reading.epub import read_epub
from adapters.reading.growing import must_not_be_longer
from adapters.reading.html import read_html
from adapters.reading.pdf import read_pdf
from adapters.reading.plain import read_plain
from adapters.reading.pptx import read_pptx
from adapters.reading.serving import load_all_of, told
from adapters.reading.wire import text_document, text_of
from adapters.reading.words import Count
from adapters.reading.xlsx import read_xlsx
from commands.knowledge.reading import Text

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


def serve(descriptor: int) -> None:
    """Answer requests until the socket is closed."""
    serving.serve(descriptor, load, answer)


def answer(head: dict[str, Any], body: bytes) -> tuple[bytes, bytes]:
    """Return the answer to a request: what is said of it, and a text or the places of chunks."""
    match head["op"]:
        case "count":
            return told(lambda: counted(head["name"], body))
        case "read":
            return told(lambda: said(body, head["kind"]))
        case _:
            return b"{}", cuts(head["texts"], body)


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


def read(content: bytes, kind: str) -> Text:
    """Return the text of a content."""
    parser = PARSERS.get(kind)
    return read_plain(content, kind) if parser is None else parser(content)


def load() -> None:
    """Load what would be loaded late: soon no file can be opened, and what was not loaded is then not there."""
    load_splitter()
    load_all_of(encodings, pypdf)
