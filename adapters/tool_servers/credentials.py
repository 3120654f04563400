"""How calls of tools are let in: what is secret goes to one origin, and into no address that is shown."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from adapters.connectors.oauth import Grant, Tokens
from adapters.connectors.web import Ask, origin_of
from commands.agents.tools import ToolServerUnavailable
from domain.tool_server import SECRET_OF, ToolServer


class NotLetIn(ToolServerUnavailable):
    """A credential is missing, or may not go where the call goes."""

    code = "credentials_missing"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What is sent besides a request itself; `grant` is where a token is had."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)
    grant: Grant | None = None

    def with_query(self, url: str) -> str:
        """Return an address with what is secret of its query."""
        if not self.query:
            return url
        return f"{url}{'&' if '?' in url else '?'}{self.query}"

    def let_in(self, ask: Ask) -> Ask:
        """Return a request with its credentials; a cookie of it goes with those of its own."""
        headers = dict(self.headers)
        if "Cookie" in headers and "Cookie" in ask.headers:
            headers["Cookie"] = f"{ask.headers['Cookie']}; {headers['Cookie']}"
        own = {name: value for name, value in ask.headers.items() if name.lower() not in {h.lower() for h in headers}}
        return replace(ask, url=self.with_query(ask.url), headers=own, credentials=headers)


def credentials_of(server: ToolServer, secrets: Mapping[str, str], url: str) -> Credentials:
    """Return what a call of an address is let in with; or raise NotLetIn."""
    auth = server.definition["auth"]
    kind = auth["kind"]
    if kind == "none":
        return Credentials()
    if server.home is None or origin_of(url) != server.home:
        raise NotLetIn(
            "The specification names a server at another origin than the settings do: set 'base_url', so that "
            "credentials may go there."
        )
    name = SECRET_OF[kind]
    if name not in secrets:
        raise NotLetIn(f"The secret '{name}' is not set, and {kind} needs it: give it as secrets.{name}.")
    secret = secrets[name]
    match kind:
        case "bearer":
            return Credentials(headers={"Authorization": f"Bearer {secret}"})
        case "basic":
            return Credentials(headers={"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"})
        case "api_key":
            return api_key(auth["in"], auth["name"], secret)
    form = {"grant_type": "client_credentials", "client_id": auth["client_id"], "client_secret": secret}
    if auth["scope"]:
        form["scope"] = auth["scope"]
    return Credentials(grant=Grant(url=auth["token_url"], form=form))


def hidden(secrets: Mapping[str, str], credentials: Credentials, tokens: Tokens) -> list[str]:
    """Return what must not be told of what is sent: the secrets, the password of one, and the token that was had."""
    password = secrets.get("basic", "").partition(":")[2]
    token = None if credentials.grant is None else tokens.kept(credentials.grant)
    return [*secrets.values(), *filter(None, (password, token))]


def api_key(place: str, name: str, secret: str) -> Credentials:
    """Return an API key as it is sent."""
    if place == "query":
        return Credentials(query=f"{quote(name, safe='')}={quote(secret, safe='')}")
    if place == "cookie":
        return Credentials(headers={"Cookie": f"{name}={quote(secret, safe='')}"})
    return Credentials(headers={name: secret})
