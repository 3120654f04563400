"""An agent's answer: its model is asked, does what it asks for, and asked again, until it says something."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from commands.actions import ActionDone, Actions, Asker
from commands.answering import Cited
from commands.choosing import Chosen, choose
from commands.model_calls import ChatAnswer, ChatModels, ChatRequest, ModelCallFailed, NoModel, TextPiece, ToolCall
from commands.runs import Recording
from commands.saying import say
from domain.citations import CitationFilter, citations_of
from domain.rag_tool import RagTool
from domain.retrieval import Passage
from domain.turn import Reply


class TurnTimedOut(ModelCallFailed):
    """The turn took longer than its agent's limit allows."""

    code = "turn_timed_out"


@dataclass(frozen=True, kw_only=True)
class ActionStarted:
    """The agent is about to do something."""

    call: ToolCall
    type: str


Piece = TextPiece | ActionStarted | ActionDone | Cited | Reply
Note = Callable[[ActionDone], Awaitable[None]]
"""Records what was done, before anything else happens."""


@dataclass(kw_only=True)
class Talk:
    """What a turn has said and seen so far."""

    given: list[Passage]
    filter: CitationFilter
    said: list[str]
    told: int = 0
    paragraph: bool = False

    def say(self, text: str) -> list[TextPiece | Cited]:
        """Return what can be said of a text for certain, and what it newly cites."""
        pieces: list[TextPiece | Cited] = []
        if text:
            if self.paragraph and self.said:
                text = f"\n\n{text}"
            self.paragraph = False
            self.said.append(text)
            pieces.append(TextPiece(text=text))
        new = citations_of(self.filter.cited[self.told :], self.given)
        self.told = len(self.filter.cited)
        return [*pieces, *(Cited(citation=citation) for citation in new)]


@dataclass(frozen=True, kw_only=True)
class AgentLoop:
    """Lets agents answer."""

    models: ChatModels
    actions: Actions

    async def reply(
        self,
        recording: Recording,
        agent: Chosen,
        messages: Sequence[Mapping[str, Any]],
        asker: Asker,
        note: Note,
    ) -> AsyncGenerator[Piece, None]:
        """Yield what happens, and last the Reply; raise ModelCallFailed, or TurnTimedOut at the agent's limit."""
        limits = agent.definition["limits"]
        deadline = asyncio.get_running_loop().time() + limits["seconds"]
        async with aclosing(self._reply(recording, agent, messages, asker, note)) as pieces:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        piece = await anext(pieces, None)
                except TimeoutError:
                    raise TurnTimedOut(f"The turn took longer than {limits['seconds']:g} seconds.") from None
                if piece is None:
                    return
                yield piece

    async def _reply(
        self,
        recording: Recording,
        agent: Chosen,
        messages: Sequence[Mapping[str, Any]],
        asker: Asker,
        note: Note,
    ) -> AsyncGenerator[Piece, None]:
        given: list[Passage] = []
        talk = Talk(given=given, filter=CitationFilter(lambda: len(given)), said=[])
        definition = agent.definition
        by_name = {action["function"]: action for action in definition["actions"]}
        functions = await self.actions.functions(definition["actions"])
        history: list[dict[str, Any]] = []
        done: list[ActionDone] = []
        system = {"role": "system", "content": definition["instructions"]}
        for iteration in range(definition["limits"]["iterations"] + 1):
            # At the limit the model is asked once more, and may only answer.
            last = iteration == definition["limits"]["iterations"]
            request = ChatRequest(
                model=None if definition["model"] is None else UUID(definition["model"]),
                messages=[system, *messages, *history],
                parameters={
                    name: definition[name] for name in ("temperature", "max_tokens") if definition[name] is not None
                },
                tools=functions,
                tool_choice="none" if last and functions else None,
            )
            answer: ChatAnswer | None = None
            try:
                async with aclosing(say(recording, self.models, request)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, ChatAnswer):
                            answer = piece
                        else:
                            recording.first_token()
                            for shown in talk.say(talk.filter.feed(piece.text)):
                                yield shown
            except NoModel:
                async for extracted in self._without_model(recording, agent, messages, asker, talk, note):
                    yield extracted
                return
            assert answer is not None
            for shown in talk.say(talk.filter.rest()):
                yield shown
            talk.paragraph = True
            calls = () if last else answer.tool_calls
            history.append(assistant_message(answer.text, calls))
            if not calls:
                break
            for call in calls:
                yield ActionStarted(call=call, type=by_name.get(call.name, {}).get("type", "unknown"))
            results: list[ActionDone] = []
            acts = self._act(recording, by_name, calls, asker, given, definition["limits"], note)
            async with aclosing(acts) as ended:
                async for result in ended:
                    results.append(result)
                    yield result
            done.extend(results)
            in_order = {result.call.id: result for result in results}
            history += [tool_message(in_order[call.id]) for call in calls]
            direct = [each for each in results if by_name.get(each.call.name, {}).get("answer_directly")]
            if direct and all(each.outcome == "completed" for each in direct):
                text = "\n\n".join(each.said or each.told for each in direct)
                for shown in talk.say(talk.filter.feed(text) + talk.filter.rest()):
                    yield shown
                history.append({"role": "assistant", "content": text})
                break
        yield reply_of(talk, history, done)

    async def _act(
        self,
        recording: Recording,
        by_name: Mapping[str, Mapping[str, Any]],
        calls: Sequence[ToolCall],
        asker: Asker,
        given: list[Passage],
        limits: Mapping[str, Any],
        note: Note,
    ) -> AsyncGenerator[ActionDone, None]:
        """Carry out what was asked for at once, note each as it is done, and yield it."""

        async def carried_out(call: ToolCall) -> ActionDone:
            done = await self.actions.carry_out(
                recording, by_name.get(call.name), call, asker, given, seconds=limits["action_seconds"]
            )
            await note(done)
            return done

        tasks = [asyncio.ensure_future(carried_out(call)) for call in calls]
        try:
            for following in asyncio.as_completed(tasks):
                yield await following
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _without_model(
        self,
        recording: Recording,
        agent: Chosen,
        messages: Sequence[Mapping[str, Any]],
        asker: Asker,
        talk: Talk,
        note: Note,
    ) -> AsyncGenerator[Piece, None]:
        """Hand the message to the agent's first RAG tool, which can answer without a model; else raise NoModel."""
        action = next((each for each in agent.definition["actions"] if each["type"] == "rag_tool"), None)
        if action is None:
            raise NoModel
        question = str(messages[-1]["content"])
        call = ToolCall(id=f"call_{uuid4().hex}", name=action["function"], arguments="{}")
        yield ActionStarted(call=call, type="rag_tool")
        chosen = await choose(self.actions.things, RagTool, UUID(action["tool"]), subject=asker.subject)
        recording.versions["rag_tool"] = chosen.document()
        began = recording.elapsed_ms
        async for piece in self.actions.answerer.answer(
            recording,
            chosen,
            question,
            groups=asker.groups,
            subject=asker.subject,
            given=talk.given,
        ):
            if isinstance(piece, TextPiece):
                recording.first_token()
                for shown in talk.say(talk.filter.feed(piece.text)):
                    yield shown
        for shown in talk.say(talk.filter.rest()):
            yield shown
        text = "".join(talk.said)
        done = ActionDone(
            call=call,
            type="rag_tool",
            outcome="completed",
            duration_ms=round(recording.elapsed_ms - began, 3),
            told=text,
            said=text,
        )
        await note(done)
        yield done
        yield reply_of(talk, [{"role": "assistant", "content": text}], [done])


def reply_of(talk: Talk, history: Sequence[Mapping[str, Any]], done: Sequence[ActionDone]) -> Reply:
    """Return the reply that a turn ends with."""
    return Reply(
        content="".join(talk.said),
        citations=citations_of(talk.filter.cited, talk.given),
        tool_calls=[
            {
                "id": each.call.id,
                "function": each.call.name,
                "type": each.type,
                "arguments": each.call.arguments,
                "outcome": each.outcome,
                "duration_ms": each.duration_ms,
            }
            for each in done
        ],
        history=history,
        details={"invented_citations": talk.filter.invented},
    )


def assistant_message(text: str, calls: Sequence[ToolCall]) -> dict[str, Any]:
    """Return what the model said, as it is told again: text together with calls is kept."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    elif not text:
        message["content"] = ""
    return message


def tool_message(done: ActionDone) -> dict[str, Any]:
    """Return an action's result, as the model is told it."""
    return {"role": "tool", "tool_call_id": done.call.id, "content": done.told}
