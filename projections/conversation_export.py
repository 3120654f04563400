"""A conversation as people read it: its public form, written as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

WHO = {"user": "Person", "assistant": "Agent"}
FENCE = "```"


def markdown(document: Mapping[str, Any]) -> str:
    """Return a conversation's public form as Markdown; what was said stands in it as it was said."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {one_line(document['title'] or 'Conversation')}"
    yield ""
    yield f"* Conversation: {document['id']}, version {document['version']}, {document['status']}"
    yield f"* Agent: {document['agent']['name']}"
    if document["subject"] is not None:
        yield f"* Subject: {one_line(document['subject'])}"
    if document["forked_from"] is not None:
        origin = document["forked_from"]
        yield f"* Forked from: {origin['conversation']}, version {origin['version']}"
    yield f"* Begun: {document['created_at']}; last changed: {document['updated_at']}"
    yield ""
    if document["welcome_message"]:
        yield from ("> " + line for line in document["welcome_message"].splitlines())
        yield ""
    notes = document.get("notes", [])
    turns = {turn["id"]: turn for turn in document["turns"]}
    said = groupby(document["messages"], key=lambda message: message["turn"])
    spoken = {turn: list(messages) for turn, messages in said}
    for id, turn in turns.items():
        messages = spoken.get(id, [])
        yield from (line for each in messages if each["role"] == "user" for line in _message(each, notes))
        yield from _done(turn, [each for each in document["confirmations"] if each["turn"] == id])
        yield from (line for each in messages if each["role"] == "assistant" for line in _message(each, notes))
    general = [note for note in notes if note["message_id"] is None]
    if general:
        yield "## Notes"
        yield ""
        yield from _notes(general)


def _message(message: Mapping[str, Any], notes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"## {WHO[message['role']]}, {message['created_at']}"
    yield ""
    yield message["content"]
    yield ""
    for file in message.get("attachments", ()):
        yield f"* File: {one_line(file['name'])} ({file['size']} bytes, SHA-256 {file['sha256']})"
    if message.get("attachments"):
        yield ""
    for citation in message.get("citations", ()):
        where = f", {citation['url']}" if citation.get("url") else ""
        place = f"characters {citation['start']} to {citation['end']}"
        version = f"document {citation['document_id']}, version {citation['document_version']}"
        yield f"* {citation['marker']} {one_line(citation.get('title') or 'untitled')}{where} ({version}, {place})"
    if message.get("citations"):
        yield ""
    feedback = message.get("feedback")
    if feedback is not None:
        words = ": ".join(filter(None, [feedback["reason"], feedback["comment"]]))
        yield f"*Feedback: {feedback['rating']}{f', {one_line(words)}' if words else ''}*"
        yield ""
    yield from _notes([note for note in notes if note["message_id"] == message["id"]])


def _done(turn: Mapping[str, Any], confirmations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Tell what an agent did in a turn, what a person was asked, and how it ended where there is no answer."""
    for action in turn["actions"]:
        yield f"*{action['function']} ({action['type']}): {action['outcome']}, {action['duration_ms']:g} ms*"
        yield ""
        yield from fenced(action["arguments"], "json")
        yield from fenced(action["result"], "text")
    for asked in confirmations:
        decided = {None: "waits for a person", True: "agreed to", False: "declined"}[asked["approved"]]
        yield f"*{asked['function']}, to be confirmed: {decided}*"
        yield ""
        yield from fenced(asked["arguments"], "json")
    if turn["state"] != "completed":
        why = f": {one_line(turn['error']['message'])}" if turn["error"] is not None else ""
        yield f"*The turn is {turn['state'].replace('_', ' ')}{why}*"
        yield ""


def _notes(notes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for note in notes:
        yield f"> Note of {one_line(note['author']['name'])}, {note['created_at']}:"
        yield from ("> " + line for line in note["text"].splitlines())
        yield ""


def fenced(text: str, language: str) -> Iterator[str]:
    """Yield text as a block of code, whose fence is longer than any within."""
    fence = FENCE
    while fence in text:
        fence += "`"
    yield f"{fence}{language}"
    yield text
    yield fence
    yield ""


def one_line(text: str) -> str:
    """Return text without its line breaks."""
    return " ".join(text.split())
