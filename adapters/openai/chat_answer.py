"""Putting a chat answer together, from its whole or from its pieces; nothing a provider sends raises but Failure."""

from collections.abc import Mapping
from typing import Any

from adapters.openai import failures
from adapters.openai.text import Cleaner, NotJson, cleaned, read_json, write_json
from adapters.openai.usage import usage_from
from commands.models.model_calls import ToolCall
from domain.pricing import Usage

MOST_TOOL_CALLS = 256
LONGEST_ANSWER = 8_000_000
"""Characters of text and arguments together."""


class ChatReading:
    """What has come of an answer by now."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self._texts: list[str] = []
        self._length = 0
        self._cleaner = Cleaner()
        self._calls: dict[int, _Call] = {}
        self._places: dict[int, int] = {}  # numbers as they came -> those of the calls
        self._replaced = 0

    @property
    def text(self) -> str:
        """All text by now."""
        return "".join(self._texts)

    @property
    def replaced(self) -> int:
        """Characters that were no text."""
        return self._replaced + self._cleaner.replaced

    @property
    def written(self) -> str:
        """Everything the model has written by now, for an estimate."""
        return self.text + "".join(call.name + "".join(call.arguments) for call in self._calls.values())

    @property
    def begun(self) -> bool:
        """Whether anything of an answer has come."""
        return bool(self._texts or self._calls or self.finish_reason)

    def event(self, data: bytes) -> str:
        """Take in one event of a stream, and return the text that can be passed on: often none."""
        event = self._value(data)
        choices = event.get("choices")
        if event.get("usage") is not None:
            self.usage = usage_from(event["usage"]) or self.usage
        self._refuse_error(event)
        if not choices and (choices is None or isinstance(choices, list)):
            return ""
        delta = self._choice(choices).get("delta")
        if delta is None:
            return ""
        if not isinstance(delta, dict):
            raise failures.invalid("sent a piece that is none")
        return self._take(delta)

    def whole(self, data: bytes) -> None:
        """Take in a plain answer."""
        answer = self._value(data)
        self._refuse_error(answer)
        self.usage = usage_from(answer.get("usage"))
        message = self._choice(answer.get("choices")).get("message")
        if not isinstance(message, dict):
            raise failures.invalid("sent an answer without a message")
        self._take(message, whole=True)
        self.finish()

    def finish(self) -> str:
        """Note that nothing follows; return the text that was held back."""
        rest = self._cleaner.rest()
        if rest:
            self._texts.append(rest)
        return rest

    def tool_calls(self) -> list[ToolCall]:
        """Return the calls, in the order of their numbers, each with an id of its own; those without a name make no sense."""
        found: dict[str, ToolCall] = {}
        for number, call in sorted(self._calls.items()):
            name, in_name = cleaned(call.name)
            arguments, in_arguments = cleaned("".join(call.arguments))
            if not name:
                raise failures.invalid("called a tool without saying which")
            self._replaced += in_name + in_arguments
            id = cleaned(call.id)[0] or f"call_{number}"
            while id in found:
                id += f"_{number}"
            found[id] = ToolCall(id=id, name=name, arguments=arguments or "{}")
        return list(found.values())

    def _value(self, data: bytes) -> dict[str, Any]:
        try:
            value, replaced = read_json(data)
        except NotJson:
            raise failures.invalid("sent something that is no JSON") from None
        if not isinstance(value, dict):
            raise failures.invalid("sent JSON that is no object")
        self._replaced += replaced
        return value

    def _refuse_error(self, value: Mapping[str, Any]) -> None:
        if value.get("error"):
            raise failures.reported(value["error"])

    def _choice(self, choices: Any) -> dict[str, Any]:
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise failures.invalid("sent an answer without choices")
        choice: dict[str, Any] = choices[0]
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.finish_reason = cleaned(reason[:64])[0]
        return choice

    def _take(self, delta: Mapping[str, Any], *, whole: bool = False) -> str:
        content = delta.get("content")
        if content is not None and not isinstance(content, str):
            content = _joined(content)
        refusal = delta.get("refusal")
        if refusal is not None:
            if not isinstance(refusal, str):
                raise failures.invalid("sent a refusal that is no text")
            content = (content or "") + refusal
        if delta.get("tool_calls"):
            self._take_calls(delta["tool_calls"], whole)
        if not content:
            return ""
        self._count(len(content))
        piece = self._cleaner.clean(content)
        if piece:
            self._texts.append(piece)
        return piece

    def _take_calls(self, calls: Any, whole: bool) -> None:
        if not isinstance(calls, list):
            raise failures.invalid("sent tool calls that are no list")
        for place, part in enumerate(calls):
            function = part.get("function") if isinstance(part, dict) else None
            if not isinstance(function, dict):
                raise failures.invalid("sent a tool call that is none")
            id, name, arguments = part.get("id"), function.get("name"), function.get("arguments")
            if isinstance(arguments, dict):  # some servers send JSON where OpenAI sends its text
                arguments = write_json(arguments).decode()
            for value in (id, name, arguments):
                if value is not None and not isinstance(value, str):
                    raise failures.invalid("sent a tool call whose fields are no text")
            number = place if whole else self._number(part.get("index"), id, name)
            call = self._calls.setdefault(number, _Call())
            if len(self._calls) > MOST_TOOL_CALLS:
                raise failures.invalid("called too many tools at once")
            call.id = call.id or id or ""
            call.name = call.name or name or ""
            if arguments:
                self._count(len(arguments))
                call.arguments.append(arguments)

    def _number(self, index: Any, id: str | None, name: str | None) -> int:
        """Return which call a part belongs to; of parts without a number, one with a new id or a name begins a call.

        Some servers give all calls the same number: with a name and an id of its own, a part begins another one.
        """
        last = max(self._calls, default=-1)
        if type(index) is int and 0 <= index < MOST_TOOL_CALLS:
            number = self._places.get(index)
            if number is None:
                self._places[index] = number = last + 1 if index in self._calls else index
            elif name and id and self._calls[number].id not in ("", id):
                self._places[index] = number = last + 1
            return number
        if id:
            return next((number for number, call in self._calls.items() if call.id == id), last + 1)
        return last + 1 if name else max(last, 0)

    def _count(self, length: int) -> None:
        self._length += length
        if self._length > LONGEST_ANSWER:
            raise failures.invalid("sent an answer that is too long")


class _Call:
    """A tool call that comes in pieces."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


def _joined(content: Any) -> str:
    """Return the text of content that comes in parts, as some servers send it."""
    texts: list[str] = []
    for part in content if isinstance(content, list) else [None]:
        text = part.get("text", "") if isinstance(part, dict) else None
        if not isinstance(text, str):
            raise failures.invalid("sent content that is no text")
        texts.append(text)
    return "".join(texts)
