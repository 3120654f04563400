"""Knowledge sources of plugins as connectors: one load lists all there is, and is kept until it is fetched."""

import asyncio
import inspect
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import Any

import orjson

from adapters.connectors.given_values import title
from adapters.connectors.remembered import Remembered
from adapters.own_thread import OwnThread, in_time
from adapters.plugins.checking import Plugin
from adapters.plugins.document import Document
from adapters.plugins.reasons import reason
from commands.knowledge.connectors import GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from domain.definition import parse

LOAD_SECONDS = 600.0
"""How long a load may take to return, and each of its documents to come."""

MOST_LEFT = 4
"""Threads of loads that were given up and did not return; more of them are not begun."""

LONGEST_VERSION = 200
END = object()


class PluginConnector:
    """Lists and fetches what the `load` of a plugin gives."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self.config = plugin.config
        self.secrets = plugin.secrets
        self._documents = Remembered("give fewer or smaller documents by one source")
        self._left: list[OwnThread] = []

    def check(self, config: Mapping[str, Any]) -> None:
        """Let the `Config` say all that is wrong with it."""

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all documents of one load; raise SourceUnavailable with what it says went wrong."""
        self._documents.forget(place.visit)
        seen: set[str] = set()
        async with aclosing(self._load(place)) as loading:
            async for document in loading:
                if document is None:
                    yield None
                    continue
                id = id_of(document)
                if id in seen:
                    raise SourceUnavailable(f"The plugin gives more than one document with the id {id[:200]!a}.")
                seen.add(id)
                kept = plain(document)
                self._documents.keep(place.visit, id, kept)
                yield Listed(external_id=id, version=version_of(document, kept))

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a document of the load."""
        kept = await self._documents.take(place.visit, external_id, lambda: self.list(place))
        if "wrong" in kept:
            raise NotFetched(kept["wrong"], code="invalid_document")
        return GivenDocument(external_id=external_id, **{**kept, "content": b64decode(kept["content"])})

    def end(self, place: Place) -> None:
        """Drop the documents that were kept for fetching."""
        self._documents.end(place.visit)

    async def _load(self, place: Place) -> AsyncGenerator[Document | None, None]:
        """Yield what the plugin gives, in a thread where it is not asynchronous."""
        self._left = [each for each in self._left if not each.ended]
        if len(self._left) >= MOST_LEFT:
            raise SourceUnavailable(
                f"{len(self._left)} earlier loads of this plugin have not returned: it is not called again before that."
            )
        thread, going = OwnThread(self._plugin.name), None
        try:
            config = parse(self._plugin.config, dict(place.config), "/config")
            load = self._plugin.object.load
            loaded = await self._told(thread.call(load, config, dict(place.secrets), seconds=LOAD_SECONDS), place)
            if hasattr(loaded, "__aiter__"):
                going = aiter(loaded)
                while (found := await self._told(in_time(anext(going, END), LOAD_SECONDS), place)) is not END:
                    yield given(found)
            elif isinstance(loaded, Iterable) and not isinstance(loaded, str | bytes | Mapping):
                going = await self._told(thread.call(iter, loaded, seconds=LOAD_SECONDS), place)
                while (
                    found := await self._told(thread.call(next, going, END, seconds=LOAD_SECONDS), place)
                ) is not END:
                    yield given(found)
            else:
                raise SourceUnavailable(f"The plugin's `load` gives no documents but {type(loaded).__name__}.")
        finally:
            if inspect.isasyncgen(going):
                await self._told(in_time(going.aclose(), LOAD_SECONDS), place)
            thread.end(going.close if inspect.isgenerator(going) else None)
            self._left.append(thread)

    async def _told(self, work: Any, place: Place) -> Any:
        """Await what the plugin does; what it raises makes the source unavailable, for the reason that it tells."""
        try:
            return await work
        except asyncio.CancelledError:
            raise
        except Exception as error:
            why = reason(error, place.secrets.values())
            raise SourceUnavailable(f"The plugin {self._plugin.name} failed: {why}") from None


def given(found: Any) -> Document | None:
    """Return what a plugin gave as the document it is, None: it leaves something out."""
    if found is not None and not isinstance(found, Document):
        raise SourceUnavailable(f"The plugin gives {type(found).__name__} where a Document is expected.")
    return found


def id_of(document: Document) -> str:
    """Return a document's id, or raise SourceUnavailable: without it nothing can be compared."""
    if not isinstance(document.id, str) or not document.id:
        raise SourceUnavailable("The plugin gives a document whose `id` is no text.")
    return document.id


def version_of(document: Document, kept: Mapping[str, Any]) -> str:
    """Return what changes with a document."""
    version = document.version
    if isinstance(version, str) and version:
        storable = version.isprintable() and len(version) <= LONGEST_VERSION
        return version if storable else sha256(version.encode(errors="replace")).hexdigest()
    return sha256(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)).hexdigest()


def plain(document: Document) -> dict[str, Any]:
    """Return a document as JSON; one that can't be taken is `wrong`, and harms no other."""
    wrong = wrong_with(document)
    if wrong is not None:
        return {"wrong": wrong}
    text = document.text.encode(errors="replace") if document.text is not None else document.content or b""
    return {
        "title": title(document.title, document.id),
        "url": document.url,
        "media_type": document.media_type or ("" if document.text is None else "text/plain"),
        "content": b64encode(text).decode(),
        "metadata": dict(document.metadata),
        "acl": None if document.acl is None else sorted(document.acl),
    }


def wrong_with(document: Any) -> str | None:
    """Return why a document can't be taken: its fields are what a plugin made them."""
    if (document.text is None) == (document.content is None):
        return "It has not one of `text` and `content`."
    if not isinstance(document.text, str | None) or not isinstance(document.content, bytes | None):
        return "Its `text` is no text, or its `content` no bytes."
    if not isinstance(document.media_type, str) or not isinstance(document.url, str | None):
        return "Its `media_type` or its `url` is no text."
    if not isinstance(document.version, str | None):
        return "Its `version` is no text."
    acl = document.acl
    if acl is not None and not (
        isinstance(acl, list | tuple | set | frozenset) and all(isinstance(each, str) for each in acl)
    ):
        return "Its `acl` is no list of names of groups."
    try:
        orjson.dumps([document.title, document.url, document.media_type, document.metadata, list(acl or ())])
    except TypeError as error:
        return f"Its metadata or another of its values can't be told in JSON: {reason(error)}"
    return None if isinstance(document.metadata, Mapping) else "Its `metadata` is no mapping."
