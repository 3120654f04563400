"""Renaming a tag over HTTP."""

from starlette.responses import Response

from api.call import Call, Operation
from api.commands.configurations import nothing_else
from api.schemas import MESSAGE, PROBLEM_FREE_RECEIPT
from commands.tag import RenameTag
from domain.errors import Invalid


async def rename(call: Call) -> Response:
    """Give everything that carries a tag another one."""
    body, message, raw = await call.body()
    to = body.pop("to", None)
    nothing_else(body)
    if not isinstance(to, str) or not to:
        raise Invalid("The tag's new name is needed.", code="missing", pointer="/to")
    return call.receipt(await call.dispatch(RenameTag(tag=call.path("tag"), to=to), reason=message, raw=raw))


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
        body={
            "type": "object",
            "required": ["to"],
            "properties": {"to": {"type": "string", "minLength": 1, "maxLength": 64}, "message": MESSAGE},
            "additionalProperties": False,
        },
        answer=PROBLEM_FREE_RECEIPT,
    ),
)
