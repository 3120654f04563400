"""Searches and answers as runs of their own: recorded before what they gave is given out."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from commands.choosing import Chosen, choose
from commands.models.model_calls import TextPiece
from commands.models.model_kinds import must_be_able
from commands.ports import Context, Things
from commands.retrieval.answering import Answered, Answerer, Cited, Searched
from commands.retrieval.answering_prompt import must_ask_for_text, prompt_asked
from commands.retrieval.post_processing import Processed
from commands.retrieval.retrieval import groups_of
from commands.retrieval.searching import asked_of
from commands.runs.execution import Asked, Execution, Prepared, Result, RunAnswer, RunBegan, whole
from commands.runs.runs import Recording
from commands.unsaved import must_refer
from domain import variants
from domain.citations import passage_document
from domain.configuration import Configuration
from domain.rag_tool import RagTool
from domain.retrieval import Explained, Found, Passage, Place, Search
from domain.retrieval_tool import RetrievalTool
from domain.run import ANSWERED

AFTERWARDS = ("grounding", "post_processing")
"""Kinds of steps that come when an answer is there."""

TOLD = ("language", "grounding", "category", "processed")
"""What the record keeps of an answer besides its text and citations."""

K = TypeVar("K", bound=Configuration)


@dataclass(frozen=True, kw_only=True)
class Choice(Generic[K]):
    """Which tool, and which of its versions and variants; or with `definition` one that is not saved."""

    kind: type[K]
    id: UUID
    version: int | None = None
    label: str = "live"
    variant: str | None = None
    subject: str | None = None
    definition: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class SearchByTool:
    """Search by a retrieval tool; no limit means the tool's, and no `pins` the indexes that answer.

    `facets` are fields whose values are counted, `highlight` has matched words told, `explain` how it came to its order.
    """

    tool: Choice[RetrievalTool]
    query: str
    limit: int | None = None
    filter: Mapping[str, Any] | None = None
    pins: Mapping[UUID, int] = field(default_factory=dict)
    facets: Sequence[str] = ()
    highlight: bool = False
    explain: bool = False


@dataclass(frozen=True, kw_only=True)
class AnswerQuestion:
    """Answer a question by a RAG tool; `pins` are the indexes that are searched instead of those that answer."""

    tool: Choice[RagTool]
    question: str
    filter: Mapping[str, Any] | None = None
    pins: Mapping[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AnswerRuns:
    """Searches and answers on behalf of whoever asks."""

    things: Things
    answerer: Answerer
    execution: Execution

    async def search(self, command: SearchByTool, context: Context) -> RunAnswer:
        """Return what was found, or raise; what is wrong with the request is raised before anything is recorded."""
        id = uuid4()
        subject = command.tool.subject or str(id)
        chosen = await self._chosen(command.tool, id)
        search = asked_of(
            chosen,
            command.query,
            groups=groups_of(context.actor),
            limit=command.limit,
            filter=command.filter,
            pins=command.pins,
        )
        search = replace(search, facets=command.facets, highlight=command.highlight, explain=command.explain)
        await self.answerer.searches.searcher.check(search)
        asked = Asked(
            id=id,
            kind="search",
            target=target_of(command.tool, chosen),
            subject=command.tool.subject,
            input={"query": command.query, "filter": command.filter, "limit": command.limit},
        )
        ran = self.execution.carry_out(
            asked, context, lambda recording: self._search(recording, chosen, search, subject)
        )
        return await whole(ran)

    async def _search(
        self, recording: Recording, chosen: Chosen, search: Search, subject: str
    ) -> AsyncGenerator[Result, None]:
        found = await self.answerer.searches.carry_out(recording, chosen, search, subject=subject)
        body = {
            "passages": [passage_document(passage) for passage in found.passages],
            **how_found(found),
            "facets": found.facets,
            "timings_ms": dict(found.timings_ms),
        }
        if found.explained is not None:
            body["explain"] = explanation(found.explained, found.passages)
        yield Result(body=body, output={"passages": [str(passage.id) for passage in found.passages]})

    async def answer(
        self, command: AnswerQuestion, context: Context
    ) -> AsyncGenerator[RunBegan | TextPiece | Cited | RunAnswer, None]:
        """Yield RunBegan, text and citations as they come, and last the RunAnswer; or raise.

        What is wrong with the request is raised before anything is recorded.
        """
        prepared = await self.prepare(command, context)
        async with aclosing(self.execution.carry_out(prepared.asked, context, prepared.work)) as pieces:
            async for piece in pieces:
                yield piece

    async def prepare(self, command: AnswerQuestion, context: Context) -> Prepared:
        """Return what an answer to this question is as a run, or raise what is wrong with the request."""
        id = uuid4()
        subject = command.tool.subject or str(id)
        chosen = await self._chosen(command.tool, id)
        if command.filter is not None or command.pins:
            await self._check(chosen, command, subject)
        asked = Asked(
            id=id,
            kind="answer",
            target=target_of(command.tool, chosen),
            subject=command.tool.subject,
            input={"question": command.question, "filter": command.filter},
            observability=await self._observability(chosen, subject),
        )
        groups = groups_of(context.actor)
        return Prepared(asked=asked, work=lambda recording: self._answer(recording, chosen, command, groups, subject))

    async def _answer(
        self,
        recording: Recording,
        chosen: Chosen,
        command: AnswerQuestion,
        groups: frozenset[str] | None,
        subject: str,
    ) -> AsyncGenerator[TextPiece | Cited | Result, None]:
        recording.versions["rag_tool"] = chosen.document()
        given: list[Passage] = []
        answering = self.answerer.answer(
            recording,
            chosen,
            command.question,
            groups=groups,
            subject=subject,
            given=given,
            filter=command.filter,
            pins=command.pins,
        )
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                match piece:
                    case Searched():
                        found = piece.found
                    case Answered():
                        said = piece
                    case _:
                        yield piece
        asked = (said.language or {}).get("question")
        recording.note(ANSWERED, {"resolution": said.resolution, **({"language": asked} if asked else {})})
        processed = said.processed or Processed()
        body = {
            "text": said.text,
            "citations": [dict(each) for each in said.citations],
            "invented_citations": said.invented,
            "resolution": said.resolution,
            "passages": [passage_document(passage) for passage in given],
            **how_found(found),
            "language": said.language,
            "grounding": said.grounding,
            "category": processed.category,
            "processed": processed.fields,
            "model": said.model,
            "timings_ms": stages(recording, found),
        }
        if processed.note is not None:
            body["notes"] = [*found.notes, processed.note]
        told = {name: value for name in TOLD if (value := body[name]) is not None}
        yield Result(body=body, output={"text": said.text, "citations": body["citations"], **told})

    async def _observability(self, chosen: Chosen, subject: str) -> str:
        """Return what is recorded of an answer: as much as the tool's own prompt lets be recorded of its runs."""
        prompt = await prompt_asked(self.things, chosen.definition, subject)
        return "full" if prompt is None else str(prompt.definition["observability"])

    async def _check(self, chosen: Chosen, command: AnswerQuestion, subject: str) -> None:
        """Raise Invalid where the tool that a RAG tool searches by does not take the filter, or the indexes."""
        tool = await choose(self.things, RetrievalTool, UUID(chosen.definition["retrieval_tool"]), subject=subject)
        search = asked_of(tool, command.question, groups=frozenset(), filter=command.filter, pins=command.pins)
        await self.answerer.searches.searcher.check(search)

    async def _chosen(self, choice: Choice[Any], run: UUID) -> Chosen:
        """Return the tool as it is to run; what one that is not saved refers to must be there."""
        subject = choice.subject or str(run)
        if choice.definition is None:
            return await choose(
                self.things,
                choice.kind,
                choice.id,
                version=choice.version,
                label=choice.label,
                variant=choice.variant,
                subject=subject,
            )
        await must_refer(self.things, choice.kind, choice.definition, "/definition")
        await must_be_able(self.things, choice.kind.TOPIC, choice.definition, "/definition")
        if choice.kind is RagTool:
            await must_ask_for_text(self.things, choice.definition, "/definition")
        variant = choice.variant or variants.choose(choice.id, choice.definition["variants"], subject)
        definition = variants.apply(choice.definition, variant)
        return Chosen(
            kind=choice.kind.TOPIC, id=choice.id, name="unsaved", version=0, variant=variant, definition=definition
        )


def target_of(choice: Choice[Any], chosen: Chosen) -> Mapping[str, Any]:
    """Return what a run is of; one of an unsaved definition is of nothing that can be found again."""
    if choice.definition is None:
        return chosen.target()
    return {"kind": chosen.kind, "id": None, "name": None, "version": None, "variant": chosen.variant}


def how_found(found: Found) -> dict[str, Any]:
    """Return how passages were found: what was possible, why not more, and which indexes answered."""
    return {
        "retrieval": found.retrieval,
        "notes": list(found.notes),
        "rewrite": found.rewrite,
        "translate": found.translate,
        "multi_query": found.multi_query,
        "rerank": found.rerank,
        "filter": found.filter,
        "index_version": dict(found.indexes),
    }


def explanation(explained: Explained, passages: Sequence[Passage]) -> dict[str, Any]:
    """Return the public form of how passages were found, without the neighbours that only came along."""
    factors = {passage.id: passage.factors for passage in passages}
    hits = [passage.id for passage in passages if passage.id in explained.stages["fused"]]
    return {
        "passages": [
            {
                "id": str(id),
                "queries": [places_in(each, id, ("vector", "lexical", "fused")) for each in explained.queries],
                **places_in(explained.stages, id, ("fused", "weighed", "rerank")),
                "factors": dict(factors[id]),
            }
            for id in hits
        ],
        "statements": [dict(each) for each in explained.statements],
    }


def places_in(stages: Mapping[str, Mapping[UUID, Place]], id: UUID, names: Sequence[str]) -> dict[str, Any]:
    """Return where a passage stands in each stage; null where it does not."""
    found = {name: stages.get(name, {}).get(id) for name in names}
    return {
        name: None if place is None else {"rank": place.rank, "score": place.score} for name, place in found.items()
    }


def stages(recording: Recording, found: Found) -> dict[str, float]:
    """Return the milliseconds of an answer: those of its search, of the model, of what comes after, and of all."""
    after = {step.number: step for step in recording.steps if step.kind in AFTERWARDS}
    model = sum(step.duration_ms for step in recording.steps if step.kind == "model_call" and step.parent not in after)
    searched = {name: time for name, time in found.timings_ms.items() if name != "total"}
    return {
        **searched,
        "search": found.timings_ms["total"],
        "model": round(model, 3),
        **{step.kind: step.duration_ms for step in after.values()},
        "total": recording.elapsed_ms,
    }
