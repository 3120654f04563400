"""Who read the log, or tried to: what is noted of each attempt."""

from dataclasses import dataclass

ALLOWED, REFUSED, FAILED = "allowed", "refused", "failed"
OUTCOMES = (ALLOWED, REFUSED, FAILED)


@dataclass(frozen=True, kw_only=True)
class Access:
    """One attempt, or several of nobody known that are told together, and what came of it."""

    actor_type: str
    actor_id: str
    actor_name: str
    credential: str | None
    address: str | None
    method: str
    path: str
    query: str
    outcome: str
    status: int
    code: str | None
    request_id: str
    attempts: int = 1
