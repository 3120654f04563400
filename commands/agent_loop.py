"""An agent's answer: its model is asked, does what it asks for, and asked again, until it says something."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from commands.actions import ActionDone, Actions, Asker
from commands.agent_brief import Brief, brief_of
from commands.agent_talk import (
    BEGINNING,
    NO_TOOLS,
    Acting,
    ClientTools,
    Course,
    Note,
    Talk,
    assistant_message,
    call_document,
    paused,
)
from commands.answering import Cited
from commands.choosing import Chosen, choose
from commands.classifying import Classifier, TopicChosen
from commands.model_calls import ChatAnswer, ChatModels, ChatRequest, ModelCallFailed, NoModel, TextPiece, ToolCall
from commands.pausing import Resumption
from commands.runs import Recording
from commands.saying import say
from domain.rag_tool import RagTool
from domain.turn import DECLINED, Pause, Reply


class TurnTimedOut(ModelCallFailed):
    """The turn took longer than its agent's limit allows."""

    code = "turn_timed_out"


@dataclass(frozen=True, kw_only=True)
class ActionStarted:
    """The agent is about to do something."""

    call: ToolCall
    type: str


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What whoever asks is to do before the agent can go on."""

    calls: Sequence[ToolCall]


Piece = TopicChosen | TextPiece | ActionStarted | ActionDone | Cited | Handed | Reply | Pause
NOBODY = "Error: a person must agree to this first, and nobody can be asked here."
"""What a model is told of an action that nobody can agree to."""


@dataclass(frozen=True, kw_only=True)
class AgentLoop:
    """Lets agents answer."""

    models: ChatModels
    actions: Actions
    classifier: Classifier

    async def reply(
        self,
        recording: Recording,
        agent: Chosen,
        messages: Sequence[Mapping[str, Any]],
        asker: Asker,
        note: Note,
        *,
        resumed: Resumption | None = None,
        confirms: bool = False,
        tools: ClientTools = NO_TOOLS,
        course: Course = BEGINNING,
    ) -> AsyncGenerator[Piece, None]:
        """Yield what happens, and last the Reply; raise ModelCallFailed, or TurnTimedOut at the agent's limit.

        Where somebody `confirms`, the last may be a Pause, and a turn be `resumed`; else what needs a confirmation is
        not done, and the model is told so. Where the agent has topics, the first is a TopicChosen. A call of one of the `tools` ends it with Handed before the Reply: what
        the model asked for besides is not done, since the next reply would know nothing of it.
        """
        limits = agent.definition["limits"]
        deadline = asyncio.get_running_loop().time() + limits["seconds"]
        replying = self._reply(recording, agent, messages, asker, note, resumed, confirms, tools, course)
        async with aclosing(replying) as pieces:
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
        resumed: Resumption | None,
        confirms: bool,
        tools: ClientTools,
        course: Course,
    ) -> AsyncGenerator[Piece, None]:
        talk = Talk.of(resumed)
        definition = agent.definition
        choice = course.choice
        if resumed is None:
            choice = await self.classifier.choose(
                recording, agent, messages, present=course.topic, subject=asker.subject
            )
            if choice is not None:
                yield TopicChosen(choice=choice)
        brief = brief_of(definition, choice)
        acting = Acting(
            recording=recording,
            by_name={action["function"]: action for action in brief.actions},
            asker=asker,
            given=talk.given,
            seconds=definition["limits"]["action_seconds"],
            note=note,
            confirms=confirms,
        )
        if resumed is not None:
            async with aclosing(self._go_on(acting, talk, resumed)) as pieces:
                async for piece in pieces:
                    yield piece
            if talk.answered:
                yield talk.reply()
                return
        functions = [*await self.actions.functions(brief.actions, asker), *tools.functions]
        system = {"role": "system", "content": brief.instructions}
        for iteration in range(definition["limits"]["iterations"] + 1):
            # At the limit the model is asked once more, and may only answer.
            last = iteration == definition["limits"]["iterations"]
            request = ChatRequest(
                model=None if definition["model"] is None else UUID(definition["model"]),
                messages=[system, *messages, *talk.history],
                parameters={
                    **{
                        name: definition[name] for name in ("temperature", "max_tokens") if definition[name] is not None
                    },
                    **(tools.first() if iteration == 0 else {}),
                },
                tools=functions,
                tool_choice="none" if last and functions else tools.choice if iteration == 0 else None,
            )
            answer: ChatAnswer | None = None
            try:
                async with aclosing(say(recording, self.models, request)) as said:
                    async for spoken in said:
                        if isinstance(spoken, ChatAnswer):
                            answer = spoken
                        else:
                            recording.first_token()
                            for shown in talk.say(talk.filter.feed(spoken.text)):
                                yield shown
            except NoModel:
                async with aclosing(self._without_model(recording, brief, messages, asker, talk, note)) as quoted:
                    async for piece in quoted:
                        yield piece
                return
            assert answer is not None
            for shown in talk.say(talk.filter.rest()):
                yield shown
            talk.paragraph = True
            calls = () if last else answer.tool_calls
            theirs = tools.theirs(calls)
            if theirs:
                yield Handed(calls=theirs)
                break
            talk.history.append(assistant_message(answer.text, calls))
            if not calls:
                break
            waiting = [call for call in calls if acting.waits(call)]
            async with aclosing(self._do(acting, talk, [call for call in calls if call not in waiting])) as pieces:
                async for piece in pieces:
                    yield piece
            if waiting:
                yield paused(acting, talk, waiting)
                return
            if talk.answered:
                break
        yield talk.reply()

    async def _go_on(self, acting: Acting, talk: Talk, resumed: Resumption) -> AsyncGenerator[Piece, None]:
        """Do what a person agreed to, and note what they declined."""
        declined = [
            ActionDone(call=call, type=acting.type_of(call), outcome="declined", duration_ms=0.0, told=DECLINED)
            for call in resumed.declined
        ]
        for each in declined:
            await acting.note(each)
            yield each
        talk.done(declined, resumed.declined)
        async with aclosing(self._do(replace(acting, confirms=None), talk, resumed.approved)) as pieces:
            async for piece in pieces:
                yield piece

    async def _do(self, acting: Acting, talk: Talk, calls: Sequence[ToolCall]) -> AsyncGenerator[Piece, None]:
        """Do what was asked for; where its results are the answer, say them."""
        for call in calls:
            yield ActionStarted(call=call, type=acting.type_of(call))
        results: list[ActionDone] = []
        async with aclosing(self._act(acting, calls)) as ended:
            async for result in ended:
                results.append(result)
                yield result
        talk.done(results, calls)
        direct = [each for each in results if acting.action(each.call).get("answer_directly")]
        if direct and all(each.outcome == "completed" for each in direct):
            text = "\n\n".join(each.said or each.told for each in direct)
            for shown in talk.say(talk.filter.feed(text) + talk.filter.rest()):
                yield shown
            talk.history.append({"role": "assistant", "content": text})
            talk.answered = True

    async def _act(self, acting: Acting, calls: Sequence[ToolCall]) -> AsyncGenerator[ActionDone, None]:
        """Carry out what was asked for at once, note each as it is done, and yield it."""

        async def carried_out(call: ToolCall) -> ActionDone:
            if acting.confirms is False and acting.action(call).get("requires_confirmation"):
                done = ActionDone(
                    call=call, type=acting.type_of(call), outcome="confirmation_needed", duration_ms=0.0, told=NOBODY
                )
            else:
                done = await self.actions.carry_out(
                    acting.recording,
                    acting.by_name.get(call.name),
                    call,
                    acting.asker,
                    acting.given,
                    seconds=acting.seconds,
                )
            await acting.note(done)
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
        brief: Brief,
        messages: Sequence[Mapping[str, Any]],
        asker: Asker,
        talk: Talk,
        note: Note,
    ) -> AsyncGenerator[Piece, None]:
        """Hand the message to the agent's first RAG tool, which can answer without a model; else raise NoModel."""
        action = next((each for each in brief.actions if each["type"] == "rag_tool"), None)
        if action is None:
            raise NoModel
        question = next(str(each["content"]) for each in reversed(messages) if each["role"] == "user")
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
        talk.calls.append(call_document(done))
        talk.history.append({"role": "assistant", "content": text})
        yield talk.reply()
