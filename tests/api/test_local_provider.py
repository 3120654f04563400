"""A local provider over HTTP: tried out, its model pinned, texts embedded, the event loop free meanwhile."""

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import tiny_bert
from tests.support.server import Running

REAL_MODEL = Path(os.environ["MAGNET_BENCH_MODEL"]).resolve() if "MAGNET_BENCH_MODEL" in os.environ else None


async def a_provider(magnet: Running, directory: Path, **more: Any) -> None:
    body = {"name": "here", "type": "local", "base_url": directory.as_uri(), **more}
    await magnet.do("POST", "/v1/providers", body)


async def a_model(magnet: Running, model: str, **more: Any) -> None:
    body = {"name": "tiny", "provider": "here", "model": model, "kind": "embedding", "default": True}
    await magnet.do("POST", "/v1/models", {**body, **more})


async def test_a_model_of_a_directory_embeds_by_the_name_that_its_provider_shows(magnet: Running, tmp_path: Path):
    directory = tmp_path / "a model ü"
    sha256 = tiny_bert.write(directory)
    await a_provider(magnet, directory)
    assert (await magnet.do("POST", "/v1/providers/here/test"))["models"] == 1
    listed = await magnet.get("/v1/providers/here/available-models")
    assert listed["items"] == [{"model": f"a model ü@sha256:{sha256}"}]
    await a_model(magnet, listed["items"][0]["model"], dimensions=tiny_bert.HIDDEN, prices=[{"input": "0"}])
    texts = ["the cat sat", "abc"]
    answer = await magnet.do("POST", "/v1/embeddings", {"model": "tiny", "input": texts})
    vectors = np.array([each["embedding"] for each in answer["data"]])
    np.testing.assert_allclose(vectors, tiny_bert.reference(texts), rtol=0, atol=2e-6)
    run = await magnet.get(f"/v1/runs/{answer['run_id']}", Magnet_Min_Position=str(await magnet.container.log.head()))
    assert run["usage"]["input"] == answer["usage"]["prompt_tokens"] == 10
    assert run["cost"] == {"amount": "0", "currency": "USD", "unknown": False}
    assert run["versions"]["model"]["model"] == f"a model ü@sha256:{sha256}"


async def test_what_is_wrong_with_a_local_provider_is_said_in_words(magnet: Running, tmp_path: Path):
    await a_provider(magnet, tmp_path / "nothing")
    for method, path in (("POST", "test"), ("GET", "available-models")):
        answer = await magnet.call(method, f"/v1/providers/here/{path}")
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "local_model_unusable")
        assert (problem["provider"], problem["upstream_status"]) == ("here", None)
        assert "no file model.safetensors" in problem["detail"]
    await a_model(magnet, "tiny@sha256:" + "0" * 64)
    sha256 = tiny_bert.write(tmp_path / "nothing")
    answer = await magnet.call("POST", "/v1/embeddings", {"model": "tiny", "input": "a"})
    assert (answer.status_code, answer.json()["code"]) == (409, "model_hash_differs")
    assert sha256 in answer.json()["detail"]


async def test_a_local_provider_has_no_chat_models(magnet: Running, tmp_path: Path):
    sha256 = tiny_bert.write(tmp_path)
    await a_provider(magnet, tmp_path)
    await a_model(magnet, f"tiny@sha256:{sha256}", kind="chat")
    body = {"model": "tiny", "messages": [{"role": "user", "content": "a"}]}
    answer = await magnet.call("POST", "/v1/chat/completions", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_model_kind")


async def test_while_much_is_embedded_requests_are_answered_and_a_short_one_is_embedded_first(
    magnet: Running, tmp_path: Path
):
    sha256 = tiny_bert.write(tmp_path)
    await a_provider(magnet, tmp_path)
    await a_model(magnet, f"tiny@sha256:{sha256}")
    ended: list[str] = []

    async def embed(name: str, texts: list[str]) -> None:
        answer = await magnet.container.embedding_models.embed(None, texts)
        assert len(answer.vectors) == len(texts)
        ended.append(name)

    await embed("warm", ["a"])
    many = asyncio.create_task(embed("many", [f"the cat sat {number} " * 20 for number in range(2000)]))
    process: Any = magnet.container.embedding_models
    while process._made.local._process._exchange is None:
        await asyncio.sleep(0)
    assert (await magnet.client.get("/health/live")).status_code == 200
    await embed("few", ["a"])
    await many
    assert ended == ["warm", "few", "many"]


async def test_a_real_model_finds_what_means_the_same(magnet: Running):
    if REAL_MODEL is None:  # no package brings one: where a machine has a model's directory, it says where
        pytest.skip("not run: MAGNET_BENCH_MODEL names no directory of a model")
    await a_provider(magnet, REAL_MODEL)
    listed = await magnet.get("/v1/providers/here/available-models")
    await a_model(magnet, listed["items"][0]["model"])
    texts = [
        "How many days of vacation do employees get?",
        "Staff are entitled to thirty days of annual leave.",
        "The canteen serves lunch from noon.",
        "The central bank raised interest rates.",
    ]
    answer = await magnet.do("POST", "/v1/embeddings", {"model": "tiny", "input": texts})
    vectors = np.array([each["embedding"] for each in answer["data"]])
    near = vectors[1:] @ vectors[0]
    assert list(np.argsort(-near)) == [0, 1, 2]
    assert near[0] > near[1] + 0.2
