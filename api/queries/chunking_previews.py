"""Previewing how documents are cut over HTTP."""

import asyncio
from typing import Any

from pydantic import Field
from starlette.responses import Response

from api.body import read_object
from api.call import Call, Operation, answer
from api.commands.documents import LARGEST_JSON, content_of
from api.queries.documents import SCANNED
from api.schemas import body_schema
from commands.knowledge.chunking_preview import PreviewChunking
from commands.knowledge.document_checks import line, media_type
from domain.definition import Reference, Strict, parse
from domain.knowledge_source import Chunking, Profile
from domain.model import Model
from domain.references import identify


class PreviewedDocument(Strict):
    """A document that is cut and forgotten: what it says stands in `text`, or in base64 as any file."""

    text: str | None = None
    content_base64: str | None = None
    media_type: str = Field("", description="Such as text/markdown; left out: plain text, or told by external_id.")
    external_id: str = Field("", description="What its source would call it, such as a file's name.")
    title: str = ""


class ChunkingPreviewBody(Strict):
    """What is cut, and how."""

    chunking: Chunking = Field(default_factory=Chunking)
    profiles: list[Profile] = Field(default_factory=list, max_length=100)
    embedding_model: Reference | None = Field(
        None, description="By which tokens are counted, where its tokenizer is known; null = the default one."
    )
    document: PreviewedDocument
    limit: int = Field(
        200, ge=1, le=1000, description="Chunks that are shown; `chunks_total` tells how many there are."
    )


async def preview(call: Call) -> Response:
    """Show how a document would be cut."""
    body, _ = await read_object(call.request, limit=LARGEST_JSON)
    asked = await asyncio.to_thread(preview_of, body)
    shown = await call.container.chunking_previews.show(asked)
    return answer(shown, position=await call.container.log.head())


def preview_of(body: dict[str, Any]) -> PreviewChunking:
    """Return what a body asks for."""
    given = parse(ChunkingPreviewBody, body)
    document, pointer = given.document, "/document"
    name = line(document.external_id or document.title, f"{pointer}/external_id", 0, 1000)
    return PreviewChunking(
        model=None if given.embedding_model is None else identify(Model.TOPIC, given.embedding_model),
        profiles=[each.model_dump() for each in given.profiles],
        title=document.title,
        chunking=given.chunking.model_dump(),
        content=content_of(document.text, document.content_base64, pointer),
        media_type=media_type(document.media_type, f"{pointer}/media_type")
        or ("" if document.text is None else "text/plain"),
        name=name,
        most=given.limit,
    )


TEXT = {"type": "string"}
CHUNK: dict[str, Any] = {
    "type": "object",
    "required": ["text", "start", "end", "page", "headings", "tokens", "parent"],
    "properties": {
        "text": TEXT,
        "start": {"type": "integer", "description": "Offset of its first character in the document's text."},
        "end": {"type": "integer"},
        "page": {"type": ["integer", "null"]},
        "headings": {"type": "array", "items": TEXT, "description": "What it begins under, the outermost first."},
        "tokens": {"type": "integer"},
        "parent": {
            "type": ["integer", "null"],
            "description": "The number in this list, from 0, of the one that is given where this part is found.",
        },
    },
}
OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/knowledge-sources:preview",
        side="queries",
        tag="knowledge-sources",
        name="preview_chunking",
        summary="Show how a document would be cut, by settings that are not saved",
        permission="tools:preview",
        handler=preview,
        body=body_schema(ChunkingPreviewBody),
        answer={
            "type": "object",
            "required": ["chunks", "chunks_total", "characters", "parser", "title", "tokens"],
            "properties": {
                "chunks": {"type": "array", "items": CHUNK},
                "chunks_total": {"type": "integer"},
                "characters": {"type": "integer", "description": "Of the document's text."},
                "parser": TEXT,
                "title": {"type": ["string", "null"], "description": "What the document calls itself."},
                "profile": {"type": ["string", "null"], "description": "The pattern of the profile that fits, if any."},
                "tokens": {"enum": ["exact", "estimated"], "description": "How sizes were counted."},
                "ocr": SCANNED,
            },
        },
    ),
)
