"""Completions: a model, a prompt, a RAG tool or an agent answers messages. Each is a run, and no conversation."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from commands.agents.actions import ActionDone, Asker
from commands.agents.agent_brief import must_differ
from commands.agents.agent_loop import AgentLoop, Handed
from commands.agents.agent_talk import ClientTools, Course
from commands.choosing import Chosen, choose
from commands.models.model_calls import ChatAnswer, ChatModels, ChatRequest, TextPiece
from commands.models.saying import calls_shown, said_in, say
from commands.ports import Context, Things
from commands.prompt_run import PromptRuns, RunPrompt
from commands.retrieval.answer_run import AnswerQuestion, AnswerRuns, Choice
from commands.retrieval.answering import Cited
from commands.retrieval.retrieval import groups_of
from commands.runs.execution import Asked, Execution, Prepared, Result
from commands.runs.runs import Recording, model_document
from domain import variants
from domain.agent import Agent
from domain.configuration import Configuration
from domain.errors import FieldError, Invalid, NotFound
from domain.model import Model
from domain.prompt import Prompt
from domain.rag_tool import RagTool
from domain.references import identify
from domain.turn import Reply

PREFIXES: Mapping[str, type[Configuration]] = {"agent": Agent, "rag": RagTool, "prompt": Prompt}
"""What may answer besides a model: `<prefix>:<name or id>`."""

LONGEST_QUESTION = 10_000
"""Characters of what a RAG tool is asked."""

Message = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Complete:
    """Answer messages, which have the form of OpenAI's; `created` is the second at which it was asked.

    `model` names what answers. `parameters` and `response_format` are for models alone: what else answers has
    settings of its own. `tools` and `tool_choice` are for models, prompts and agents. `variables` are for prompts and agents, `filter` for
    RAG tools. `metadata` is kept with the run's input.
    """

    model: str
    messages: Sequence[Message]
    created: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    filter: Mapping[str, Any] | None = None
    subject: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Completions:
    """Lets whatever can answer do so."""

    things: Things
    models: ChatModels
    prompts: PromptRuns
    answers: AnswerRuns
    loop: AgentLoop
    execution: Execution

    async def complete(self, command: Complete, context: Context) -> AsyncGenerator[Any, None]:
        """Yield RunBegan, text and citations as they come, and last the RunAnswer; or raise.

        What is wrong with the request is raised before anything is recorded.
        """
        prepared = await self._prepare(command, context)
        asked = prepared.asked
        if command.metadata:
            asked = replace(asked, input={**asked.input, "metadata": dict(command.metadata)})
        work = prepared.work
        ran = self.execution.carry_out(
            asked, context, lambda recording: told(work(recording), recording, command.created)
        )
        async with aclosing(ran) as pieces:
            async for piece in pieces:
                yield piece

    async def _prepare(self, command: Complete, context: Context) -> Prepared:
        kind, target = aim(command.model)
        must_fit(kind, command)
        try:
            if kind is Prompt:
                return await self.prompts.prepare(
                    RunPrompt(
                        prompt=target,
                        variables=command.variables,
                        messages=list(command.messages),
                        subject=command.subject,
                        tools=command.tools,
                        tool_choice=command.tool_choice,
                        parallel_calls=command.parameters.get("parallel_tool_calls"),
                    )
                )
            if kind is RagTool:
                tool = Choice(kind=RagTool, id=target, subject=command.subject)
                question = AnswerQuestion(tool=tool, question=question_of(command.messages), filter=command.filter)
                return await self.answers.prepare(question, context)
            if kind is Agent:
                return await self._prepare_agent(target, command, context)
            return await self._prepare_model(target, command)
        except NotFound as error:
            if error.error_code != NotFound.code:
                raise
            raise no_such(kind) from None

    async def _prepare_model(self, target: UUID, command: Complete) -> Prepared:
        chosen = await chosen_model(self.things, target, "chat")
        request = ChatRequest(
            model=chosen.id,
            messages=command.messages,
            parameters=command.parameters,
            tools=command.tools,
            tool_choice=command.tool_choice,
            response_format=command.response_format,
        )
        asked = Asked(
            kind="completion",
            target=chosen.target(),
            subject=command.subject,
            input={"messages": [dict(each) for each in command.messages], "parameters": dict(command.parameters)},
        )
        return Prepared(asked=asked, work=lambda recording: self._by_model(recording, request))

    async def _by_model(self, recording: Recording, request: ChatRequest) -> AsyncGenerator[TextPiece | Result, None]:
        async with aclosing(say(recording, self.models, request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, ChatAnswer):
                    answer = piece
                else:
                    yield piece
        output, calls = said_in(answer)
        body = {
            "text": answer.text,
            "finish_reason": answer.finish_reason,
            "tool_calls": calls,
            "model": model_document(answer.model),
        }
        yield Result(body=body, output=output)

    async def _prepare_agent(self, target: UUID, command: Complete, context: Context) -> Prepared:
        id = uuid4()
        subject = command.subject or str(id)
        chosen = await choose(self.things, Agent, target, subject=subject)
        tools = tools_of(command, chosen)
        asker = Asker(subject=subject, groups=groups_of(context.actor), variables=command.variables)
        asked = Asked(
            id=id,
            kind="turn",
            target=chosen.target(),
            subject=command.subject,
            input={"messages": [dict(each) for each in command.messages], "variables": dict(command.variables)},
            observability=chosen.definition["observability"],
        )
        messages = command.messages
        return Prepared(
            asked=asked,
            work=lambda recording: self._by_agent(
                recording, chosen, messages, asker, tools, Course(channel=context.channel)
            ),
        )

    async def _by_agent(
        self,
        recording: Recording,
        chosen: Chosen,
        messages: Sequence[Message],
        asker: Asker,
        tools: ClientTools,
        course: Course,
    ) -> AsyncGenerator[TextPiece | Cited | Result, None]:
        recording.versions[chosen.kind] = chosen.document()

        async def note(_: ActionDone) -> None:
            """Note nothing: the run's steps have it, and there is no conversation."""

        calls: list[dict[str, str]] = []
        async with aclosing(
            self.loop.reply(recording, chosen, messages, asker, note, tools=tools, course=course)
        ) as pieces:
            async for piece in pieces:
                match piece:
                    case Handed():
                        calls = calls_shown(piece.calls)
                    case Reply():
                        reply = piece
                    case TextPiece() | Cited():
                        yield piece
        body = {
            "text": reply.content,
            "citations": [dict(each) for each in reply.citations],
            "actions": [dict(each) for each in reply.tool_calls],
        }
        asks: dict[str, Any] = {"tool_calls": calls} if calls else {}
        if "code" in reply.details:
            body |= {"code": reply.details["code"], "finish_reason": "content_filter"}
        yield Result(body={**body, **asks}, output={"text": reply.content, "citations": body["citations"], **asks})


async def told(pieces: AsyncGenerator[Any, None], recording: Recording, created: int) -> AsyncGenerator[Any, None]:
    """Yield what work yields; its result tells when it was asked for, and why its model ended, also to who asks again."""
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Result):
                body = {**why_it_ended(recording), **piece.body, "created": created}
                yield Result(body=body, output=piece.output)
            else:
                yield piece


def why_it_ended(recording: Recording) -> dict[str, Any]:
    """Return the finish reason of the model that answered last, other than as part of a step; nothing where none did."""
    said = [step.note for step in recording.steps if step.kind == "model_call" and step.parent is None]
    return {"finish_reason": said[-1]["finish_reason"]} if said and "finish_reason" in said[-1] else {}


def aim(model: str) -> tuple[type[Configuration], UUID]:
    """Return what a `model` means: the kind and id of what is to answer; whether it exists is another question."""
    prefix, colon, reference = model.partition(":")
    if not colon:
        return Model, identify(Model.TOPIC, model)
    if prefix not in PREFIXES:
        raise NotFound(
            "There is no such model: it is a model's name, or agent:, rag: or prompt: and a name.",
            code="model_not_found",
        )
    kind = PREFIXES[prefix]
    return kind, identify(kind.TOPIC, reference)


def no_such(kind: type[Configuration]) -> NotFound:
    """Return the refusal of a `model` that means nothing that there is."""
    return NotFound(f"There is no {word_for(kind)} of this name or id.", code="model_not_found")


def word_for(kind: type[Configuration]) -> str:
    """Return what people call a kind."""
    return "RAG tool" if kind is RagTool else kind.TOPIC


async def chosen_model(things: Things, id: UUID, kind: str) -> Chosen:
    """Return a model of a kind as it is now, or raise NotFound, Archived or Invalid."""
    model = await things.newest(Model, id)
    model.must_be_active()
    if model.definition["kind"] != kind:
        raise Invalid(
            f"A {kind} model is needed here; this one is of kind {model.definition['kind']}.",
            code="wrong_model_kind",
            pointer="/model",
        )
    return Chosen(
        kind=Model.TOPIC,
        id=model.id,
        name=model.name,
        version=model.version,
        variant=variants.DEFAULT,
        definition=model.definition,
    )


def tools_of(command: Complete, agent: Chosen) -> ClientTools:
    """Return the tools of whoever asks, or raise Invalid where an action of the agent has a name of theirs."""
    if not command.tools:
        return ClientTools()
    tools = ClientTools(
        functions=command.tools,
        choice=command.tool_choice,
        parallel_calls=command.parameters.get("parallel_tool_calls"),
    )
    must_differ(tools.names, agent.definition)
    return tools


def question_of(messages: Sequence[Message]) -> str:
    """Return the text of the user's last message; empty where there is none."""
    return next((each["content"] for each in reversed(messages) if each["role"] == "user"), "")


def must_fit(kind: type[Configuration], command: Complete) -> None:
    """Raise Invalid where a request asks something of a kind that it can't do."""
    wrong: list[tuple[str, str]] = []
    word = word_for(kind)
    if kind is not Model and (command.response_format or {}).get("type", "text") != "text":
        wrong.append(("/response_format", f"which form its answer has is among the settings of the {word}"))
    if kind in (RagTool, Agent):
        takes_calls = kind is Agent
        for number, message in enumerate(command.messages):
            calls = message.get("tool_calls") or message.get("function_call")
            if not takes_calls and (message["role"] in ("tool", "function") or calls):
                wrong.append((f"/messages/{number}", f"the {word} calls no tools, and takes no results of theirs"))
            elif not (isinstance(message["content"], str) or (calls and message["content"] is None)):
                wrong.append((f"/messages/{number}/content", f"the {word} takes text only"))
    if kind not in (Prompt, Agent) and command.variables:
        wrong.append(("/variables", f"variables are for prompts and agents, not for the {word}"))
    if kind is not RagTool and command.filter is not None:
        wrong.append(("/filter", f"a filter is for RAG tools, not for the {word}"))
    if kind is RagTool and not wrong and not question_of(command.messages).strip():
        wrong.append(("/messages", "a RAG tool answers the last message of the user: there is none, or it is empty"))
    if kind is Agent and command.messages[-1]["role"] not in ("user", "tool", "function"):
        wrong.append(("/messages", "an agent answers a message of the user, or goes on by results of tools"))
    elif kind is Agent and not any(message["role"] == "user" for message in command.messages):
        wrong.append(("/messages", "an agent answers a message of the user: there is none"))
    if wrong:
        errors = [FieldError(pointer=at, message=message, code="not_supported") for at, message in wrong]
        raise Invalid(f"This does not go together: {wrong[0][1]}.", code="not_supported", errors=errors)
    if kind is RagTool and len(question_of(command.messages)) > LONGEST_QUESTION:
        raise Invalid(
            f"A question has at most {LONGEST_QUESTION} characters.", code="string_too_long", pointer="/messages"
        )
