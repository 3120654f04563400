"""APIs that OpenAPI describes: their specifications are read, and their operations called."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.connectors.oauth import Tokens
from adapters.connectors.web import Answer, Ask, TooLarge, Unanswered, Web, place
from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.tool_servers.answers import MOST_BYTES, body_text, told
from adapters.tool_servers.credentials import Credentials, credentials_of, hidden
from adapters.tool_servers.openapi.operations import offer_of
from adapters.tool_servers.openapi.requests import request_of
from adapters.tool_servers.withholding import without
from commands.agents.tools import Offer, ToolAnswer, ToolServerUnavailable, WrongSpecification
from commands.knowledge.connectors import NotFetched, SourceUnavailable
from domain.provider import web_origin
from domain.tool_server import ToolServer
from domain.turn_effects import UNKNOWN

LARGEST_SPEC = 10_000_000
"""Bytes of a specification that is read from an address."""

FAILED = 400
LEEWAY = 5.0
"""Seconds that one request may take beyond all of a call: what ends first is the call."""


class OpenAPISpecifications:
    """Reads specifications, beside whatever else this process does."""

    async def read(self, text: str, auth: Mapping[str, Any], *, url: str | None = None) -> Offer:
        """Return what a specification describes, or raise WrongSpecification."""
        return await asyncio.to_thread(offer_of, text, auth, url)


@dataclass(frozen=True, kw_only=True)
class Apis:
    """Calls APIs."""

    web: Web
    tokens: Tokens
    secrets: SealedSourceSecrets
    specifications: OpenAPISpecifications

    async def offer(self, server: ToolServer) -> Offer:
        """Return what an API's specification describes: the one it was given, or what is at its address now."""
        definition = server.definition
        if definition["spec"] is not None:
            return await self.specifications.read(definition["spec"], definition["auth"])
        url = definition["url"]
        secrets = await self.secrets.of(server)
        ask = Ask(url=url, method="GET", most=LARGEST_SPEC, seconds=definition["timeout"])
        # A specification is mostly there for all to read; where it is at home, it may be behind the same door.
        let_in = secrets and server.home == web_origin(url)
        credentials = credentials_of(server, secrets, url) if let_in else Credentials()
        answer = await self._answer(ask, credentials)
        unsaid = hidden(secrets, credentials, self.tokens)
        if answer.status >= FAILED:
            said = told(body_text(answer), unsaid)
            raise ToolServerUnavailable(f"{place(url)} answered {answer.status}: {said[:300]}")
        try:
            text = answer.body.decode("utf-8")
        except UnicodeDecodeError:
            raise WrongSpecification(f"What {place(url)} answered is no UTF-8 text.") from None
        try:
            return without(await self.specifications.read(text, definition["auth"], url=answer.url), unsaid)
        except WrongSpecification as error:
            raise WrongSpecification(told(str(error), unsaid), pointer=error.errors[0].pointer) from None

    async def call(
        self, server: ToolServer, tool: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
    ) -> ToolAnswer:
        """Call an operation once."""
        how = tool["request"]
        base = server.definition["base_url"] or how["server"] or (server.synced or {}).get("server")
        if not base:
            raise ToolServerUnavailable(
                "The specification names no server that can be called: set 'base_url'.", code="no_address"
            )
        made = request_of(how, base, arguments)
        secrets = await self.secrets.of(server)
        ask = Ask(
            url=made.url, method=made.method, headers=made.headers, body=made.body, most=MOST_BYTES, seconds=seconds
        )
        credentials = credentials_of(server, secrets, made.url)
        answer = await self._answer(ask, credentials, changes=server.has_effects(tool))
        unsaid = hidden(secrets, credentials, self.tokens)
        text = told(body_text(answer), unsaid)
        failed = answer.status >= FAILED
        return ToolAnswer(
            text=f"The API answered {answer.status}. {text}" if failed else text,
            failed=failed,
            request=told(made.line, unsaid),
            status=answer.status,
        )

    async def _answer(self, ask: Ask, credentials: Credentials, *, changes: bool = False) -> Answer:
        """Return an answer, or raise ToolServerUnavailable in words; `changes`: a call without an answer may be done."""
        unknown = f" {UNKNOWN}" if changes else ""
        try:
            async with asyncio.timeout(ask.seconds):
                sent = replace(credentials.let_in(ask), seconds=ask.seconds + LEEWAY)
                if credentials.grant is not None:
                    return await self.tokens.ask(credentials.grant, sent, self.web.once)
                return await self.web.once(sent)
        except Unanswered as error:
            raise ToolServerUnavailable(f"{place(ask.url)} {error}.{unknown if error.sent else ''}") from None
        except TimeoutError:
            raise ToolServerUnavailable(
                f"{place(ask.url)} has not answered within {ask.seconds:g} s.{unknown}", code="tool_timed_out"
            ) from None
        except TooLarge as error:
            raise ToolServerUnavailable(f"{error}{unknown}", code="answer_too_large") from None
        except (SourceUnavailable, NotFetched) as error:
            raise ToolServerUnavailable(str(error), code=error.error_code) from None
