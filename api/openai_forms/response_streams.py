"""Responses as OpenAI streams them: typed events, numbered from 0, the last of which has the whole response."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import orjson

from api.errors import problem_document
from api.openai_forms.response_objects import Origin, error_of, of_run, of_turn
from commands.conversations.turn_streams import TERMINAL, TurnEvent
from commands.models.model_calls import TextPiece
from commands.runs.execution import RunAnswer

LAST: Mapping[str, str] = {"completed": "completed", "failed": "failed"}
"""Status of a response -> its last event; OpenAI has none for one that was cancelled: it is as incomplete."""


class ResponseEvents:
    """Makes the events of one response; those up to `after` were seen before, and only the last is told again."""

    def __init__(self, origin: Origin, after: int = -1) -> None:
        self._origin = origin
        self._after = after
        self._number = 0
        self._said: list[str] = []

    def begin(self) -> Iterator[bytes]:
        """Yield that it goes on."""
        for type in ("response.created", "response.in_progress"):
            yield from self._event(type, response=self._origin.response("in_progress"))

    def text(self, delta: str) -> Iterator[bytes]:
        """Yield a piece of its message."""
        if not self._said and self._origin.before:
            delta = delta.lstrip("\n")
        if not delta:
            return
        if not self._said:
            yield from self._open()
        self._said.append(delta)
        yield from self._event("response.output_text.delta", **self._in_message(), delta=delta, logprobs=[])

    def end(self, response: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield what follows the text, and the whole."""
        if response["status"] in ("completed", "incomplete"):
            for place, item in enumerate(response["output"]):
                if item["type"] == "message":
                    yield from self._close(item)
                else:
                    yield from self._whole(place, item)
        last = f"response.{LAST.get(response['status'], 'incomplete')}"
        self._number = max(self._number, self._after + 1)
        yield from self._event(last, response=response)

    def fail(self, code: str, message: str) -> Iterator[bytes]:
        """Yield that there is no answer."""
        said = "".join(self._said)
        output = [self._origin.message(said, status="incomplete")] if said else []
        yield from self.end(self._origin.response("failed", output, error=error_of(code, message)))

    def _open(self) -> Iterator[bytes]:
        item = {**self._origin.message("", status="in_progress"), "content": []}
        yield from self._event("response.output_item.added", output_index=0, item=item)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        yield from self._event("response.content_part.added", **self._in_message(), part=part)

    def _close(self, item: Mapping[str, Any]) -> Iterator[bytes]:
        [part] = item["content"]
        said = "".join(self._said)
        if not said:
            yield from self._open()
        missing = part["text"][len(said) :] if part["text"].startswith(said) else ""
        if missing:  # an earlier request's answer comes whole
            self._said.append(missing)
            yield from self._event("response.output_text.delta", **self._in_message(), delta=missing, logprobs=[])
        for number, annotation in enumerate(part["annotations"]):
            yield from self._event(
                "response.output_text.annotation.added",
                **self._in_message(),
                annotation_index=number,
                annotation=annotation,
            )
        yield from self._event("response.output_text.done", **self._in_message(), text=part["text"], logprobs=[])
        yield from self._event("response.content_part.done", **self._in_message(), part=part)
        yield from self._event("response.output_item.done", output_index=0, item=item)

    def _whole(self, place: int, item: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield an item that comes at once; the arguments of a call as OpenAI tells them."""
        if item["type"] == "function_call":
            begun = {**item, "status": "in_progress", "arguments": ""}
            at = {"item_id": item["id"], "output_index": place}
            yield from self._event("response.output_item.added", output_index=place, item=begun)
            yield from self._event("response.function_call_arguments.delta", **at, delta=item["arguments"])
            told = {"name": item["name"], "arguments": item["arguments"]}
            yield from self._event("response.function_call_arguments.done", **at, **told)
        else:
            yield from self._event("response.output_item.added", output_index=place, item=item)
        yield from self._event("response.output_item.done", output_index=place, item=item)

    def _in_message(self) -> dict[str, Any]:
        return {"item_id": self._origin.message_id, "output_index": 0, "content_index": 0}

    def _event(self, type: str, **data: Any) -> Iterator[bytes]:
        number, self._number = self._number, self._number + 1
        if number > self._after:
            told = orjson.dumps({"type": type, "sequence_number": number, **data})
            yield b"event: %b\ndata: %b\n\n" % (type.encode(), told)


async def run_events(
    pieces: AsyncGenerator[Any, None], making: ResponseEvents, origin: Origin, *, request_id: str, instance: str
) -> AsyncGenerator[bytes, None]:
    """Yield the events of a run."""
    async with aclosing(pieces):
        for event in making.begin():
            yield event
        try:
            async for piece in pieces:
                match piece:
                    case TextPiece():
                        told = making.text(piece.text)
                    case RunAnswer():
                        told = making.end(of_run(piece.body, origin))
                    case _:
                        continue
                for event in told:
                    yield event
        except Exception as error:  # a defect as well: whoever waits for the end of a stream is told
            document = problem_document(error, request_id=request_id, instance=instance)
            for event in making.fail(document["code"], document["detail"]):
                yield event


async def turn_events(
    events: AsyncGenerator[TurnEvent, None], making: ResponseEvents, origin: Origin
) -> AsyncGenerator[bytes, None]:
    """Yield the events of a run of a turn."""
    async with aclosing(events):
        for event in making.begin():
            yield event
        async for each in events:
            if each.type == "message.delta":
                told = making.text(each.data["text"])
            elif each.type in TERMINAL and "message" not in each.data:  # its end could not be recorded
                told = making.fail(each.data["failure"]["code"], each.data["failure"]["message"])
            elif each.type in TERMINAL:
                told = making.end(of_turn(each.data, origin))
            else:
                continue
            for event in told:
                yield event
