"""Searching over HTTP, by a retrieval tool or by settings that are not saved; and answering by unsaved ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, TypeVar
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from api.answer_schemas import ANSWER, EXPLAIN, SEARCH_ANSWER
from api.call import Call, Operation
from api.run_streams import answered
from api.schemas import body_schema
from commands.configuration import resolved
from commands.ports import Context
from commands.retrieval.answer_run import AnswerQuestion, Choice, SearchByTool
from commands.runs.execution import whole
from domain.configuration import Configuration
from domain.definition import JSON, Strict, parse
from domain.filters import LONGEST_KEY
from domain.knowledge_source import KnowledgeSource
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


class PinnedBody(Strict):
    """Which indexes are searched."""

    index_version: dict[str, Annotated[int, Field(ge=1, lt=2**31)]] = Field(
        default_factory=dict,
        max_length=100,
        description="Source -> index that is searched instead of the one that answers; 422 where it is not there.",
    )

    @property
    def pins(self) -> Mapping[UUID, int]:
        """The indexes by their sources' ids."""
        return {identify(KnowledgeSource.TOPIC, source): index for source, index in self.index_version.items()}


class FoundBody(PinnedBody):
    """What a search tells besides its passages."""

    facets: list[Annotated[str, Field(min_length=1, max_length=LONGEST_KEY)]] = Field(
        default_factory=list, max_length=10, description="Metadata fields whose values are counted in what was found."
    )
    highlight: bool = Field(False, description="Tell which ranges of a passage's text match words of the query.")


class SearchBody(ChoiceBody, FoundBody):
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


class SearchPreviewBody(PreviewBody, FoundBody):
    """A search by settings that are not saved."""

    query: str = Field(min_length=1, max_length=LONGEST)
    limit: int | None = Field(None, ge=1, le=100)


class AnswerPreviewBody(PreviewBody, PinnedBody):
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
    command = SearchByTool(
        tool=tool,
        query=asked.query,
        limit=asked.limit,
        filter=asked.filter,
        pins=asked.pins,
        facets=asked.facets,
        highlight=asked.highlight,
        explain=explain,
    )
    return answered(await call.container.answer_runs.search(command, unrepeated(call)))


async def preview_answer(call: Call) -> Response:
    """Answer by settings that are not saved."""
    body, _, _ = await call.body()
    asked = parse(AnswerPreviewBody, body)
    tool = unsaved(RagTool, asked)
    await call.wait_for_passages()
    command = AnswerQuestion(tool=tool, question=asked.question, filter=asked.filter, pins=asked.pins)
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
