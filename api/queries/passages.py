"""Queries on the passages of a knowledge source over HTTP: a list, and one."""

from typing import Any
from uuid import UUID

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.commands.documents import source_of
from api.queries.configurations import CURSOR, LIMIT
from api.queries.documents import known_source
from api.schemas import list_schema
from commands.retrieval.retrieval import groups_of
from domain.errors import Invalid, NotFound
from domain.references import UUID_FORM
from projections.passages import PassagesProjection
from projections.source_passages import PassagesQuery, SourcePassage, after_cursor, next_cursor

READ_MODEL = PassagesProjection.name
FLAGS = ("disabled", "manual", "edited")


async def page(call: Call) -> Response:
    """Return a page of the passages that can be found in a source, or of the edits that none of them has."""
    source = await known_source(call)
    cursor, document = call.query.get("cursor"), call.query.get("document")
    if document is not None and not UUID_FORM.match(document):
        raise Invalid("'document' is the id of a document.", code="invalid_id", pointer="/document")
    query = PassagesQuery(
        source=source,
        groups=groups_of(call.actor),
        limit=call.integer("limit", 50, 1, 500) or 50,
        after=None if cursor is None else after_cursor(cursor),
        backwards=call.choice("order", ("asc", "desc")) == "desc",
        document=None if document is None else UUID(document),
        text=call.text("q"),
        orphaned=call.flag("orphaned"),
        **{name: call.flag(name) if name in call.query else None for name in FLAGS},
    )
    if query.orphaned and any(name in call.query for name in (*FLAGS, "q")):
        raise Invalid(
            "Orphaned edits are no passages: only `document` narrows them.", code="orphaned", pointer="/orphaned"
        )
    position = await call.wait_for_read_model(READ_MODEL)
    found, following = await call.container.passages_view.page(query)
    shown = [passage(each) for each in found]
    return answer(
        {"items": shown, "next_cursor": None if following is None else next_cursor(following)}, position=position
    )


async def one(call: Call) -> Response:
    """Return a passage, or an orphaned edit."""
    position = await call.wait_for_read_model(READ_MODEL)
    return answer(passage(await known_passage(call)), position=position)


async def known_passage(call: Call) -> SourcePassage:
    """Return the passage that is addressed; absent, and not for this caller, are the same NotFound."""
    id = call.path("id")
    groups = groups_of(call.actor)
    found = await call.container.passages_view.get(source_of(call), UUID(id), groups) if UUID_FORM.match(id) else None
    if found is None:
        raise NotFound("There is no such passage; one that was cut has another id once its text was cut anew.")
    return found


def passage(found: SourcePassage) -> dict[str, Any]:
    """Return a passage's public form."""
    return {
        "id": str(found.id),
        "text": found.text,
        "original": found.original,
        "document": {
            "id": str(found.document),
            "version": found.version,
            "external_id": found.external_id,
            "title": found.title,
            "url": found.url,
        },
        "start": found.start,
        "end": found.end,
        "page": found.page,
        "heading": found.heading,
        "tokens": found.tokens,
        "metadata": found.metadata,
        **{name: getattr(found, name) for name in (*FLAGS, "pending", "orphaned")},
    }


TEXT = {"type": "string"}
PASSAGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "text": TEXT,
        "original": {"type": ["string", "null"], "description": "What was cut there, where the text is another one."},
        "document": {"type": "object", "description": "`{id, version, external_id, title, url}`"},
        "start": {"type": "integer", "description": "Where it was cut from the text of the document's version."},
        "end": {"type": "integer"},
        "page": {"type": ["integer", "null"]},
        "heading": {"type": ["string", "null"]},
        "tokens": {"type": "integer"},
        "metadata": {"type": "object"},
        "disabled": {"type": "boolean", "description": "No search finds it."},
        "manual": {"type": "boolean", "description": "Written by hand."},
        "edited": {"type": "boolean", "description": "It says something else than was cut there."},
        "pending": {"type": "boolean", "description": "What it was edited to is not found yet."},
        "orphaned": {"type": "boolean", "description": "An edit of a text that the document no longer has."},
    },
}


def _flag(name: str, description: str) -> Parameter:
    return Parameter(name=name, schema={"type": "boolean"}, description=description)


def _query(path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method="GET",
        path=f"/v1/knowledge-sources/{{ref}}/passages{path}",
        side="queries",
        tag="knowledge-sources",
        name=name,
        summary=summary,
        permission="documents:read",
        handler=handler,
        **more,
    )


OPERATIONS = (
    _query(
        "",
        "list_passages",
        "List the passages of a knowledge source, as they stand in the index that answers",
        page,
        answer=list_schema(PASSAGE),
        parameters=(
            LIMIT,
            CURSOR,
            Parameter(
                name="order",
                schema={"type": "string", "enum": ["asc", "desc"], "default": "asc"},
                description="As they follow each other, or from the last to the first.",
            ),
            Parameter(name="document", schema={"type": "string", "format": "uuid"}, description="Only its passages."),
            Parameter(name="q", schema=TEXT, description="Part of the text."),
            _flag("disabled", "Only those that are, or are not."),
            _flag("manual", "Only those that were written by hand, or were not."),
            _flag("edited", "Only those that say something else than was cut, or do not."),
            _flag("orphaned", "Edits of texts that their documents no longer have, instead of passages."),
        ),
    ),
    _query("/{id}", "get_passage", "Read a passage", one, answer=PASSAGE),
)
