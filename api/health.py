"""Health: whether the process lives, and whether it can serve."""

import orjson
from starlette.responses import Response

from api.call import Call, Operation, json_response
from api.errors import HttpProblem
from api.permissions import PUBLIC
from domain.errors import Unavailable


async def live(_: Call) -> Response:
    """Say that the process runs."""
    return json_response(b'{"status":"live"}')


async def ready(call: Call) -> Response:
    """Say whether the database answers, where the log is, and how far each projection is behind."""
    try:
        head = await call.container.log.head()
        found = await call.container.administration.status(checksums=False)
    except Unavailable as error:
        raise HttpProblem(
            503, "not_ready", "The database does not answer.", details={"database": error.error_code}
        ) from error
    projections = {
        status.name: {"position": status.position, "lag": status.lag, "state": status.state} for status in found
    }
    shown = {"status": "ready", "database": "ok", "log": {"position": head}, "projections": projections}
    return json_response(orjson.dumps(shown), headers={"Magnet-Position": str(head)})


def _health(name: str, summary: str, handler: object) -> Operation:
    return Operation(
        method="GET",
        path=f"/health/{name}",
        side="both",
        tag="operations",
        name=f"health_{name}",
        summary=summary,
        permission=PUBLIC,
        handler=handler,  # type: ignore[arg-type]
        answer={"type": "object"},
    )


OPERATIONS = (_health("live", "Does the process run?", live), _health("ready", "Can it serve?", ready))
