"""Filters inside the SQL, against a plain model of their grammar; hostile ones are data or refused."""

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.retrieval import narrowing
from domain.errors import Invalid
from domain.filters import canonical_time
from tests.support.knowledge import Knowledge, knowledge
from tests.support.postgres import Database

HOSTILE = [
    "x') OR '1'='1",
    "a\"}'::jsonb",
    "$.x",
    "a->b",
    "%s",
    "%(groups)s",
    "{condition}",
    "\\'",
    "k" * 64,
    "schlüssel",
]
KEYS = ["n", "t", "b", "l", "mixed", "when", *HOSTILE]
NUMBERS = [0, -0.0, 1, 1.0, -7, 0.1, 1e22, 2**53 + 1, 2**63, 5e-324]
TEXTS = ["", "a", "ab", "A", "ä", "Z", "'; DROP TABLE x; --", "%", "_", "\\", "\U0001f600", "\uffff", "10", "true"]
TIMES = ["2024-05-01T10:00:00Z", "2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00.000001Z", "1999-12-31T23:59:59Z"]
TYPES = {"when": "time"}

DOCUMENTS: dict[str, dict[str, Any]] = {
    **{f"number {number!r} {place}": {"n": number, "mixed": number} for place, number in enumerate(NUMBERS)},
    **{f"text {place}": {"t": text, "mixed": text} for place, text in enumerate(TEXTS)},
    **{f"flag {flag}": {"b": flag, "mixed": flag} for flag in (True, False)},
    "list": {"l": ["a", 1, True, "ab"], "mixed": ["a", 1]},
    "other list": {"l": [], "mixed": []},
    **{f"time {place}": {"when": time} for place, time in enumerate(TIMES)},
    "none": {},
    **{f"hostile {place}": {key: place} for place, key in enumerate(HOSTILE)},
    "all hostile": dict.fromkeys(HOSTILE, "x") | {"t": "x"},
}


def fields_of(name: str) -> Mapping[str, Any]:
    """Return a document's fields as filters see them."""
    return {key: canonical_time(value) if key in TYPES else value for key, value in DOCUMENTS[name].items()}


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return {list: "list", str: "text"}.get(type(value), "number")


def types_of(key: str) -> set[str]:
    return {TYPES.get(key) or kind(fields[key]) for fields in DOCUMENTS.values() if key in fields}


def typed(operator: str, value: Any, types: set[str]) -> Any:
    """Return a value in a field's type, or raise LookupError where it has none of them."""
    if operator == "contains":
        if "list" in types or ("text" in types and isinstance(value, str)):
            return value
        raise LookupError
    if isinstance(value, str) and "time" in types:
        try:
            return canonical_time(value)
        except ValueError:
            pass
    if kind(value) in types:
        return value
    raise LookupError


def comparable(value: Any) -> tuple[str, Any]:
    return kind(value), Decimal(repr(value)) if kind(value) == "number" else value


def satisfies(filter: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    """Say whether a document's fields satisfy a filter."""
    match filter["type"]:
        case "and" | "or":
            parts = [satisfies(part, fields) for part in filter["filters"]]  # all of them: each may be refused
            return all(parts) if filter["type"] == "and" else any(parts)
        case "not":
            return not satisfies(filter["filters"][0], fields)
    operator, key, value = filter["type"], filter["key"], filter["value"]
    types = types_of(key)
    if operator == "exists":
        return (key in fields) is value
    if operator in ("in", "nin"):
        values = [comparable(typed(operator, each, types)) for each in value]
        return (key in fields and comparable(fields[key]) in values) is (operator == "in")
    wanted = typed(operator, value, types)
    if operator in ("eq", "ne"):
        return (key in fields and comparable(fields[key]) == comparable(wanted)) is (operator == "eq")
    if key not in fields:
        return False
    there = fields[key]
    if operator == "contains":
        if isinstance(there, list):
            return comparable(wanted) in [comparable(item) for item in there]
        return isinstance(there, str) and isinstance(wanted, str) and wanted in there
    if kind(there) != kind(wanted):
        return False
    left, right = comparable(there)[1], comparable(wanted)[1]
    return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[operator]


values = st.sampled_from([*NUMBERS, *TEXTS, *TIMES, True, False])
keys = st.sampled_from(KEYS)
ordered = st.sampled_from([*NUMBERS, *TEXTS, *TIMES])
comparisons = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["eq", "ne", "contains"]), "key": keys, "value": values}),
    st.fixed_dictionaries({"type": st.sampled_from(["gt", "gte", "lt", "lte"]), "key": keys, "value": ordered}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["in", "nin"]), "key": keys, "value": st.lists(values, min_size=1, max_size=14)}
    ),
    st.fixed_dictionaries({"type": st.just("exists"), "key": keys, "value": st.booleans()}),
)
wild = st.recursive(
    comparisons,
    lambda parts: st.one_of(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["and", "or"]), "filters": st.lists(parts, min_size=1, max_size=3)}
        ),
        st.fixed_dictionaries({"type": st.just("not"), "filters": st.lists(parts, min_size=1, max_size=1)}),
    ),
    max_leaves=5,
)


@pytest.fixture(params=["few", "many"])
async def known(request: pytest.FixtureRequest, database: Database, monkeypatch) -> AsyncIterator[Knowledge]:
    """All documents, found one by one where few fit, and by the indexes where many do."""
    if request.param == "many":
        monkeypatch.setattr(narrowing, "FEWEST", 0)
        monkeypatch.setattr(narrowing, "MOST_EXACT", 0)
    async with knowledge(database) as made:
        await made.source(metadata={"when": {"path": "when", "type": "time"}})
        for name, metadata in DOCUMENTS.items():
            await made.add("handbook", name, f"needle {name}", metadata=metadata)
        await made.side.caught_up("passages_v1")
        yield made


async def found_by(known: Knowledge, filter: Mapping[str, Any], **asked: Any) -> set[str]:
    found = await known.search("needle", limit=100, filter=filter, **asked)
    return {passage.external_id for passage in found.passages}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(filter=wild, mode=st.sampled_from(["lexical", "vector", "hybrid"]))
async def test_every_operator_finds_what_the_plain_model_finds(known: Knowledge, filter: Any, mode: str):
    try:
        expected = {name for name in DOCUMENTS if satisfies(filter, fields_of(name))}
    except LookupError:
        with pytest.raises(Invalid) as refused:
            await found_by(known, filter, mode=mode)
        assert refused.value.error_code == "wrong_type"
        assert refused.value.errors[0].pointer.startswith("/filter/")
    else:
        assert await found_by(known, filter, mode=mode) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filter=comparisons)
async def test_a_tools_own_filter_that_does_not_fit_matches_nothing_and_refuses_nobody(known: Knowledge, filter: Any):
    def fits(name: str) -> bool:
        try:
            return satisfies(filter, fields_of(name))
        except LookupError:
            return filter["type"] == "ne"

    if filter["type"] not in ("in", "nin"):  # of those some values may fit
        found = await known.search("needle", limit=100, fixed_filter=filter, mode="lexical")
        assert {passage.external_id for passage in found.passages} == {name for name in DOCUMENTS if fits(name)}, filter
        assert found.filter is None


async def test_a_text_that_is_no_time_does_not_find_times_by_their_letters(subtests: pytest.Subtests, known: Knowledge):
    for operator, value in product(["gt", "gte", "contains", "eq"], ["", "10", "Z"]):
        with subtests.test(f"{operator} {value!r}"):
            fixed = {"type": operator, "key": "when", "value": value}
            assert (await known.search("needle", limit=100, fixed_filter=fixed, mode="lexical")).passages == []


async def test_the_callers_filter_is_echoed_as_it_was_understood(known: Knowledge):
    asked = {"type": "and", "filters": [{"type": "gte", "key": "when", "value": "2024-05-01T12:00:00+02:00"}]}
    found = await known.search("needle", filter=asked)
    assert found.filter == {
        "type": "and",
        "filters": [{"type": "gte", "key": "when", "value": "2024-05-01T10:00:00.000000Z"}],
    }


NO_FILTERS: list[tuple[Any, str]] = [
    ({"type": "eq", "key": "no such", "value": 1}, "unknown_field"),
    ({"type": "eq", "key": "k" * 65, "value": 1}, "invalid_key"),
    ({"type": "eq", "key": "", "value": 1}, "invalid_key"),
    ({"type": "eq", "key": "n\0", "value": 1}, "invalid_key"),
    ({"type": "$where", "key": "n", "value": 1}, "unknown_operator"),
    ({"type": "regex", "key": "n", "value": ".*"}, "unknown_operator"),
    ({"type": "eq", "key": "n", "value": [1]}, "wrong_type"),
    ({"type": "eq", "key": "n", "value": {"$gt": 1}}, "wrong_type"),
    ({"type": "eq", "key": "n", "value": None}, "wrong_type"),
    ({"type": "gt", "key": "b", "value": True}, "wrong_type"),
    ({"type": "eq", "key": "n", "value": float("inf")}, "wrong_type"),
    ({"type": "eq", "key": "n", "value": 10**40}, "wrong_type"),
    ({"type": "in", "key": "n", "value": list(range(100_000))}, "list_type"),
    ({"type": "in", "key": "n", "value": []}, "list_type"),
    ({"type": "or", "filters": [{"type": "exists", "key": "n"}] * 10_000}, "filter_too_large"),
    ({"type": "eq", "key": "n", "value": 1, "extra": 1}, "extra_forbidden"),
    ({"type": "not", "filters": []}, "list_type"),
    ({}, "unknown_operator"),
]


async def test_a_filter_that_is_none_is_refused_by_its_name(subtests: pytest.Subtests, known: Knowledge):
    for filter, code in NO_FILTERS:
        with subtests.test(str((filter, code))[:80]):
            with pytest.raises(Invalid) as refused:
                await found_by(known, filter)
            assert refused.value.error_code == code
