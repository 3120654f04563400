"""Commands on the passages of a knowledge source over HTTP: written, edited, switched off and on, removed."""

from typing import Any
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from api.call import Call, Operation
from api.commands.documents import RECEIPT, source_of
from api.queries.passages import READ_MODEL, known_passage
from api.schemas import MESSAGE, PROBLEM_FREE_RECEIPT, body_schema
from commands.knowledge.document import sees
from commands.knowledge.passages import LONGEST, Addressed
from commands.retrieval.retrieval import groups_of
from domain.definition import JSON, Strict
from domain.definition import parse as parsed
from domain.document import Document
from domain.knowledge_source import KnowledgeSource
from domain.references import UUID_FORM


class PassageBody(Strict):
    """A passage that is written by hand: found as it is, and never cut."""

    text: str = Field(min_length=1, max_length=LONGEST)
    title: str = ""
    url: str | None = None
    metadata: dict[str, JSON] = Field(default_factory=dict, description="What it can be filtered by.")
    acl: list[str] | None = Field(None, description="Groups that may find it; null = as its source says.")


class PassagePatchBody(Strict):
    """What changes of a passage; what is left out stays."""

    text: str | None = Field(
        None, min_length=1, max_length=LONGEST, description="What it says instead; null = what was cut there."
    )
    disabled: bool = Field(False, description="Whether no search finds it.")
    title: str = Field("", description="This and the following: only of passages that were written by hand.")
    url: str | None = None
    metadata: dict[str, JSON] = Field(default_factory=dict)
    acl: list[str] | None = None


async def write(call: Call) -> Response:
    """Take a passage that somebody wrote; it is indexed afterwards."""
    body, message, raw = await call.body()
    given = parsed(PassageBody, body).model_dump(exclude_unset=True)
    added = await call.container.passages.write(source_of(call), given, call.context(reason=message, raw=raw))
    return call.receipt(added.receipt, status=202)


async def change(call: Call) -> Response:
    """Change a passage."""
    body, message, raw = await call.body()
    changes = parsed(PassagePatchBody, body).model_dump(exclude_unset=True)
    context = call.context(reason=message, raw=raw)
    at = await addressed(call)
    receipt = await call.container.passages.change(at, changes, context, if_match=call.if_match())
    return call.receipt(receipt, status=202 if receipt.queued else 200)


async def remove(call: Call) -> Response:
    """Remove a passage that was written by hand, or an edit that no passage has."""
    passages, context, if_match = call.container.passages, call.context(), call.if_match()
    at = await addressed(call, orphaned=True)
    if at.orphaned:
        return call.receipt(await passages.change(at, {"text": None, "disabled": False}, context, if_match=if_match))
    return call.receipt(await passages.remove(at, context, if_match=if_match))


async def addressed(call: Call, *, orphaned: bool = False) -> Addressed:
    """Return the passage that is addressed, by its id, or one that was written by hand by its document's."""
    source, id = source_of(call), call.path("id")
    if UUID_FORM.match(id):
        document = (await call.container.store.newest_of(Document, [UUID(id)])).get(UUID(id))
        if document is not None and document.written and await seen(call, document):
            return Addressed(source=source, document=document.id, passage=None)
    await call.wait_for_read_model(READ_MODEL)
    found = await known_passage(call)
    return Addressed(
        source=source,
        document=found.document,
        passage=None if found.manual else found.name,
        orphaned=orphaned and found.orphaned,
    )


async def seen(call: Call, document: Document) -> bool:
    """Return whether a document is one of the source's that the caller may find."""
    source = (await call.container.store.newest_of(KnowledgeSource, [source_of(call)])).get(source_of(call))
    return source is not None and document.source == str(source.id) and sees(groups_of(call.actor), document, source)


def _command(method: str, path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        method=method,
        path=f"/v1/knowledge-sources/{{ref}}/passages{path}",
        side="commands",
        tag="knowledge-sources",
        name=name,
        summary=summary,
        permission="documents:write",
        handler=handler,
        **{"answer": PROBLEM_FREE_RECEIPT, "if_match": True, **more},
    )


def _with_message(schema: dict[str, Any]) -> dict[str, Any]:
    schema["properties"] = {**schema["properties"], "message": MESSAGE}
    return schema


OPERATIONS = (
    _command(
        "POST",
        "",
        "write_passage",
        "Write a passage by hand; it is never cut, and no sync takes it away",
        write,
        body=_with_message(body_schema(PassageBody)),
        answer=RECEIPT,
        status=202,
        if_match=False,
    ),
    _command(
        "PATCH",
        "/{id}",
        "change_passage",
        "Change what a passage says (202: found once it is indexed), or whether it is found",
        change,
        body=_with_message(body_schema(PassagePatchBody)),
    ),
    _command(
        "DELETE",
        "/{id}",
        "remove_passage",
        "Remove a passage that was written by hand, or an edit that is orphaned",
        remove,
    ),
)
