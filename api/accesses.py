"""What the access log is told of a request."""

from http import HTTPStatus

from starlette.requests import Request

from commands.ports import Actor
from domain.errors import DEFECT, DomainError
from projections.accesses import ALLOWED, FAILED, REFUSED, Access

LONGEST = 2000
"""Characters of a path or a query that are kept; three dots stand for the rest."""


def access(request: Request, actor: Actor, status: int, failure: Exception | None) -> Access:
    """Return a request as an access: allowed, refused (4xx) or failed (5xx)."""
    if failure is None:
        outcome, code = ALLOWED, None
    else:
        outcome = FAILED if status >= HTTPStatus.INTERNAL_SERVER_ERROR else REFUSED
        code = failure.error_code if isinstance(failure, DomainError) else DEFECT
    return Access(
        actor_type=actor.type,
        actor_id=actor.id,
        actor_name=actor.name,
        credential=actor.credential,
        address=request.client.host if request.client else None,
        method=request.method,
        path=kept(request.scope.get("raw_path") or request.url.path.encode()),
        query=kept(request.scope["query_string"]),
        outcome=outcome,
        status=status,
        code=code,
        request_id=request.scope["request_id"],
    )


def kept(sent: bytes) -> str:
    """Return what was sent as text that can be stored, whatever it holds."""
    text = sent.decode("ascii", "backslashreplace").replace("\0", "\\x00")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
