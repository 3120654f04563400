"""The prompt by which a RAG tool asks its model: its answer is text, which is where passages can be cited."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from commands.choosing import Chosen, choose
from commands.configuration import Change
from commands.models.model_kinds import ModelKinds
from commands.ports import Things
from domain import variants
from domain.configuration_events import LIVE
from domain.errors import Conflict, Invalid, NotFound
from domain.prompt import Prompt
from domain.references import places


class PromptNotText(Conflict):
    """A RAG tool's prompt has the response_format text, since passages are cited in text: this one asks for JSON."""

    code = "prompt_not_text"


@dataclass(frozen=True, kw_only=True)
class RagToolRule:
    """The rule of RAG tools: models are of a kind that can do what they are named for, and prompts ask for text."""

    things: Things

    async def __call__(self, change: Change) -> None:
        """Raise Invalid where one is not, or does not."""
        await ModelKinds(things=self.things)(change)
        if not change.thing.archived:
            await must_ask_for_text(self.things, change.thing.definition)


async def must_ask_for_text(things: Things, definition: Mapping[str, Any], prefix: str = "") -> None:
    """Raise Invalid where a RAG tool's prompt asks for JSON as it is live, in any of its variants.

    `prefix` is where the definition stands.
    """
    for path in ("prompt", "variants/*/prompt"):
        for pointer, container, key in places(definition, path):
            try:
                prompt = await things.newest(Prompt, UUID(container[key]))
            except NotFound:
                continue  # the append refuses what refers to it
            live = prompt.labels[LIVE]["definition"]
            if any(asks_for_json(variants.apply(live, name)) for name in variants.weights(live["variants"])):
                raise Invalid(PromptNotText.__doc__ or "", code=PromptNotText.code, pointer=prefix + pointer)


async def prompt_asked(things: Things, definition: Mapping[str, Any], subject: str) -> Chosen | None:
    """Return the prompt by which a RAG tool asks, None for the built-in one; raise PromptNotText."""
    if definition["prompt"] is None:
        return None
    prompt = await choose(things, Prompt, UUID(definition["prompt"]), subject=subject)
    if asks_for_json(prompt.definition):
        raise PromptNotText
    return prompt


def asks_for_json(definition: Mapping[str, Any]) -> bool:
    """Return whether a prompt's answer is JSON."""
    return bool(definition["response_format"]["type"] != "text")
