"""Reading multipart bodies strictly, piece by piece: what is too much is refused before it is kept."""

from dataclasses import dataclass
from hashlib import sha256

import orjson
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from api.body import SLOWEST_LARGE, receive
from api.errors import HttpProblem
from domain.errors import Invalid

LARGEST_UPLOAD = 128 * 1024 * 1024
"""Bytes of a multipart body."""

LARGEST_FIELD = 128 * 1024
"""Bytes of a part that is no file."""

MOST_HEADERS = 8
LARGEST_HEADER = 8192
PLAIN_ENCODINGS = {b"", b"7bit", b"8bit", b"binary"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a multipart body; `file` is the name of a file as it was given, None for other fields."""

    name: str
    file: str | None
    media_type: str
    content: bytes


class PartReader:
    """Takes a multipart body's bytes and makes parts of them."""

    def __init__(self, boundary: bytes, *, most: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._most = most
        self._headers: dict[bytes, bytes] = {}
        self._header = bytearray()
        self._value = bytearray()
        self._content = bytearray()
        self._head: tuple[str, str | None, str] = ("", None, "")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_ended,
                "on_headers_finished": self._headers_ended,
                "on_part_data": self._data,
                "on_part_end": self._part_ended,
                "on_end": self._end,
            },
            max_header_count=MOST_HEADERS,
            max_header_size=LARGEST_HEADER,
        )

    def take(self, piece: bytes) -> None:
        """Take some bytes; what follows the last boundary is nobody's."""
        if self.ended:
            return
        try:
            self._parser.write(piece)
        except FormParserError:
            raise malformed() from None

    def _begin(self) -> None:
        if len(self.parts) >= self._most:
            raise HttpProblem(
                413, "too_many_parts", f"A body has at most {self._most} parts.", headers={"Connection": "close"}
            )
        self._headers = {}
        self._content = bytearray()

    def _header_ended(self) -> None:
        name = bytes(self._header).lower()
        if name in self._headers:
            raise malformed()
        self._headers[name] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_ended(self) -> None:
        pointer = f"/{len(self.parts)}"
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        if kind != b"form-data" or b"name" not in options:
            raise malformed()
        if self._headers.get(b"content-transfer-encoding", b"").strip().lower() not in PLAIN_ENCODINGS:
            raise Invalid("Parts are sent as they are, not encoded.", code="encoded_part", pointer=pointer)
        try:
            file = options[b"filename"].decode("utf-8") if b"filename" in options else None
            media_type = self._headers.get(b"content-type", b"").decode("ascii")
            self._head = (options[b"name"].decode("utf-8"), file, media_type)
        except UnicodeDecodeError:
            raise Invalid("A name in a part's headers is not UTF-8.", code="invalid_text", pointer=pointer) from None

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._head[1] is None and len(self._content) + end - start > LARGEST_FIELD:
            raise HttpProblem(
                413,
                "too_large",
                f"A field that is no file has at most {LARGEST_FIELD} bytes.",
                headers={"Connection": "close"},
            )
        self._content += data[start:end]

    def _part_ended(self) -> None:
        name, file, media_type = self._head
        self.parts.append(Part(name=name, file=file, media_type=media_type, content=bytes(self._content)))
        self._content = bytearray()

    def _end(self) -> None:
        self.ended = True


async def read_parts(request: Request, *, most: int) -> list[Part]:
    """Return the parts of a multipart body, or refuse it."""
    _, options = parse_options_header(request.headers.get("content-type", ""))
    try:
        reader = PartReader(options.get(b"boundary", b""), most=most)
    except (FormParserError, ValueError):
        raise malformed() from None
    if not options.get(b"boundary"):
        raise malformed()
    await receive(request, reader.take, limit=LARGEST_UPLOAD, slowest=SLOWEST_LARGE)
    if not reader.ended:
        raise malformed()
    return reader.parts


def fingerprint(parts: list[Part]) -> bytes:
    """Return what tells two multipart bodies apart: a client makes up another boundary each time."""
    return orjson.dumps([[p.name, p.file, p.media_type, sha256(p.content).hexdigest()] for p in parts])


def malformed() -> HttpProblem:
    """Return the refusal of what is no multipart body, or ends too early."""
    return HttpProblem(
        400,
        "invalid_multipart",
        "The body is no complete multipart/form-data: each part has a name, and the last boundary ends it.",
    )
