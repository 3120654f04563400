"""One call of a model as a step of a run."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import UUID

from commands.models.model_calls import (
    Attached,
    ChatAnswer,
    ChatModels,
    ChatRequest,
    Embedded,
    EmbeddingModels,
    ModelCallFailed,
    SaidBefore,
    TextPiece,
    ToolCall,
)
from commands.runs.runs import Recording, model_document


async def say(
    recording: Recording, models: ChatModels, request: ChatRequest, *, parent: int | None = None
) -> AsyncGenerator[TextPiece | ChatAnswer, None]:
    """Yield what the model says, and last its ChatAnswer; every attempt is a step of its own below this one's."""
    with recording.step("model_call", "chat", parent) as step:
        step.input = input_of(request.messages)
        request = replace(request, abandoned=lambda tried: recording.tried("attempt", tried, step.number))
        try:
            async with aclosing(models.stream(request)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, ChatAnswer):
                        recording.called("attempt", piece, step.number)
                        step.model = model_document(piece.model)
                        step.output = {"text": piece.text, "tool_calls": calls_shown(piece.tool_calls)}
                        step.note |= {"finish_reason": piece.finish_reason}
                        if piece.replaced:
                            step.note["replaced_characters"] = piece.replaced
                    yield piece
        except ModelCallFailed as error:
            recording.called("attempt", error, step.number)
            step.output = {"text": error.text}
            raise


def input_of(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is recorded of the messages of a call: of those said in earlier turns only how many they are.

    They are the last so many of the conversation's history before the turn. Were they kept with each run too, what
    is stored of a conversation would grow with the square of its length.
    """
    fresh: list[dict[str, Any]] = []
    before = 0
    for message in messages:
        if not isinstance(message, SaidBefore):
            fresh.append(dict(message))
        elif not isinstance(message, Attached):
            before += 1
    return {"messages": fresh, "earlier_messages": before} if before else {"messages": fresh}


def calls_shown(calls: Sequence[ToolCall]) -> list[dict[str, str]]:
    """Return calls of tools, as they are recorded and told."""
    return [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in calls]


def said_in(answer: ChatAnswer) -> tuple[Any, list[dict[str, str]]]:
    """Return what a run of one answer keeps as its output, and the calls that whoever asks is to carry out."""
    calls = calls_shown(answer.tool_calls)
    return {"text": answer.text, "tool_calls": calls} if calls else answer.text, calls


async def embed(
    recording: Recording,
    models: EmbeddingModels,
    model: UUID | None,
    texts: Sequence[str],
    *,
    parent: int | None = None,
) -> Embedded:
    """Return the texts' vectors; every attempt is a step of its own below this one's."""
    with recording.step("model_call", "embedding", parent) as step:
        try:
            embedded = await models.embed(
                model, texts, abandoned=lambda tried: recording.tried("attempt", tried, step.number)
            )
        except ModelCallFailed as error:
            recording.called("attempt", error, step.number)
            raise
        recording.called("attempt", embedded, step.number)
        step.model = model_document(embedded.model)
        step.note |= {"texts": len(texts), "dimensions": embedded.dimensions}
    return embedded
