"""Provider: where models are called, with which key."""

import re
from posixpath import normpath
from typing import Any, ClassVar, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, ValidationInfo, field_validator

from domain.configuration import Configuration
from domain.configuration_events import Changed
from domain.definition import JSON, Definition, Strict

CREDENTIAL_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "x-auth-token", "x-goog-api-key"}
)
"""Header names that carry credentials: they belong into `secret_headers`."""

PLUGIN = "plugin"
PLUGIN_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
"""What plugins may be called."""


class Timeouts(Strict):
    """Seconds until a call to the provider is given up."""

    connect: float = Field(5.0, gt=0, le=60)
    first_token: float = Field(60.0, gt=0, le=3600)
    idle: float = Field(30.0, gt=0, le=3600)
    total: float = Field(600.0, gt=0, le=86_400)


class ProviderDefinition(Definition):
    """A provider's settings; `api_key` and `secret_headers` are secrets and not among them."""

    type: Literal["openai", "azure_openai", "openai_compatible", "local", "plugin"] = Field(
        description="Its dialect; `local`: a directory with an embedding model, which is run here; `plugin`: a plugin is asked."
    )
    base_url: str = Field(
        min_length=1,
        max_length=2000,
        description="Where its API starts, http or https; of `local` file:///directory, of `plugin` plugin://name.",
    )
    api_version: str | None = Field(None, max_length=40, description="`api-version` of azure_openai.")
    headers: dict[str, str] = Field(default_factory=dict, max_length=50, description="Sent with each call.")
    timeouts: Timeouts = Field(default_factory=Timeouts)
    config: dict[str, JSON] = Field(default_factory=dict, description="Of `plugin`: what the plugin is set to.")

    SECRETS: ClassVar[tuple[str, ...]] = ("api_key", "secret_headers/*")

    @field_validator("base_url")
    @classmethod
    def _base_url_is_plain(cls, url: str, info: ValidationInfo) -> str:
        origin(url)
        parts = urlsplit(url)
        if info.data.get("type") == "local" and parts.scheme != "file":
            raise ValueError("a provider of type local is at file:///directory")
        if info.data.get("type") != "local" and parts.scheme == "file":
            raise ValueError("a URL starts with http:// or https://; only a provider of type local is in a directory")
        if (info.data.get("type") == "plugin") != (parts.scheme == PLUGIN):
            raise ValueError("a provider of type plugin, and no other, is at plugin://name")
        if parts.query or parts.fragment:
            raise ValueError("a base URL has no query and no fragment")
        return url

    @field_validator("headers")
    @classmethod
    def _headers_are_public(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            check_header(name, value)
            if name.lower() in CREDENTIAL_HEADERS:
                raise ValueError("a header that carries a credential belongs into secret_headers")
        return headers


class Provider(Configuration):
    """Where models are called, with which key."""

    TOPIC = "provider"
    DEFINITION = ProviderDefinition
    LABELLED = False

    class TypeChanged(Changed):
        """It speaks another dialect now."""

        TOPIC = "provider.type_changed"
        type: str
        api_version: str | None

    class BaseUrlChanged(Changed):
        """It moved to another address; to another origin, its secrets were cleared too."""

        TOPIC = "provider.base_url_changed"
        base_url: str

    class HeadersChanged(Changed):
        """Its public headers changed."""

        TOPIC = "provider.headers_changed"
        headers: dict[str, str]

    class TimeoutsChanged(Changed):
        """Its time limits changed."""

        TOPIC = "provider.timeouts_changed"
        timeouts: dict[str, float]

    class ConfigSet(Changed):
        """What its plugin is set to changed."""

        TOPIC = "provider.config_set"
        config: dict[str, Any]

    @property
    def origin(self) -> str:
        """Scheme, host and port that its secrets are bound to."""
        return origin(self.definition["base_url"])


def origin(url: str) -> str:
    """Return scheme://host:port of an http(s) URL, or that of a directory; or raise ValueError saying what is wrong."""
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise ValueError("a URL has no white space, control character or backslash")
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("this is no URL") from None
    if parts.scheme == "file":
        return f"file://{directory_of(url)}"
    if parts.scheme == PLUGIN:
        return f"{PLUGIN}://{plugin_named(url)}"
    if parts.scheme not in ("http", "https"):
        raise ValueError("a URL starts with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("a URL holds no user name or password: use api_key or secret_headers")
    if not parts.hostname or "%" in parts.netloc:
        raise ValueError("a URL names a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.lower().rstrip(".")
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 80)}"


def web_origin(url: str) -> str:
    """Return the origin of an address on the web, or raise ValueError saying what is wrong."""
    found = origin(url)
    if not found.startswith("http"):
        raise ValueError("a URL starts with http:// or https://")
    return found


def plugin_named(url: str) -> str:
    """Return the plugin that a URL means, or raise ValueError saying what is wrong."""
    name = url.removeprefix(f"{PLUGIN}://")
    if name == url or not PLUGIN_NAME.fullmatch(name):
        raise ValueError("the URL of a plugin is plugin://name")
    return name


def directory_of(url: str) -> str:
    """Return the directory that a file URL means, or raise ValueError saying what is wrong."""
    parts = urlsplit(url)
    try:
        path = unquote(parts.path, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("the path of a directory is UTF-8") from None
    if parts.scheme != "file" or parts.netloc or not url.startswith("file:///"):
        raise ValueError("the URL of a directory is file:///directory")
    if "\x00" in path or normpath(path) != (path.rstrip("/") or "/") or path.startswith("//"):
        raise ValueError("the path of a directory has no '.', '..' or empty part")
    return normpath(path)


def check_header(name: str, value: str) -> None:
    """Raise ValueError unless this is a header that can be sent."""
    token = set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
    if not name or len(name) > 200 or set(name.lower()) - token:
        raise ValueError("a header's name consists of letters, digits and !#$%&'*+-.^_`|~")
    if len(value) > 8000 or any(ord(c) < 32 or ord(c) > 126 for c in value):
        raise ValueError("a header's value consists of at most 8000 printable ASCII characters")
