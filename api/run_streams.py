"""Runs over HTTP: a plain answer, or a stream with the same accounting and exactly one terminal event."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from api.call import Call, answer, replay_header
from api.errors import problem_document
from api.streaming import EventStream, StreamEvent, numbered
from commands.models.model_calls import TextPiece
from commands.retrieval.answering import Cited
from commands.runs.execution import RunAnswer, RunBegan, Told


def answered(run: RunAnswer) -> Response:
    """Return a run's answer."""
    return answer(run.body, position=run.position, headers=replay_header(run.replayed))


async def streamed(call: Call, name: str, pieces: AsyncGenerator[Any, None]) -> Response:
    """Return a run as a stream; what is refused before it began is a problem document."""
    began = await anext(pieces)
    assert isinstance(began, RunBegan)
    headers = {"Magnet-Position": str(began.position), **replay_header(began.replayed)}
    return EventStream(numbered(events(call, name, began, pieces)), headers)


async def events(
    call: Call, name: str, began: RunBegan, pieces: AsyncGenerator[Any, None]
) -> AsyncGenerator[StreamEvent, None]:
    """Yield `<name>.started`, `message.delta`s, `citation`s and what else is told, and one `<name>.completed` or `<name>.failed`."""
    async with aclosing(pieces):
        yield StreamEvent(type=f"{name}.started", data={"run_id": str(began.run_id)})
        try:
            async for piece in pieces:
                match piece:
                    case TextPiece():
                        yield StreamEvent(type="message.delta", data={"text": piece.text})
                    case Cited():
                        yield StreamEvent(type="citation", data={"citation": dict(piece.citation)})
                    case Told():
                        yield StreamEvent(type=piece.type, data=piece.data)
                    case RunAnswer():
                        if piece.replayed:
                            for told in whole(piece.body):
                                yield told
                        yield StreamEvent(type=f"{name}.completed", data=piece.body)
        except Exception as error:  # a defect as well: whoever waits for the end of a stream is told
            problem = problem_document(error, request_id=call.request_id, instance=call.request.url.path)
            yield StreamEvent(type=f"{name}.failed", data={"run_id": str(began.run_id), "error": problem})


def whole(body: Mapping[str, Any]) -> Iterator[StreamEvent]:
    """Yield what an earlier request's answer says, at once."""
    if body.get("text"):
        yield StreamEvent(type="message.delta", data={"text": body["text"]})
    for citation in body.get("citations", ()):
        yield StreamEvent(type="citation", data={"citation": citation})
