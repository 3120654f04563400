"""Facets: how many of the documents that a search found have which value of a metadata field."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from adapters.retrieval.rows import Rows
from adapters.retrieval.statements import SQL
from domain.errors import FieldError, Invalid
from domain.filters import FieldTypes

MOST_VALUES = 50
"""Values of a field that are told; how many more there are is told as a number."""


def must_be_known(facets: Sequence[str], fields: FieldTypes) -> None:
    """Raise Invalid for a field that no document has, and no source maps."""
    errors = [
        FieldError(
            pointer=f"/facets/{number}",
            message="No document has this metadata field, and no source maps it.",
            code="unknown_field",
        )
        for number, field in enumerate(facets)
        if field not in fields
    ]
    if errors:
        raise Invalid("One or more fields are wrong: see errors.", code="unknown_field", errors=errors)


async def counted(rows: Rows, ids: Sequence[UUID], facets: Sequence[str]) -> Mapping[str, Any]:
    """Return for each field its values, the commonest first; `further` values are not told, `missing` documents have none."""
    asked = {"ids": list(ids), "fields": list(facets)}
    told: dict[str, dict[str, Any]] = {
        field: {"values": [], "further": 0, "missing": 0, "documents": 0} for field in facets
    }
    for field, having, documents in await rows.of(SQL["documents_having"], asked):
        told[field] |= {"missing": documents - having, "documents": documents}
    for field, value, documents in await rows.of(SQL["facets"], asked):
        if len(told[field]["values"]) < MOST_VALUES:
            told[field]["values"].append({"value": value, "documents": documents})
        else:
            told[field]["further"] += 1
    return told
