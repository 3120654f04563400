"""How an agent holds its conversations, besides what it says in them."""

from collections.abc import Mapping

from pydantic import Field

from domain.conversation_queue import OnBusy
from domain.definition import Reference, Strict

CLOSE_FUNCTION = "close_conversation"
"""What a model calls to close a conversation; no action has this name where it may."""


class Titles(Strict):
    """How conversations are given titles, after their first answer."""

    prompt: Reference | None = Field(
        None, description="Given the variable `conversation`; null = the built-in one. Its answer is the title."
    )
    model: Reference | None = Field(
        None, description="null = the prompt's, else the agent's, else the default one; none at all: the first words."
    )


class PostProcessing(Strict):
    """How conversations are looked at when they are closed."""

    prompt: Reference | None = Field(
        None, description="Given the variable `conversation`; null = the built-in one. The answer's form is given."
    )
    model: Reference | None = Field(None, description="null = the prompt's, else the agent's, else the default one.")


class Conduct(Strict):
    """The fields of an agent that say how it holds its conversations."""

    on_busy: OnBusy = Field(
        "reject",
        description="What becomes of a message while a turn runs: refused, answered after it, or answered instead.",
    )
    close_after: int | None = Field(
        None, ge=1, le=31_536_000, description="Seconds since the last message, after which it is closed; null = never."
    )
    may_close: bool = Field(False, description="Whether its model may close a conversation with its last answer.")
    titles: Titles | None = Field(None, description="null = conversations have the titles that persons give them.")
    post_processing: PostProcessing | None = Field(
        None, description="Has sentiment, resolution, language and a summary of closed ones recorded; null = nothing."
    )


CONDUCT_REFERRED: Mapping[str, str] = {
    "titles/prompt": "prompt",
    "titles/model": "model",
    "post_processing/prompt": "prompt",
    "post_processing/model": "model",
}
"""What these fields refer to."""
