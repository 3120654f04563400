"""Files that persons give with what they say: what they say is kept in the conversation, and told in it alone."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from domain.errors import Conflict, NotFound
from domain.extractive import words_of

if TYPE_CHECKING:
    from domain.conversation import Conversation

MOST_FILES = 10
"""Files of one message."""

MOST_TEXT = 400_000
"""Characters in all files of one message."""

MOST_OF_CONVERSATION = 4_000_000
"""Characters in all files of a conversation: each search of them looks through all."""

SHOWN = 500
"""Characters of a longer file that a model is told."""


class FilesFull(Conflict):
    """The files of this conversation are as many as one can hold: begin another conversation with this one."""

    code = "files_full"


class FilesAttached(Aggregate.Event):
    """A person gave files with what they said."""

    TOPIC = "conversation.files_attached"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"files"})
    message: str
    subject: str | None
    files: list[dict[str, Any]]

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.files = aggregate.files | {self.message: self.files}


def attach(conversation: "Conversation", turn: str, files: Sequence[Mapping[str, Any]]) -> None:
    """Take the files of a message, each {name, media_type, sha256, size, text, pages}; or raise FilesFull.

    Nothing happens without any.
    """
    if files:
        there = sum(len(file["text"]) for given in conversation.files.values() for file in given)
        if there + sum(len(file["text"]) for file in files) > MOST_OF_CONVERSATION:
            raise FilesFull
        message = conversation.turn(turn)["message_id"]
        kept = [{**each, "id": file_id(message, number)} for number, each in enumerate(files, 1)]
        conversation.trigger_event(
            conversation.FilesAttached, message=message, subject=conversation.subject, files=kept
        )


def file_id(message: str, number: int) -> str:
    """Return the id of a message's file."""
    return str(uuid5(UUID(message), f"file:{number}"))


def files_until(conversation: "Conversation", turn: str) -> list[dict[str, Any]]:
    """Return the files of a turn's message and all before it, in their order."""
    until = conversation.turn(turn)["number"]
    if not conversation.files:
        return []
    messages = [each["message_id"] for each in conversation.turns.values() if each["number"] <= until]
    return [file for message in dict.fromkeys(messages) for file in conversation.files.get(message, ())]


def file_in(conversation: "Conversation", id: str) -> dict[str, Any]:
    """Return a file, or raise NotFound."""
    for files in conversation.files.values():
        for file in files:
            if file["id"] == id:
                return dict(file)
    raise NotFound("There is no such file in this conversation.")


def told_whole(files: Sequence[Mapping[str, Any]], room: int) -> set[str]:
    """Return the ids of the files that a model is told whole: the newest ones, as far as so many characters go."""
    whole = set()
    for file in reversed(files):
        if len(file["text"]) <= room:
            room -= len(file["text"])
            whole.add(file["id"])
    return whole


def ranked(query: str, texts: Sequence[str]) -> list[tuple[int, float]]:
    """Return the places of the texts that share words with a query, with their scores, the best first.

    A word counts the more, the fewer texts have it, and less each time that it stands in a text again.
    """
    wanted = set(words_of(query))
    counted = [Counter(word for word in words_of(text) if word in wanted) for text in texts]
    having = Counter(word for counts in counted for word in counts)
    scores = [
        (place, sum(math.log(1 + len(texts) / having[word]) * count / (count + 1.2) for word, count in counts.items()))
        for place, counts in enumerate(counted)
    ]
    return sorted((each for each in scores if each[1] > 0), key=lambda each: -each[1])
