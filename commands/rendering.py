"""Rendering a prompt: its variables filled in and checked, its includes found, its messages told."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jsonschema_rs

from commands.ports import PromptRenderer, Template
from domain.errors import FieldError, Invalid
from domain.prompt import VARIABLE, includes, messages

Lookup = Callable[[str, str], Awaitable[Mapping[str, Any] | None]]
"""(prompt name, label) -> that prompt's definition, or None where there is none."""

MOST_INCLUDES = 50
"""Prompts that one prompt may include, directly or through others."""


async def render_prompt(
    definition: Mapping[str, Any],
    variables: Mapping[str, Any],
    *,
    renderer: PromptRenderer,
    lookup: Lookup,
) -> list[dict[str, str]]:
    """Return the messages (role, content) that a model would be given; or raise Invalid.

    `definition` has its variant applied already.
    """
    given = complete(definition["variables"], variables)
    said = messages(definition)
    single = definition.get("messages") is None
    templates = [
        Template(name="/text" if single else f"/messages/{index}/content", source=message["content"])
        for index, message in enumerate(said)
    ]
    texts = await renderer.render(templates, given, await included(definition, lookup))
    return [{"role": message["role"], "content": text} for message, text in zip(said, texts, strict=True)]


def complete(
    declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any], place: str = "variables"
) -> dict[str, Any]:
    """Return all variables, defaults filled in; raise Invalid for each that is missing or wrong at that place."""
    errors = [
        FieldError(pointer=f"/{place}", message="this is no variable's name", code="invalid_name")
        for name in given
        if not VARIABLE.match(name)
    ]
    values = dict(given)
    for name, variable in declared.items():
        if name not in values:
            if variable["default"] is not None or not variable["required"]:
                values[name] = variable["default"]
            else:
                errors.append(
                    FieldError(
                        pointer=f"/{place}/{name}",
                        message=f"the variable '{name}' is missing",
                        code="missing_variable",
                    )
                )
        elif variable["schema"] and not jsonschema_rs.is_valid(variable["schema"], values[name]):
            errors.append(
                FieldError(
                    pointer=f"/{place}/{name}",
                    message=f"the variable '{name}' does not fit its schema",
                    code="schema_mismatch",
                )
            )
    if errors:
        raise Invalid("Variables are missing or wrong: see errors.", code=errors[0].code, errors=errors)
    return values


async def included(definition: Mapping[str, Any], lookup: Lookup) -> dict[str, str]:
    """Return `name@label` (and `name` for live) -> source of all that the texts include."""
    sources: dict[str, str] = {}
    waiting = list(includes(definition))
    while waiting:
        name, label = waiting.pop()
        if f"{name}@{label}" in sources:
            continue
        found = await lookup(name, label)
        if found is None:
            continue  # the renderer names it as missing
        source = "\n".join(message["content"] for message in messages(found))
        sources[f"{name}@{label}"] = source
        if label == "live":
            sources[name] = source
        if len(sources) > 2 * MOST_INCLUDES:
            raise Invalid(
                f"A prompt includes at most {MOST_INCLUDES} others, directly or through them.",
                code="too_many_includes",
            )
        waiting.extend(includes(found))
    return sources
