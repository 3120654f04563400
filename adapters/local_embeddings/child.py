"""The process that embeds: it answers one request after the other on its socket, and ends when that is closed.

A request is a length and JSON: {directory, sha256, texts}, or without `texts` what is there is described. The answer
is two lengths, JSON ({sha256, dimensions, tokens}, or {code, message} of what is wrong) and the vectors' float32.
"""

import json
import os
import socket
from collections import OrderedDict
from pathlib import Path
from typing import Any

from adapters.local_embeddings.frames import ANSWER, REQUEST

try:
    from adapters.local_embeddings.directory import LocalModel, Unusable
except ModuleNotFoundError as error:
    MISSING: str | None = error.name
else:
    MISSING = None

NICENESS = 5
"""The server goes before: who waits for an answer waits for it too."""

KEPT = 2
"""Models in memory."""


class Models:
    """The models that are in memory; a file that has changed is read anew."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str | None, int], LocalModel] = OrderedDict()

    def get(self, directory: str, sha256: str | None) -> "LocalModel":
        """Return a model, or raise Unusable."""
        path = Path(directory)
        try:
            changed = (path / "model.safetensors").stat().st_mtime_ns
        except OSError:
            changed = 0
        key = (directory, sha256, changed)
        found = self._known.get(key)
        if found is None:
            while len(self._known) >= KEPT:
                self._known.popitem(last=False)
            found = self._known[key] = LocalModel(path, sha256)
        self._known.move_to_end(key)
        return found


def answer(models: Models, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return what a request is answered."""
    if MISSING is not None:
        message = f"runs here, for which '{MISSING}' is missing: install magnet[local-embeddings]"
        return {"code": "local_embeddings_missing", "message": message}, b""
    try:
        model = models.get(request["directory"], request["sha256"])
        texts = request.get("texts")
        told = {"sha256": model.sha256, "dimensions": model.dimensions, "tokens": 0}
        if texts is None:
            return told, b""
        vectors, told["tokens"] = model.embed(texts)
        return told, vectors.astype("<f4").tobytes()
    except Unusable as error:
        return {"code": error.code, "message": str(error)}, b""
    except MemoryError:
        return {"code": "local_model_unusable", "message": "has no memory for this model here"}, b""


def serve(descriptor: int) -> None:
    """Answer until the socket is closed."""
    os.nice(NICENESS)
    models = Models()
    with socket.socket(fileno=descriptor) as ours:
        while head := received(ours, REQUEST.size):
            request = json.loads(received(ours, REQUEST.unpack(head)[0]))
            told, vectors = answer(models, request)
            said = json.dumps(told).encode()
            ours.sendall(ANSWER.pack(len(said), len(vectors)) + said + vectors)


def received(ours: socket.socket, length: int) -> bytes:
    """Return so many bytes; none where the other end is closed."""
    parts = bytearray()
    while len(parts) < length:
        part = ours.recv(min(1 << 20, length - len(parts)))
        if not part:
            return b""
        parts += part
    return bytes(parts)
