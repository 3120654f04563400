"""Vector stores: Qdrant and Chroma as their published APIs answer, two passages on a page; pgvector in a real PostgreSQL."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, uuid5

from tests.support.site import Answer, Asked, Site
from tests.support.worlds import CANARY, SiteWorld
from tests.support.worlds.sql import SqlWorld

PAGE = 2
POINTS = "/collections/handbook/points"
COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"
COLLECTION = "0b8f5a6c-1d1b-4b62-9f0e-6f1f0c9f7a11"


def point_id(name: str) -> int | str:
    """Return a number or a UUID, as Qdrant takes both."""
    return uuid5(NAMESPACE_OID, name).int % 2**40 if len(name) % 2 else str(uuid5(NAMESPACE_OID, name))


def in_order(id: int | str) -> tuple[bool, Any]:
    """Return what ids are sorted by: numbers come first."""
    return isinstance(id, str), id


class QdrantWorld(SiteWorld):
    """Points as LlamaIndex stores them."""

    type = "vector_store"
    secrets: ClassVar[Mapping[str, str]] = {"api_key": CANARY}

    @property
    def config(self) -> dict[str, Any]:
        return {"store": "qdrant", "url": self.site.url, "collection": "handbook", "title": "file_name"}

    def external_id(self, name: str) -> str:
        return str(point_id(name))

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("api-key") == CANARY

    def asks_for(self, asked: Asked) -> str | None:
        if asked.path != POINTS:
            return None
        [id] = asked.json["ids"]
        return next((name for name in self.documents if point_id(name) == id), str(id))

    def answer(self, asked: Asked) -> Answer:
        name = self.asks_for(asked)
        if name is not None:
            return told([self.point(name)] if name in self.documents else [])
        assert (asked.method, asked.path, asked.json["with_vector"]) == ("POST", f"{POINTS}/scroll", False)
        ids = sorted(map(point_id, self.documents), key=in_order)
        names = {point_id(name): name for name in self.documents}
        start = asked.json.get("offset", ids[0] if ids else None)
        rest = [id for id in ids if in_order(id) >= in_order(start)]
        following = rest[PAGE] if len(rest) > PAGE else None
        return told({"points": [self.point(names[id]) for id in rest[:PAGE]], "next_page_offset": following})

    def point(self, name: str) -> dict[str, Any]:
        node = {"id_": name, "text": self.documents[name], "metadata": {"file_name": f"{name}.md"}}
        payload = {"file_name": f"{name}.md", "_node_type": "TextNode", "_node_content": json.dumps(node)}
        return {"id": point_id(name), "payload": payload}


def told(result: Any) -> Answer:
    return Answer(body={"result": result, "status": "ok", "time": 0.001})


class ChromaWorld(SiteWorld):
    """Records with their documents."""

    type = "vector_store"
    secrets: ClassVar[Mapping[str, str]] = {"token": CANARY}

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.shown = 10**9
        """How many records lists show, should they lag behind."""

    @property
    def config(self) -> dict[str, Any]:
        return {"store": "chroma", "url": self.site.url, "collection": "handbook", "acl": "groups"}

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == f"Bearer {CANARY}"

    def asks_for(self, asked: Asked) -> str | None:
        ids = asked.json.get("ids") if asked.path == f"{COLLECTIONS}/{COLLECTION}/get" else None
        return ids[0] if ids else None

    def answer(self, asked: Asked) -> Answer:
        if asked.path == f"{COLLECTIONS}/handbook":
            return Answer(body={"id": COLLECTION, "name": "handbook", "tenant": "default_tenant", "dimension": 3})
        if asked.path == f"{COLLECTIONS}/{COLLECTION}/count":
            return Answer(body=len(self.documents))
        assert asked.path == f"{COLLECTIONS}/{COLLECTION}/get"
        assert asked.json["include"] == ["documents", "metadatas"]
        name, start = self.asks_for(asked), asked.json.get("offset", 0)
        names = list(self.documents)[: self.shown][start : start + PAGE] if name is None else [name]
        names = [each for each in names if each in self.documents]
        metadata = [None if len(each) % 2 else {"source": each} for each in names]
        texts = [self.documents[each] for each in names]
        return Answer(body={"ids": names, "documents": texts, "metadatas": metadata, "embeddings": None, "uris": None})


class PgvectorWorld(SqlWorld):
    """A table as LlamaIndex's PGVectorStore makes it, but for the type of its vectors."""

    type = "vector_store"
    breakable = False  # no passage is without a text there, and an empty one is a document that can't be read

    def __init__(self, database: Any, opened: Any) -> None:
        super().__init__(database, opened)
        self.do(
            "CREATE TABLE shop.data_notes (id bigserial PRIMARY KEY, text text NOT NULL, metadata_ json, "
            "node_id text UNIQUE, embedding real[])"
        )

    @property
    def config(self) -> dict[str, Any]:
        return {"store": "pgvector", "url": self.url, "collection": "shop.data_notes"}

    async def put(self, name: str, text: str) -> None:
        self.do(
            "INSERT INTO shop.data_notes (text, metadata_, node_id, embedding) VALUES (%s, %s, %s, '{1,0}') "
            "ON CONFLICT (node_id) DO UPDATE SET text = excluded.text",
            text, json.dumps({"file_name": f"{name}.md"}), name,
        )  # fmt: skip

    async def remove(self, name: str) -> None:
        self.do("DELETE FROM shop.data_notes WHERE node_id = %s", name)
