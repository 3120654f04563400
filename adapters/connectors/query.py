"""A query that documents are the rows of: what it may be, how it is set, and what it gives."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from commands.knowledge.connectors import FINDS
from domain.definition import Strict
from domain.errors import DomainError, Invalid

Column = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]
MEDIA_TYPE = r"^[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}$"
BEFORE = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
SELECTS = re.compile(r"(?:\(\s*)*(?:select|with|values|table)\b", re.IGNORECASE)


class SqlConfig(Strict):
    """A query in a database, read only: each of its rows is a document; columns that are not named are metadata."""

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="`postgresql://user@host:5432/database?sslmode=verify-full`, without a password. Or mysql+pymysql, "
        "mariadb+pymysql, mssql+pymssql, oracle+oracledb, where that driver is installed; or sqlite:////file below "
        "MAGNET_FOLDERS.",
    )
    query: str = Field(
        min_length=1, max_length=100_000, pattern=r"^[^\x00]+$", description="One statement that selects."
    )
    id: Column = Field("id", description="The column that tells a row from the others.")
    title: Column | None = Field(None, description="What people see; null = the id.")
    text: Column = Field("text", description="The column with the text; one of bytes is taken as a file.")
    media_type: str = Field("text/plain", pattern=MEDIA_TYPE, description="Of what stands in `text`.")
    version: Column | None = Field(
        None, description="The column that changes with the row; null = all of it is compared."
    )
    link: Column | None = Field(None, description="The column with the address that people open.")
    acl: Column | None = Field(
        None, description="The column with the groups that may find it: an array, a JSON list, or names with commas."
    )
    seconds: Annotated[int, FINDS] = Field(300, ge=1, le=86_400, description="How long a statement may take.")


class NotSelected(DomainError):
    """The database could not look for rows that were asked for; others may be had."""

    code = "not_selected"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row: `values` are JSON, by column; `text` is what stands in the column of that."""

    id: str
    text: str | bytes | None
    values: Mapping[str, Any]


def selectable(query: str) -> str:
    """Return a query as it can stand in brackets, or raise Invalid where it does something else than select."""
    plain = query.rstrip().rstrip(";").rstrip()
    begin = BEFORE.match(plain)
    assert begin is not None
    if not SELECTS.match(plain, begin.end()):
        raise Invalid(
            "The query is one statement that selects: it begins with SELECT, WITH, VALUES or TABLE.",
            code="invalid_query",
            pointer="/config/query",
        )
    return plain


def refused(reason: str) -> Invalid:
    """Return what is raised where a database does not take the query."""
    return Invalid(
        f"The database does not take the query as one that selects: {reason}",
        code="invalid_query",
        pointer="/config/query",
    )
