"""The catalogue of connectors: which types of sources are synced, and by what; plugins add to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.connectors.confluence import ConfluenceConnector
from adapters.connectors.folder import FolderConnector
from adapters.connectors.git import GitConnector
from adapters.connectors.http_json import HttpJsonConnector
from adapters.connectors.hubspot import HubSpotConnector
from adapters.connectors.notion import NotionConnector
from adapters.connectors.roots import Roots
from adapters.connectors.s3 import S3Connector
from adapters.connectors.salesforce import SalesforceConnector
from adapters.connectors.sharepoint import SharePointConnector
from adapters.connectors.sql import SqlConnector
from adapters.connectors.url import UrlConnector
from adapters.connectors.vector_store import VectorStoreConnector
from adapters.connectors.web import Web
from adapters.egress import Egress
from adapters.guardrails.built_in import CONFIGS as GUARDRAILS
from adapters.plugins.plugins import Plugins
from api.settings import Settings
from api.vector_stores import BUILT_IN
from commands.knowledge.connectors import Connectors
from commands.replays.built_in_scorers import CONFIGS as SCORERS


@asynccontextmanager
async def connectors_of(settings: Settings) -> AsyncIterator[Plugins]:
    """Yield what has type -> connector; afterwards plugins are stopped, and connections closed."""
    egress = Egress(settings.egress)
    web = Web(egress)
    roots = Roots(settings.folder_roots, forbidden=[settings.home])
    try:
        rows = SqlConnector(egress, roots)
        built_in: Connectors = {
            "folder": FolderConnector(roots),
            "http_json": HttpJsonConnector(web),
            "url": UrlConnector(web),
            "notion": NotionConnector(web),
            "hubspot": HubSpotConnector(web),
            "salesforce": SalesforceConnector(web),
            "confluence": ConfluenceConnector(web),
            "git": GitConnector(settings.home / "cache" / "git", egress, roots, web),
            "s3": S3Connector(web),
            "sharepoint": SharePointConnector(web),
            "sql": rows,
            "vector_store": VectorStoreConnector(web, rows),
        }
        plugins = Plugins(
            built_in, settings.plugin_modules, guardrails=GUARDRAILS, scorers=SCORERS, vector_stores=BUILT_IN
        )
        try:
            await plugins.open()
            yield plugins
        finally:
            await plugins.close()
    finally:
        await web.close()
