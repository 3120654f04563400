"""Searching over HTTP, by a retrieval tool or by settings that are not saved; and answering by unsaved ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import Field
from starlette.responses import Response

from api.call import Call, Operation, Parameter
from api.run_streams import answered
from api.schemas import body_schema
from commands.answer_run import AnswerQuestion, Choice, SearchByTool
from commands.configuration import resolved
from commands.execution import whole
from commands.ports import Context
from domain.configuration import Configuration
from domain.definition import JSON, Strict, parse
from domain.rag_tool import RagTool
from domain.references import identify
from domain.retrieval_tool import RetrievalTool

K = TypeVar("K", bound=Configuration)
LONGEST = 10_000
"""Characters of a query or a question."""

UNSAVED = "unsaved"


class ChoiceBody(Strict):
    """Which version and variant of a tool, and for whom."""

    version: int | None = Field(None, ge=1, lt=2**62, description="Instead of a label.")
    label: str = Field("live", max_length=63)
    variant: str | None = Field(None, max_length=63, description="null: by weight, the same for the same subject.")
    subject: str | None = Field(None, min_length=1, max_length=200, description="Whom it is for.")


class SearchBody(ChoiceBody):
    """What is searched for."""

    query: str = Field(min_length=1, max_length=LONGEST)
    limit: int | None = Field(None, ge=1, le=100, description="Passages at most; null: the tool's.")
    filter: dict[str, JSON] | None = Field(None, description="Which documents, by their metadata.")


class PreviewBody(Strict):
    """Settings that are not saved, and how they are tried."""

    definition: dict[str, JSON] = Field(description="As it would be created, without its name.")
    variant: str | None = Field(None, max_length=63)
    subject: str | None = Field(None, min_length=1, max_length=200)
    filter: dict[str, JSON] | None = Field(None, description="Which documents, by their metadata.")


class SearchPreviewBody(PreviewBody):
    """A search by settings that are not saved."""

    query: str = Field(min_length=1, max_length=LONGEST)
    limit: int | None = Field(None, ge=1, le=100)


class AnswerPreviewBody(PreviewBody):
    """An answer by settings that are not saved."""

    question: str = Field(min_length=1, max_length=LONGEST)


async def search(call: Call) -> Response:
    """Search by a retrieval tool."""
    body, _, _ = await call.body()
    asked = parse(SearchBody, body)
    tool = choice_of(RetrievalTool, call.path("ref"), asked)
    await call.wait_for_passages()
    return await _searched(call, tool, asked)


async def preview_search(call: Call) -> Response:
    """Search by settings that are not saved."""
    body, _, _ = await call.body()
    asked = parse(SearchPreviewBody, body)
    tool = unsaved(RetrievalTool, asked)
    await call.wait_for_passages()
    return await _searched(call, tool, asked)


async def _searched(call: Call, tool: Choice[RetrievalTool], asked: SearchBody | SearchPreviewBody) -> Response:
    explain = call.flag("explain")
    if explain:
        call.must_be_allowed("search:explain")
    command = SearchByTool(tool=tool, query=asked.query, limit=asked.limit, filter=asked.filter, explain=explain)
    return answered(await call.container.answer_runs.search(command, unrepeated(call)))


async def preview_answer(call: Call) -> Response:
    """Answer by settings that are not saved."""
    body, _, _ = await call.body()
    asked = parse(AnswerPreviewBody, body)
    tool = unsaved(RagTool, asked)
    await call.wait_for_passages()
    command = AnswerQuestion(tool=tool, question=asked.question, filter=asked.filter)
    return answered(await whole(call.container.answer_runs.answer(command, unrepeated(call))))


def choice_of(kind: type[K], reference: str, asked: ChoiceBody) -> Choice[K]:
    """Return which tool a request means."""
    return Choice(
        kind=kind,
        id=identify(kind.TOPIC, reference),
        version=asked.version,
        label=asked.label,
        variant=asked.variant,
        subject=asked.subject,
    )


def unsaved(kind: type[K], asked: PreviewBody) -> Choice[K]:
    """Return the tool that a request defines."""
    parsed = parse(kind.DEFINITION, asked.definition, prefix="/definition")
    definition = resolved(kind, parsed.model_dump(mode="json", by_alias=True), "/definition")
    return Choice(
        kind=kind,
        id=identify(kind.TOPIC, UNSAVED),
        variant=asked.variant,
        subject=asked.subject,
        definition=definition,
    )


def unrepeated(call: Call) -> Context:
    """Return the context of a query: it takes no Idempotency-Key, since it changes nothing but its own record."""
    return replace(call.context(), idempotency=None)


PASSAGE: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "text", "score", "scores", "document", "start", "end", "page", "metadata"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "text": {"type": "string"},
        "score": {"type": "number", "description": "The one by which it stands where it does: of the last stage."},
        "scores": {
            "type": "object",
            "properties": {name: {"type": ["number", "null"]} for name in ("vector", "lexical", "fused", "rerank")},
        },
        "document": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "version": {"type": "integer"},
                "external_id": {"type": "string"},
                "title": {"type": "string"},
                "url": {"type": ["string", "null"]},
            },
        },
        "start": {"type": "integer", "description": "Characters from the beginning of the document's text."},
        "end": {"type": "integer"},
        "page": {"type": ["integer", "null"], "minimum": 1},
        "heading": {"type": ["string", "null"]},
        "metadata": {"type": "object"},
    },
}
FOUND: Mapping[str, Any] = {
    "passages": {"type": "array", "items": PASSAGE},
    "retrieval": {"enum": ["hybrid", "vector", "lexical"], "description": "What was really possible."},
    "notes": {"type": "array", "items": {"type": "string"}, "description": "Why less was done than asked for."},
    "rewrite": {
        "type": ["object", "null"],
        "description": "The `query` that was searched for instead, and the `model`; or `failed`, with the code.",
    },
    "multi_query": {
        "type": ["object", "null"],
        "description": "The `queries` that were searched for besides, and the `model`; or `failed`, with the code.",
    },
    "rerank": {
        "type": ["object", "null"],
        "description": "What came of reranking: the `model`, how many `passages` it was given and left `unscored`; "
        "or `failed`, with the code: then the order is that in which they were found.",
    },
    "index_version": {
        "type": "object",
        "description": "Source id -> index that answered.",
        "additionalProperties": {"type": "integer"},
    },
}
TIMINGS: Mapping[str, Any] = {
    "type": "object",
    "description": "Milliseconds by stage, and `total`.",
    "additionalProperties": {"type": "number"},
}
SPENT: Mapping[str, Any] = {
    "usage": {"type": "object"},
    "cost": {"type": "object"},
    "run_id": {"type": "string", "format": "uuid"},
}
EXPLAIN = Parameter(
    name="explain",
    schema={"type": "boolean", "default": False},
    description="Tell how the search came to its order; needs the permission search:explain.",
)
PLACE: Mapping[str, Any] = {
    "type": ["object", "null"],
    "properties": {"rank": {"type": "integer", "minimum": 1}, "score": {"type": "number"}},
}
EXPLAINED: Mapping[str, Any] = {
    "type": "object",
    "description": "Only with `explain=true`: where each passage that was found stood in each stage, and the plans.",
    "properties": {
        "passages": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "queries": {
                        "type": "array",
                        "description": "For each query that was searched for, in their order.",
                        "items": {"type": "object", "properties": dict.fromkeys(("vector", "lexical", "fused"), PLACE)},
                    },
                    "fused": PLACE,
                    "rerank": PLACE,
                },
            },
        },
        "statements": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "space": {"type": ["string", "null"], "description": "That of the vectors; null: words only."},
                    "index_version": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "plan": {"type": ["string", "null"], "description": "PostgreSQL's; null: nothing to be asked."},
                },
            },
        },
    },
}
SEARCH_ANSWER: Mapping[str, Any] = {
    "type": "object",
    "required": ["passages", "retrieval", "filter", "timings_ms", "index_version", "usage", "cost", "run_id"],
    "properties": {
        **FOUND,
        "filter": {"type": ["object", "null"], "description": "The caller's filter as it was understood."},
        "timings_ms": TIMINGS,
        "explain": EXPLAINED,
        **SPENT,
    },
}
ANSWER: Mapping[str, Any] = {
    "type": "object",
    "required": ["text", "citations", "resolution", "passages", "retrieval", "model", "usage", "cost", "run_id"],
    "properties": {
        "text": {"type": "string"},
        "citations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["marker", "passage_id", "document_id", "document_version", "start", "end"],
                "properties": {
                    "marker": {"type": "string"},
                    "passage_id": {"type": "string", "format": "uuid"},
                    "document_id": {"type": "string", "format": "uuid"},
                    "document_version": {"type": "integer"},
                    "start": {"type": "integer"},
                    "end": {"type": "integer"},
                },
            },
        },
        "invented_citations": {"type": "integer", "description": "Markers that pointed at nothing and were removed."},
        "resolution": {"enum": ["answered", "not_answered", "no_results"]},
        "filter": {"type": ["object", "null"], "description": "The caller's filter as it was understood."},
        "timings_ms": TIMINGS,
        **FOUND,
        "model": {"description": "The model that answered; `extractive`: passages are quoted; `none`: nothing found."},
        **SPENT,
    },
}

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/retrieval-tools/{ref}/search",
        side="queries",
        tag="retrieval-tools",
        name="search_by_retrieval_tool",
        summary="Search the passages of a retrieval tool's sources",
        permission="search:run",
        handler=search,
        parameters=(EXPLAIN,),
        body=body_schema(SearchBody),
        answer=SEARCH_ANSWER,
    ),
    Operation(
        method="POST",
        path="/v1/retrieval-tools:preview",
        side="queries",
        tag="retrieval-tools",
        name="preview_retrieval_tool",
        summary="Search by settings that are not saved",
        permission="tools:preview",
        handler=preview_search,
        parameters=(EXPLAIN,),
        body=body_schema(SearchPreviewBody),
        answer=SEARCH_ANSWER,
    ),
    Operation(
        method="POST",
        path="/v1/rag-tools:preview",
        side="queries",
        tag="rag-tools",
        name="preview_rag_tool",
        summary="Answer a question by settings that are not saved",
        permission="tools:preview",
        handler=preview_answer,
        body=body_schema(AnswerPreviewBody),
        answer=ANSWER,
    ),
)
