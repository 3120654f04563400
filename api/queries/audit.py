"""Evidence over HTTP: verification of the whole log, checkpoints, and proofs that anyone can check."""

from dataclasses import asdict, replace
from typing import Any

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer
from api.commands.configurations import nothing_else
from api.queries.configurations import CURSOR, LIMIT, ORDER
from api.schemas import list_schema
from domain.errors import Invalid

MOST_NOTES = 10_000
POSITION = {"type": "integer", "minimum": 1}
VERDICT = {
    "type": "object",
    "required": ["ok", "checked_to", "first_bad", "reason", "checkpoints"],
    "properties": {
        "ok": {"type": "boolean"},
        "checked_to": {"type": "integer"},
        "checkpoints": {"type": "integer", "description": "How many were compared with."},
        "first_bad": {"type": ["integer", "null"]},
        "reason": {"type": ["string", "null"]},
    },
}


async def verify(call: Call) -> Response:
    """Read every event again, and compare the log with all checkpoints that are known here."""
    verdict = await call.container.evidence.verify()
    return answer(asdict(verdict), position=await call.container.log.head())


async def verify_against(call: Call) -> Response:
    """Read every event again, and compare the log with checkpoints that the caller kept."""
    body, _, _ = await call.body()
    notes = body.pop("checkpoints", None)
    nothing_else(body)
    if not isinstance(notes, list) or len(notes) > MOST_NOTES or not all(isinstance(note, str) for note in notes):
        raise Invalid(
            f"Checkpoints are a list of signed notes, at most {MOST_NOTES}.", code="list_type", pointer="/checkpoints"
        )
    verdict = await call.container.evidence.verify(notes)
    return answer(asdict(verdict), position=await call.container.log.head())


async def checkpoints(call: Call) -> Response:
    """Return checkpoints, and the key that signed them."""
    limit = call.integer("limit", 50, 1, 500) or 50
    items = await call.container.evidence.proofs.checkpoints(
        after=call.integer("cursor", None, 1, 2**62),
        newest_first=call.choice("order", ("desc", "asc")) == "desc",
        limit=limit,
    )
    body = {
        "items": items,
        "next_cursor": str(items[-1]["size"]) if len(items) == limit else None,
        "key": call.container.evidence.key,
    }
    return answer(body, position=await call.container.log.head())


async def inclusion(call: Call) -> Response:
    """Return the proof that an event is in the log that a checkpoint vouches for."""
    position = _needed(call, "position")
    return answer(await call.container.evidence.proofs.inclusion(position), position=position)


async def consistency(call: Call) -> Response:
    """Return the proof that the log of one checkpoint begins that of a later one."""
    first, second = _needed(call, "first"), _needed(call, "second")
    if first > second:
        raise Invalid("'first' is not larger than 'second'.", pointer="/first")
    return answer(await call.container.evidence.proofs.consistency(first, second), position=second)


def _needed(call: Call, name: str) -> int:
    value = call.integer(name, None, 1, 2**62)
    if value is None:
        raise Invalid(f"'{name}' is needed.", code="missing", pointer=f"/{name}")
    return value


def _query(path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        path=path,
        side="queries",
        tag="audit",
        name=name,
        summary=summary,
        permission="log:read",
        handler=handler,
        **{"method": "GET", "answer": {"type": "object"}, **more},
    )


OPERATIONS = (
    _query("/v1/audit/verify", "verify_log", "Is the log what was sealed?", verify, answer=VERDICT),
    _query(
        "/v1/audit/verify",
        "verify_log_against",
        "Is the log what these checkpoints vouch for?",
        verify_against,
        method="POST",
        answer=VERDICT,
        body={
            "type": "object",
            "required": ["checkpoints"],
            "properties": {"checkpoints": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_NOTES}},
            "additionalProperties": False,
        },
    ),
    _query(
        "/v1/audit/checkpoints",
        "list_checkpoints",
        "List signed checkpoints",
        checkpoints,
        parameters=(
            LIMIT,
            CURSOR,
            replace(ORDER, description="The newest or the oldest first."),
        ),
        answer=list_schema({"type": "object"}),
    ),
    _query(
        "/v1/audit/proofs/inclusion",
        "prove_inclusion",
        "Prove that an event is in the log",
        inclusion,
        parameters=(Parameter(name="position", schema=POSITION, description="Of the event."),),
    ),
    _query(
        "/v1/audit/proofs/consistency",
        "prove_consistency",
        "Prove that the log only grew between two checkpoints",
        consistency,
        parameters=tuple(
            Parameter(name=name, schema=POSITION, description=f"Events of the {name} checkpoint.")
            for name in ("first", "second")
        ),
    ),
)
