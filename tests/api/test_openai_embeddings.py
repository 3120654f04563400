"""Embeddings, the list of models, and access, through the unmodified client of OpenAI."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import CreateEmbeddingResponse

from tests.api.test_access import key_of
from tests.support.library import Library, library
from tests.support.model_server import ModelServer, server_error
from tests.support.model_server.vectors import by_words
from tests.support.postgres import Database
from tests.support.server import Running, serving


@pytest.fixture
async def books(magnet: Running, server: ModelServer) -> AsyncIterator[Library]:
    async with library(magnet) as made:
        await made.models(server)
        yield made


@pytest.fixture(params=["/openai/v1", "/v1"])
async def client(request: pytest.FixtureRequest, books: Library) -> AsyncIterator[AsyncOpenAI]:
    url = f"{books.magnet.url}{request.param}"
    async with AsyncOpenAI(base_url=url, api_key="anything", max_retries=0) as made:
        yield made


@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
async def test_texts_are_embedded_and_the_run_is_recorded(client: AsyncOpenAI, books: Library, form: Any):
    made = await client.embeddings.create(model="embedding", input=["one two", "three"], user="u1", **form)
    run = await books.last_run()
    assert made.usage.prompt_tokens == run["usage"]["total"] == 3
    assert (run["kind"], run["outcome"], run["subject"], run["channel"]) == ("embedding", "completed", "u1", "openai")
    assert [step["kind"] for step in run["steps"]] == ["model_call", "attempt"]
    assert run["input"] == {"texts": ["one two", "three"]}
    if form.get("encoding_format") == "base64":
        assert all(isinstance(item.embedding, str) for item in made.data)
        return
    assert CreateEmbeddingResponse.model_validate(made.model_dump())
    assert [item.embedding for item in made.data] == [by_words(text, 64).tolist() for text in ("one two", "three")]
    one = await client.embeddings.create(model="embedding", input="one two")
    assert one.data[0].embedding == made.data[0].embedding


NOT_EMBEDDED: list[tuple[dict[str, Any], str]] = [
    ({"input": []}, "input"),
    ({"input": ""}, "input"),
    ({"input": ["a", ""]}, "input"),
    ({"input": [1, 2]}, "input"),
    ({"input": [[1, 2]]}, "input"),
    ({"input": ["a"] * 2049}, "input"),
    ({"input": {"a": 1}}, "input"),
    ({"dimensions": 32}, "dimensions"),
    ({"encoding_format": "hex"}, "encoding_format"),
    ({"model": "chat"}, "model"),
    ({"model": "agent:x"}, "model"),
    ({"strange": 1}, "strange"),
]


async def test_what_can_not_be_embedded_is_refused_with_its_place(
    subtests: pytest.Subtests, client: AsyncOpenAI, books: Library
):
    for change, param in NOT_EMBEDDED:
        with subtests.test(str((change, param))[:80]):
            head = await books.magnet.container.log.head()
            body = {"model": "embedding", "input": "a", **change}
            with pytest.raises(openai.UnprocessableEntityError) as raised:
                await client.post("/embeddings", body=body, cast_to=CreateEmbeddingResponse)
            assert raised.value.param == param
            assert await books.magnet.container.log.head() == head


async def test_a_provider_that_fails_is_an_error_and_a_recorded_run(
    client: AsyncOpenAI, books: Library, server: ModelServer
):
    server.script_for("embedding-model", server_error())
    with pytest.raises(openai.InternalServerError) as raised:
        await client.embeddings.create(model="embedding", input="a")
    assert raised.value.code == "provider_error"
    assert (await books.last_run())["error"]["code"] == "provider_error"
    with pytest.raises(openai.NotFoundError):
        await client.embeddings.create(model="nothing", input="a")


async def test_the_list_names_everything_that_can_be_asked(books: Library):
    magnet = books.magnet
    await books.tools()
    await magnet.do("POST", "/v1/prompts", {"name": "greet", "text": "Hi"})
    await magnet.do("POST", "/v1/agents", {"name": "helper", "instructions": "Help."})
    for name, more in (("off", {"active": False}), ("sorter", {"kind": "rerank"}), ("gone", {})):
        model = {"name": name, "provider": "house", "model": name, "kind": "chat", **more}
        await magnet.do("POST", "/v1/models", model)
    await magnet.do("DELETE", "/v1/models/gone")
    headers = {"Magnet-Min-Position": str(magnet.position)}
    url = f"{magnet.url}/openai/v1"
    async with AsyncOpenAI(base_url=url, api_key="x", default_headers=headers) as client:
        found = [model async for model in client.models.list()]
        assert [model.id for model in found] == ["chat", "embedding", "agent:helper", "rag:ask", "prompt:greet"]
        assert [model.owned_by for model in found] == ["house", "house", "magnet", "magnet", "magnet"]
        assert all(model.created > 1_700_000_000 for model in found)
        assert [await client.models.retrieve(model.id) for model in found] == found
        for name in ("off", "sorter", "gone", "agent:gone", "robot:x", "handbook"):
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve(name)


async def test_behind_a_proxy_under_a_path_all_is_the_same(database: Database, tmp_path: Path):
    # uvicorn puts the path under which a proxy serves before what the proxy passes on.
    async with (
        serving(database, tmp_path, MAGNET_ROOT_PATH="/magnet") as magnet,
        AsyncOpenAI(base_url=f"{magnet.url}/openai/v1", api_key="x", max_retries=0) as client,
    ):
        assert (await client.models.list()).data == []
        with pytest.raises(openai.NotFoundError) as absent:
            await client.moderations.create(input="a")
        assert absent.value.code == "not_found"
        assert '"/magnet/openapi.json"' in (await magnet.client.get("/docs")).text


async def test_access_is_refused_in_openais_words(books: Library):
    magnet = books.magnet
    admin = await key_of(magnet, "admin", "admin")
    auditor = await key_of(magnet, "auditor", "auditor", admin=admin)
    url = f"{magnet.url}/openai/v1"
    for key, kind, type in (
        ("wrong", openai.AuthenticationError, "authentication_error"),
        (auditor, openai.PermissionDeniedError, "permission_error"),
    ):
        async with AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
            with pytest.raises(kind) as raised:
                await client.embeddings.create(model="embedding", input="a")
            assert raised.value.type == type
            assert raised.value.request_id
    async with AsyncOpenAI(base_url=url, api_key=admin, max_retries=0) as client:
        assert (await client.embeddings.create(model="embedding", input="a")).data
        with pytest.raises(openai.NotFoundError) as absent:
            await client.moderations.create(input="a")
        assert absent.value.code == "not_found"
