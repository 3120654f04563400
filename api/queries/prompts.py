"""Previewing a prompt over HTTP: what a model would be given."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from api.call import Call, Operation, json_response
from api.commands.configurations import nothing_else
from api.schemas import definition_schema
from commands.rendering import render_prompt
from domain import variants
from domain.definition import parse
from domain.errors import Invalid, NotFound
from domain.prompt import Prompt, PromptDefinition
from domain.references import identify


async def preview(call: Call) -> Response:
    """Render an unsaved definition, or a saved prompt at a version or label."""
    body, _, _ = await call.body()
    variables = body.pop("variables", {})
    subject, variant = body.pop("subject", None), body.pop("variant", None)
    if not isinstance(variables, dict):
        raise Invalid("The variables are an object of names and values.", code="dict_type", pointer="/variables")
    for name, value in (("subject", subject), ("variant", variant)):
        if value is not None and not isinstance(value, str):
            raise Invalid(f"'{name}' is text.", code="string_type", pointer=f"/{name}")
    definition, id = await _definition(call, body)
    if variant is None and subject is not None:
        variant = variants.choose(id, definition["variants"], subject)
    chosen = variant or variants.DEFAULT
    messages = await render_prompt(
        variants.apply(definition, chosen),
        variables,
        renderer=call.container.renderer,
        lookup=lambda name, label: _labelled(call, name, label),
    )
    head = await call.container.log.head()
    shown = orjson.dumps({"messages": messages, "variant": chosen})
    return json_response(shown, headers={"Magnet-Position": str(head)})


async def _definition(call: Call, body: dict[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """Return the definition that the body gives or names, and the prompt's id."""
    given, reference = body.pop("definition", None), body.pop("prompt", None)
    version, label = body.pop("version", None), body.pop("label", "live")
    nothing_else(body)
    if (given is None) == (reference is None):
        raise Invalid("Give either 'definition' or 'prompt'.", code="missing", pointer="/definition")
    if given is not None:
        parsed = parse(PromptDefinition, given, prefix="/definition")
        return parsed.model_dump(mode="json", by_alias=True), identify("prompt", "unsaved")
    if not isinstance(reference, str) or not isinstance(label, str):
        raise Invalid("A prompt's name or id, and a label, are text.", code="string_type", pointer="/prompt")
    id = identify("prompt", reference)
    if version is not None:
        if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 2**62:
            raise Invalid("A version is a number from 1.", code="invalid_version", pointer="/version")
        return (await call.container.store.at_version(Prompt, id, version)).definition, id
    found = await _labelled(call, reference, label)
    if found is None:
        raise NotFound("There is no such prompt or label.")
    return found, id


async def _labelled(call: Call, name: str, label: str) -> Mapping[str, Any] | None:
    """Return what a prompt is at a label; None where there is none, or it is archived."""
    loaded = await call.container.store.load(identify("prompt", name))
    if loaded is None or not isinstance(loaded[0], Prompt) or loaded[0].archived:
        return None
    target = loaded[0].labels.get(label)
    return None if target is None else target["definition"]


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/prompts:preview",
        side="queries",
        tag="prompts",
        name="preview_prompt",
        summary="Render a prompt, saved or not, without running it",
        permission="prompts:preview",
        handler=preview,
        body={
            "type": "object",
            "properties": {
                "definition": definition_schema(Prompt),
                "prompt": {"type": "string", "description": "Name or id of a saved prompt, instead of a definition."},
                "version": {"type": "integer", "minimum": 1},
                "label": {"type": "string", "default": "live"},
                "variant": {"type": "string"},
                "subject": {"type": "string", "description": "Whom a variant is chosen for."},
                "variables": {"type": "object"},
            },
            "additionalProperties": False,
        },
        answer={
            "type": "object",
            "properties": {
                "messages": {"type": "array", "items": {"type": "object"}},
                "variant": {"type": "string"},
            },
        },
    ),
)
