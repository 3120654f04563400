"""LlamaIndex's ingestion: `python peer_ingest_process.py USER@/DATABASE?host=... TEXTS URL CHUNK DIMENSIONS`.

Runs its pipeline as its documentation shows it: a sentence splitter, an embedding model, a vector store. The
embedding model asks as the OpenAI one does, 100 texts a request. It imports nothing of ours.
"""

import base64
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from llama_index.core import Document
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.vector_stores.postgres import PGVectorStore


class Embeddings(BaseEmbedding):
    """An embedding model over OpenAI's wire format."""

    _client: httpx.Client = PrivateAttr()

    def __init__(self, url: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        body = {"model": "embedding-model", "input": texts, "encoding_format": "base64"}
        data = self._client.post("/embeddings", json=body).json()["data"]
        return [np.frombuffer(base64.b64decode(each["embedding"]), dtype="<f4").tolist() for each in data]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def main() -> None:
    """Ingest the texts, and tell the seconds."""
    url, texts, server, chunk, dimensions = sys.argv[1:]
    store = PGVectorStore.from_params(
        connection_string=f"postgresql+psycopg2://{url}",
        async_connection_string=f"postgresql+asyncpg://{url}",
        table_name="passages",
        embed_dim=int(dimensions),
        use_jsonb=True,
        use_halfvec=True,
    )
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=int(chunk), chunk_overlap=0),
            Embeddings(server, model_name="embedding-model", embed_batch_size=100),
        ],
        vector_store=store,
    )
    documents = [
        Document(text=text, id_=f"{number}.txt", metadata={"number": number})
        for number, text in enumerate(json.loads(Path(texts).read_text("utf-8")))
    ]
    store._initialize()  # its table is no part of what is measured
    began = time.perf_counter()
    nodes = pipeline.run(documents=documents)
    print(json.dumps({"seconds": time.perf_counter() - began, "nodes": len(nodes)}), flush=True)


if __name__ == "__main__":
    main()
