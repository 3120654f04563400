"""An agent's actions: told to its model as functions, and carried out when it calls them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from commands.agents.tool_actions import ToolActions
from commands.choosing import choose
from commands.conversations.attachments import SearchFiles
from commands.models.model_calls import ToolCall
from commands.ports import Things
from commands.prompt_run import Checked, PromptRuns, RunPrompt, request_of
from commands.retrieval.answering import Answered, Answerer, numbered_passages
from commands.runs.runs import Recording
from domain.agent import TOOLS, Agent
from domain.citations import numbers_in
from domain.errors import DomainError
from domain.outside_json import NotJson, read
from domain.prompt import Prompt
from domain.rag_tool import RagTool
from domain.retrieval import Passage
from domain.turn_effects import UNKNOWN

READ_ON: Mapping[str, Any] = {
    "type": "passages",
    "tool": None,
    "function": "read_on",
    "description": "Reads on around a passage that was found: what stands before and after it in its document.",
    "requires_confirmation": False,
    "answer_directly": False,
}
"""An action that reads on around one of the passages that were given."""

AROUND = 3
"""Passages on either side that it gives."""

LONGEST_RESULT = 200_000
"""Characters of a result that the model is told; the rest is left out, and it is told so."""


@dataclass(frozen=True, kw_only=True)
class ActionDone:
    """What an action gave: `told` is what the model is told, `said` its text where it is an answer.

    `citable` are the numbers of the passages that it is told of by that.
    """

    call: ToolCall
    type: str
    outcome: str
    duration_ms: float
    told: str
    said: str = ""
    citable: Collection[int] = ()


@dataclass(frozen=True, kw_only=True)
class ActionResult:
    """What came of a call: `told`, `said` and `citable` as of an ActionDone."""

    told: str
    said: str = ""
    citable: Collection[int] = ()


@dataclass(frozen=True, kw_only=True)
class Asker:
    """On whose behalf a turn acts; `groups` None: may find everything.

    `files` searches those of the conversation. `variables` fill those of the prompts among the actions that have the same name: they are not the model's to choose.
    """

    subject: str
    groups: frozenset[str] | None
    variables: Mapping[str, Any] = field(default_factory=dict)
    files: SearchFiles | None = None


AskAgent = Callable[[int], Awaitable[ActionResult]]
"""Has another agent answer, as part of a step."""


@dataclass(frozen=True, kw_only=True)
class Actions:
    """Carries out actions."""

    things: Things
    answerer: Answerer
    prompts: PromptRuns
    tools: ToolActions

    async def functions(self, actions: Sequence[Mapping[str, Any]], asker: Asker) -> list[dict[str, Any]]:
        """Return the actions as functions, in the form of OpenAI's tools, without parameters that the asker fills."""
        return [
            {
                "type": "function",
                "function": {
                    "name": action["function"],
                    "description": action["description"] or await self._description(action),
                    "parameters": await self._parameters(action, asker),
                },
            }
            for action in actions
        ]

    async def _description(self, action: Mapping[str, Any]) -> str:
        words = {
            "rag_tool": "Answers a question from documents, with citations.",
            "retrieval_tool": "Finds passages of documents.",
            "prompt": "Runs a prompt.",
        }
        if action["type"] in TOOLS:
            return (await self.tools.described(action))[0]
        if action["type"] == "agent":
            agent = await self.things.newest(Agent, UUID(action["tool"]))
            verb = "Hands the conversation over to" if action.get("hand_off") else "Asks"
            return f"{verb} the agent '{agent.name}'. {agent.definition['description']}".strip()
        return words[action["type"]]

    async def _parameters(self, action: Mapping[str, Any], asker: Asker) -> dict[str, Any]:
        if action["type"] == "prompt":
            prompt = await choose(self.things, Prompt, UUID(action["tool"]), subject="")
            declared = {
                name: each for name, each in prompt.definition["variables"].items() if name not in asker.variables
            }
            return {
                "type": "object",
                "properties": {
                    name: {**variable["schema"], "description": variable["description"]}
                    for name, variable in declared.items()
                },
                "required": [name for name, each in declared.items() if each["required"] and each["default"] is None],
            }
        if action["type"] in TOOLS:
            return (await self.tools.described(action))[1]
        if action["type"] == "passages":
            number = {"type": "integer", "description": "The passage's number."}
            return {"type": "object", "properties": {"passage": number}, "required": ["passage"]}
        if action["type"] == "agent":
            text = {"type": "string", "description": "What it has to know and to do: it is told nothing else."}
            return {"type": "object", "properties": {"message": text}, "required": ["message"]}
        name = "question" if action["type"] == "rag_tool" else "query"
        text = {"type": "string", "description": "What to find out: a whole sentence that needs no context."}
        return {"type": "object", "properties": {name: text}, "required": [name]}

    async def carry_out(
        self,
        recording: Recording,
        action: Mapping[str, Any] | None,
        call: ToolCall,
        asker: Asker,
        given: list[Passage],
        citable: Collection[int],
        *,
        seconds: float,
        parent: int | None = None,
        ask: AskAgent | None = None,
        changes: bool = False,
    ) -> ActionDone:
        """Carry an action out; what goes wrong is told to the model, and recorded as the outcome.

        One that `changes` something and has no answer in time may have been done. Of the passages that were `given`,
        to whoever took part, the model was told of those of `citable` numbers.
        """
        began = time.perf_counter()
        type = "unknown" if action is None else str(action["type"])
        outcome, result = "completed", ActionResult(told="")
        asked: dict[str, Any] = {}
        with recording.step("action", call.name, parent) as step:
            step.input = {"arguments": call.arguments}
            step.note["type"] = type
            try:
                async with asyncio.timeout(seconds):
                    if type in TOOLS and action is not None:
                        told = await self.tools.call(recording, action, arguments_of(call), step.note, asked)
                        result = ActionResult(told=told)
                    else:
                        result = await self._do(recording, action, call, asker, given, citable, step.number, ask)
            except DomainError as error:
                outcome, result = error.error_code, ActionResult(told=f"Error: {error}")
            except TimeoutError:
                told = f"Error: this took longer than {seconds:g} seconds."
                outcome, result = "action_timed_out", ActionResult(told=f"{told} {UNKNOWN}" if changes else told)
            told = result.told
            if len(told) > LONGEST_RESULT:
                told = f"{told[:LONGEST_RESULT]}\n(The rest was left out: {len(told) - LONGEST_RESULT} characters.)"
            step.outcome, step.output = outcome, {"result": told, **asked}
        return ActionDone(
            call=call,
            type=type,
            outcome=outcome,
            duration_ms=round((time.perf_counter() - began) * 1000, 3),
            told=told,
            said=result.said,
            citable=result.citable,
        )

    async def _do(
        self,
        recording: Recording,
        action: Mapping[str, Any] | None,
        call: ToolCall,
        asker: Asker,
        given: list[Passage],
        citable: Collection[int],
        parent: int,
        ask: AskAgent | None,
    ) -> ActionResult:
        """Return what came of a call."""
        if action is None:
            raise UnknownFunction
        if ask is not None and action["type"] == "agent":
            return await ask(parent)
        arguments = arguments_of(call)
        if action["type"] == "files" and asker.files is not None:
            told, numbers = await asker.files(recording, text_in(arguments, "query"), given, citable, parent)
            return ActionResult(told=told, citable=numbers)
        if action["type"] == "passages":
            return await self._read_on(passage_in(arguments, given), given, citable)
        tool = UUID(action["tool"])
        match action["type"]:
            case "rag_tool":
                chosen = await choose(self.things, RagTool, tool, subject=asker.subject)
                recording.versions["rag_tool"] = chosen.document()
                answered: Answered | None = None
                async for piece in self.answerer.answer(
                    recording,
                    chosen,
                    text_in(arguments, "question"),
                    groups=asker.groups,
                    subject=asker.subject,
                    given=given,
                    parent=parent,
                ):
                    if isinstance(piece, Answered):
                        answered = piece
                assert answered is not None
                return ActionResult(told=answered.text, said=answered.text, citable=numbers_in(answered.citations))
            case "retrieval_tool":
                query = text_in(arguments, "query")
                found = await self.answerer.searches.by_tool(
                    recording, tool, query, groups=asker.groups, subject=asker.subject, parent=parent
                )
                return added(found.passages, given) or ActionResult(told="Nothing was found.")
            case _:
                prompt = await choose(self.things, Prompt, tool, subject=asker.subject)
                recording.versions.setdefault("prompts", []).append(prompt.document())
                filled = {
                    name: value for name, value in asker.variables.items() if name in prompt.definition["variables"]
                }
                asked = RunPrompt(prompt=tool, variables={**arguments, **filled})
                messages = await self.prompts.messages(prompt, asked)
                request = request_of(prompt.definition, messages)
                text = ""
                async for said in self.prompts.said(recording, request, parent=parent):
                    if isinstance(said, Checked):
                        text = said.answer.text
                return ActionResult(told=text, said=text)

    async def _read_on(self, passage: Passage, given: list[Passage], citable: Collection[int]) -> ActionResult:
        """Return what stands around a passage, where the model was not told of it yet, and add it to what was given."""
        known = {given[number - 1].id for number in citable}
        around = await self.answerer.searches.searcher.widen([passage], AROUND)
        new = [each for each in around if each.id not in known]
        return added(new, given) or ActionResult(told="There is nothing around it that was not given.")


def added(passages: Sequence[Passage], given: list[Passage]) -> ActionResult | None:
    """Add passages to those given; return them as the model is told them, None where there are none."""
    first = len(given) + 1
    given.extend(passages)
    citable = range(first, first + len(passages))
    return ActionResult(told=numbered_passages(passages, first), citable=citable) if passages else None


class InvalidArguments(DomainError):
    """The arguments are no JSON object that this function takes."""

    code = "invalid_arguments"


class UnknownFunction(DomainError):
    """There is no such function."""

    code = "unknown_function"


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """Return a call's arguments, or raise InvalidArguments."""
    try:
        arguments = read(call.arguments or "{}")
    except NotJson:
        arguments = None
    if not isinstance(arguments, dict):
        raise InvalidArguments
    return arguments


def text_in(arguments: Mapping[str, Any], name: str) -> str:
    """Return a text argument, or raise InvalidArguments."""
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidArguments(f"The argument '{name}' is needed, as text.")
    return value


def passage_in(arguments: Mapping[str, Any], given: Sequence[Passage]) -> Passage:
    """Return the passage that an argument means by its number, or raise InvalidArguments."""
    number = arguments.get("passage")
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(given):
        raise InvalidArguments(f"The argument 'passage' is the number of a passage: from 1 to {len(given)}.")
    return given[number - 1]
