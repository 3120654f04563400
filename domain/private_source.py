"""The private source of a conversation: its files are the documents of it, and what is found in them is found there alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.conversation import Conversation
from domain.conversation_files import told_whole

VECTOR_WEIGHT = 0.6
"""Of meaning in a search of files; the rest is the words'. The same as a retrieval tool has by default."""

REASON = "Its passages are found by their words alone: their vectors could not be made."
"""What is told of a file without vectors. Not what a provider said of it, which may quote what the file says."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a file stands in its source: cut into `passages`; `space` is where their vectors live, None: words only.

    `failure` is the code of what kept their vectors from being made: for good where there is a space, else until they are tried again.
    """

    space: str | None
    passages: int
    failure: str | None = None

    def is_done(self, space: str | None) -> bool:
        """Return whether nothing is left to be done for it, where vectors are to live in this space."""
        return self.space == space and (self.failure is None or space is not None)


def searched(conversation: Conversation, room: int) -> bool:
    """Return whether some of a conversation's files are to be searched: not all are told whole."""
    files = all_files(conversation)
    return len(told_whole(files, room)) < len(files)


def all_files(conversation: Conversation) -> list[dict[str, Any]]:
    """Return all files of a conversation, in their order."""
    return [file for files in conversation.files.values() for file in files]


def states(conversation: Conversation, standing: Mapping[str, Standing], room: int) -> dict[str, dict[str, Any]]:
    """Return what is told of each file's place in the source: {status, retrieval, passages, failure}, by file.

    `whole`: all are told whole, so that nothing is searched; `pending`: its passages are being made, and until then it is
    searched by its words; `indexed`; `failed`: why it is found by its words alone; `removed`: the conversation is closed.
    """
    needed = searched(conversation, room)
    return {
        file["id"]: state_of(standing.get(file["id"]), needed=needed, closed=conversation.closed)
        for file in all_files(conversation)
    }


def state_of(stands: Standing | None, *, needed: bool, closed: bool) -> dict[str, Any]:
    """Return what is told of a file."""
    if stands is None:
        status = "removed" if needed and closed else "pending" if needed else "whole"
        return {"status": status, "retrieval": None, "passages": 0, "failure": None}
    return {
        "status": "indexed" if stands.failure is None else "failed",
        "retrieval": "lexical" if stands.space is None or stands.failure is not None else "hybrid",
        "passages": stands.passages,
        "failure": None if stands.failure is None else {"code": stands.failure, "reason": REASON},
    }


def fused(words: Mapping[int, float], meaning: Mapping[int, float]) -> list[tuple[int, float]]:
    """Return places by their scores for words and for meaning, each spread over 0..1, the best first."""
    word_scores, meaning_scores = spread(words), spread(meaning)
    both = {
        place: VECTOR_WEIGHT * meaning_scores.get(place, 0.0) + (1 - VECTOR_WEIGHT) * word_scores.get(place, 0.0)
        for place in [*words, *(place for place in meaning if place not in words)]
    }
    return sorted(both.items(), key=lambda each: (-each[1], each[0]))


def spread(scores: Mapping[int, float]) -> dict[int, float]:
    """Return the scores with the lowest at 0 and the highest at 1."""
    if not scores:
        return {}
    lowest, width = min(scores.values()), max(scores.values()) - min(scores.values())
    return {place: (score - lowest) / width if width else 1.0 for place, score in scores.items()}
