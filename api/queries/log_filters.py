"""What events may be chosen by, wherever the log is read over HTTP."""

from typing import Any
from uuid import UUID

from api.call import Call, Parameter
from domain.errors import Invalid
from domain.event_types import must_be_kind, must_be_type
from domain.references import UUID_FORM

TEXT = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
FILTERS = (
    Parameter(name="type", schema=TEXT, description="Event types, separated by commas."),
    Parameter(name="kind", schema=TEXT, description="The kind of thing, such as `prompt`."),
    Parameter(name="aggregate", schema={"type": "string", "format": "uuid"}, description="The thing's id."),
    Parameter(name="actor", schema=TEXT, description="Id or name of who caused it."),
    Parameter(name="correlation", schema=TEXT, description="The Request-Id that it belongs to."),
    Parameter(name="reason", schema=TEXT, description="Part of the reason given."),
    Parameter(name="since", schema=TIME, description="Recorded at this time or later."),
    Parameter(name="until", schema=TIME, description="Recorded before this time."),
)


def filters_of(call: Call) -> dict[str, Any]:
    """Return what the caller chose, by the names that the log knows."""
    aggregate = call.text("aggregate")
    if aggregate is not None and not UUID_FORM.match(aggregate):
        raise Invalid("'aggregate' is the id of a thing.", code="invalid_id", pointer="/aggregate")
    listed, kind = call.text("type", 2000), call.text("kind")
    types = None if listed is None else listed.split(",")
    for named in types or ():
        must_be_type(named, "/type")
    if kind is not None:
        must_be_kind(kind, "/kind")
    return {
        "aggregate": None if aggregate is None else UUID(aggregate),
        "types": types,
        "kind": kind,
        "actor": call.text("actor"),
        "correlation": call.text("correlation"),
        "reason": call.text("reason"),
        "since": call.time("since"),
        "until": call.time("until"),
    }
