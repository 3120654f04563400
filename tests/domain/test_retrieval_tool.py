"""Retrieval tools: sources, ways of searching, filters."""

from typing import Any

import pytest

from domain.errors import Invalid
from domain.references import identify
from domain.retrieval_tool import RetrievalTool
from tests.scenario import given

SOURCE = str(identify("knowledge_source", "handbook"))


def a_tool(**definition: Any) -> RetrievalTool:
    return RetrievalTool.create(name="handbook", definition={"sources": [SOURCE], **definition})


@pytest.mark.parametrize("sources", [[], [SOURCE, SOURCE]])
def test_a_tool_searches_at_least_one_source_and_none_twice(sources: list[str]):
    with pytest.raises(Invalid) as refusal:
        a_tool(sources=sources)
    assert refusal.value.errors[0].pointer == "/sources"


def test_a_filter_that_is_none_is_refused_where_it_is_set():
    with pytest.raises(Invalid) as refusal:
        a_tool(filter={"type": "$where", "key": "a", "value": 1})
    assert refusal.value.errors[0].pointer == "/filter"


def test_how_it_searches_changes_in_one_event():
    given(a_tool()).when(lambda t: t.change(t.definition | {"mode": "lexical", "limit": 3})).then(
        (RetrievalTool.SearchChanged, {"mode": "lexical", "limit": 3})
    )
