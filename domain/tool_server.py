"""Tool server: another machine's tools, described by OpenAPI or told by MCP, and how they are called."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from domain.configuration import Configuration
from domain.configuration_events import Changed, ConfigurationEvent
from domain.definition import JSON, Definition, Strict, same
from domain.errors import NotFound
from domain.provider import check_header, origin, web_origin
from domain.references import escaped

LONGEST_SPEC = 2_000_000
"""Characters of a specification that is given as text."""

AuthKind = Literal["none", "bearer", "basic", "api_key", "oauth2_client_credentials"]
SECRET_OF: Mapping[str, str] = {
    "bearer": "token",
    "basic": "basic",
    "api_key": "api_key",
    "oauth2_client_credentials": "client_secret",
}
"""Which secret each way to be let in needs; `basic` is `user:password`."""


class NoSuchTool(NotFound):
    """The tool server offers no such tool, or does no more: sync it, and look at its tools."""

    code = "unknown_tool"


class Auth(Strict):
    """How calls are let in; what is secret of it stands in `secrets`."""

    kind: AuthKind = "none"
    name: str | None = Field(None, max_length=200, description="Of the header, query parameter or cookie of api_key.")
    place: Literal["header", "query", "cookie"] = Field("header", alias="in", description="Where an api_key is sent.")
    token_url: str | None = Field(None, max_length=2000, description="Where oauth2_client_credentials has its token.")
    client_id: str | None = Field(None, max_length=500)
    scope: str | None = Field(None, max_length=2000)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        needed = {
            "api_key": {"name": self.name},
            "oauth2_client_credentials": {"token_url": self.token_url, "client_id": self.client_id},
        }
        for field, value in needed.get(self.kind, {}).items():
            if not value:
                raise ValueError(f"{self.kind} needs '{field}'")
        if self.token_url is not None:
            web_origin(self.token_url)
        if self.kind == "api_key" and self.name is not None and self.place != "query":
            check_header(self.name, "")
        return self


class ToolSettings(Strict):
    """What is set differently for one tool."""

    enabled: bool = Field(True, description="Whether it may be called.")
    description: str | None = Field(None, max_length=4000, description="What models are told of it; null: its own.")
    side_effects: bool | None = Field(None, description="Whether a call changes something; null: as the server says.")
    requires_confirmation: bool = Field(False, description="Whether a person must agree to each call.")
    timeout: float | None = Field(None, gt=0, le=600, description="Seconds; null: the server's.")
    calls_per_turn: int | None = Field(None, ge=1, le=1000, description="How often a turn may call it; null: no bound.")


class ToolServerDefinition(Definition):
    """A tool server's settings; `secrets` are not among them."""

    type: Literal["openapi", "mcp", "plugin"] = Field(description="What describes its tools.")
    url: str | None = Field(
        None, max_length=2000, description="Of `mcp` its endpoint; of `openapi` where the specification is read."
    )
    spec: str | None = Field(
        None, min_length=1, max_length=LONGEST_SPEC, description="The OpenAPI specification itself, JSON or YAML."
    )
    base_url: str | None = Field(
        None, max_length=2000, description="Where an API is called; null: at the specification's first server."
    )
    transport: Literal["streamable_http", "sse"] = Field("streamable_http", description="How `mcp` is spoken.")
    auth: Auth = Field(default_factory=Auth)
    plugin: str | None = Field(None, max_length=64, description="Of `plugin`: its name.")
    config: dict[str, JSON] = Field(default_factory=dict, description="Of `plugin`: what it is set to.")
    timeout: float = Field(30.0, gt=0, le=600, description="Seconds that a call may take.")
    tools: dict[str, ToolSettings] = Field(default_factory=dict, max_length=2000, description="By tool.")
    mocked: bool = Field(False, description="Whether calls are answered by `mocks`, and nothing is sent.")
    mocks: dict[str, JSON] = Field(default_factory=dict, max_length=2000, description="Tool -> its answer.")

    SECRETS: ClassVar[tuple[str, ...]] = ("secrets/*",)

    @field_validator("url", "base_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None:
            web_origin(url)
        return url

    @field_validator("base_url")
    @classmethod
    def _has_no_query(cls, url: str | None) -> str | None:
        if url is not None and ("?" in url or "#" in url):
            raise ValueError("a base URL has no query and no fragment")
        return url

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if (self.type == "plugin") != (self.plugin is not None):
            raise ValueError("the name of a plugin belongs to the type plugin, and to no other")
        if self.type == "plugin":
            if (self.url, self.spec, self.base_url, self.auth) != (None, None, None, Auth()):
                raise ValueError("a plugin has no 'url', 'spec', 'base_url' and 'auth': it is called here")
        elif self.config:
            raise ValueError("a 'config' belongs to the type plugin, and to no other")
        elif self.type == "mcp":
            if self.url is None:
                raise ValueError("an MCP server needs 'url': its endpoint")
            if self.spec is not None or self.base_url is not None:
                raise ValueError("an MCP server has no 'spec' and no 'base_url': it tells its tools itself")
        elif (self.url is None) == (self.spec is None):
            raise ValueError("an API's specification is given by 'url' or as 'spec': one of them")
        elif self.auth.kind != "none" and self.url is None and self.base_url is None:
            raise ValueError("with credentials 'base_url' is needed: they are sent there, and nowhere else")
        return self


class ToolServer(Configuration):
    """Another machine's tools. What they are is recorded whenever it is synced, and models are told that."""

    TOPIC = "tool_server"
    DEFINITION = ToolServerDefinition
    LABELLED = False
    FIXED = frozenset({"type"})
    FURTHER = ("synced",)

    class AddressChanged(Changed):
        """It moved, or is spoken to in another way; at another origin, its secrets were cleared too."""

        TOPIC = "tool_server.address_changed"
        url: str | None
        base_url: str | None
        transport: str

    class SpecChanged(Changed):
        """Another specification was given."""

        TOPIC = "tool_server.spec_changed"
        spec: str | None

    class AuthChanged(Changed):
        """How its calls are let in changed."""

        TOPIC = "tool_server.auth_changed"
        auth: dict[str, Any]

    class PluginSet(Changed):
        """Another plugin is called, or it was set differently; of another one, its secrets were cleared too."""

        TOPIC = "tool_server.plugin_set"
        plugin: str | None
        config: dict[str, Any]

    class CallsChanged(Changed):
        """How its tools are called changed."""

        TOPIC = "tool_server.calls_changed"
        timeout: float
        tools: dict[str, dict[str, Any]]

    class MocksChanged(Changed):
        """What is answered in the place of its tools changed."""

        TOPIC = "tool_server.mocks_changed"
        mocked: bool
        mocks: dict[str, Any]

    class ToolsSynced(ConfigurationEvent):
        """What it offers was read; `left_out` says of what it offers besides why that can't be called."""

        TOPIC = "tool_server.tools_synced"
        offer: dict[str, Any]

        def apply(self, aggregate: Any) -> None:
            aggregate.offered = self.offer["tools"]
            aggregate.synced = summary(self.offer)

    def __init__(self, name: str, definition: dict[str, Any]) -> None:
        super().__init__(name, definition)
        self.offered: list[dict[str, Any]] = []
        self.synced: dict[str, Any] | None = None

    @property
    def origin(self) -> str:
        """Where its secrets may go: the origins of its addresses."""
        addresses = {**self.definition, "token_url": self.definition["auth"]["token_url"]}
        named = (name for name in ("url", "base_url", "token_url") if addresses[name] is not None)
        plugin = self.definition.get("plugin")
        return " ".join(
            [f"{name}={origin(addresses[name])}" for name in named] + ([f"plugin={plugin}"] if plugin else [])
        )

    @property
    def home(self) -> str | None:
        """The origin that credentials go to; None: none was said."""
        address = self.definition["base_url"] or self.definition["url"]
        return None if address is None else origin(address)

    def sync(self, offer: Mapping[str, Any]) -> None:
        """Record what it offers: `{title, server, tools, left_out}`; nothing happens where that is as before."""
        self.must_be_active()
        before = {**self.synced, "tools": self.offered} if self.synced is not None else None
        if not same(before, dict(offer)):
            self.trigger_event(self.ToolsSynced, offer=dict(offer))

    def tool(self, name: str) -> dict[str, Any]:
        """Return a tool that it offers, or raise NoSuchTool."""
        found = next((tool for tool in self.offered if tool["name"] == name), None)
        if found is None:
            raise NoSuchTool
        return found

    def settings(self, name: str) -> ToolSettings:
        """Return what is set for a tool."""
        return ToolSettings.model_validate(self.definition["tools"].get(name, {}))

    def has_effects(self, tool: Mapping[str, Any]) -> bool:
        """Return whether calling a tool changes something."""
        said = self.settings(tool["name"]).side_effects
        return bool(tool["side_effects"]) if said is None else said

    def unknown_names(self) -> Sequence[str]:
        """Return pointers to settings and mocks of tools that it does not offer."""
        offered = {tool["name"] for tool in self.offered}
        held = [(field, name) for field in ("tools", "mocks") for name in sorted(self.definition[field])]
        return [f"/{field}/{escaped(name)}" for field, name in held if name not in offered]


def summary(offer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of an offer besides its tools."""
    return {**offer, "tools": len(offer["tools"])}
