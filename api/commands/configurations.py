"""Commands on configuration things over HTTP: the same routes for every kind."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from starlette.responses import Response

from api.call import Call, Operation, Parameter
from api.schemas import PROBLEM_FREE_RECEIPT, create_schema, patch_schema
from commands.configuration import (
    Archive,
    ChangeThing,
    CreateThing,
    Publish,
    RemoveLabel,
    Restore,
    RollBack,
)
from domain.configuration import Configuration
from domain.errors import FieldError, Invalid
from domain.references import check_name, identify

PUBLISH = Parameter(
    name="publish",
    schema={"type": "boolean", "default": False},
    description="Point `live` at the new version in the same command.",
)


WORDS = {
    "api_key": "an API key",
    "knowledge_source": "a knowledge source",
    "retrieval_tool": "a retrieval tool",
    "rag_tool": "a RAG tool",
    "tool_server": "a tool server",
    "agent": "an agent",
}
"""What a kind is called in a sentence, where that is not `a` and its name."""


class ConfigurationCommands:
    """The handlers of one kind."""

    def __init__(self, kind: type[Configuration], collection: str) -> None:
        self._kind = kind
        self._collection = collection

    async def create(self, call: Call) -> Response:
        """Make a thing."""
        body, message, raw = await call.body()
        if not isinstance(body.get("name"), str):
            raise Invalid(errors=[FieldError(pointer="/name", message="a name is needed", code="missing")])
        name = check_name(body.pop("name"))
        receipt = await call.dispatch(CreateThing(kind=self._kind, name=name, body=body), reason=message, raw=raw)
        return call.receipt(receipt, status=201, location=f"/v1/{self._collection}/{receipt.id}")

    async def change(self, call: Call) -> Response:
        """Change a thing by a JSON merge patch."""
        body, message, raw = await call.body()
        command = ChangeThing(
            kind=self._kind,
            id=self._id(call),
            patch=body,
            publish=self._kind.LABELLED and call.flag("publish"),
            if_match=call.if_match(),
        )
        return call.receipt(await call.dispatch(command, reason=message, raw=raw))

    async def publish(self, call: Call) -> Response:
        """Point a label at a version."""
        body, message, raw = await call.body()
        command = Publish(
            kind=self._kind,
            id=self._id(call),
            version=version_in(body),
            label=label_in(body),
            if_match=call.if_match(),
        )
        nothing_else(body)
        return call.receipt(await call.dispatch(command, reason=message, raw=raw))

    async def roll_back(self, call: Call) -> Response:
        """Make a new version equal to an old one."""
        body, message, raw = await call.body()
        command = RollBack(kind=self._kind, id=self._id(call), version=version_in(body), if_match=call.if_match())
        nothing_else(body)
        return call.receipt(await call.dispatch(command, reason=message, raw=raw))

    async def remove_label(self, call: Call) -> Response:
        """Take a label away."""
        message, raw = await self._reason(call)
        command = RemoveLabel(kind=self._kind, id=self._id(call), label=call.path("label"), if_match=call.if_match())
        return call.receipt(await call.dispatch(command, reason=message, raw=raw))

    async def archive(self, call: Call) -> Response:
        """Archive a thing, or revoke a key."""
        message, raw = await self._reason(call)
        command = Archive(kind=self._kind, id=self._id(call), if_match=call.if_match())
        return call.receipt(await call.dispatch(command, reason=message, raw=raw))

    async def restore(self, call: Call) -> Response:
        """Take a thing back from the archive."""
        message, raw = await self._reason(call)
        command = Restore(kind=self._kind, id=self._id(call), if_match=call.if_match())
        return call.receipt(await call.dispatch(command, reason=message, raw=raw))

    async def _reason(self, call: Call) -> tuple[str | None, bytes]:
        """Return the message of a body that may be left out and has nothing else, and the body's bytes."""
        body, message, raw = await call.body(required=False)
        nothing_else(body)
        return message, raw

    def _id(self, call: Call) -> UUID:
        return identify(self._kind.TOPIC, call.path("ref"))


def version_in(body: dict[str, Any]) -> int:
    """Take the version out of a body."""
    version = body.pop("version", None)
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 2**62:
        raise Invalid("The number of a version is needed.", code="invalid_version", pointer="/version")
    return version


def label_in(body: dict[str, Any]) -> str:
    """Take the label out of a body; `live` where none is given."""
    label = body.pop("label", "live")
    if not isinstance(label, str):
        raise Invalid("A label is text.", code="invalid_label", pointer="/label")
    return label


def nothing_else(body: dict[str, Any]) -> None:
    """Refuse fields that nobody reads."""
    if body:
        raise Invalid(
            errors=[
                FieldError(pointer=f"/{name}", message="there is no such field", code="extra_forbidden")
                for name in sorted(body)[:20]
            ]
        )


def operations(
    kind: type[Configuration], collection: str, *, keys: bool = False, permission: str
) -> Sequence[Operation]:
    """Return the commands of a kind; API keys can't be rolled back or restored."""
    handlers = ConfigurationCommands(kind, collection)
    word = WORDS.get(kind.TOPIC, f"a {kind.TOPIC}")
    thing = f"/v1/{collection}/{{ref}}"
    version = {"type": "integer", "minimum": 1}
    message = {"type": "string", "maxLength": 1000, "description": "Why; it is recorded with the event."}

    def operation(method: str, path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
        return Operation(
            method=method,
            path=path,
            side="commands",
            tag=collection,
            name=f"{name}_{kind.TOPIC}",
            summary=summary,
            permission=permission,
            handler=handler,
            answer=PROBLEM_FREE_RECEIPT,
            **{"if_match": True, **more},
        )

    why = {
        "body": {"type": "object", "properties": {"message": message}, "additionalProperties": False},
        "body_required": False,
    }
    found = [
        operation(
            "POST",
            f"/v1/{collection}",
            "create",
            f"Create {word}",
            handlers.create,
            body=partial(create_schema, kind),
            status=201,
            if_match=False,
        ),
        operation(
            "PATCH",
            thing,
            "change",
            f"Change {word} by a JSON merge patch",
            handlers.change,
            body=partial(patch_schema, kind),
            parameters=(PUBLISH,) if kind.LABELLED else (),
        ),
        operation(
            "DELETE",
            thing,
            "revoke" if keys else "archive",
            f"{'Revoke' if keys else 'Archive'} {word}",
            handlers.archive,
            **why,
        ),
    ]
    if keys:
        return found
    to_version = {
        "type": "object",
        "required": ["version"],
        "properties": {"version": version, "message": message},
        "additionalProperties": False,
    }
    found += [
        operation(
            "POST",
            f"{thing}/restore",
            "restore",
            f"Take {word} back from the archive",
            handlers.restore,
            **why,
        ),
        operation(
            "POST",
            f"{thing}/rollback",
            "roll_back",
            f"Make a new version of {word} equal to an old one",
            handlers.roll_back,
            body=to_version,
        ),
    ]
    if kind.LABELLED:
        label = {"type": "string", "default": "live"}
        to_label = {**to_version, "properties": {"version": version, "label": label, "message": message}}
        found += [
            operation(
                "POST",
                f"{thing}/publish",
                "publish",
                f"Point a label of {word} at a version",
                handlers.publish,
                body=to_label,
            ),
            operation(
                "DELETE",
                f"{thing}/labels/{{label}}",
                "remove_label_of",
                f"Take a label of {word} away",
                handlers.remove_label,
                **why,
            ),
        ]
    return found
