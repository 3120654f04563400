"""Queries on documents over HTTP: lists, one, what it says; and how far an upload is."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.commands.documents import document_of, source_of
from api.queries.configurations import CURSOR, LIMIT
from api.schemas import list_schema
from commands.knowledge.document import sees
from commands.retrieval.retrieval import groups_of
from domain.document import Document
from domain.errors import Conflict, NotFound
from domain.knowledge_source import KnowledgeSource
from domain.references import UUID_FORM
from projections.configurations import after_cursor, next_cursor
from projections.documents import rfc3339
from projections.source_documents import DocumentsQuery, SourceDocument, SourceDocumentsProjection

READ_MODEL = SourceDocumentsProjection.name
STATUSES = ("pending", "indexed", "failed")
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z)", re.IGNORECASE)
"""Names that are devices on some systems."""

LONGEST_NAME = 120
HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}
"""Headers with which a browser runs nothing of what somebody gave."""


class NotRead(Conflict):
    """This version of the document was not read yet: its text is there once it is indexed."""

    code = "not_indexed"


async def page(call: Call) -> Response:
    """Return a page of a source's documents."""
    source = await known_source(call)
    cursor, external_id = call.query.get("cursor"), call.query.get("external_id")
    query = DocumentsQuery(
        source=source,
        groups=groups_of(call.actor),
        limit=call.integer("limit", 50, 1, 500) or 50,
        after=None if cursor is None else after_cursor(cursor),
        newest_first=call.choice("order", ("desc", "asc")) == "desc",
        status=call.choice("status", STATUSES) if "status" in call.query else None,
        document=None if external_id is None else Document.create_id(str(source), external_id),
        text=call.text("q"),
    )
    position = await call.wait_for_read_model(READ_MODEL)
    found, following = await call.container.documents_view.page(query)
    names = await call.container.log.names({source})
    shown = [document(each, names.get(source)) for each in found]
    return answer(
        {"items": shown, "next_cursor": None if following is None else next_cursor(following)}, position=position
    )


async def one(call: Call) -> Response:
    """Return a document."""
    position = await call.wait_for_read_model(READ_MODEL)
    found = await visible(call)
    twins = await call.container.documents_view.duplicates(found, groups_of(call.actor))
    names = await call.container.log.names({found.source, *(twin.source for twin in twins)})
    shown = document(found, names.get(found.source)) | {
        "language": await call.container.documents_view.language(found),
        "ocr": await call.container.documents_view.scanned(found),
        "duplicates": [
            {
                "id": str(twin.id),
                "external_id": twin.external_id,
                "source": {"id": str(twin.source), "name": names.get(twin.source)},
                "title": twin.title,
            }
            for twin in twins
        ],
    }
    return answer(shown, position=position, headers={"ETag": f'"{found.version}"'})


async def content(call: Call) -> Response:
    """Return what a document is, as it was given, or the text that was read in it."""
    form = call.choice("form", ("original", "text"))
    position = await call.wait_for_read_model(READ_MODEL)
    found = await visible(call)
    headers = {**HARMLESS, "Magnet-Position": str(position)}
    if form == "text":
        text = await call.container.documents_view.text(found)
        if text is None:
            raise NotRead(details={"status": found.status, "failure": found.failure})
        return Response(text.encode(), headers=headers, media_type="text/plain; charset=utf-8")
    given = await call.container.documents_view.content(found)
    if given is None:
        raise NotFound("The content of this document is not kept any more.")
    headers["Content-Disposition"] = attachment(found.external_id)
    headers["Content-Type"] = found.media_type or "application/octet-stream"
    return Response(given, headers=headers)


async def job(call: Call) -> Response:
    """Return how far an upload is, for who gave it or may find some of it."""
    id = call.path("id")
    progress = await call.container.uploads.progress(UUID(id)) if UUID_FORM.match(id) else None
    if progress is None:
        raise no_job()
    if progress.giver == (call.actor.type, call.actor.id) or groups_of(call.actor) is None:
        failed = list((await call.container.store.newest_of(Document, progress.failed)).values())
    elif found := await seen(call, progress.source, progress.documents):
        failed = [each for each in found if each.id in set(progress.failed)]
    else:
        raise no_job()
    names = await call.container.log.names({progress.source})
    shown = {
        "id": str(progress.id),
        "kind": "upload",
        "source": {"id": str(progress.source), "name": names.get(progress.source)},
        "state": "finished" if progress.done == progress.total else "running",
        "total": progress.total,
        "done": progress.done,
        "pending": progress.pending,
        "indexed": progress.indexed,
        "failed": len(progress.failed),
        "removed": progress.removed,
        "error": progress.error,
        "errors": [
            {"document_id": str(each.id), "external_id": each.external_id, **each.failure}
            for each in failed
            if each.failure is not None
        ],
        "created_at": rfc3339(progress.made_at),
    }
    return answer(shown, position=await call.container.log.head())


def no_job() -> NotFound:
    """Return the refusal of a job that is not there, or not for this caller."""
    return NotFound("There is no such job, or it is forgotten: they are kept for 30 days.")


async def seen(call: Call, source: UUID, documents: Sequence[UUID]) -> Sequence[Document]:
    """Return those of a source's documents that the caller may find, as the log has them now."""
    groups = groups_of(call.actor)
    known = await call.container.store.newest_of(Document, documents)
    settings = await call.container.store.newest(KnowledgeSource, source)
    return [each for each in known.values() if sees(groups, each, settings)]


async def known_source(call: Call) -> UUID:
    """Return the id of the source that is addressed; raise NotFound where there is none."""
    source = source_of(call)
    if await call.container.store.version_of(KnowledgeSource, source) is None:
        raise NotFound("There is no such knowledge source.")
    return source


async def visible(call: Call) -> SourceDocument:
    """Return the document that is addressed; absent, and not for this caller, are the same NotFound."""
    found = await call.container.documents_view.get(source_of(call), document_of(call), groups_of(call.actor))
    if found is None:
        raise NotFound("There is no such document.")
    return found


def document(found: SourceDocument, source_name: str | None) -> dict[str, Any]:
    """Return a document's public form."""
    return {
        "id": str(found.id),
        "external_id": found.external_id,
        "source": {"id": str(found.source), "name": source_name},
        "version": found.number,
        "status": found.status,
        "failure": found.failure,
        "title": found.title,
        "url": found.url,
        "media_type": found.media_type,
        "size": found.size,
        "sha256": found.sha256,
        "metadata": found.metadata,
        "acl": found.acl,
        "indexes": found.indexes,
        "tokens": None if found.exact is None else "exact" if found.exact else "estimated",
        "created_at": rfc3339(found.created_at),
        "updated_at": rfc3339(found.updated_at),
    }


def attachment(name: str) -> str:
    """Return a Content-Disposition (RFC 6266) under which a document is saved, and nowhere else than is chosen."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join("_" if unicodedata.category(each)[0] == "C" or each in ':*?"<>|' else each for each in last)
    plain = plain.strip(". ")
    stem, dot, ending = plain.rpartition(".")
    if len(plain) > LONGEST_NAME:
        plain = f"{stem[: LONGEST_NAME - 16]}{dot}{ending[:15]}" if stem else plain[:LONGEST_NAME]
    if not plain or RESERVED.match(plain):
        plain = f"_{plain}"
    ascii_only = "".join(each if 0x20 <= ord(each) < 0x7F and each != "%" else "_" for each in plain)
    return f"attachment; filename=\"{ascii_only}\"; filename*=UTF-8''{quote(plain, safe='')}"


TEXT = {"type": "string"}
IDENTIFIER = {"type": "string", "format": "uuid"}
TIME = {"type": "string", "format": "date-time"}
DOCUMENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": IDENTIFIER,
        "external_id": TEXT,
        "source": {"description": "`{id, name}`"},
        "version": {"type": "integer", "description": "Of its content."},
        "status": {"enum": list(STATUSES)},
        "failure": {"type": ["object", "null"], "description": "`{code, reason}`"},
        "title": TEXT,
        "url": {"type": ["string", "null"]},
        "media_type": TEXT,
        "size": {"type": "integer", "description": "Bytes."},
        "sha256": TEXT,
        "metadata": {"type": "object"},
        "acl": {"type": ["array", "null"], "items": TEXT, "description": "null = as its source says."},
        "indexes": {"type": "object", "description": "By index: `{version, passages}` of what is found there."},
        "tokens": {
            "enum": ["exact", "estimated", None],
            "description": "How the sizes of its passages were counted: by the embedding model's tokenizer, or not.",
        },
        "created_at": TIME,
        "updated_at": TIME,
    },
}
SCANNED: dict[str, Any] = {
    "type": ["object", "null"],
    "description": "Of a document with pages (from 1) that are pictures: which were read by OCR, and which were not.",
    "properties": {
        "pages": {"type": "array", "items": {"type": "integer"}},
        "unread": {
            "type": "array",
            "items": {"type": "object", "properties": {"page": {"type": "integer"}, "reason": TEXT}},
        },
    },
}
DOCUMENT_ALONE: dict[str, Any] = {
    **DOCUMENT,
    "properties": {
        **DOCUMENT["properties"],
        "language": {
            "type": ["string", "null"],
            "description": "Of its text, such as `de`; null: not sure, or not read yet.",
        },
        "ocr": SCANNED,
        "duplicates": {
            "type": "array",
            "description": "Other documents with the very same content, in any source, that one may find; at most 100.",
            "items": {
                "type": "object",
                "properties": {
                    "id": IDENTIFIER,
                    "external_id": TEXT,
                    "source": {"description": "`{id, name}`"},
                    "title": TEXT,
                },
            },
        },
    },
}
JOB: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": IDENTIFIER,
        "kind": {"const": "upload"},
        "source": {"description": "`{id, name}`"},
        "state": {"enum": ["running", "finished"]},
        "total": {"type": "integer"},
        "done": {"type": "integer", "description": "Indexed, failed or removed meanwhile."},
        "pending": {"type": "integer"},
        "indexed": {"type": "integer"},
        "failed": {"type": "integer"},
        "removed": {"type": "integer"},
        "error": {"type": ["string", "null"], "description": "Why one that waits was tried in vain."},
        "errors": {
            "type": "array",
            "description": "Each that failed and that one may find; all of them for who gave them.",
            "items": {
                "type": "object",
                "properties": {"document_id": IDENTIFIER, "external_id": TEXT, "code": TEXT, "reason": TEXT},
            },
        },
        "created_at": TIME,
    },
}


def _query(path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method="GET",
        path=path,
        side="queries",
        name=name,
        summary=summary,
        permission="documents:read",
        handler=handler,
        **{"tag": "knowledge-sources", **more},
    )


DOCUMENTS = "/v1/knowledge-sources/{ref}/documents"
OPERATIONS = (
    _query(
        DOCUMENTS,
        "list_documents",
        "List the documents of a knowledge source",
        page,
        answer=list_schema(DOCUMENT),
        parameters=(
            LIMIT,
            CURSOR,
            Parameter(
                name="order",
                schema={"type": "string", "enum": ["desc", "asc"], "default": "desc"},
                description="By when they were first given: newest or oldest first.",
            ),
            Parameter(name="status", schema={"type": "string", "enum": list(STATUSES)}, description="Only these."),
            Parameter(name="external_id", schema=TEXT, description="Only the one that the source calls so."),
            Parameter(name="q", schema=TEXT, description="Part of the title."),
        ),
    ),
    _query(f"{DOCUMENTS}/{{id}}", "get_document", "Read what is known of a document", one, answer=DOCUMENT_ALONE),
    _query(
        f"{DOCUMENTS}/{{id}}/content",
        "get_document_content",
        "Read a document as it was given, or the text that was read in it",
        content,
        parameters=(
            Parameter(
                name="form",
                schema={"type": "string", "enum": ["original", "text"], "default": "original"},
                description="The original as an attachment, or the text that passages and citations point into.",
            ),
        ),
        media=("application/octet-stream", "text/plain"),
    ),
    _query("/v1/jobs/{id}", "get_job", "Read how far an upload is", job, answer=JOB, tag="jobs"),
)
