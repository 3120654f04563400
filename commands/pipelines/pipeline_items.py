"""One item of a pipeline: what it is given, and carrying it out."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from commands.agents.actions import text_in
from commands.agents.tool_actions import ToolActions
from commands.ports import Context
from commands.prompt_run import PromptRuns, RunPrompt
from commands.retrieval.answer_run import AnswerQuestion, AnswerRuns, Choice
from commands.retrieval.answering import numbered_passages
from commands.retrieval.retrieval import groups_of
from commands.runs.execution import Result
from commands.runs.runs import Recording
from domain.agent import TOOLS
from domain.citations import passage_document
from domain.errors import DomainError, Invalid
from domain.outside_json import NotJson, read
from domain.paths import at
from domain.pipeline import RESULTS
from domain.rag_tool import RagTool

LARGEST = 1_000_000
"""Bytes of what one item may give, as JSON."""


class MissingInput(DomainError):
    """Nothing stands where an input of this item is taken from, and it has no default."""

    code = "missing_input"


class NobodyAgrees(DomainError):
    """A person must agree to each call of this tool, and in a pipeline nobody is asked."""

    code = "confirmation_needed"


class ResultTooLarge(DomainError):
    """What this item gave is too large to be kept and passed on."""

    code = "result_too_large"


@dataclass(frozen=True, kw_only=True)
class PipelineItems:
    """Carries items out, as whoever has the pipeline run may."""

    prompts: PromptRuns
    answers: AnswerRuns
    tools: ToolActions

    async def changes(self, item: Mapping[str, Any]) -> bool:
        """Return whether an item changes something outside; raise NobodyAgrees where a person has to agree to it."""
        facts = (await self.tools.facts([{**item, "function": item["name"]}])).get(item["name"])
        if facts is not None and facts.requires_confirmation:
            raise NobodyAgrees
        return facts is not None and facts.changes

    async def carry_out(
        self, recording: Recording, item: Mapping[str, Any], given: Mapping[str, Any], context: Context, subject: str
    ) -> dict[str, Any]:
        """Return what an item gives, with its parts as steps of the recording; raise what went wrong.

        A prompt that lets less be recorded of its runs has the recording observe as much.
        """
        result = await self._carried_out(recording, item, given, context, subject)
        if len(orjson.dumps(result)) > LARGEST:
            raise ResultTooLarge
        return result

    async def _carried_out(
        self, recording: Recording, item: Mapping[str, Any], given: Mapping[str, Any], context: Context, subject: str
    ) -> dict[str, Any]:
        tool = UUID(item["tool"])
        if item["type"] in TOOLS:
            with recording.step("tool", item["operation"]) as step:
                step.input = {"arguments": dict(given)}
                text = await self.tools.call(recording, item, given, step.note, step.input)
                step.output = {"result": text}
            return {"text": text, "json": json_in(text)}
        observed = recording.observability
        match item["type"]:
            case "prompt":
                recording.observability = "none"  # until it is known
                prepared = await self.prompts.prepare(RunPrompt(prompt=tool, variables=given, subject=subject))
            case "rag_tool":
                recording.observability = "none"
                question = AnswerQuestion(
                    tool=Choice(kind=RagTool, id=tool, subject=subject),
                    question=text_in(given, "question"),
                    filter=filter_in(given),
                )
                prepared = await self.answers.prepare(question, context)
            case _:
                found = await self.answers.answerer.searches.by_tool(
                    recording,
                    tool,
                    text_in(given, "query"),
                    groups=groups_of(context.actor),
                    subject=subject,
                    filter=filter_in(given),
                    limit=limit_in(given),
                )
                passages = [passage_document(passage) for passage in found.passages]
                return {"text": numbered_passages(found.passages, 1), "passages": passages}
        least = prepared.asked.observability
        recording.observability = observed if least == "full" else least
        body = await body_of(prepared.work(recording))
        return {name: body[name] for name in sorted(RESULTS[item["type"]])}


async def body_of(work: AsyncGenerator[Any, None]) -> Mapping[str, Any]:
    """Return what work came to."""
    async with aclosing(work) as pieces:
        async for piece in pieces:
            if isinstance(piece, Result):
                return piece.body
    raise AssertionError("work ends with a result or an error")


def inputs_of(item: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an item is given; `values` are `steps` and `inputs`. Raise MissingInput."""
    found = {}
    for name, source in item["inputs"].items():
        if "path" not in source:
            found[name] = values["inputs"].get(source["input"]) if "input" in source else source["value"]
            continue
        value = at(values, source["path"])
        found[name] = source.get("default") if value is None else value
        if found[name] is None and "default" not in source:
            raise MissingInput(f"Nothing stands at '{source['path']}', from where the input '{name}' is taken.")
    return found


def output_of(definition: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """Return what a run gives; null where nothing stands at a path."""
    output = definition["output"]
    if output is None:
        return values["steps"].get(definition["steps"][-1]["name"], {})
    return at(values, output) if isinstance(output, str) else {name: at(values, path) for name, path in output.items()}


def filter_in(given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the filter among an item's inputs, or raise Invalid."""
    value = given.get("filter")
    if value is not None and not isinstance(value, Mapping):
        raise Invalid("The input 'filter' is an object.", code="invalid_filter", pointer="/inputs/filter")
    return value


def limit_in(given: Mapping[str, Any]) -> int | None:
    """Return the limit among an item's inputs, or raise Invalid."""
    value = given.get("limit")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100):
        raise Invalid("The input 'limit' is an integer from 1 to 100.", code="invalid_limit", pointer="/inputs/limit")
    return value


def json_in(text: str) -> Any:
    """Return the JSON that a text is; null where it is none."""
    try:
        return read(text)
    except NotJson:
        return None
