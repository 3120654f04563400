"""The secrets of knowledge sources and tool servers, opened for the addresses that they are bound to."""

from collections.abc import Mapping

from adapters.event_store.store import EventStore
from adapters.secrets import KeyringSecretBox
from domain.configuration import Configuration


class SealedSourceSecrets:
    """Opens what was sealed for a source or a tool server."""

    def __init__(self, store: EventStore, box: KeyringSecretBox) -> None:
        self._store = store
        self._box = box

    async def of(self, source: Configuration) -> Mapping[str, str]:
        """Return name -> secret; raise SealBroken where one was sealed for another address."""
        opened = {}
        for field in source.secrets:
            sealed = await self._store.secret(source.id, field)
            if sealed is not None:  # cleared since the source was read
                name = field.partition("/")[2]
                opened[name] = self._box.open(sealed, owner=source.id, field=field, origin=source.origin)
        return opened
