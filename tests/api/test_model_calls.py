"""Models called as they are configured now: through the log, with the provider's key, over a real socket."""

import pytest

from commands.models.model_calls import ChatAnswer, ChatRequest, ModelCallFailed, NoModel
from domain.errors import Archived, Conflict, NotFound
from domain.references import identify
from tests.support.model_server import ModelServer, Reply
from tests.support.server import Running

KEY = "sk-canary-0123456789"
HELLO = [{"role": "user", "content": "Hello there"}]


async def a_model(magnet: Running, server: ModelServer, **more: object) -> None:
    await magnet.do(
        "POST",
        "/v1/providers",
        {"name": "local", "type": "openai_compatible", "base_url": server.url, "api_key": KEY},
    )
    body = {"name": "small", "provider": "local", "model": "chat-model", "kind": "chat", "default": True}
    await magnet.do("POST", "/v1/models", body | more)


def asking(model: str | None = None) -> ChatRequest:
    return ChatRequest(model=identify("model", model) if model else None, messages=HELLO)


async def test_the_default_model_answers_with_its_versions_and_the_providers_key(magnet: Running):
    with ModelServer(keys=[KEY]) as server:
        await a_model(magnet, server)
        answer = await magnet.container.chat_models.complete(asking())
    assert (answer.text, answer.model.name, answer.model.version) == ("echo: Hello there", "small", 1)
    assert server.last.credential == KEY
    assert server.last.body["model"] == "chat-model"


async def test_a_change_counts_from_the_next_call_on(magnet: Running):
    with ModelServer() as server:
        await a_model(magnet, server)
        models = magnet.container.chat_models
        await models.complete(asking("small"))
        await magnet.do("PATCH", "/v1/models/small", {"model": "larger"})
        await magnet.do(
            "PATCH", "/v1/providers/local", {"api_key": "sk-second", "secret_headers": {"x-team": "s3cret"}}
        )
        answer = await models.complete(asking("small"))
    assert (answer.model.model, answer.model.version) == ("larger", 2)
    assert server.last.credential == "sk-second"
    assert server.last.headers["x-team"] == "s3cret"


async def test_a_provider_that_moved_gets_no_key_until_a_new_one_is_set(magnet: Running):
    with ModelServer() as former, ModelServer() as server:
        await a_model(magnet, former)
        await magnet.container.chat_models.complete(asking())
        await magnet.do("PATCH", "/v1/providers/local", {"base_url": server.url})
        await magnet.container.chat_models.complete(asking())
        assert server.last.credential is None
        assert KEY not in str(server.last)


async def test_what_can_not_be_called_says_why(magnet: Running):
    with ModelServer() as server:
        models = magnet.container.chat_models
        with pytest.raises(NoModel):
            await models.complete(asking())
        with pytest.raises(NotFound):
            await models.complete(asking("small"))
        await a_model(magnet, server, default=False)
        with pytest.raises(NoModel):
            await models.complete(asking())
        await magnet.do("PATCH", "/v1/models/small", {"active": False})
        with pytest.raises(Conflict) as inactive:
            await models.complete(asking("small"))
        await magnet.do("DELETE", "/v1/models/small")
        with pytest.raises(Archived):
            await models.complete(asking("small"))
        with pytest.raises(Conflict) as wrong:
            await magnet.container.embedding_models.embed(identify("model", "small"), ["a"])
    assert inactive.value.error_code == "model_inactive"
    assert wrong.value.error_code in ("wrong_model_kind", "archived")
    assert server.requests == []


async def test_a_stream_is_closed_upstream_when_its_reader_leaves(magnet: Running):
    with ModelServer() as server:
        await a_model(magnet, server)
        server.script(Reply(text="one two three", stop_after=1, ending="hang"))
        stream = magnet.container.chat_models.stream(asking())
        first = await anext(stream)
        assert not isinstance(first, ChatAnswer)
        await stream.aclose()
        await server.until(lambda: server.last.ended == "left")


async def test_no_error_tells_a_secret(magnet: Running):
    with ModelServer(keys=["another"]) as server:
        await a_model(magnet, server)
        with pytest.raises(ModelCallFailed) as refused:
            await magnet.container.chat_models.complete(asking())
    told = f"{refused.value!s} {refused.value!r} {dict(refused.value.details)} {refused.value.attempts}"
    assert refused.value.error_code == "provider_access_denied"
    assert KEY not in told
