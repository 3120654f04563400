"""The items of a response's input, as messages that chat completions are made of."""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from api.openai_forms.ids import approval_in
from commands.conversations.attachments import GivenFile
from domain.agent import Agent
from domain.configuration import Configuration
from domain.definition import JSON, Strict, parse
from domain.errors import Invalid
from domain.rag_tool import RagTool

TEXTS = ("input_text", "output_text", "text")
MOST_ITEMS = 10_000
DATA_URL = re.compile(r"data:([^,;]{0,255})(?:;[^,;]{0,255})*;base64,")


class TextPart(Strict):
    """A part of a message that is text; an answer may be sent back as it came."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: list[JSON] | None = None
    logprobs: list[JSON] | None = None
    prompt_cache_breakpoint: dict[str, JSON] | None = None


class RefusalPart(Strict):
    """What a model refused by."""

    type: Literal["refusal"]
    refusal: str


class ImagePart(Strict):
    """An image by its address."""

    type: Literal["input_image"]
    image_url: str
    detail: str | None = Field(None, max_length=40)
    file_id: None = None


class FilePart(Strict):
    """A file: its bytes as base64, or as a data URL."""

    type: Literal["input_file"]
    filename: str = Field(min_length=1, max_length=200)
    file_data: str
    detail: str | None = Field(None, max_length=40)
    file_id: None = None
    file_url: None = None


class MessageItem(Strict):
    """A message."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: JSON
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class CallItem(Strict):
    """A call that a model asked for earlier."""

    type: Literal["function_call"]
    call_id: str = Field(max_length=200)
    name: str = Field(max_length=200)
    arguments: str
    id: str | None = None
    status: str | None = None


class OutputItem(Strict):
    """What a call came to."""

    type: Literal["function_call_output"]
    call_id: str = Field(max_length=200)
    output: JSON
    id: str | None = None
    status: str | None = None


class ApprovalItem(Strict):
    """What a person decided on something that an agent wants to do."""

    type: Literal["mcp_approval_response"]
    approval_request_id: str = Field(max_length=200)
    approve: bool
    id: str | None = None
    reason: str | None = Field(None, max_length=10_000, description="Why it is declined.")


@dataclass
class Input:
    """What input says: messages in the form of chat completions, and decisions (confirmation -> approved).

    `comments` say why some are declined. `files` come with the messages to an agent.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    decisions: dict[str, bool] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    files: list[GivenFile] = field(default_factory=list)

    def call(self, item: CallItem) -> None:
        """Take a call: those that come one after another were asked for in one answer."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            self.messages.append({"role": "assistant", "content": None})
        function = {"name": item.name, "arguments": item.arguments}
        calls = self.messages[-1].setdefault("tool_calls", [])
        calls.append({"id": item.call_id, "type": "function", "function": function})


def said_in(value: str | Sequence[JSON], kind: type[Configuration], *, calls: bool) -> Input:
    """Return what input says to a kind of thing, or raise Invalid that names what it does not understand.

    `calls` says whether there may be calls of functions, and their results.
    """
    said, text_only = Input(), kind in (Agent, RagTool)
    if isinstance(value, str):
        said.messages.append({"role": "user", "content": value})
        return said
    if len(value) > MOST_ITEMS:
        raise Invalid(f"Input has at most {MOST_ITEMS} items.", code="too_long", pointer="/input")
    for number, sent in enumerate(value):
        at = f"/input/{number}"
        if not isinstance(sent, dict):
            raise Invalid("An item of input is an object.", code="invalid_item", pointer=at)
        item = given(sent)
        type = item.get("type", "message")
        if type == "message":
            message = parse(MessageItem, item, at)
            files = said.files if kind is Agent and message.role == "user" else None
            content = content_of(message.content, f"{at}/content", text_only=text_only, files=files)
            said.messages.append({"role": message.role, "content": content})
        elif type == "mcp_approval_response" and kind is Agent:
            decision = parse(ApprovalItem, item, at)
            confirmation = approval_in(decision.approval_request_id)
            said.decisions[confirmation] = decision.approve
            if decision.reason and not decision.approve:
                said.comments[confirmation] = decision.reason
        elif type == "function_call" and calls:
            said.call(parse(CallItem, item, at))
        elif type == "function_call_output" and calls:
            output = parse(OutputItem, item, at)
            content = content_of(output.output, f"{at}/output", text_only=True)
            said.messages.append({"role": "tool", "tool_call_id": output.call_id, "content": content})
        else:
            raise unsupported("items of this type are not understood by what answers", f"{at}/type")
    return said


def given(value: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return what is said of an item: a client may send back what it was answered, with all that is null in it."""
    return {name: each for name, each in value.items() if each is not None}


def content_of(value: JSON, at: str, *, text_only: bool, files: list[GivenFile] | None = None) -> Any:
    """Return content as chat completions have it: text, or parts where one of them is no text; take its `files`."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise Invalid("Content is text, or a list of parts.", code="invalid_content", pointer=at)
    parts = []
    for number, part in enumerate(value):
        if part.get("type") == "input_file" and files is not None:
            files.append(_file(given(part), f"{at}/{number}"))
        else:
            parts.append(_part(given(part), f"{at}/{number}", text_only=text_only))
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: Mapping[str, JSON], at: str, *, text_only: bool) -> dict[str, Any]:
    if part.get("type") == "refusal":
        return {"type": "text", "text": parse(RefusalPart, part, at).refusal}
    if part.get("type") in TEXTS:
        return {"type": "text", "text": parse(TextPart, part, at).text}
    if part.get("type") == "input_image" and not text_only:
        image = parse(ImagePart, part, at)
        detail = {} if image.detail is None else {"detail": image.detail}
        return {"type": "image_url", "image_url": {"url": image.image_url, **detail}}
    raise unsupported("parts of this type are not understood by what answers", f"{at}/type")


def _file(part: Mapping[str, JSON], at: str) -> GivenFile:
    """Return a file; what kind it is, its data URL says, or else its name and content."""
    file = parse(FilePart, part, at)
    found = DATA_URL.match(file.file_data)
    kind, data = ("", file.file_data) if found is None else (found[1], file.file_data[found.end() :])
    try:
        content = b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("This is no base64.", code="invalid_base64", pointer=f"{at}/file_data") from None
    return GivenFile(name=file.filename, media_type=kind, content=content)


def unsupported(why: str, pointer: str) -> Invalid:
    """Return the refusal of what is not understood."""
    return Invalid(f"This is not supported here: {why}.", code="unsupported_parameter", pointer=pointer)
