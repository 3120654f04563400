"""Tokens for a client's credentials: had once for all who need them, anew before they expire and once when refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from adapters.connectors.oauth import LEEWAY, USUAL_LIFE, Grant, Tokens
from adapters.connectors.web import Ask, Web
from adapters.egress import Egress
from commands.knowledge.connectors import SourceUnavailable
from tests.support.site import Answer, Asked, Site, site

FORM = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "canary & more"}


class Service:
    """A server that gives tokens and takes the last one."""

    def __init__(self) -> None:
        self.given = 0
        self.more: dict[str, Any] = {}
        self.refusing = False

    def __call__(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            assert {name: values[0] for name, values in parse_qs(asked.body.decode()).items()} == FORM
            assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
            self.given += 1
            return Answer(body={"access_token": f"token{self.given}", "token_type": "Bearer", **self.more})
        known = asked.headers.get("authorization") == f"Bearer token{self.given}"
        return Answer(body=b"ok") if known and not self.refusing else Answer(status=401)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def there(service: Service) -> AsyncIterator[Site]:
    async with site(service) as made:
        yield made


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
async def tokens(there: Site, now: list[float]) -> AsyncIterator[Tokens]:
    web = Web(Egress([there.place]))
    yield Tokens(web, clock=lambda: now[0])
    await web.close()


@pytest.fixture
def grant(there: Site) -> Grant:
    return Grant(url=f"{there.url}/token", form=FORM)


async def test_one_token_serves_all_who_need_it_at_once(tokens: Tokens, grant: Grant, service: Service):
    assert set(await asyncio.gather(*(tokens.token(grant) for _ in range(8)))) == {"token1"}
    assert service.given == 1


@pytest.mark.parametrize(("told", "life"), [
    ({"expires_in": 600}, 600), ({"expires_in": "600"}, 600), ({}, USUAL_LIFE), ({"expires_in": None}, USUAL_LIFE),
    ({"expires_in": True}, USUAL_LIFE), ({"expires_in": "soon"}, USUAL_LIFE),
])  # fmt: skip
async def test_a_token_is_had_anew_shortly_before_it_expires(
    tokens: Tokens, grant: Grant, service: Service, now: list[float], told: dict[str, Any], life: float
):
    service.more = told
    assert await tokens.token(grant) == "token1"
    now[0] = life - LEEWAY - 1
    assert await tokens.token(grant) == "token1"
    now[0] = life - LEEWAY
    assert await tokens.token(grant) == "token2"


async def test_a_token_that_is_refused_is_had_anew_once(tokens: Tokens, grant: Grant, service: Service, there: Site):
    ask = Ask(url=f"{there.url}/a")
    assert (await tokens.ask(grant, ask)).body == b"ok"
    service.given += 1  # the server forgot the first one
    answers = await asyncio.gather(*(tokens.ask(grant, ask) for _ in range(8)))
    assert {answer.body for answer in answers} == {b"ok"}
    assert service.given == 3
    service.refusing = True
    assert (await tokens.ask(grant, ask)).status == 401
    assert service.given == 4


@pytest.mark.parametrize(("status", "body", "said"), [
    (400, {"error": "invalid_client", "error_description": "canary & more"}, "(400, invalid_client)"),
    (401, {"error": "canary & more"}, "(401)"), (403, b"canary & more", "(403)"), (401, [], "(401)"),
])  # fmt: skip
async def test_credentials_that_are_refused_are_told_and_not_repeated(
    tokens: Tokens, grant: Grant, there: Site, status: int, body: Any, said: str
):
    there.next = [Answer(status=status, body=body)]
    with pytest.raises(SourceUnavailable) as refused:
        await tokens.token(grant)
    assert refused.value.error_code == "credentials_refused"
    assert said in str(refused.value)
    assert "canary" not in str(refused.value) + repr(grant)


@pytest.mark.parametrize("body", [
    {}, [], {"access_token": None}, {"access_token": 7}, {"access_token": ""}, {"access_token": "a\r\nb"}, b"no json",
])  # fmt: skip
async def test_an_answer_without_a_token_is_told(tokens: Tokens, grant: Grant, there: Site, body: Any):
    there.next = [Answer(body=body)]
    with pytest.raises(SourceUnavailable):
        await tokens.token(grant)
    assert await tokens.token(grant) == "token1"
