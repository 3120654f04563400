"""SOQL: whether a query is one SELECT that changes nothing, and the queries that are made of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.errors import Invalid

PIECE = re.compile(r"'(?:[^'\\]|\\.)*'|[A-Za-z_][\w.]*|--|/\*|\S", re.DOTALL)
OBJECT = re.compile(r"[A-Za-z]\w*\Z", re.ASCII)
CLAUSES = frozenset(
    {"USING", "WHERE", "WITH", "ORDER", "LIMIT", "OFFSET", "GROUP", "HAVING", "FOR", "UPDATE", "SET", "ALL"}
)
REFUSED = {
    "GROUP": "groups have no id",
    "HAVING": "groups have no id",
    "FOR": "FOR VIEW, FOR REFERENCE and FOR UPDATE change something",
    "UPDATE": "UPDATE TRACKING and VIEWSTAT change something",
}


@dataclass(frozen=True, kw_only=True)
class Select:
    """A query in its parts: what is selected, from which object, and which records of it."""

    fields: str
    object: str
    alias: str
    which: str

    def names(self, field: str) -> bool:
        """Return whether a field is among those that are selected."""
        chosen = {piece.lower() for piece, _ in pieces_of(self.fields)}
        return "fields" in chosen or field.lower() in chosen or f"{self.alias}.{field}".lower() in chosen

    def listing(self, fields: Sequence[str]) -> str:
        """Return the query for these fields of the same records."""
        return " ".join(["SELECT", ", ".join(fields), *self._from, self.which]).rstrip()

    def one(self, **values: str) -> str:
        """Return the query for the record with these values."""
        condition = " AND ".join(f"{field} = {quoted(value)}" for field, value in values.items())
        return " ".join(["SELECT", self.fields, *self._from, "WHERE", condition, "LIMIT 1"])

    @property
    def _from(self) -> list[str]:
        return ["FROM", self.object, *([self.alias] if self.alias else [])]


def quoted(value: str) -> str:
    """Return a value as a literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def pieces_of(soql: str) -> list[tuple[str, int]]:
    """Return what a query is made of, and where each piece begins."""
    return [(found[0], found.start()) for found in PIECE.finditer(soql)]


def outermost(soql: str) -> list[tuple[str, int]]:
    """Return the pieces that stand in no brackets, or raise ValueError saying what is wrong."""
    depth, found = 0, []
    for piece, start in pieces_of(soql):
        if piece in (";", "--", "/*", "'"):
            raise ValueError(f"{piece} has no place outside of text")
        depth += (piece == "(") - (piece == ")")
        if depth < 0:
            break
        if depth == 0 and piece != ")":
            found.append((piece, start))
    if depth:
        raise ValueError("its brackets don't match")
    return found


def parsed(soql: str, pointer: str) -> Select:
    """Return a query in its parts, or raise Invalid unless it is one SELECT that changes nothing."""
    try:
        return _parsed(soql)
    except ValueError as error:
        raise Invalid(
            f"A single SELECT of the records of one object is needed: {error}.", code="not_a_select", pointer=pointer
        ) from None


def _parsed(soql: str) -> Select:
    pieces = outermost(soql)
    words = [piece.upper() for piece, _ in pieces]
    if words[:1] != ["SELECT"] or words.count("SELECT") > 1:
        raise ValueError("it begins with SELECT, which stands once outside of brackets")
    if words.count("FROM") != 1:
        raise ValueError("it has one FROM outside of brackets")
    at = words.index("FROM")
    fields = soql[len("SELECT") + pieces[0][1] : pieces[at][1]].strip()
    if not fields or at + 1 >= len(pieces) or not OBJECT.match(pieces[at + 1][0]):
        raise ValueError("fields and an object are named")
    begins = at + 2
    has_alias = begins < len(pieces) and OBJECT.match(pieces[begins][0]) and words[begins] not in CLAUSES
    begins += 1 if has_alias else 0
    rest = words[begins:]
    if rest and rest[0] not in CLAUSES:
        raise ValueError(f"{pieces[begins][0]} has no place after the object")
    for word, why in REFUSED.items():
        if word in rest:
            raise ValueError(why)
    which = soql[pieces[begins][1] :].strip() if begins < len(pieces) else ""
    return Select(
        fields=fields, object=pieces[at + 1][0], alias=pieces[begins - 1][0] if has_alias else "", which=which
    )
