"""A tiny BERT with random weights as a model's directory, and a reference that computes it in the plainest way."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

HIDDEN, HEADS, LAYERS, INNER, POSITIONS = 32, 4, 3, 48, 24
LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "the", "cat", "sat"]
CONFIG = {
    "model_type": "bert",
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "vocab_size": len(WORDS),
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}


def weights(seed: int = 7) -> dict[str, np.ndarray[Any, Any]]:
    """Return random weights under the names that BERT has them."""
    chance = np.random.default_rng(seed)

    def numbers(*shape: int) -> Any:
        return chance.standard_normal(shape, dtype=np.float32) * np.float32(0.3)

    found = {
        "embeddings.word_embeddings.weight": numbers(len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": numbers(POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": numbers(2, HIDDEN),
        "embeddings.LayerNorm.weight": 1 + numbers(HIDDEN),
        "embeddings.LayerNorm.bias": numbers(HIDDEN),
        "embeddings.position_ids": np.arange(POSITIONS, dtype=np.int64)[None],
    }
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        for name, out, into in (
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", INNER, HIDDEN),
            ("output.dense", HIDDEN, INNER),
        ):
            found[f"{layer}.{name}.weight"] = numbers(out, into)
            found[f"{layer}.{name}.bias"] = numbers(out)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            found[f"{layer}.{name}.weight"] = 1 + numbers(HIDDEN)
            found[f"{layer}.{name}.bias"] = numbers(HIDDEN)
    return found


def tokenizer() -> Tokenizer:
    """Return a tokenizer of letters and some words."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    made = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = BertNormalizer()
    made.pre_tokenizer = BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return made


def write(
    directory: Path,
    *,
    prefix: str = "",
    half: bool = False,
    pooling: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> str:
    """Write a model's directory; return the SHA-256 of its weights."""
    directory.mkdir(parents=True, exist_ok=True)
    kind = np.float16 if half else np.float32
    tensors = {
        f"{prefix}{name}": each.astype(kind) if each.dtype == np.float32 else each for name, each in weights().items()
    }
    save_file(tensors, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    tokenizer().save(str(directory / "tokenizer.json"))
    if pooling is not None:
        (directory / "1_Pooling").mkdir()
        (directory / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{pooling}": True}))
    return hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()


def reference(texts: Sequence[str], *, padded: int = 0, first: bool = False) -> np.ndarray[Any, Any]:
    """Return the texts' vectors, each on its own in float64, its tokens followed by so much padding."""
    vectors = [_vector(tokenizer().encode(text).ids, padded, first) for text in texts]
    return np.stack(vectors)


def _vector(ids: Sequence[int], padded: int, first: bool) -> np.ndarray[Any, Any]:
    w = {name: each.astype(np.float64) for name, each in weights().items()}
    tokens = [*ids, *[0] * padded]
    seen = np.array([0.0] * len(ids) + [-1e30] * padded)

    def linear(x: Any, name: str) -> Any:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        mean, deviation = x.mean(-1, keepdims=True), np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return (x - mean) / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]

    def gelu(x: Any) -> Any:
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    x = w["embeddings.word_embeddings.weight"][tokens] + w["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    size = HIDDEN // HEADS
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        query, key, value = (linear(x, f"{layer}.attention.self.{name}") for name in ("query", "key", "value"))
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            scores = query[:, part] @ key[:, part].T / math.sqrt(size) + seen
            chances = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(chances / chances.sum(-1, keepdims=True) @ value[:, part])
        attended = linear(np.concatenate(heads, -1), f"{layer}.attention.output.dense")
        x = norm(x + attended, f"{layer}.attention.output.LayerNorm")
        inner = gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    vector = x[0] if first else x[: len(ids)].mean(0)
    return vector / np.linalg.norm(vector)
