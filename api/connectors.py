"""The catalogue of connectors: which types of sources are synced, and by what."""

from adapters.connectors.folder import FolderConnector
from api.settings import Settings
from commands.connectors import Connectors


def connectors_of(settings: Settings) -> Connectors:
    """Return type -> connector."""
    return {"folder": FolderConnector(settings.folder_roots, forbidden=[settings.home])}
