"""An agent's own rule: its templates must be ones that can be rendered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from commands.configuration import Change
from commands.ports import PromptRenderer, Template


@dataclass(frozen=True, kw_only=True)
class AgentRules:
    """Has changed templates of agents parsed where a hostile one does no harm."""

    renderer: PromptRenderer

    async def __call__(self, change: Change) -> None:
        """Refuse what is no template."""
        before = {} if change.before is None else dict(templates(change.before))
        changed = [
            Template(name=pointer, source=source)
            for pointer, source in templates(change.thing.definition)
            if before.get(pointer) != source and "{" in source
        ]
        if changed:
            await self.renderer.check(changed)


def templates(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, source) of each template of a definition, variants' too."""
    variants = definition.get("variants", {})
    for prefix, settings in (("", definition), *((f"/variants/{name}", each) for name, each in variants.items())):
        yield from _messages(settings.get("actions", ()), f"{prefix}/actions")
        for number, topic in enumerate(settings.get("topics", ())):
            yield from _messages(topic.get("actions", ()), f"{prefix}/topics/{number}/actions")


def _messages(actions: Any, pointer: str) -> Iterator[tuple[str, str]]:
    for number, action in enumerate(actions):
        if action.get("confirmation_message") is not None:
            yield f"{pointer}/{number}/confirmation_message", action["confirmation_message"]
