"""Messages with files over HTTP: in the JSON of a message, or as parts of a form."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from api.body import media_type, read_object
from api.call import Call, message_in
from api.commands.documents import MULTIPART, UNTOLD, content_of
from api.multipart import Part, fingerprint, read_parts
from commands.conversations.attachments import GivenFile
from domain.conversation_files import MOST_FILES
from domain.definition import Strict
from domain.errors import Invalid

LARGEST_JSON = 16 * 1024 * 1024
"""Bytes of a JSON body with files; larger ones are sent as a form."""

TEXTS = ("content", "on_busy", "message")
FLAGS = ("stream", "background")


class AttachmentBody(Strict):
    """A file that is given with a message."""

    name: str = Field(min_length=1, max_length=200)
    media_type: str | None = Field(None, max_length=255, description="null = found out by the name and the content.")
    text: str | None = None
    content_base64: str | None = None


async def message_body(call: Call) -> tuple[dict[str, Any], str | None, bytes, list[GivenFile] | None]:
    """Return a message's JSON, why it is sent, what tells it apart, and the files of a form; None: they are in the JSON."""
    if media_type(call.request) != MULTIPART:
        body, raw = await read_object(call.request, limit=LARGEST_JSON)
        return body, message_in(body), raw, None
    parts = await read_parts(call.request, most=MOST_FILES + len(TEXTS) + len(FLAGS))
    body, files = form_of(parts)
    return body, message_in(body), await asyncio.to_thread(fingerprint, parts), files


def form_of(parts: Sequence[Part]) -> tuple[dict[str, Any], list[GivenFile]]:
    """Return what a form says, as JSON says it, and its files."""
    body: dict[str, Any] = {}
    files: list[GivenFile] = []
    for number, part in enumerate(parts):
        if part.name == "files" and part.file is not None:
            told = part.media_type if part.media_type != UNTOLD else ""
            files.append(GivenFile(name=part.file, media_type=told, content=part.content))
        elif part.name in (*TEXTS, *FLAGS) and part.file is None and part.name not in body:
            body[part.name] = value_of(part, f"/{part.name}")
        else:
            raise Invalid("A form has files, and each other field once.", code="unknown_part", pointer=f"/{number}")
    return body, files


def value_of(part: Part, pointer: str) -> Any:
    """Return what a field of a form says."""
    try:
        text = part.content.decode()
    except UnicodeDecodeError:
        raise Invalid("A field is not UTF-8.", code="invalid_text", pointer=pointer) from None
    if "\x00" in text:
        raise Invalid("A field holds NUL.", code="invalid_text", pointer=pointer)
    return {"true": True, "false": False}.get(text, text) if part.name in FLAGS else text


def files_in(attachments: Sequence[AttachmentBody]) -> list[GivenFile]:
    """Return the files of a JSON body."""
    return [
        GivenFile(
            name=each.name,
            media_type=each.media_type or ("" if each.text is None else "text/plain"),
            content=content_of(each.text, each.content_base64, f"/attachments/{number}"),
        )
        for number, each in enumerate(attachments)
    ]


FORM: Mapping[str, Any] = {
    "type": "object",
    "required": ["content", "files"],
    "properties": {
        "content": {"type": "string"},
        "files": {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": MOST_FILES},
        "on_busy": {"type": "string", "enum": ["reject", "enqueue", "interrupt"]},
        **{name: {"type": "string", "enum": ["true", "false"]} for name in FLAGS},
        "message": {"type": "string", "description": "Why, for the record."},
    },
}
