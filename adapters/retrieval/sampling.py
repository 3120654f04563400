"""A sample of a source's passages: spread over its documents, and the same for the same seed."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from psycopg import sql as statements

from adapters.retrieval.conditions import access
from adapters.retrieval.passages import given
from adapters.retrieval.rows import Rows
from adapters.retrieval.statements import SQL
from domain.retrieval import Passage


async def sampled(
    rows: Rows, source: UUID, groups: frozenset[str] | None, count: int, documents: Sequence[UUID], seed: int
) -> tuple[list[Passage], Mapping[str, int]]:
    """Return passages that a caller of these groups may find, and the index that they are of."""
    condition = statements.SQL(SQL["everything"]) if groups is None else access()
    values = {
        "source": source,
        "groups": sorted(groups or ()),
        "documents": list(documents) or None,
        "count": count,
        "seed": seed,
    }
    found = await rows.of(statements.Composed([statements.SQL(SQL["sample"]).format(condition=condition)]), values)
    index = await rows.of(SQL["answering_index"], {"source": source})
    return await given(rows, [id for (id,) in found]), {str(source): number for (number,) in index}
