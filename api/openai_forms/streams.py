"""Completions as OpenAI streams them: chunks, and [DONE] after the last; an error takes the place of both."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson

from api.errors import problem_document
from api.openai_forms.answers import annotations, beside, chat_usage, finish_reason, head, tool_calls
from api.openai_forms.refusals import with_error
from commands.models.model_calls import TextPiece
from commands.runs.execution import RunAnswer, RunBegan

DONE = b"data: [DONE]\n\n"


class Chunks:
    """Makes the chunks of one completion."""

    def __init__(self, began: RunBegan, created: int, asked: str, *, usage: bool, by_functions: bool) -> None:
        self._head = head(str(began.run_id), created, asked, "chat.completion.chunk")
        self._usage = usage
        self._null = {"usage": None} if usage else {}
        self._by_functions = by_functions

    def chunk(self, delta: Mapping[str, Any], reason: str | None = None, **more: Any) -> bytes:
        """Return one chunk."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return encoded({**self._head, "choices": [choice], **self._null, **more})

    def last(self, body: Mapping[str, Any]) -> list[bytes]:
        """Return what follows the text: tool calls, the end with its citations, and what it took."""
        found = []
        for number, call in enumerate(tool_calls(body)):
            if not self._by_functions:
                found.append(self.chunk({"tool_calls": [{"index": number, **call}]}))
            elif number == 0:
                found.append(self.chunk({"function_call": call["function"]}))
        delta = {"annotations": annotations(body["text"], body["citations"])} if "citations" in body else {}
        found.append(self.chunk(delta, finish_reason(body, by_functions=self._by_functions), **beside(body)))
        if self._usage:
            found.append(encoded({**self._head, "choices": [], "usage": chat_usage(body["usage"])}))
        return [*found, DONE]


async def chunks(
    pieces: AsyncGenerator[Any, None], making: Chunks, *, request_id: str, instance: str
) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of a run."""
    async with aclosing(pieces):
        yield making.chunk({"role": "assistant", "content": "", "refusal": None})
        told = False
        try:
            async for piece in pieces:
                match piece:
                    case TextPiece():
                        told = True
                        yield making.chunk({"content": piece.text})
                    case RunAnswer():
                        if not told and piece.body["text"]:  # an earlier request's answer comes whole
                            yield making.chunk({"content": piece.body["text"]})
                        for last in making.last(piece.body):
                            yield last
        except Exception as error:  # a defect as well: whoever waits for the end of a stream is told
            document = problem_document(error, request_id=request_id, instance=instance)
            yield encoded(with_error(document))


def encoded(value: Mapping[str, Any]) -> bytes:
    """Return an event's bytes."""
    return b"data: %b\n\n" % orjson.dumps(value)
