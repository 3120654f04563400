"""A plain read model our way: the same rows as the library's in `stock_projection`, a transaction for each batch."""

from collections.abc import Mapping, Sequence
from typing import ClassVar
from uuid import UUID

from adapters.postgres import sql
from adapters.postgres.arrays import bigints, uuids
from adapters.postgres.read_model import ReadModelWriter
from adapters.projection_runner.batch import ReadModel
from domain.configuration_events import ConfigurationEvent
from projections.recorded import Recorded


class ThingsWriter(ReadModelWriter):
    """A row for each thing, with its newest version."""

    QUERIES = sql.load("benchmarks", "plain_projection.sql")

    async def put(self, versions: Mapping[UUID, int]) -> None:
        """Insert or replace rows."""
        values = {"ids": uuids(list(versions)), "versions": bigints(list(versions.values()))}
        await self._connection.execute(self.QUERIES["put"], values)


class Things:
    """Notes the newest version of each thing."""

    name: ClassVar = "things_v1"
    takes: ClassVar = (ConfigurationEvent,)
    independent: ClassVar = True

    async def apply(self, events: Sequence[Recorded], view: ThingsWriter) -> None:
        """Change the rows by these events."""
        newest = {
            entry.stream: entry.event.originator_version
            for entry in events
            if isinstance(entry.event, ConfigurationEvent)
        }
        if newest:
            await view.put(newest)


THINGS = ReadModel(projection=Things(), writer=ThingsWriter)
