"""Asking a chat model for JSON, once more where its answer can't be read."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from commands.models.model_calls import ChatAnswer, ChatModels, ChatRequest
from commands.models.model_json import WrongOutput
from commands.models.saying import say
from commands.prompt_run import InvalidOutput, asked_again
from commands.runs.runs import Recording, model_document

T = TypeVar("T")


async def read_from(
    recording: Recording,
    models: ChatModels,
    request: ChatRequest,
    read: Callable[[ChatAnswer], T],
    *,
    parent: int | None,
) -> tuple[T, Mapping[str, Any]]:
    """Return what is read out of a model's answer, and the model; each call is a step.

    What `read` raises as WrongOutput is told to the model once, and then raised as InvalidOutput.
    """
    for last_try in (False, True):
        async with aclosing(say(recording, models, request, parent=parent)) as pieces:
            async for piece in pieces:
                if isinstance(piece, ChatAnswer):
                    answer = piece
        try:
            return read(answer), model_document(answer.model)
        except WrongOutput as error:
            if last_try:
                model = answer.model
                details = {"provider": model.provider, "model": model.name, "upstream_status": 200}
                raise InvalidOutput(str(error), details=details) from None
            request = asked_again(request, request.messages, answer, error)
    raise AssertionError("the last try returns or raises")


def form_of(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form of an answer that is JSON by a schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": False}}
