"""Embedding models of a directory: right to the last digit that counts, pinned, and no burden to the server."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.local_embeddings.bert import gelu, gelu_by_tanh
from adapters.local_embeddings.directory import LocalModel, Unusable, floats
from adapters.local_embeddings.process import Turns
from commands.models.model_calls import ModelCallFailed, ModelCallTimedOut
from tests.support import tiny_bert
from tests.support.called_models import Caller, calling, model_of, provider_at

TEXTS = [
    "",
    "a",
    "the cat sat",
    "The cat sat, the cat sat!",
    "abc def 123",
    "é ü ß 漢字",
    "x" * 15,
    "a b c d e f g h i j",
]
CLOSE = {"rtol": 0, "atol": 2e-6}
LONG = "the cat sat " * 40


def local_model(directory: Path, sha256: str, **more: Any) -> Any:
    provider = provider_at(directory.as_uri(), type="local", **more.pop("provider", {}))
    return model_of(provider, kind="embedding", model=f"tiny@sha256:{sha256}", **more)


def arrays(vectors: Any) -> Any:
    return np.stack([np.frombuffer(vector, "<f4") for vector in vectors])


def test_vectors_are_those_of_the_reference(tmp_path: Path):
    tiny_bert.write(tmp_path)
    vectors, tokens = LocalModel(tmp_path, None).embed(TEXTS)
    np.testing.assert_allclose(vectors, tiny_bert.reference(TEXTS), **CLOSE)
    assert tokens == sum(len(tiny_bert.tokenizer().encode(text).ids) for text in TEXTS)


def test_the_reference_itself_is_not_changed_by_padding():
    plain, padded = tiny_bert.reference(TEXTS), tiny_bert.reference(TEXTS, padded=5)
    np.testing.assert_allclose(plain, padded, rtol=0, atol=1e-12)


def test_a_text_has_the_same_vector_whatever_stands_beside_it(tmp_path: Path):
    tiny_bert.write(tmp_path)
    model = LocalModel(tmp_path, None)
    together, _ = model.embed(TEXTS)
    alone = np.concatenate([model.embed([text])[0] for text in TEXTS])
    turned, _ = model.embed(TEXTS[::-1])
    np.testing.assert_allclose(together, alone, **CLOSE)
    np.testing.assert_allclose(together, turned[::-1], **CLOSE)
    many, _ = model.embed(TEXTS * 200)
    np.testing.assert_allclose(many, np.tile(together, (200, 1)), **CLOSE)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_weights_are_found_under_either_name_and_in_half_precision(tmp_path: Path, prefix: str):
    tiny_bert.write(tmp_path, prefix=prefix, half=True)
    vectors, _ = LocalModel(tmp_path, None).embed(TEXTS)
    np.testing.assert_allclose(vectors, tiny_bert.reference(TEXTS), rtol=0, atol=5e-3)


def test_bfloat16_is_the_upper_half_of_a_float():
    numbers = np.array([1.0, -2.5, 0.0, 3.0], "<f4")
    upper = (numbers.view("<u4") >> 16).astype("<u2").tobytes()
    assert np.array_equal(floats("BF16", upper), numbers)  # type: ignore[arg-type]
    assert floats("I64", b"") is None


def test_pooling_by_the_first_token(tmp_path: Path):
    tiny_bert.write(tmp_path, pooling="cls_token")
    vectors, _ = LocalModel(tmp_path, None).embed(TEXTS)
    np.testing.assert_allclose(vectors, tiny_bert.reference(TEXTS, first=True), **CLOSE)


def test_the_end_of_a_long_text_counts_too(tmp_path: Path):
    tiny_bert.write(tmp_path)
    model = LocalModel(tmp_path, None)
    (one, other), tokens = model.embed([LONG, f"{LONG}abcdefg"])
    assert tokens > 240
    assert not np.allclose(one, other, atol=1e-4)


def test_activations_are_exact():
    from math import erf, sqrt, tanh

    x = np.linspace(-8, 8, 4001, dtype=np.float32)
    exact = x.copy()
    gelu(exact)
    assert np.abs(exact - [v * 0.5 * (1 + erf(v / sqrt(2))) for v in x.astype(float)]).max() < 2e-6
    approximate = x.copy()
    gelu_by_tanh(approximate)
    wanted = [v * 0.5 * (1 + tanh(sqrt(2 / np.pi) * (v + 0.044715 * v**3))) for v in x.astype(float)]
    assert np.abs(approximate - wanted).max() < 2e-6


def broken(directory: Path, how: str) -> None:
    """Break a model's directory in one way."""
    match how:
        case "config.json" | "tokenizer.json" | "model.safetensors":
            (directory / how).unlink()
        case "weights":
            (directory / "model.safetensors").write_bytes(b"\xff" * 100)
        case "tokens":
            (directory / "tokenizer.json").write_text("{}")
        case "json":
            (directory / "config.json").write_text("[" * 100_000)
        case "no_regular_file":
            (directory / "config.json").unlink()
            (directory / "config.json").mkdir()
        case "kind":
            tiny_bert.write(directory, config={"model_type": "roberta"})
        case "layers":
            tiny_bert.write(directory, config={"num_hidden_layers": 9})
        case "vocabulary":
            tiny_bert.write(directory, config={"vocab_size": 3})
        case "activation":
            tiny_bert.write(directory, config={"hidden_act": "swish"})
        case "heads":
            tiny_bert.write(directory, config={"num_attention_heads": 5})
        case "numbers":
            tiny_bert.write(directory, config={"hidden_size": "32"})
        case "pooling":
            tiny_bert.write(directory, pooling="max_tokens")
        case "modules":
            (directory / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))
        case "modules_json":
            (directory / "modules.json").write_text('{"a": 1}')


BREAKAGES = [
    ("config.json", "no file config.json"),
    ("tokenizer.json", "no file tokenizer.json"),
    ("model.safetensors", "no file model.safetensors"),
    ("weights", "model.safetensors that is none"),
    ("tokens", "tokenizer.json that is none"),
    ("json", "config.json that is no JSON object"),
    ("no_regular_file", "what is there is no file"),
    ("kind", "another kind than BERT"),
    ("layers", "without 'encoder.layer.3"),
    ("vocabulary", "more words"),
    ("activation", "hidden_act"),
    ("heads", "no multiple"),
    ("numbers", "'hidden_size'"),
    ("pooling", "another pooling"),
    ("modules", "Dense"),
    ("modules_json", "modules.json that makes no sense"),
]


@pytest.mark.parametrize(("how", "words"), BREAKAGES, ids=[how for how, _ in BREAKAGES])
def test_what_is_wrong_with_a_directory_is_said_in_words(tmp_path: Path, how: str, words: str):
    tiny_bert.write(tmp_path)
    broken(tmp_path, how)
    with pytest.raises(Unusable) as refused:
        LocalModel(tmp_path, None)
    assert words in str(refused.value)


async def test_a_pinned_model_embeds_in_its_process_and_its_tokens_are_counted(tmp_path: Path):
    sha256 = tiny_bert.write(tmp_path)
    async with calling(local_model(tmp_path, sha256, dimensions=32)) as caller:
        found = await caller.embed(TEXTS * 20)
        none = await caller.embed([])
    np.testing.assert_allclose(arrays(found.vectors), np.tile(tiny_bert.reference(TEXTS), (20, 1)), **CLOSE)
    assert (found.dimensions, found.model.model) == (32, f"tiny@sha256:{sha256}")
    assert found.usage.input == 20 * sum(len(tiny_bert.tokenizer().encode(text).ids) for text in TEXTS)
    assert not found.usage.estimated
    assert found.cost.amount > 0  # as the model's prices say
    assert (none.vectors, none.dimensions) == ([], 32)


async def test_other_weights_than_the_pinned_ones_are_refused_in_words(tmp_path: Path):
    sha256 = tiny_bert.write(tmp_path)
    async with calling(local_model(tmp_path, sha256)) as caller:
        await caller.embed(["a"])
        other = tiny_bert.write(tmp_path, prefix="bert.")
        os.utime(tmp_path / "model.safetensors", ns=(1, 1))
        with pytest.raises(ModelCallFailed, match=other) as refused:
            await caller.embed(["a"])
        assert refused.value.error_code == "model_hash_differs"
        assert [each.outcome for each in refused.value.attempts] == ["model_hash_differs"]


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ({"model": "tiny"}, "model_not_pinned", "available-models"),
        ({"model": "tiny@sha256:12"}, "model_not_pinned", "available-models"),
        ({"dimensions": 31}, "local_model_unusable", "length 32 where the model's settings say 31"),
        ({"provider": {"base_url": "file:///no/such/place"}}, "local_model_unusable", "no file model.safetensors"),
    ],
    ids=["no hash", "half a hash", "dimensions", "no directory"],
)
async def test_a_model_that_does_not_fit_is_refused_in_words(tmp_path: Path, model: Any, code: str, words: str):
    sha256 = tiny_bert.write(tmp_path)
    settings = {"model": f"tiny@sha256:{sha256}", "provider": {}, **model}
    provider = provider_at(tmp_path.as_uri(), **{"type": "local", **settings.pop("provider")})
    async with calling(model_of(provider, kind="embedding", **settings)) as caller:
        with pytest.raises(ModelCallFailed) as refused:
            await caller.embed(["a"])
    assert refused.value.error_code == code
    assert words in str(refused.value)


async def process_of(caller: Caller) -> Any:
    """Return the process that embeds, once it runs."""
    await caller.embed(["a"])
    made: Any = caller.models._made
    return made.local._process


async def test_a_process_that_was_killed_is_begun_anew(tmp_path: Path):
    sha256 = tiny_bert.write(tmp_path)
    async with calling(local_model(tmp_path, sha256)) as caller:
        process = await process_of(caller)
        os.kill(process._process.pid, signal.SIGKILL)
        found = await caller.embed(["a"])
    assert [each.outcome for each in found.attempts] == ["connection_failed", "ok"]
    assert len(found.vectors) == 1


async def test_a_caller_that_leaves_or_waits_too_long_hinders_nobody(tmp_path: Path):
    sha256 = tiny_bert.write(tmp_path)
    impatient = local_model(tmp_path, sha256, timeout=0.01, retries=0)
    async with calling(local_model(tmp_path, sha256)) as caller, calling(impatient) as other:
        process = await process_of(caller)
        os.kill(process._process.pid, signal.SIGSTOP)
        task = asyncio.create_task(caller.embed(["a"]))
        while process._exchange is None:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        os.kill(process._process.pid, signal.SIGCONT)
        assert len((await caller.embed(["a", "b"])).vectors) == 2
        with pytest.raises(ModelCallTimedOut):
            await other.embed(["a"] * 2000)


async def test_whoever_waits_when_all_is_closed_is_told(tmp_path: Path):
    sha256 = tiny_bert.write(tmp_path)
    async with calling(local_model(tmp_path, sha256, retries=0)) as caller:
        process = await process_of(caller)
        os.kill(process._process.pid, signal.SIGSTOP)
        tasks = [asyncio.create_task(caller.embed(["a"])) for _ in range(3)]
        while process._exchange is None:
            await asyncio.sleep(0)
        await caller.models.close()
        for task in tasks:
            with pytest.raises(ModelCallFailed):
                await task


async def test_short_requests_go_before_long_ones_that_came_first():
    turns, order = Turns(), []

    async def go(size: int) -> None:
        await turns.take(size)
        order.append(size)
        turns.give()

    await turns.take(0)
    tasks = [asyncio.create_task(go(size)) for size in (32, 32, 1, 32, 2)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    turns.give()
    await asyncio.wait(tasks)
    assert order == [1, 2, 32, 32]
    await turns.take(0)
    last = asyncio.create_task(go(9))
    await asyncio.sleep(0)
    turns.give()
    last.cancel()  # its turn has come just then
    await asyncio.wait([last])
    await go(7)
    assert order[-1] == 7
