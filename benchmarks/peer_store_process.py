"""LlamaIndex's side: `python peer_store_process.py USER@/DATABASE?host=... DIRECTORY`, in its own environment.

Reads a corpus from the directory, stores it as its documentation says, with the index and the half-precision
vectors that ours have, and then answers one JSON line with another. It imports nothing of ours.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import VectorStoreQuery
from llama_index.core.vector_stores.types import VectorStoreQueryMode
from llama_index.vector_stores.postgres import PGVectorStore

HNSW = {
    "hnsw_m": 16,
    "hnsw_ef_construction": 64,
    "hnsw_ef_search": 100,
    "hnsw_dist_method": "halfvec_cosine_ops",
}
AT_ONCE = 1000
MODES = {"vector": VectorStoreQueryMode.DEFAULT, "hybrid": VectorStoreQueryMode.HYBRID}


def store(url: str, dimensions: int, *, indexed: bool) -> PGVectorStore:
    """Return the store; the index is made when it is opened with one, so after the rows where they are many."""
    return PGVectorStore.from_params(
        connection_string=f"postgresql+psycopg2://{url}",
        async_connection_string=f"postgresql+asyncpg://{url}",
        table_name="passages",
        embed_dim=dimensions,
        hybrid_search=True,
        text_search_config="simple",
        use_jsonb=True,
        use_halfvec=True,
        hnsw_kwargs=dict(HNSW) if indexed else None,
    )


def fill(url: str, place: Path, details: dict[str, Any]) -> PGVectorStore:
    """Store the corpus, and return the store with its index."""
    vectors = np.load(place / "vectors.npy")
    filling = store(url, vectors.shape[1], indexed=False)
    for first in range(0, len(vectors), AT_ONCE):
        filling.add(
            [
                TextNode(
                    id_=str(number),
                    text=details["texts"][number],
                    embedding=vectors[number].tolist(),
                    metadata=details["metadata"][number],
                )
                for number in range(first, min(first + AT_ONCE, len(vectors)))
            ]
        )
    return store(url, vectors.shape[1], indexed=True)


def answers(filled: PGVectorStore, place: Path, details: dict[str, Any]) -> Iterator[Any]:
    """Yield the answer to each command."""
    vectors = [row.tolist() for row in np.load(place / "question_vectors.npy")]
    for line in sys.stdin:
        command = json.loads(line)
        number = command["question"]
        asked = VectorStoreQuery(
            query_embedding=vectors[number],
            query_str=details["questions"][number],
            similarity_top_k=10,
            mode=MODES[command["mode"]],
        )
        yield filled.query(asked).ids


def main() -> None:
    """Fill the store, then answer."""
    url, place = sys.argv[1], Path(sys.argv[2])
    details = json.loads((place / "corpus.json").read_text("utf-8"))
    began = time.monotonic()
    filled = fill(url, place, details)
    filled._initialize()  # makes the index, which the first search would do
    print(json.dumps({"filled": time.monotonic() - began}), flush=True)
    for answer in answers(filled, place, details):
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
