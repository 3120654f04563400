"""Renaming a tag over HTTP."""

from starlette.responses import Response

from api.call import Call, Operation
from api.permissions import OWN_PERMISSIONS, allowed
from api.schemas import MESSAGE, PROBLEM_FREE_RECEIPT, body_schema
from commands.tag import RenameTag
from domain.definition import Strict, Tag, parse


class RenameBody(Strict):
    """The tag's new name."""

    to: Tag


async def rename(call: Call) -> Response:
    """Give everything that carries a tag another one."""
    body, message, raw = await call.body()
    others = {kind: write for kind, (_, write) in OWN_PERMISSIONS.items() if not allowed(call.actor.roles, write)}
    command = RenameTag(tag=call.path("tag"), to=parse(RenameBody, body).to, others=others, if_match=call.if_match())
    return call.receipt(await call.dispatch(command, reason=message, raw=raw))


SCHEMA = body_schema(RenameBody)
OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/tags/{tag}/rename",
        side="commands",
        tag="tags",
        name="rename_tag",
        summary="Rename a tag on everything that carries it",
        permission="configuration:write",
        handler=rename,
        body={**SCHEMA, "properties": {**SCHEMA["properties"], "message": MESSAGE}},
        answer=PROBLEM_FREE_RECEIPT,
        if_match=True,
    ),
)
