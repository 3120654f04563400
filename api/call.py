"""One call of an operation: what was asked, by whom, and the forms that answers have."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.body import read_object
from api.errors import HttpProblem
from api.permissions import allowed
from commands.bus import Command
from commands.ports import Actor, Context, IdempotencyKey, Receipt
from domain.api_key import ApiKey
from domain.errors import Invalid
from domain.values import moment
from projections.passages import PassagesProjection

if TYPE_CHECKING:
    from api.container import Container

PRINTABLE = re.compile(r"[\x20-\x7e]{1,255}\Z")
ETAG = re.compile(r'"(\d{1,18})"\Z')
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
ATTRIBUTE = b"magnet-attribute-"
MOST_ATTRIBUTES = 20
READ_PATIENCE = 5.0
"""Seconds that a query waits for its read model."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A query parameter: its name, JSON schema and what it is for."""

    name: str
    schema: Mapping[str, Any]
    description: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A route: where it is, which side it belongs to, who may call it, and what it takes and gives.

    `form` is the schema of a multipart body that it takes as well. `refused` turns a problem document's response into what the route's clients expect.
    `by_token` says whether it is open to the tokens of its conversation, and `origins` tells which other sites' pages may call it.
    """

    method: str
    path: str
    side: str
    tag: str
    name: str
    summary: str
    permission: str
    handler: Callable[["Call"], Awaitable[Response]]
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None
    """The schema of the body, or what makes it: that of a configuration takes time that a start does not need."""
    form: Mapping[str, Any] | None = None
    body_required: bool = True
    answer: Mapping[str, Any] = field(default_factory=dict)
    media: tuple[str, ...] = ("application/json",)
    status: int = 200
    if_match: bool = False
    refused: Callable[[Response], Response] | None = None
    by_token: bool = False
    origins: Callable[["Container", Request], Awaitable[Collection[str]]] | None = None


class Call:
    """What a handler is given."""

    __slots__ = ("actor", "channel", "container", "request", "request_id", "visiting")

    def __init__(
        self,
        request: Request,
        container: "Container",
        actor: Actor,
        request_id: str,
        channel: str = "api",
        *,
        visiting: bool = False,
    ) -> None:
        self.request = request
        self.container = container
        self.actor = actor
        self.request_id = request_id
        self.channel = channel
        self.visiting = visiting

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters, worked out where they are asked for."""
        return self.request.query_params

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        value = self.request.path_params[name]
        if "\x00" in value:
            raise Invalid("A path holds NUL.", code="invalid_text", pointer=f"/{name}")
        return str(value)

    def must_be_allowed(self, permission: str) -> None:
        """Raise a 403 unless the caller has this permission besides the operation's own."""
        must_be_allowed(self.actor, permission)

    # Query parameters --------------------------------------------------------

    def text(self, name: str, longest: int = 500) -> str | None:
        """Return a text parameter."""
        value = self.query.get(name)
        if value is not None and (len(value) > longest or "\x00" in value or not value.isprintable()):
            raise Invalid(f"'{name}' is printable text of at most {longest} characters.", pointer=f"/{name}")
        return value

    def integer(self, name: str, default: int | None, lowest: int, highest: int) -> int | None:
        """Return an integer parameter."""
        value = self.query.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) < 19 and lowest <= int(value) <= highest):
            raise Invalid(f"'{name}' is an integer from {lowest} to {highest}.", pointer=f"/{name}")
        return int(value)

    def flag(self, name: str) -> bool:
        """Return a true/false parameter; false where it is not given."""
        value = self.query.get(name, "false")
        if value not in ("true", "false"):
            raise Invalid(f"'{name}' is true or false.", pointer=f"/{name}")
        return value == "true"

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of the choices; the first where nothing is given."""
        value = self.query.get(name, choices[0])
        if value not in choices:
            raise Invalid(f"'{name}' is one of: {', '.join(choices)}.", pointer=f"/{name}")
        return value

    def time(self, name: str) -> datetime | None:
        """Return a time parameter."""
        value = self.query.get(name)
        return None if value is None else parse_time(value, f"/{name}")

    # Commands ----------------------------------------------------------------

    async def body(self, *, required: bool = True) -> tuple[dict[str, Any], str | None, bytes]:
        """Return the JSON object of the body without its `message`, the message, and the bytes."""
        value, raw = await read_object(self.request, required=required)
        return value, message_in(value), raw

    def if_match(self) -> int | None:
        """Return the version that the thing must have; None where any will do."""
        value = self.request.headers.get("if-match")
        if value is None or value.strip() == "*":
            return None
        found = ETAG.match(value.strip())
        if found is None:
            raise Invalid('If-Match is "<version>", as ETag shows it.', code="invalid_if_match", pointer="")
        return int(found[1])

    async def dispatch(self, command: Command, *, reason: str | None = None, raw: bytes = b"") -> Receipt:
        """Carry out a command as this caller, once per Idempotency-Key."""
        receipt = await self.container.bus.dispatch(command, self.context(reason=reason, raw=raw))
        if getattr(command, "kind", None) is ApiKey:
            self.container.credentials.forget()  # here at once; elsewhere when PostgreSQL has told it
        return receipt

    def context(self, *, reason: str | None = None, raw: bytes = b"", channel: str | None = None) -> Context:
        """Return who asks, why, and with which key and attributes."""
        traceparent = TRACEPARENT.match(self.request.headers.get("traceparent", ""))
        return Context(
            actor=self.actor,
            reason=reason,
            correlation_id=self.request_id,
            trace_id=traceparent[1] if traceparent else None,
            idempotency=self._idempotency(raw),
            channel=channel or self.channel,
            attributes=self._attributes(),
        )

    def _attributes(self) -> dict[str, str]:
        """Return what `Magnet-Attribute-*` headers say of this call, for usage."""
        found: dict[str, str] = {}
        for name, value in self.request.scope["headers"]:
            if name.startswith(ATTRIBUTE):
                text = value.decode("latin-1")
                if (
                    len(found) == MOST_ATTRIBUTES
                    or len(name) > 80
                    or not 0 < len(text) <= 200
                    or not text.isprintable()
                ):
                    raise Invalid(
                        f"At most {MOST_ATTRIBUTES} Magnet-Attribute-* headers, of 1 to 200 printable characters.",
                        code="invalid_attribute",
                    )
                found[name[len(ATTRIBUTE) :].decode("latin-1")] = text
        return found

    def _idempotency(self, raw: bytes) -> IdempotencyKey | None:
        key = self.request.headers.get("idempotency-key")
        if key is None:
            return None
        if not PRINTABLE.match(key):
            raise Invalid("An Idempotency-Key has 1 to 255 printable ASCII characters.", code="invalid_idempotency_key")
        asked = self.request.scope
        scope = orjson.dumps([self.actor.type, self.actor.id, asked["method"], asked["path"], key])
        if_match = self.request.headers.get("if-match", "").encode()
        body = asked["query_string"] + b"\n" + if_match + b"\n" + raw
        return IdempotencyKey(key=key, scope=sha256(scope).digest(), body=sha256(body).digest())

    def receipt(self, receipt: Receipt, *, status: int = 200, location: str | None = None) -> Response:
        """Return a receipt's response."""
        body = {"id": str(receipt.id), "version": receipt.version, "position": receipt.position}
        headers = {
            "ETag": f'"{receipt.version}"',
            "Magnet-Position": str(receipt.position),
            **replay_header(receipt.replayed),
        }
        if location is not None:
            headers["Location"] = self.container.settings.root_path + location
        return json_response(orjson.dumps(body | dict(receipt.shown)), status, headers)

    # Queries -----------------------------------------------------------------

    async def wait_for_passages(self) -> None:
        """Wait until searches find what was indexed up to Magnet-Min-Position."""
        await self.wait_for_read_model(PassagesProjection.name)

    async def wait_for_read_model(self, name: str) -> int:
        """Wait until a read model has passed Magnet-Min-Position; return a position it has passed."""
        wanted = self.request.headers.get("magnet-min-position")
        if wanted is not None:
            if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 19):
                raise Invalid("Magnet-Min-Position is a position.", code="invalid_position", pointer="")
            if not await self.container.reached(name, int(wanted), READ_PATIENCE):
                lag = int(wanted) - await self.container.administration.position(name)
                raise HttpProblem(
                    503,
                    "read_model_behind",
                    "The read model has not passed this position yet: ask again.",
                    headers={"Retry-After": "1"},
                    details={"projection": name, "lag": lag},
                )
        return self.container.positions.known(name)


def must_be_allowed(actor: Actor, permission: str) -> None:
    """Raise a 403 unless somebody has a permission."""
    if not allowed(actor.roles, permission):
        raise HttpProblem(
            403, "forbidden", f"This needs the permission {permission}, which none of the key's roles has."
        )


def message_in(body: dict[str, Any]) -> str | None:
    """Take the message out of a body: why a command is asked for."""
    message = body.pop("message", None)
    if message is not None and (not isinstance(message, str) or not 0 < len(message) <= 1000 or "\x00" in message):
        raise Invalid("A message is text of 1 to 1000 characters.", code="invalid_message", pointer="/message")
    return message


def json_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return ready JSON."""
    return Response(body, status, dict(headers or {}), media_type="application/json")


def replay_header(replayed: bool) -> dict[str, str]:
    """Return the header that says of an answer that an earlier request with this key gave it."""
    return {"Idempotent-Replay": "true"} if replayed else {}


def answer(value: Any, *, position: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return a query's answer."""
    return json_response(orjson.dumps(value), headers={"Magnet-Position": str(position), **(headers or {})})


def parse_time(text: str, pointer: str) -> datetime:
    """Return a time in UTC, or raise Invalid."""
    try:
        # A '+' of an offset that was not escaped in a URL has become a space.
        return moment(text.replace(" ", "+") if text.count(":") >= 3 else text)
    except ValueError as error:
        reason = str(error)
        raise Invalid(f"{reason[0].upper()}{reason[1:]}.", code="invalid_time", pointer=pointer) from None
