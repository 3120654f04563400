"""Answering without a model: the message is handed to the agent's first RAG tool."""

from collections.abc import AsyncGenerator
from uuid import UUID, uuid4

from commands.agents.actions import ActionDone, Actions
from commands.agents.agent_part import Assignment, Part
from commands.agents.agent_talk import ActionStarted, Talk, call_document
from commands.agents.screening import Screen
from commands.choosing import choose
from commands.models.model_calls import NoModel, TextPiece, ToolCall
from commands.retrieval.answering import Cited, Searched
from domain.rag_tool import RagTool


async def quoted(
    actions: Actions, asked: Assignment, part: Part, talk: Talk
) -> AsyncGenerator[ActionStarted | TextPiece | Cited | ActionDone, None]:
    """Yield the answer of the agent's first RAG tool, which can answer without a model; else raise NoModel."""
    action = next((each for each in part.brief.actions if each["type"] == "rag_tool"), None)
    if action is None:
        raise NoModel
    recording, asker, screen = asked.recording, asked.asker, Screen(part.watch)
    question = next(str(each["content"]) for each in reversed(asked.messages) if each["role"] == "user")
    call = ToolCall(id=f"call_{uuid4().hex}", name=action["function"], arguments="{}")
    yield ActionStarted(call=call, type="rag_tool")
    chosen = await choose(actions.things, RagTool, UUID(action["tool"]), subject=asker.subject)
    recording.versions["rag_tool"] = chosen.document()
    began = recording.elapsed_ms
    async for piece in actions.answerer.answer(
        recording,
        chosen,
        question,
        groups=asker.groups,
        subject=asker.subject,
        given=talk.given,
        parent=asked.course.parent,
    ):
        if isinstance(piece, Searched):
            talk.citable.update(piece.numbers)
        elif isinstance(piece, TextPiece):
            if asked.course.parent is None:
                recording.first_token()
            if heard := await screen.feed(talk.filter.feed(piece.text)):
                for shown in talk.say(heard):
                    yield shown
    for shown in talk.say(await screen.feed(talk.filter.rest()) + await screen.rest()):
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
    await asked.note(done)
    yield done
    talk.calls.append(call_document(done))
    talk.history.append({"role": "assistant", "content": text})
