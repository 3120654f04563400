"""Reading a model's directory: config.json, tokenizer.json, model.safetensors and, where there are, its pooling and modules."""

import hashlib
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, deserialize
from tokenizers import Encoding, Tokenizer

from adapters.local_embeddings.bert import ACTIVATIONS, Bert, Floats, Shape

WEIGHTS = "model.safetensors"
LARGEST_TEXT, LARGEST_WEIGHTS = 100_000_000, 8_000_000_000
"""Bytes of a file."""

TOKENS = 2048
"""Of the texts that are worked on at once."""

PREFIXES = ("", "bert.", "model.")
MODULES = frozenset({"Transformer", "Pooling", "Normalize"})

Pooling = Literal["mean", "cls"]


class Unusable(Exception):
    """This model can't be used; the text is a sentence that follows its provider's name."""

    def __init__(self, message: str, code: str = "local_model_unusable") -> None:
        super().__init__(message)
        self.code = code


class LocalModel:
    """A model of a directory, ready to embed; `sha256` is that of its weights."""

    def __init__(self, directory: Path, sha256: str | None) -> None:
        """Read it; with `sha256`, refuse weights that have another."""
        data = read(directory, WEIGHTS, LARGEST_WEIGHTS)
        self.sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in (None, self.sha256):
            raise Unusable(
                f"has other weights than the model's settings name: its {WEIGHTS} has the SHA-256 {self.sha256}. "
                "Put the right file back, or make a model that names this one",
                "model_hash_differs",
            )
        config = read_json(directory, "config.json")
        shape = shape_of(config)
        check_modules(directory)
        self._pooling = pooling_of(directory)
        try:
            self._bert = Bert(weights_of(data), shape)
        except KeyError as error:
            raise Unusable(f"has weights without '{error.args[0]}' in its {WEIGHTS}") from None
        except ValueError:
            raise Unusable(f"has weights in its {WEIGHTS} that do not fit its config.json") from None
        self.dimensions = shape.hidden
        self._tokenizer = tokenizer_of(directory, longest(directory, shape))
        if self._tokenizer.get_vocab_size() > shape.vocabulary:
            raise Unusable("has a tokenizer.json with more words than its config.json says")

    def embed(self, texts: Sequence[str]) -> tuple[Floats, int]:
        """Return a vector of length 1 for each text, and how many tokens all have.

        A text that is longer than the model can read is read in parts, and all their tokens count alike.
        """
        parts = [(number, part) for number, text in enumerate(self._encoded(texts)) for part in text]
        parts.sort(key=lambda part: len(part[1]))
        sums = np.zeros((len(texts), self.dimensions), np.float32)
        for batch in batches(parts):
            rows = self._bert([tokens for _, tokens in batch])
            for (number, _), of_text in zip(batch, rows, strict=True):
                sums[number] += of_text.sum(axis=0) if self._pooling == "mean" else of_text[0]
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.float32(1e-12))
        return sums, sum(len(tokens) for _, tokens in parts)

    def _encoded(self, texts: Sequence[str]) -> list[list[list[int]]]:
        encodings: list[Encoding] = self._tokenizer.encode_batch(list(texts))
        return [[found.ids, *(part.ids for part in found.overflowing)] for found in encodings]


def batches(parts: Sequence[tuple[int, list[int]]]) -> list[list[tuple[int, list[int]]]]:
    """Return the parts in batches that are worked on at once, in their order."""
    found: list[list[tuple[int, list[int]]]] = []
    room = 0
    for part in parts:
        if not found or room < len(part[1]):
            found.append([])
            room = TOKENS
        found[-1].append(part)
        room -= len(part[1])
    return found


def read(directory: Path, name: str, largest: int) -> bytes:
    """Return a file's bytes, or raise Unusable."""
    path = directory / name
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Unusable(f"has no file {name} in its directory: what is there is no file")
        if found.st_size > largest:
            raise Unusable(f"has a {name} of more than {largest} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        raise Unusable(f"has no file {name} in its directory: is the directory in its base_url right?") from None
    except OSError as error:
        raise Unusable(f"has a {name} that can't be read here ({error.strerror})") from None


def read_json(directory: Path, name: str) -> dict[str, Any]:
    """Return the JSON object of a file, or raise Unusable."""
    try:
        found = json.loads(read(directory, name, LARGEST_TEXT))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unusable(f"has a {name} that is no JSON object")
    return found


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Return what the model looks like, or raise Unusable where it is none that can be run here."""
    if config.get("model_type") != "bert" or config.get("position_embedding_type", "absolute") != "absolute":
        raise Unusable("has a model of another kind than BERT with absolute positions, which is all that is run here")
    names = ("hidden_size", "num_attention_heads", "num_hidden_layers", "max_position_embeddings", "vocab_size")
    for name in names:
        if type(config.get(name)) is not int or not 0 < config[name] <= 10_000_000:
            raise Unusable(f"has a config.json without a number '{name}' that makes sense")
    hidden, heads, layers, positions, vocabulary = (config[name] for name in names)
    if hidden % heads:
        raise Unusable("has a config.json whose hidden_size is no multiple of its num_attention_heads")
    activation, epsilon = config.get("hidden_act", "gelu"), config.get("layer_norm_eps", 1e-12)
    if activation not in ACTIVATIONS or not isinstance(epsilon, float):
        raise Unusable(f"has a config.json whose hidden_act is none of {', '.join(ACTIVATIONS)}, or no layer_norm_eps")
    return Shape(
        hidden=hidden,
        heads=heads,
        layers=layers,
        positions=positions,
        vocabulary=vocabulary,
        epsilon=epsilon,
        activation=activation,
    )


def pooling_of(directory: Path) -> Pooling:
    """Return how a text's vector comes of those of its tokens: their mean, unless the directory says the first."""
    if not (directory / "1_Pooling").exists():
        return "mean"
    settings = read_json(directory / "1_Pooling", "config.json")
    modes = {name for name, value in settings.items() if name.startswith("pooling_mode_") and value is True}
    if modes == {"pooling_mode_mean_tokens"}:
        return "mean"
    if modes == {"pooling_mode_cls_token"}:
        return "cls"
    raise Unusable("has a 1_Pooling/config.json that asks for another pooling than the mean or the first token")


def check_modules(directory: Path) -> None:
    """Raise Unusable where the model has more parts than are run here."""
    try:
        modules = (
            json.loads(read(directory, "modules.json", LARGEST_TEXT)) if (directory / "modules.json").exists() else []
        )
        others = {str(module["type"]).rpartition(".")[2] for module in modules} - MODULES
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Unusable("has a modules.json that makes no sense") from None
    if others:
        raise Unusable(f"has a model with a part that is not run here: {', '.join(sorted(others))[:100]}")


def longest(directory: Path, shape: Shape) -> int:
    """Return how many tokens the model reads at once."""
    if not (directory / "sentence_bert_config.json").exists():
        return shape.positions
    most = read_json(directory, "sentence_bert_config.json").get("max_seq_length")
    return min(most, shape.positions) if type(most) is int and most > 2 else shape.positions


def weights_of(data: bytes) -> dict[str, Floats]:
    """Return the weights by their names, as float32; or raise Unusable."""
    try:
        tensors = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError:
        raise Unusable(f"has a {WEIGHTS} that is none") from None
    found = {}
    for name, tensor in tensors:
        numbers = floats(tensor["dtype"], bytes(tensor["data"]))
        if numbers is not None:
            found[name] = numbers.reshape(tensor["shape"])
    prefix = next((each for each in PREFIXES if f"{each}embeddings.word_embeddings.weight" in found), "")
    return {name.removeprefix(prefix): numbers for name, numbers in found.items()}


def floats(kind: str, data: bytes) -> Floats | None:
    """Return numbers of a kind as float32; None for those that are no weights."""
    if kind == "F32":
        return np.frombuffer(data, "<f4").astype(np.float32)
    if kind == "F16":
        return np.frombuffer(data, "<f2").astype(np.float32)
    if kind == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    return None


def tokenizer_of(directory: Path, most: int) -> Tokenizer:
    """Return the tokenizer, which cuts what is longer than `most` tokens into parts."""
    data = read(directory, "tokenizer.json", LARGEST_TEXT)
    try:
        found = Tokenizer.from_buffer(data)
    except Exception:  # the library raises nothing more exact
        raise Unusable("has a tokenizer.json that is none") from None
    found.no_padding()
    found.enable_truncation(most, stride=0)
    return found
