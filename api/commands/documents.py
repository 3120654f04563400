"""Commands on the documents of a knowledge source over HTTP: given as JSON or as files, removed, tried again."""

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from api.body import media_type, parse, read_object
from api.call import Call, Operation, message_in
from api.commands.configurations import nothing_else
from api.errors import HttpProblem
from api.multipart import Part, fingerprint, read_parts
from api.schemas import MESSAGE, PROBLEM_FREE_RECEIPT, body_schema
from commands.knowledge.connectors import GivenDocument
from commands.knowledge.document_checks import MOST_DOCUMENTS
from commands.knowledge.knowledge_source import SwitchIndex
from domain.definition import JSON, Strict
from domain.definition import parse as parsed
from domain.errors import Invalid, NotFound
from domain.knowledge_source import KnowledgeSource
from domain.references import UUID_FORM, identify

LARGEST_JSON = 32 * 1024 * 1024
"""Bytes of a JSON body with documents; larger ones are sent as files."""

FIELDS = ("metadata", "acl", "message")
EXAMPLES = {"metadata": '{"team": "sales"}', "acl": '["sales"]'}
SPOKEN_OF = frozenset({"not_json", "empty_body"})
MULTIPART = "multipart/form-data"
UNTOLD = "application/octet-stream"
"""What clients say of files that they know nothing of."""


class DocumentBody(Strict):
    """A document: what it says stands in `text`, or in base64 as any file."""

    external_id: str = Field(description="What the source calls it; the same one again is a new version.")
    title: str = ""
    text: str | None = None
    content_base64: str | None = None
    media_type: str = Field("", description="Such as text/markdown; left out: plain text, or told by external_id.")
    url: str | None = None
    metadata: dict[str, JSON] = Field(default_factory=dict, description="What it can be filtered by.")
    acl: list[str] | None = Field(None, description="Groups that may find it; null = as its source says.")


class DocumentsBody(Strict):
    """Documents that are given at once, all or none."""

    documents: list[DocumentBody]


class IndexBody(Strict):
    """Which index is to answer."""

    index: int = Field(ge=1, lt=2**31)


async def add(call: Call) -> Response:
    """Take documents; they are indexed afterwards."""
    if call.request.headers.get("if-match") is not None:
        raise Invalid(
            "Documents are added at any version of their source: leave If-Match out.", code="invalid_if_match"
        )
    source = source_of(call)
    if media_type(call.request) == MULTIPART:
        parts = await read_parts(call.request, most=MOST_DOCUMENTS + len(FIELDS))
        given, message = files_of(parts)
        raw = await asyncio.to_thread(fingerprint, parts)
    else:
        body, raw = await read_object(call.request, limit=LARGEST_JSON)
        message = message_in(body)
        given = await asyncio.to_thread(documents_of, body)
    added = await call.container.documents.add(source, given, call.context(reason=message, raw=raw))
    return call.receipt(added.receipt, status=202 if added.receipt.queued else 200)


async def remove(call: Call) -> Response:
    """Take a document away."""
    receipt = await call.container.documents.remove(
        source_of(call), document_of(call), call.context(), if_match=call.if_match()
    )
    return call.receipt(receipt)


async def retry(call: Call) -> Response:
    """Have a document that failed tried again."""
    body, message, raw = await call.body(required=False)
    nothing_else(body)
    context = call.context(reason=message, raw=raw)
    receipt = await call.container.documents.retry(
        source_of(call), document_of(call), context, if_match=call.if_match()
    )
    return call.receipt(receipt, status=202 if receipt.queued else 200)


async def switch_index(call: Call) -> Response:
    """Let another index of a source answer."""
    body, message, raw = await call.body()
    asked = parsed(IndexBody, body)
    command = SwitchIndex(kind=KnowledgeSource, id=source_of(call), index=asked.index, if_match=call.if_match())
    return call.receipt(await call.dispatch(command, reason=message, raw=raw))


def documents_of(body: Mapping[str, Any]) -> list[GivenDocument]:
    """Return the documents of a JSON body."""
    return [_document(each, f"/documents/{n}") for n, each in enumerate(parsed(DocumentsBody, body).documents)]


def _document(body: DocumentBody, pointer: str) -> GivenDocument:
    return GivenDocument(
        external_id=body.external_id,
        title=body.title,
        url=body.url,
        media_type=body.media_type or ("" if body.text is None else "text/plain"),
        content=content_of(body.text, body.content_base64, pointer),
        metadata=body.metadata,
        acl=body.acl,
    )


def content_of(text: str | None, content_base64: str | None, pointer: str) -> bytes:
    """Return the content that a body gives in one of two ways."""
    if (text is None) == (content_base64 is None):
        raise Invalid("One of text and content_base64 is needed.", code="missing", pointer=f"{pointer}/text")
    if text is not None:
        return text.encode()
    try:
        return b64decode(content_base64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("This is no base64.", code="invalid_base64", pointer=f"{pointer}/content_base64") from None


def files_of(parts: Sequence[Part]) -> tuple[list[GivenDocument], str | None]:
    """Return the documents of a multipart body, and its message; metadata and acl are those of all files."""
    fields: dict[str, Any] = {}
    files: list[Part] = []
    for part in parts:
        if part.name == "files":
            if not part.file:
                pointer = f"/files/{len(files)}"
                raise Invalid("A part `files` is a file, with its name.", code="missing", pointer=pointer)
            files.append(part)
        elif part.name not in FIELDS or part.name in fields:
            raise Invalid(f"The fields are files, {', '.join(FIELDS)}; all but files once.", code="extra_forbidden")
        else:
            fields[part.name] = _text(part) if part.name == "message" else _json(part)
    metadata, acl = fields.get("metadata", {}), fields.get("acl")
    if acl is not None and not (isinstance(acl, list) and all(isinstance(each, str) for each in acl)):
        raise Invalid("acl is a list of names of groups.", code="invalid_acl", pointer="/acl")
    given = [
        GivenDocument(
            external_id=part.file or "",
            title=part.file or "",
            url=None,
            media_type="" if part.media_type.lower() == UNTOLD else part.media_type,
            content=part.content,
            metadata=metadata,
            acl=acl,
        )
        for part in files
    ]
    return given, message_in(fields)


def _json(part: Part) -> Any:
    try:
        return parse(part.content)
    except HttpProblem as problem:  # which speaks of the body
        told = f"The field `{part.name}` is JSON, such as {EXAMPLES[part.name]}"
        detail = told + ("." if problem.error_code in SPOKEN_OF else f": {problem}")
        raise HttpProblem(problem.status, problem.error_code, detail) from None


def _text(part: Part) -> str:
    try:
        return part.content.decode()
    except UnicodeDecodeError:
        raise Invalid("A message is UTF-8 text.", code="invalid_message", pointer="/message") from None


def source_of(call: Call) -> UUID:
    """Return the id of the source that is addressed."""
    return identify(KnowledgeSource.TOPIC, call.path("ref"))


def document_of(call: Call) -> UUID:
    """Return the id of the document that is addressed; they have no names."""
    text = call.path("id")
    if not UUID_FORM.match(text):
        raise NotFound("There is no such document.")
    return UUID(text)


RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["documents", "job_id", "id", "version", "position"],
    "properties": {
        "documents": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "external_id", "version", "status", "sha256"],
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "external_id": {"type": "string"},
                    "version": {"type": "integer", "description": "Of its content."},
                    "status": {"enum": ["pending", "indexed", "failed"]},
                    "sha256": {"type": "string"},
                },
            },
        },
        "job_id": {"type": "string", "format": "uuid"},
        **PROBLEM_FREE_RECEIPT["properties"],
    },
}
FORM: dict[str, Any] = {
    "type": "object",
    "required": ["files"],
    "additionalProperties": False,
    "properties": {
        "files": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "A file's name is its external_id.",
        },
        "metadata": {"type": "object", "description": "JSON: of all files."},
        "acl": {"type": ["array", "null"], "items": {"type": "string"}, "description": "JSON: of all files."},
        "message": MESSAGE,
    },
}


def _command(method: str, path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method=method,
        path=f"/v1/knowledge-sources/{{ref}}{path}",
        side="commands",
        tag="knowledge-sources",
        name=name,
        summary=summary,
        handler=handler,
        **{"permission": "documents:write", "answer": PROBLEM_FREE_RECEIPT, "if_match": True, **more},
    )


OPERATIONS = (
    _command(
        "POST",
        "/documents",
        "add_documents",
        "Give documents as JSON or as files; they are indexed afterwards (200: nothing is new)",
        add,
        body=body_schema(DocumentsBody),
        form=FORM,
        answer=RECEIPT,
        status=202,
        if_match=False,
    ),
    _command("DELETE", "/documents/{id}", "remove_document", "Remove a document", remove),
    _command(
        "POST",
        "/documents/{id}/retry",
        "retry_document",
        "Have a document that failed tried again (200: it did not fail)",
        retry,
        body={"type": "object", "properties": {"message": MESSAGE}, "additionalProperties": False},
        body_required=False,
        status=202,
    ),
    _command(
        "POST",
        "/index",
        "switch_index",
        "Let another index of a knowledge source answer",
        switch_index,
        body=body_schema(IndexBody),
        permission="configuration:write",
    ),
)
