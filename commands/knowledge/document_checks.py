"""What a given document must be, whoever gives it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import TypeAdapter, ValidationError

from commands.knowledge.reading import TooLarge
from domain.errors import Invalid
from domain.knowledge_source import Acl

if TYPE_CHECKING:
    from commands.knowledge.connectors import GivenDocument

MOST_DOCUMENTS = 1000
"""Documents that are given at once."""

MOST_BYTES = 100_000_000
"""Bytes of one content."""

LONGEST_METADATA = 65_536
"""Bytes of a document's metadata as JSON."""

DEEPEST_METADATA = 16
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ADDRESS = re.compile(r"(?!(?:javascript|data|vbscript):)[a-z][a-z0-9+.-]*:[^\s]+\Z", re.IGNORECASE)
MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}\Z")
GROUPS: TypeAdapter[list[str]] = TypeAdapter(Acl)


def checked(given: "GivenDocument", pointer: str) -> "GivenDocument":
    """Return a document in its normal form, or raise Invalid or TooLarge."""
    if len(given.content) > MOST_BYTES:
        raise TooLarge(f"A document has at most {MOST_BYTES:,} bytes; this one ({pointer}) has more.")
    return replace(
        given,
        external_id=line(given.external_id, f"{pointer}/external_id", 1, 1000),
        title=line(given.title, f"{pointer}/title", 0, 1000),
        url=None if given.url is None else address(given.url, f"{pointer}/url"),
        media_type=media_type(given.media_type, f"{pointer}/media_type"),
        metadata=metadata(given.metadata, f"{pointer}/metadata"),
        acl=None if given.acl is None else groups(given.acl, f"{pointer}/acl"),
    )


def must_be_distinct(documents: Sequence["GivenDocument"]) -> None:
    """Raise Invalid unless there are some documents, not too many, each given once."""
    if not 0 < len(documents) <= MOST_DOCUMENTS:
        raise Invalid(f"1 to {MOST_DOCUMENTS} documents are given at once.", code="wrong_number", pointer="/documents")
    seen: set[str] = set()
    for number, each in enumerate(documents):
        if each.external_id in seen:
            raise Invalid(
                "The same external_id is given twice: each document stands once.",
                code="duplicate_external_id",
                pointer=f"/documents/{number}/external_id",
            )
        seen.add(each.external_id)


def text(value: Any, pointer: str, shortest: int, longest: int) -> str:
    """Return text that can be stored, or raise Invalid."""
    if not isinstance(value, str):
        raise Invalid("Text is needed.", code="string_type", pointer=pointer)
    if not shortest <= len(value) <= longest:
        raise Invalid(f"Text of {shortest} to {longest} characters is needed.", code="wrong_length", pointer=pointer)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Invalid("Half of a surrogate pair is no text.", code="invalid_text", pointer=pointer) from None
    if "\x00" in value:
        raise Invalid("NUL is no text.", code="invalid_text", pointer=pointer)
    return value


def line(value: Any, pointer: str, shortest: int, longest: int) -> str:
    """Return text without control characters, or raise Invalid."""
    if CONTROL.search(text(value, pointer, shortest, longest)):
        raise Invalid("Control characters have no place here.", code="invalid_text", pointer=pointer)
    return str(value)


def address(value: Any, pointer: str) -> str:
    """Return an address that a person may follow, or raise Invalid."""
    if not ADDRESS.match(line(value, pointer, 1, 2000)):
        raise Invalid("An absolute URL is needed, such as https://example.com/a.", code="invalid_url", pointer=pointer)
    return str(value)


def media_type(value: Any, pointer: str) -> str:
    """Return a media type without its parameters, in small letters; empty: to be told by the name."""
    kind = line(value, pointer, 0, 255).partition(";")[0].strip().lower()
    if kind and not MEDIA_TYPE.match(kind):
        raise Invalid("A media type is needed, such as text/plain.", code="invalid_media_type", pointer=pointer)
    return kind


def groups(value: Any, pointer: str) -> list[str]:
    """Return names of groups, or raise Invalid."""
    names = [line(each, f"{pointer}/{number}", 1, 100) for number, each in enumerate(value)]
    try:
        return GROUPS.validate_python(names)
    except ValidationError:
        raise Invalid("At most 1000 names of groups are needed.", code="invalid_acl", pointer=pointer) from None


def metadata(value: Any, pointer: str) -> dict[str, Any]:
    """Return a JSON object that can be stored, or raise Invalid."""
    if not isinstance(value, Mapping):
        raise Invalid("Metadata is a JSON object.", code="dict_type", pointer=pointer)
    plain = _plain(value, pointer, DEEPEST_METADATA)
    if len(orjson.dumps(plain)) > LONGEST_METADATA:
        raise Invalid(f"Metadata has at most {LONGEST_METADATA} bytes.", code="too_long", pointer=pointer)
    return dict(plain)


def _plain(value: Any, pointer: str, depth: int) -> Any:
    """Return a JSON value, checked; what is wrong is told by where its outermost part stands."""
    if depth < 0:
        raise Invalid(f"Metadata is at most {DEEPEST_METADATA} levels deep.", code="too_deep", pointer=pointer)
    match value:
        case None | bool():
            return value
        case str():
            return text(value, pointer, 0, LONGEST_METADATA)
        case int() if -(2**63) <= value < 2**63:
            return value
        case float() if isfinite(value):
            return value
        case Mapping():
            return {text(key, pointer, 0, 1000): _plain(each, pointer, depth - 1) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each, pointer, depth - 1) for each in value]
        case _:
            raise Invalid("This is no JSON, or a number that can't be kept.", code="invalid_value", pointer=pointer)
