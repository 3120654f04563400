"""A prompt's own rule: its templates must be ones that can be rendered."""

from dataclasses import dataclass
from uuid import UUID

from commands.configuration import Change
from commands.ports import PromptRenderer, Template, Things
from domain.errors import NotFound
from domain.prompt import INCLUDE, Prompt, inclusions, templates
from domain.references import identify
from domain.rendering import RecursiveInclude, TemplateForbidden


@dataclass(frozen=True, kw_only=True)
class Templates:
    """Has changed templates parsed where a hostile one does no harm, and prompts include no prompt that includes them."""

    renderer: PromptRenderer
    things: Things

    async def __call__(self, change: Change) -> None:
        """Refuse what is no template."""
        before = {} if change.before is None else dict(templates(change.before))
        changed = [
            Template(name=pointer, source=source)
            for pointer, source in templates(change.thing.definition)
            if before.get(pointer) != source and "{" in source
        ]
        if not changed:
            return
        for template, (_, included) in zip(changed, await self.renderer.needs(changed), strict=True):
            if not included <= {found["written"] for found in INCLUDE.finditer(template.source)}:
                raise TemplateForbidden(
                    template=template.name,
                    message='An include names a prompt, as in {% include "name" %} or {% include "name@label" %}.',
                )
        for pointer, name, _ in inclusions(change.thing.definition):
            if any(pointer == template.name for template in changed):
                await self._must_not_return(pointer, identify(Prompt.TOPIC, name), change.thing.id)

    async def _must_not_return(self, pointer: str, included: UUID, prompt: UUID) -> None:
        """Raise RecursiveInclude where a prompt that is included includes this one, in any version that counts."""
        seen, waiting = set[UUID](), [included]
        while waiting:
            id = waiting.pop()
            if id == prompt:
                raise RecursiveInclude(template=pointer)
            if id in seen:
                continue
            seen.add(id)
            try:
                found = await self.things.newest(Prompt, id)
            except NotFound:
                continue  # the append refuses what includes it
            waiting.extend(target for _, kind, target in found.references() if kind == Prompt.TOPIC)
