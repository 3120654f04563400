"""Visitors: who talks in one conversation by a token, and what they are told of it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from api.auth import CREDENTIALS, token_in, unauthorized
from api.cross_origin import is_own
from api.errors import HttpProblem, status_of
from api.rates import Rates
from commands.conversations.conversation_tokens import PREFIX, Claims, ConversationTokens, as_visitor
from commands.conversations.on_behalf import Standing
from commands.ports import Actor, Things
from domain.conversation import Conversation
from domain.errors import DomainError, NotFound
from projections.conversation_reading import absent

PER_MINUTE = 120
"""Requests that are answered in one conversation by its tokens."""

TOLD = frozenset(
    {"type", "sequence", "turn", "conversation", "text", "message", "citation", "confirmation", "confirmations"}
    | {"function", "id", "error", "version", "position"}
)
OF_CONVERSATION = (
    *("id", "version", "title", "agent", "answering", "status", "closed_by", "state", "welcome_message"),
    *("messages", "turns", "confirmations", "created_at", "updated_at"),
)
OF_MESSAGE = ("id", "role", "content", "citations", "turn", "state", "feedback", "attachments", "created_at")
OF_FILE = ("id", "name")
OF_PROBLEM = ("type", "title", "status", "code", "request_id")
OF_TURN = ("id", "number", "state", "message_id", "retry_of", "error", "started_at", "ended_at")
OF_CONFIRMATION = ("id", "turn", "function", "message", "approved", "comment")


class Visitors:
    """Finds out who talks by a token. Rates count per process."""

    def __init__(self, tokens: ConversationTokens, things: Things, standing: Standing) -> None:
        self._tokens = tokens
        self._things = things
        self._standing = standing
        self._rates = Rates()
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def claims(self, request: Request) -> Claims | None:
        """Return what the request's token says, which may have ended; None where it brings none; or raise a 401."""
        given = [(name, value) for name, value in request.scope["headers"] if name in CREDENTIALS]
        if len(given) != 1 or given[0][0] != b"authorization":
            return None
        token = token_in(*given[0])
        if not token.startswith(PREFIX):
            return None
        claims = self._tokens.read(token)
        if claims is None:
            raise unauthorized()
        origin = request.headers.get("origin")
        if origin is not None and origin != claims.origin and not is_own(request, origin):
            raise HttpProblem(403, "origin_not_allowed", "This token is not for pages of this origin.")
        return claims

    async def visitor(self, claims: Claims, request: Request) -> Actor:
        """Return who talks; raise a 401 where the token has ended, NotFound for another conversation."""
        if claims.expires_at <= self.now():
            raise ended("This token has expired: get another one.")
        if request.path_params.get("id", "").lower() != str(claims.conversation):
            raise absent()
        self._rates.take(str(claims.conversation), PER_MINUTE)
        try:
            conversation = await self._things.newest(Conversation, claims.conversation)
        except NotFound:
            raise absent() from None
        if conversation.closed and conversation.closed_by == "person":
            raise ended("This token has ended: the conversation was closed.")
        actor = await self._standing(conversation.principal)
        if actor is None:
            raise ended("This token has ended: who made it may no longer ask.")
        return as_visitor(actor)


def ended(words: str) -> HttpProblem:
    """Return the refusal of a token that was one."""
    return HttpProblem(401, "token_ended", words, headers={"WWW-Authenticate": "Bearer"})


def event_for_visitor(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a visitor is told of an answer or of an event: not how it came about, and not what it cost."""
    told = {name: value for name, value in data.items() if name in TOLD}
    if isinstance(told.get("message"), Mapping):
        told["message"] = _only(told["message"], OF_MESSAGE)
    if isinstance(told.get("error"), Mapping):
        told["error"] = _only(told["error"], OF_PROBLEM)
    if "confirmation" in told:
        told["confirmation"] = _only(told["confirmation"], OF_CONFIRMATION)
    if "confirmations" in told:
        told["confirmations"] = [_only(each, OF_CONFIRMATION) for each in told["confirmations"]]
    return told


def conversation_for_visitor(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a visitor is told of a conversation."""
    told = _only(document, OF_CONVERSATION)
    for name, fields in (("messages", OF_MESSAGE), ("turns", OF_TURN), ("confirmations", OF_CONFIRMATION)):
        told[name] = [_only(each, fields) for each in told[name]]
    for message in told["messages"]:
        if "attachments" in message:
            message["attachments"] = [_only(each, OF_FILE) for each in message["attachments"]]
    for turn in told["turns"]:
        turn["error"] = turn["error"] and _only(turn["error"], OF_PROBLEM)
    return told


def failure_for_visitor(failure: DomainError) -> HttpProblem:
    """Return how a visitor is told that there is no answer: why, who runs this reads in the run."""
    return HttpProblem(status_of(failure), failure.error_code, "The answer failed: try again.")


def _only(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}
