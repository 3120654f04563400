"""Filters as conditions of a statement: every key and value is a parameter, never part of its text."""

from collections.abc import Mapping
from typing import Any, LiteralString

import orjson
from psycopg import sql as statements

from adapters.postgres import sql
from domain.filters import Comparison, Filter, Group, Scalar

SQL = sql.load("adapters.retrieval", "conditions.sql")
OPERATORS: Mapping[str, LiteralString] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
ONE_BY_ONE = 10
"""Values of an `in` up to which each is looked up in the index."""


class Conditions:
    """Conditions on a place `pl`, and the parameters that they name."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def of(self, filter: Filter) -> statements.Composable:
        """Return a filter, bound to the fields' types, as a condition that is true or false, never null."""
        match filter:
            case Group(type="not"):
                return _not(self.of(filter.parts[0]))
            case Group():
                return _joined(" AND " if filter.type == "and" else " OR ", [self.of(part) for part in filter.parts])
            case Comparison(type="eq"):
                return self._eq(filter.key, filter.value)
            case Comparison(type="ne"):
                return _not(self._eq(filter.key, filter.value))
            case Comparison(type="in"):
                return self._among(filter)
            case Comparison(type="nin"):
                return _not(self._among(filter))
            case Comparison(type="exists"):
                there = self._made("exists", key=filter.key)
                return there if filter.value else _not(there)
            case Comparison(type="contains"):
                return self._contains(filter)
            case _:
                return self._ordered(filter)

    def _eq(self, key: str, value: Scalar) -> statements.Composable:
        return self._made("eq", key=key, value=_json(value))

    def _among(self, filter: Comparison) -> statements.Composable:
        if len(filter.value) <= ONE_BY_ONE:
            return _joined(" OR ", [self._eq(filter.key, value) for value in filter.value])
        return self._made("among", key=filter.key, values=[_json(value) for value in filter.value])

    def _contains(self, filter: Comparison) -> statements.Composable:
        holds = self._made("holds_item", key=filter.key, value=_json(filter.value))
        if not isinstance(filter.value, str):
            return holds
        return _joined(" OR ", [holds, self._made("holds_text", key=filter.key, value=filter.value)])

    def _ordered(self, filter: Comparison) -> statements.Composable:
        operator = statements.SQL(OPERATORS[filter.type])
        if isinstance(filter.value, str):
            return self._made("text", operator, key=filter.key, value=filter.value)
        return self._made("number", operator, key=filter.key, value=_json(filter.value))

    def _made(self, name: str, operator: statements.SQL | None = None, **values: Any) -> statements.Composable:
        """Return a condition whose values have become parameters."""
        named: dict[str, statements.Composable] = {}
        for part, value in values.items():
            parameter = f"filter_{len(self.parameters)}"
            self.parameters[parameter] = value
            named[part] = statements.Placeholder(parameter)
        if operator is not None:
            named["operator"] = operator
        return statements.Composed(
            [statements.SQL("("), statements.SQL(SQL[name]).format(**named), statements.SQL(")")]
        )


def access() -> statements.Composable:
    """Return the condition that a caller's groups may find a place; `groups` is a parameter."""
    return statements.SQL(SQL["access"])


def both(conditions: list[statements.Composable]) -> statements.Composable:
    """Return the condition that all of these hold."""
    return _joined(" AND ", conditions)


def _not(condition: statements.Composable) -> statements.Composable:
    return statements.Composed([statements.SQL("(NOT "), condition, statements.SQL(")")])


def _joined(word: LiteralString, parts: list[statements.Composable]) -> statements.Composable:
    return statements.Composed([statements.SQL("("), statements.SQL(word).join(parts), statements.SQL(")")])


def _json(value: Scalar) -> str:
    return orjson.dumps(value).decode()
