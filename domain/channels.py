"""Channels: what an agent does otherwise where it is talked to by this way."""

from typing import Annotated

from pydantic import Field, StringConstraints

from domain.definition import Strict

ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
"""`api`, `openai` and `mcp` are ways into Magnet itself; what a conversation is begun with may name any other."""


class Channel(Strict):
    """What is otherwise by one way."""

    instructions: str = Field("", max_length=20_000, description="Told to the model after all others.")
    citations: bool = Field(True, description="Whether answers show the markers of what they cite, such as [1].")
    welcome_message: str | None = Field(None, max_length=10_000, description="null = the agent's.")
