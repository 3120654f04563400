"""The worlds that the connectors' contract is shown in: type of source -> how one is made."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from tests.support.plugin_modules import module_of
from tests.support.postgres import Database
from tests.support.s3_server import s3_server
from tests.support.site import site
from tests.support.worlds import SiteWorld, World
from tests.support.worlds.confluence import CloudWorld, DataCenterWorld
from tests.support.worlds.folder import FolderWorld
from tests.support.worlds.git import GitWorld
from tests.support.worlds.http_json import HttpJsonWorld
from tests.support.worlds.hubspot import HubSpotWorld
from tests.support.worlds.notion import NotionWorld
from tests.support.worlds.plugin import PluginWorld, Shelf
from tests.support.worlds.s3 import S3World
from tests.support.worlds.salesforce import SalesforceWorld
from tests.support.worlds.sharepoint import SharePointWorld
from tests.support.worlds.sql import SqlWorld, relay
from tests.support.worlds.url import CrawlWorld, UrlWorld
from tests.support.worlds.vector_store import ChromaWorld, PgvectorWorld, QdrantWorld

Make = Callable[[Path, Database], AbstractAsyncContextManager[World]]


def on_a_site(kind: type[SiteWorld]) -> Make:
    """Return how a world is made that is asked by HTTP."""

    @asynccontextmanager
    async def make(_: Path, __: Database) -> AsyncIterator[World]:
        async with site() as made:
            yield kind(made)

    return make


@asynccontextmanager
async def a_folder(path: Path, _: Database) -> AsyncIterator[World]:
    yield FolderWorld(path / "docs")


@asynccontextmanager
async def a_database(_: Path, database: Database) -> AsyncIterator[World]:
    async with relay(database.owner_dsn) as opened:
        yield SqlWorld(database, opened)


@asynccontextmanager
async def in_a_table(_: Path, database: Database) -> AsyncIterator[World]:
    async with relay(database.owner_dsn) as opened:
        yield PgvectorWorld(database, opened)


@asynccontextmanager
async def a_bucket(_: Path, __: Database) -> AsyncIterator[World]:
    with s3_server() as store:
        async with site() as made:
            yield S3World(made, store)


@asynccontextmanager
async def a_repository(path: Path, _: Database) -> AsyncIterator[World]:
    async with site() as made:
        yield GitWorld(made, path / "repositories")


@asynccontextmanager
async def a_plugin(_: Path, __: Database) -> AsyncIterator[World]:
    shelf = Shelf()
    with module_of(PluginWorld.plugins, {"magnet.knowledge_sources": [shelf]}):
        yield PluginWorld(shelf)


WORLDS: dict[str, Make] = {
    "sharepoint": on_a_site(SharePointWorld),
    "confluence-cloud": on_a_site(CloudWorld),
    "confluence-data-center": on_a_site(DataCenterWorld),
    "folder": a_folder,
    "http_json": on_a_site(HttpJsonWorld),
    "url-sitemap": on_a_site(UrlWorld),
    "url-crawl": on_a_site(CrawlWorld),
    "notion": on_a_site(NotionWorld),
    "hubspot": on_a_site(HubSpotWorld),
    "salesforce": on_a_site(SalesforceWorld),
    "sql": a_database,
    "qdrant": on_a_site(QdrantWorld),
    "chroma": on_a_site(ChromaWorld),
    "pgvector": in_a_table,
    "s3": a_bucket,
    "git": a_repository,
    "plugin": a_plugin,
}
