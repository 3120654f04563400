"""Passages as vector stores hold them: where their text stands, what is metadata, and what becomes a document of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field

from adapters.connectors.given_values import address, mapping, title
from adapters.connectors.sql import groups_of
from commands.knowledge.connectors import FINDS, GivenDocument, NotFetched
from domain.definition import Strict
from domain.paths import at

Path = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
NODE = "_node_content"
"""Where LlamaIndex keeps a node whole, as JSON."""

BOOKKEEPING = frozenset({NODE, "_node_type"})
TEXTS = ("text", "page_content", "document", "content")
"""Where the text stands in most stores; `page_content` is LangChain's."""


class VectorStoreConfig(Strict):
    """Passages of a vector store of yours, Qdrant, Chroma or pgvector: each is a document; vectors are not taken over."""

    store: Literal["qdrant", "chroma", "pgvector"] = Field(description="What it is.")
    url: Annotated[str, FINDS] = Field(
        min_length=1,
        max_length=2000,
        description="Where the API stands; of pgvector `postgresql://user@host:5432/database`, without a password.",
    )
    collection: Annotated[str, FINDS] = Field(
        min_length=1, max_length=255, pattern=r"^[^\x00-\x1f]+$", description="Of pgvector: `table` or `schema.table`."
    )
    tenant: Annotated[str, FINDS] = Field("default_tenant", min_length=1, max_length=255, description="Of chroma.")
    database: Annotated[str, FINDS] = Field("default_database", min_length=1, max_length=255, description="Of chroma.")
    id: Path = Field("node_id", description="Of pgvector: the column that tells a passage from the others.")
    text: Path | None = Field(
        None, description="Path in the payload, or pgvector's column; null = where LlamaIndex and LangChain keep it."
    )
    metadata: Path | None = Field(
        None, description="Path to an object, or pgvector's column of JSON; null = as LlamaIndex and LangChain keep it."
    )
    title: Path | None = Field(None, description="Path in the metadata; so are the following.")
    link: Path | None = Field(None, description="The address that people open.")
    acl: Path | None = Field(None, description="The groups that may find it: a list, or names with commas.")
    media_type: Literal["text/plain", "text/html", "text/markdown"] = Field("text/plain", description="Of the texts.")


@dataclass(frozen=True, kw_only=True)
class StoredPassage:
    """A passage: `text` None where the store keeps it in the payload."""

    id: str
    payload: Mapping[str, Any]
    text: str | None = None

    @property
    def version(self) -> str:
        """What changes with it."""
        return sha256(orjson.dumps([self.text, self.payload], option=orjson.OPT_SORT_KEYS)).hexdigest()


def document_of(passage: StoredPassage, settings: VectorStoreConfig) -> GivenDocument:
    """Return a passage as a document, or raise NotFetched where it has no text."""
    said = passage.text if passage.text is not None else text_in(passage.payload, settings)
    metadata = metadata_in(passage.payload, settings)
    named = None if settings.title is None else at(metadata, settings.title)
    return GivenDocument(
        external_id=passage.id,
        title=title(named, passage.id),
        url=None if settings.link is None else address(at(metadata, settings.link)),
        media_type=settings.media_type,
        content=said.encode(errors="replace"),
        metadata=metadata,
        acl=None if settings.acl is None else groups_of(at(metadata, settings.acl), settings.acl),
    )


def text_in(payload: Mapping[str, Any], settings: VectorStoreConfig) -> str:
    """Return the text in a payload, or raise NotFetched."""
    if settings.text is not None:
        found = at(payload, settings.text)
        if not isinstance(found, str):
            raise NotFetched(f"It has no text at `text` ({settings.text}).", code="no_text")
        return found
    for name in TEXTS:
        if isinstance(payload.get(name), str):
            return str(payload[name])
    node = node_in(payload)
    if isinstance(node.get("text"), str):
        return str(node["text"])
    raise NotFetched(f"It has no text at {', '.join(TEXTS)} or {NODE}: say where, by `text`.", code="no_text")


def metadata_in(payload: Mapping[str, Any], settings: VectorStoreConfig) -> dict[str, Any]:
    """Return what a payload tells besides the text."""
    if settings.metadata is not None:
        return dict(mapping(at(payload, settings.metadata)))
    if "page_content" in payload and isinstance(payload.get("metadata"), Mapping):
        return dict(payload["metadata"])
    texts = {*TEXTS} if settings.text is None else {settings.text}
    return {name: value for name, value in payload.items() if name not in BOOKKEEPING | texts}


def node_in(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the node that LlamaIndex keeps in a payload, empty where there is none."""
    try:
        return mapping(orjson.loads(payload[NODE]))
    except (KeyError, TypeError, orjson.JSONDecodeError):
        return {}
