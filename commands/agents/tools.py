"""Tools of other machines: told by tool servers, checked, and called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import jsonschema_rs
import orjson
from pydantic import BaseModel

from commands.ports import Things
from domain.errors import Conflict, DomainError, FieldError, Invalid
from domain.references import escaped
from domain.tool_server import ToolServer

MOST_ERRORS = 5
"""Wrong arguments that a model is told of at once."""


class ToolServerUnavailable(DomainError):
    """The tool server can't be reached, or does not let this installation in."""

    code = "tool_server_unavailable"


class WrongSpecification(Invalid):
    """The specification is none that tools can be made of."""

    code = "invalid_specification"


class ToolDisabled(Conflict):
    """This tool is switched off in the settings of its tool server."""

    code = "tool_disabled"


class NotMocked(Conflict):
    """The tool server is mocked, and has no mock for this tool: nothing is called."""

    code = "not_mocked"


class ToolFailed(DomainError):
    """The tool was called, and answered with an error."""

    code = "tool_failed"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a tool server offers.

    `tools` are objects: `name`, `description`, `input_schema`, `side_effects`, and `request`, which is for its caller
    alone. `left_out` is `{tool, reason}` of what it offers besides.
    """

    title: str
    server: str | None
    tools: Sequence[Mapping[str, Any]]
    left_out: Sequence[Mapping[str, str]] = ()

    def document(self) -> dict[str, Any]:
        """Return it as it is recorded."""
        return {
            "title": self.title,
            "server": self.server,
            "tools": [dict(tool) for tool in self.tools],
            "left_out": [dict(each) for each in self.left_out],
        }


@dataclass(frozen=True, kw_only=True)
class ToolAnswer:
    """What a tool answered: `text` as a model is told it, `request` without what is secret.

    `status` is HTTP's, where there is one.
    """

    text: str
    failed: bool = False
    request: str = ""
    status: int | None = None
    mocked: bool = field(default=False)


class Specifications(Protocol):
    """Reads specifications of APIs."""

    async def read(self, text: str, auth: Mapping[str, Any], *, url: str | None = None) -> Offer:
        """Return what a specification describes, or raise WrongSpecification; `url` is where it was."""


class ToolPlugin(Protocol):
    """A plugin that is a tool."""

    config: type[BaseModel]
    secrets: Mapping[str, str]

    def offer(self) -> Offer:
        """Return it as the one tool of its server."""


ToolPlugins = Mapping[str, ToolPlugin]
"""By the name of the plugin."""


class ToolServers(Protocol):
    """Other machines, as they are reached."""

    async def offer(self, server: ToolServer) -> Offer:
        """Ask a server what it offers; raise ToolServerUnavailable or WrongSpecification."""

    async def call(
        self, server: ToolServer, tool: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
    ) -> ToolAnswer:
        """Call a tool once; raise ToolServerUnavailable, or Invalid where the arguments can't be sent."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Calls tools, as their servers' settings say."""

    things: Things
    servers: ToolServers

    async def server(self, id: UUID) -> ToolServer:
        """Return a tool server that may be called, or raise NotFound or Archived."""
        server = await self.things.newest(ToolServer, id)
        server.must_be_active()
        return server

    async def call(self, server: ToolServer, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Call a tool with arguments that fit its schema, once; or answer with its mock.

        Raises NoSuchTool, ToolDisabled, NotMocked, Invalid that says which arguments are wrong, and
        ToolServerUnavailable.
        """
        tool, settings = server.tool(name), server.settings(name)
        if not settings.enabled:
            raise ToolDisabled
        must_fit(tool["input_schema"], arguments)
        if server.definition["mocked"]:
            if name not in server.definition["mocks"]:
                raise NotMocked
            return ToolAnswer(text=mock_text(server.definition["mocks"][name]), mocked=True)
        return await self.servers.call(
            server, tool, arguments, seconds=settings.timeout or server.definition["timeout"]
        )


def must_fit(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raise Invalid unless arguments fit a tool's schema; it says what is wrong, and repeats no value."""
    validator = jsonschema_rs.validator_for(dict(schema), mask="the value", offline=True)
    errors = []
    for error in validator.iter_errors(dict(arguments)):
        pointer = "".join(f"/{escaped(part)}" for part in error.instance_path)
        errors.append(FieldError(pointer=f"/arguments{pointer}", message=error.message, code="invalid_argument"))
        if len(errors) == MOST_ERRORS:
            break
    if errors:
        told = "; ".join(f"{each.pointer.removeprefix('/arguments') or '/'}: {each.message}" for each in errors)
        raise Invalid(f"The arguments do not fit the tool: {told}.", code="invalid_arguments", errors=errors)


def mock_text(mock: Any) -> str:
    """Return what a model is told of a mock: text as it is, all else as JSON."""
    return mock if isinstance(mock, str) else orjson.dumps(mock).decode()
