"""The body of a chat request, as each kind of provider wants it."""

from typing import Any

from adapters.model_catalogue import CalledModel
from adapters.openai.text import write_json
from commands.models.model_calls import ChatRequest


def body_of(request: ChatRequest, model: CalledModel, *, stream: bool, leave_out: frozenset[str]) -> bytes:
    """Return the body; `leave_out` names what this provider was found not to know."""
    body: dict[str, Any] = {"model": model.definition.model, "messages": list(request.messages)}
    body |= {name: value for name, value in request.parameters.items() if value is not None}
    if "max_tokens" in body and _counts_reasoning(model) and "max_completion_tokens" not in leave_out:
        body["max_completion_tokens"] = body.pop("max_tokens")
    if request.tools:
        body["tools"] = list(request.tools)
        if request.tool_choice is not None:
            body["tool_choice"] = request.tool_choice
    if request.response_format is not None:
        body["response_format"] = request.response_format
    if stream:
        body["stream"] = True
        if "stream_options" not in leave_out:
            body["stream_options"] = {"include_usage": True}
    return write_json(body)


def _counts_reasoning(model: CalledModel) -> bool:
    """Return whether the limit of tokens has its new name there: OpenAI's reasoning models know no other."""
    return model.provider.definition.type == "openai" or model.definition.capabilities.reasoning
