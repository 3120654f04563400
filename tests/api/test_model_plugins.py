"""Models of plugins: texts are embedded and passages scored by a plugin; what goes wrong there is told and hurts nobody."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from adapters.plugins.checking import EMBEDDERS, RERANKERS
from tests.api.test_secrets import assert_nowhere, dumped
from tests.support.library import library
from tests.support.plugin_modules import module_of
from tests.support.postgres import Database
from tests.support.server import Running, serving

SECRET = "canary-0815-CANARY-4711"
TEXTS = ["needle one", "needle two two", "needle three three three"]

GONE: set[str] = set()
"""Letters that a later version of the plugin does not count."""


class LettersConfig(BaseModel, extra="forbid"):
    """Letters that are counted."""

    letters: str

    @field_validator("letters")
    @classmethod
    def _are_there(cls, letters: str) -> str:
        if letters in GONE:
            raise ValueError("these letters are not counted any more")
        return letters


class Letters:
    """Counts letters."""

    name = "letters"
    Config = LettersConfig
    secrets: Mapping[str, str] = {"api_key": "What lets it count."}
    models = ("counts",)

    def embed(
        self, model: str, texts: Sequence[str], config: LettersConfig, secrets: Mapping[str, str]
    ) -> Iterator[list[int]]:
        if any("broken" in text for text in texts):
            raise RuntimeError(f"{secrets['api_key']} can't count {model}")
        for text in texts:
            yield [1 + text.lower().count(letter) for letter in config.letters]


class Last:
    """Puts the last first."""

    name = "letters"
    Config = LettersConfig
    secrets: Mapping[str, str] = {}

    async def rerank(
        self, model: str, query: str, documents: Sequence[str], config: LettersConfig, secrets: Mapping[str, str]
    ) -> Any:
        return ["a"] if "broken" in query else [float(number) for number in range(len(documents))]


@pytest.fixture
async def magnet(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    groups = {EMBEDDERS: [Letters], RERANKERS: [Last]}
    with module_of("letters_of_a_test", groups):
        async with serving(database, tmp_path, MAGNET_PLUGINS="letters_of_a_test") as running:
            yield running


async def a_provider(magnet: Running) -> None:
    body = {
        "name": "here", "type": "plugin", "base_url": "plugin://letters", "config": {"letters": "aeiou"},
        "api_key": SECRET,
    }  # fmt: skip
    await magnet.do("POST", "/v1/providers", body)


async def a_model(magnet: Running, kind: str, **more: Any) -> None:
    body = {"name": kind, "provider": "here", "model": "counts", "kind": kind, "routing": {"retries": 0}, **more}
    await magnet.do("POST", "/v1/models", body)


async def test_texts_are_embedded_by_a_plugin_and_what_it_fails_with_is_told_without_its_secret(
    magnet: Running, database: Database
):
    await a_provider(magnet)
    assert (await magnet.do("POST", "/v1/providers/here/test"))["models"] == 1
    assert (await magnet.get("/v1/providers/here/available-models"))["items"] == [{"model": "counts"}]
    await a_model(magnet, "embedding", dimensions=5)
    answer = await magnet.do("POST", "/v1/embeddings", {"model": "embedding", "input": ["banana", "moon"]})
    assert [each["embedding"] for each in answer["data"]] == [[4, 1, 1, 1, 1], [1, 1, 1, 3, 1]]

    failed = await magnet.call("POST", "/v1/embeddings", {"model": "embedding", "input": ["broken"]})
    assert (failed.status_code, failed.json()["code"]) == (502, "plugin_failed")
    assert "RuntimeError: *** can't count counts" in failed.json()["detail"]
    assert (await magnet.do("POST", "/v1/embeddings", {"model": "embedding", "input": ["a"]}))["data"]
    await magnet.do("PATCH", "/v1/models/embedding", {"dimensions": 4})
    wrong = await magnet.call("POST", "/v1/embeddings", {"model": "embedding", "input": ["a"]})
    assert (wrong.status_code, wrong.json()["code"]) == (502, "invalid_response")
    assert "a vector of length 5 where 4 is expected" in wrong.json()["detail"]
    for table, rows in dumped(database).items():
        assert_nowhere(rows, table, SECRET)


async def test_what_is_found_is_put_into_the_order_of_a_plugin_and_stays_as_it_was_where_that_fails(magnet: Running):
    await a_provider(magnet)
    await a_model(magnet, "rerank")
    async with library(magnet) as books:
        await books.tools(mode="lexical")
        for number, text in enumerate(TEXTS):
            await books.add(f"{number}", text)
        assert texts_of(await books.search("needle")) == TEXTS
        await magnet.do("PATCH", "/v1/retrieval-tools/find?publish=true", {"rerank": {"model": "rerank"}})
        assert texts_of(await books.search("needle")) == TEXTS[::-1]
        found = await books.search("needle broken")
    assert (texts_of(found), found["rerank"]) == (TEXTS, {"failed": "invalid_response"})


def texts_of(found: Any) -> list[str]:
    return [passage["text"] for passage in found["passages"]]


NO_PLUGINS: list[tuple[Any, str, str]] = [
    ({"base_url": "plugin://numbers"}, "/base_url", "no_plugin"),
    ({"base_url": "https://letters.example"}, "/base_url", "value_error"),
    ({"base_url": "plugin://letters/path"}, "/base_url", "value_error"),
    ({"type": "openai"}, "/base_url", "value_error"),
    ({"config": {"letters": 5}}, "/config/letters", "string_type"),
    ({"config": {}}, "/config/letters", "missing"),
    ({"secret_headers": {"token": "t"}}, "/secret_headers/token", "unknown_secret"),
    ({"type": "openai", "base_url": "https://a.example", "config": {"a": 1}}, "/config", "no_plugin"),
]


async def test_a_provider_that_no_plugin_can_be_is_refused(subtests: pytest.Subtests, magnet: Running):
    for body, pointer, code in NO_PLUGINS:
        with subtests.test(str((body, pointer, code))[:80]):
            whole = {
                "name": "here",
                "type": "plugin",
                "base_url": "plugin://letters",
                "config": {"letters": "a"},
                **body,
            }
            answer = await magnet.call("POST", "/v1/providers", whole)
            assert answer.status_code == 422, answer.text
            assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(pointer, code)]


async def test_settings_that_fit_a_plugin_no_longer_are_named_and_are_nobody_elses_failure(
    magnet: Running, monkeypatch: pytest.MonkeyPatch
):
    await a_provider(magnet)
    await a_model(magnet, "embedding")
    monkeypatch.setitem(globals(), "GONE", {"aeiou"})
    for path, body in (("/v1/embeddings", {"model": "embedding", "input": ["a"]}), ("/v1/providers/here/test", None)):
        answer = await magnet.call("POST", path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "wrong_plugin_settings"), answer.text
        assert "/config/letters: these letters are not counted any more" in answer.json()["detail"]
    await magnet.do("PATCH", "/v1/providers/here", {"config": {"letters": "xyz"}})
    assert (await magnet.do("POST", "/v1/embeddings", {"model": "embedding", "input": ["a"]}))["data"]


async def test_what_a_plugin_runs_is_no_chat_model(magnet: Running):
    await a_provider(magnet)
    await a_model(magnet, "chat")
    body = {"model": "chat", "messages": [{"role": "user", "content": "a"}]}
    answer = await magnet.call("POST", "/v1/chat/completions", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_model_kind")
