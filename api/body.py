"""Reading JSON bodies strictly: what two readers could understand differently is refused.

400: no JSON, not UTF-8, a byte-order mark, nested too deep, a key twice. 422: NUL, lone surrogates,
numbers that are none (NaN, Infinity, 1e999) or integers beyond 64 bits. 413, 415 and 408 as named.
"""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

import orjson
from starlette.requests import ClientDisconnect, Request

from api.errors import HttpProblem
from domain.errors import DomainError, Invalid
from domain.outside_json import DEEPEST, too_deep

LARGEST = 2 * 1024 * 1024
"""Bytes of a JSON body."""

LINGER = 16 * 1024 * 1024
LINGER_SECONDS = 2.0
"""How much more of a body that is too large is read, and for how long."""

SLOWEST = 30.0
"""Seconds that a body may take to arrive."""

SLOWEST_LARGE = 32_768
"""Bytes a second that a large body must come by."""

JSON_TYPES = {"application/json", "application/merge-patch+json"}
SUSPECT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)|[0-9]{16}|[eE][+-]?[0-9]{2}|NaN|Infinity")


async def receive(request: Request, take: Callable[[bytes], object], *, limit: int, slowest: int | None = None) -> None:
    """Hand on the body piece by piece, or refuse one that is too large, too slow or cut off.

    What `take` raises is the refusal. A body may take 30 s, or as long as `slowest` bytes a second need.
    """
    declared = request.headers.get("content-length")
    refusal: DomainError | None = None
    if declared is not None and not (declared.isdigit() and int(declared) <= limit):
        refusal = too_large(limit)
    clock = asyncio.get_running_loop().time
    started = clock()
    read = 0
    try:
        async with asyncio.timeout(SLOWEST if refusal is None else LINGER_SECONDS) as patience:
            async for piece in request.stream():
                read += len(piece)
                if refusal is None:
                    refusal = _taken(take, piece) if read <= limit else too_large(limit)
                    if refusal is not None:
                        limit = read
                        patience.reschedule(clock() + LINGER_SECONDS)
                    elif slowest is not None:
                        patience.reschedule(started + SLOWEST + read / slowest)
                # A client that still sends would not see an answer: some more is read, and dropped.
                elif read > limit + LINGER:
                    break
    except TimeoutError:
        raise refusal or HttpProblem(
            408,
            "body_timeout",
            f"The body took longer than {SLOWEST:.0f} s: send it faster.",
            headers={"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise HttpProblem(400, "body_incomplete", "The connection ended before the body did.") from None
    if refusal is not None:
        raise refusal


def _taken(take: Callable[[bytes], object], piece: bytes) -> DomainError | None:
    """Hand on a piece; return why it is refused."""
    try:
        take(piece)
    except DomainError as refusal:
        return refusal
    return None


async def read_bytes(request: Request, limit: int = LARGEST) -> bytes:
    """Return the body, or refuse one that is too large, too slow or cut off."""
    pieces = bytearray()
    await receive(request, pieces.extend, limit=limit, slowest=None if limit <= LARGEST else SLOWEST_LARGE)
    return bytes(pieces)


async def read_object(request: Request, *, required: bool = True, limit: int = LARGEST) -> tuple[dict[str, Any], bytes]:
    """Return the body as a JSON object, and its bytes."""
    raw = await read_bytes(request, limit)
    if not raw and not required:
        return {}, raw
    if media_type(request) not in JSON_TYPES:
        raise not_json_type()
    value = parse(raw) if len(raw) <= LARGEST else await asyncio.to_thread(parse, raw)
    if not isinstance(value, dict):
        raise Invalid("A JSON object is expected.", code="dict_type")
    return value, raw


def media_type(request: Request) -> str:
    """Return the media type of a body without its parameters; one that is packed, or no UTF-8, is refused."""
    if request.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise HttpProblem(415, "unsupported_media_type", "A body is sent as it is: leave Content-Encoding out.")
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media.strip().lower() in JSON_TYPES and charset not in ("", "utf-8", "utf8"):
        raise not_json_type()
    return media.strip().lower()


def not_json_type() -> HttpProblem:
    """Return the refusal of a body that is not said to be JSON."""
    return HttpProblem(415, "unsupported_media_type", "A body is JSON: send Content-Type: application/json.")


def parse(raw: bytes) -> Any:
    """Return the JSON value of a body, or refuse it."""
    if not raw.strip(b" \t\r\n"):
        raise HttpProblem(400, "empty_body", "A JSON body is expected.")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise HttpProblem(400, "byte_order_mark", "JSON is UTF-8 without a byte-order mark.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise HttpProblem(400, "not_utf8", "JSON is UTF-8 text.") from None
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and too_deep(raw):
        raise HttpProblem(400, "nested_too_deep", f"JSON may be nested {DEEPEST} levels deep.")
    if SUSPECT.search(raw):
        check_numbers_and_text(text)
    return without_duplicates(raw, text)


def without_duplicates(raw: bytes, text: str) -> Any:
    """Return the value; the fast reader keeps the last of equal keys, so their number must fit."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        not_json()
    if raw.count(b":") != count_keys(value):
        # A colon in a text, or a key twice: the slow reader tells which.
        try:
            json.loads(text, object_pairs_hook=unique)
        except ValueError:
            not_json()
    return value


def count_keys(value: Any) -> int:
    """Return how many keys all objects of a value have."""
    keys = 0
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            keys += len(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return keys


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these pairs, or refuse a key that stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise HttpProblem(400, "duplicate_key", "A key stands twice in one JSON object.")
    return found


def check_numbers_and_text(text: str) -> None:
    """Refuse texts that are none and numbers that can't be kept as they are."""
    try:
        value = json.loads(text, parse_constant=no_number, parse_int=integer, parse_float=real)
    except ValueError:
        not_json()
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            check_text(node)
        elif isinstance(node, dict):
            waiting.extend(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def check_text(text: str) -> None:
    """Refuse a text that PostgreSQL or UTF-8 can't hold."""
    try:
        whole = "\x00" not in text and text.encode("utf-8") is not None
    except UnicodeEncodeError:
        whole = False
    if not whole:
        raise Invalid("A text holds NUL or half a character (a lone surrogate).", code="invalid_text")


def integer(digits: str) -> int:
    """Return an integer of 64 bits, or refuse it."""
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise Invalid("An integer does not fit 64 bits.", code="invalid_number")
    return int(digits)


def real(text: str) -> float:
    """Return a finite number, or refuse it."""
    number = float(text)
    if number in (float("inf"), float("-inf")):
        no_number(text)
    return number


def no_number(_: str) -> NoReturn:
    """Refuse NaN, Infinity and what is too large."""
    raise Invalid("A number is NaN, infinite or too large.", code="invalid_number")


def not_json() -> NoReturn:
    """Refuse what is no JSON."""
    raise HttpProblem(400, "not_json", "The body is no valid JSON.")


def too_large(limit: int) -> HttpProblem:
    """Return the refusal of a body that is too large; the rest of it is not read."""
    return HttpProblem(413, "too_large", f"A body may have {limit} bytes.", headers={"Connection": "close"})
