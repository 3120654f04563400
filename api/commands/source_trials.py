"""Trying a knowledge source out over HTTP."""

from starlette.responses import Response

from api.call import Call, Operation
from api.commands.configurations import nothing_else
from api.commands.documents import source_of
from api.schemas import MESSAGE, PROBLEM_FREE_RECEIPT
from commands.knowledge.source_trial import TrySource


async def try_source(call: Call) -> Response:
    """Ask a source what it has, and say whether it answers."""
    body, message, raw = await call.body(required=False)
    nothing_else(body)
    command = TrySource(id=source_of(call), if_match=call.if_match())
    receipt = await call.container.source_trials.carry_out(command, call.context(reason=message, raw=raw))
    return call.receipt(receipt)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/knowledge-sources/{ref}/test",
        side="commands",
        tag="knowledge-sources",
        name="test_knowledge_source",
        summary="Ask a source what it has: some documents and one sample, or a problem that says what is wrong",
        permission="sources:sync",
        handler=try_source,
        body={"type": "object", "properties": {"message": MESSAGE}, "additionalProperties": False},
        body_required=False,
        if_match=True,
        answer={
            **PROBLEM_FREE_RECEIPT,
            "properties": {
                **PROBLEM_FREE_RECEIPT["properties"],
                "ok": {"type": "boolean"},
                "documents": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "External ids of the first.",
                },
                "sample": {
                    "type": ["object", "null"],
                    "description": "`{external_id, title, url, media_type, bytes, metadata, acl}` of the first; null where the caller may not find it.",
                },
                "proposed_metadata": {"type": "object", "description": "What `metadata` of the source could be."},
                "duration_ms": {"type": "number"},
            },
        },
    ),
)
