"""The rows that searches read, inside the projection's transactions."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection

from adapters.postgres import sql
from adapters.postgres.arrays import bigints, byte_strings, integers, texts, uuids
from adapters.postgres.passages.spaces import Spaces
from domain.passage_edits import CutPassage, Edit, PassageName
from domain.retrieval import passage_id
from projections.passage_rows import DocumentRow, EditRow, PassagesMissing, Placement, Shelf, SourceRow

TABLES = sql.load("adapters.postgres.passages", "tables.sql")
SQL = sql.load("adapters.postgres.passages", "writer.sql")
SEPARATOR = "\x1f"
"""No group's name holds it: they have no control characters."""


class PostgresPassagesWriter:
    """The rows inside one transaction, whose search path names the schema."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._spaces = Spaces(connection)

    @staticmethod
    async def create(connection: AsyncConnection[Any]) -> None:
        """Make the empty tables."""
        for part in ("create", "late", "held"):
            await connection.execute(TABLES[part])

    @staticmethod
    async def complete(connection: AsyncConnection[Any]) -> None:
        """Add what came later to tables that an earlier version made."""
        row = await (await connection.execute(TABLES["is_late"])).fetchone()
        if row is not None and not row[0]:
            await connection.execute(TABLES["late"])
        await connection.execute(TABLES["held"])

    async def checksum(self) -> str:
        """Return a checksum over all rows; of long texts it takes the length."""
        rows = await self._rows("checksum_rows", {})
        return ".".join([rows[0][0], *await self._spaces.checksums()])

    async def sources(self, ids: Sequence[UUID]) -> Sequence[SourceRow]:
        """Return these sources."""
        if not ids:
            return []
        values = {"ids": uuids(ids)}
        shelves: dict[UUID, dict[int, Shelf]] = {}
        for source, id, index, space, model in await self._rows("shelves", values):
            shelves.setdefault(source, {})[index] = Shelf(id=id, index=index, space=space, model=model)
        return [
            SourceRow(
                id=row[0],
                answering=row[1],
                archived=row[2],
                language=row[3],
                acl=row[4],
                mapping=orjson.loads(row[5]),
                shelves=shelves.get(row[0], {}),
            )
            for row in await self._rows("sources", values)
        ]

    async def documents(self, ids: Sequence[UUID]) -> Sequence[DocumentRow]:
        """Return these documents."""
        return [_document(row) for row in await self._rows("documents", {"ids": uuids(ids)})]

    async def documents_of(self, source: UUID, after: UUID, limit: int) -> Sequence[DocumentRow]:
        """Return some documents of a source, in the order of their ids."""
        values = {"source": source, "after": after, "limit": limit}
        return [_document(row) for row in await self._rows("documents_of", values)]

    async def save_sources(self, rows: Sequence[SourceRow]) -> None:
        """Insert or replace sources and their shelves."""
        await self._execute(
            "save_sources",
            {
                "id": uuids([row.id for row in rows]),
                "answering": integers([row.answering or 0 for row in rows]),
                "archived": integers([int(row.archived) for row in rows]),
                "language": texts([row.language for row in rows]),
                "acl": texts([_joined(row.acl) for row in rows]),
                "mapping": texts([_json(row.mapping) for row in rows]),
            },
        )
        shelves = [(row.id, shelf) for row in rows for shelf in row.shelves.values()]
        await self._execute(
            "save_shelves",
            {
                "id": bigints([shelf.id for _, shelf in shelves]),
                "source": uuids([source for source, _ in shelves]),
                "index": integers([shelf.index for _, shelf in shelves]),
                "space": texts([shelf.space for _, shelf in shelves]),
                "model": texts([None if shelf.model is None else str(shelf.model) for _, shelf in shelves]),
            },
        )

    async def save_documents(self, rows: Sequence[DocumentRow]) -> None:
        """Insert or replace documents."""
        await self._execute(
            "save_documents",
            {
                "id": uuids([row.id for row in rows]),
                "source": uuids([row.source for row in rows]),
                "external_id": texts([row.external_id for row in rows]),
                "number": integers([row.number for row in rows]),
                "title": texts([row.title for row in rows]),
                "url": texts([row.url for row in rows]),
                "metadata": texts([_json(row.metadata) for row in rows]),
                "acl": texts([_joined(row.acl) for row in rows]),
                "acls": texts([_json(row.acls) for row in rows]),
                "fields": texts([_json(row.fields) for row in rows]),
                "types": texts([_json(row.types) for row in rows]),
                "removed": integers([int(row.removed) for row in rows]),
            },
        )

    async def save_details(self, documents: Sequence[UUID]) -> None:
        """Give what stands on shelves of these documents the details that they have now."""
        ids = uuids(documents)
        await self._execute("retitle", {"ids": ids})
        await self._execute("save_details", {"ids": ids})

    async def count_fields(self, changes: Mapping[tuple[UUID, str, str], int]) -> None:
        """Add to the numbers of documents that have a field."""
        sources = uuids([source for source, _, _ in changes])
        await self._execute(
            "count_fields",
            {
                "source": sources,
                "field": texts([name for _, name, _ in changes]),
                "type": texts([kind for _, _, kind in changes]),
                "difference": bigints(list(changes.values())),
            },
        )
        await self._execute("drop_fields", {"source": sources})

    async def clear(self, documents: Sequence[UUID]) -> None:
        """Take documents off all shelves."""
        await self._delete(await self._rows("places_of", {"documents": uuids(documents)}))

    async def place(self, placements: Sequence[Placement]) -> None:
        """Put versions on shelves instead of what stood there, or raise PassagesMissing."""
        documents = uuids([each.document for each in placements])
        shelves = bigints([each.shelf.id for each in placements])
        await self._delete(await self._rows("places_at", {"documents": documents, "shelves": shelves}))
        known = {row.id: row for row in await self.documents([each.document for each in placements])}
        added = await self._execute(
            "add_places",
            {
                "id": bigints([each.id for each in placements]),
                "shelf": shelves,
                "document": documents,
                "version": integers([each.version for each in placements]),
                "chunking": byte_strings([each.chunking for each in placements]),
                "passages": integers([each.chunks for each in placements]),
                "text_acl": texts([_joined(known[each.document].acl_of(each.version)) for each in placements]),
            },
        )
        _all_there(added, len(placements), "chunkings")
        await self._execute("count_added", {"places": bigints([each.id for each in placements])})
        await self._fill(placements)

    async def refill(self, documents: Sequence[UUID]) -> None:
        """Make the passages of documents anew from what was cut; where they stand stays as it is."""
        placements = [
            Placement(
                id=row[0],
                document=row[1],
                version=row[2],
                chunking=bytes(row[3]),
                chunks=row[4],
                shelf=Shelf(id=row[5], index=row[6], space=row[7], model=row[8]),
                dimensions=row[9],
            )
            for row in await self._rows("standing", {"documents": uuids(documents)})
        ]
        places = bigints([each.id for each in placements])
        await self._execute("delete_passages", {"places": places})
        await self._spaces.delete(places)
        await self._fill(placements)

    async def _fill(self, placements: Sequence[Placement]) -> None:
        """Put passages and their vectors into places."""
        places = bigints([each.id for each in placements])
        ids = {each.id: _ids(each) for each in placements}
        _all_there(await self._execute("add_passages", _passages(placements, ids)), _chunks(placements), "passages")
        await self._execute("note_parted", {"places": places})
        for space in sorted({each.shelf.space for each in placements if each.shelf.space is not None}):
            here = [each for each in placements if each.shelf.space == space and each.chunks]
            for dimensions in sorted({each.dimensions or 0 for each in here}):
                await self._spaces.must_have(space, dimensions)
            if here:
                [(searched,)] = await self._rows("searched", {"places": bigints([each.id for each in here])})
                _all_there(await self._spaces.add(space, _passages(here, ids)), searched, "vectors")

    # What people changed ------------------------------------------------------

    async def save_edits(self, rows: Sequence[EditRow]) -> None:
        """Insert or replace what was changed of passages."""
        await self._execute(
            "save_edits",
            {
                "id": uuids([row.id for row in rows]),
                "document": uuids([row.document for row in rows]),
                "position": bigints([row.position for row in rows]),
                "start_at": integers([row.edit.name.start for row in rows]),
                "end_at": integers([row.edit.name.end for row in rows]),
                "sha256": texts([row.edit.name.sha256 for row in rows]),
                "text": texts([row.edit.text for row in rows]),
                "disabled": integers([int(row.edit.disabled) for row in rows]),
            },
        )
        await self._execute("drop_edits", {"documents": uuids([row.document for row in rows])})

    async def save_written(self, documents: Sequence[UUID]) -> None:
        """Note which documents are passages that a person wrote."""
        await self._execute("save_written", {"documents": uuids(documents)})

    async def edits(self, documents: Sequence[UUID]) -> Mapping[UUID, Sequence[Edit]]:
        """Return what was changed of the passages of documents."""
        found: dict[UUID, list[Edit]] = {}
        for _, document, start, end, sha256, text, disabled in await self._rows(
            "edits", {"documents": uuids(documents)}
        ):
            name = PassageName(start=start, end=end, sha256=sha256)
            found.setdefault(document, []).append(Edit(name=name, text=text, disabled=disabled))
        return found

    async def cut(self, documents: Sequence[UUID]) -> Mapping[tuple[UUID, int], Mapping[UUID, CutPassage]]:
        """Return by document and place the passages that edits can mean, by their ids."""
        found: dict[tuple[UUID, int], dict[UUID, CutPassage]] = {}
        for id, place, document, ordinal, start, sha256 in await self._rows("cut", {"documents": uuids(documents)}):
            passage = CutPassage(ordinal=ordinal, start=start, sha256=sha256)
            found.setdefault((document, place), {})[id] = passage
        return found

    async def mark(self, edits: Mapping[UUID, UUID], disabled: Sequence[UUID]) -> None:
        """Note which edit each passage has, and that some are not found."""
        await self._execute("mark", {"passages": uuids(list(edits)), "edits": uuids(list(edits.values()))})
        if disabled:
            rows = await self._rows("disable", {"passages": uuids(disabled)})
            passages, places = uuids([row[0] for row in rows]), bigints([row[1] for row in rows])
            for (space,) in await self._rows("space_names", {}):
                await self._spaces.delete_of(space, places, passages)

    async def reword(self, sources: Sequence[UUID]) -> None:
        """Make the words of all passages of these sources anew."""
        await self._execute("new_configs", {"sources": uuids(sources)})
        await self._execute("reword", {"sources": uuids(sources)})

    async def _delete(self, rows: Sequence[Any]) -> None:
        if rows:
            places = bigints([row[0] for row in rows])
            values = {"shelf": bigints([row[1] for row in rows]), "passages": integers([row[2] for row in rows])}
            await self._execute("count_deleted", values)
            await self._execute("delete_passages", {"places": places})
            await self._spaces.delete(places)

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        return await (await self._connection.execute(SQL[query], values, binary=True)).fetchall()

    async def _execute(self, query: str, values: Mapping[str, Any]) -> int:
        return (await self._connection.execute(SQL[query], values)).rowcount


def _ids(placement: Placement) -> Sequence[UUID]:
    """Return the ids of a placement's passages."""
    version, index = placement.version, placement.shelf.index
    return [passage_id(placement.document, version, index, number) for number in range(placement.chunks)]


def _passages(placements: Sequence[Placement], ids: Mapping[int, Sequence[UUID]]) -> Mapping[str, Any]:
    """Return id, place and ordinal of all passages of placements, whose ids are given by place."""
    return {
        "ids": uuids([id for each in placements for id in ids[each.id]]),
        "places": bigints([each.id for each in placements for _ in range(each.chunks)]),
        "ordinals": integers([ordinal for each in placements for ordinal in range(each.chunks)]),
    }


def _chunks(placements: Sequence[Placement]) -> int:
    return sum(each.chunks for each in placements)


def _all_there(found: int, wanted: int, what: str) -> None:
    """Refuse to make a document shorter than it is."""
    if found != wanted:
        raise PassagesMissing(f"Of {wanted} {what} that index events name only {found} are stored.")


def _joined(acl: Sequence[str] | None) -> str | None:
    return None if acl is None else SEPARATOR.join(acl)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _document(row: Sequence[Any]) -> DocumentRow:
    return DocumentRow(
        id=row[0],
        source=row[1],
        external_id=row[2],
        number=row[3],
        title=row[4],
        url=row[5],
        metadata=orjson.loads(row[6]),
        acl=row[7],
        acls=orjson.loads(row[8]),
        fields=orjson.loads(row[9]),
        types=orjson.loads(row[10]),
        removed=row[11],
    )
