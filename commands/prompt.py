"""A prompt's own rule: its templates must be ones that can be rendered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from commands.configuration import Change
from commands.ports import PromptRenderer, Template
from domain.prompt import messages


@dataclass(frozen=True, kw_only=True)
class Templates:
    """Has changed templates parsed where a hostile one does no harm."""

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
    for prefix, settings in (
        ("", definition),
        *((f"/variants/{name}", variant) for name, variant in definition["variants"].items()),
    ):
        if settings.get("messages") is not None:
            for index, message in enumerate(messages(settings)):
                yield f"{prefix}/messages/{index}/content", message["content"]
        elif settings.get("text") is not None:
            yield f"{prefix}/text", settings["text"]
