"""Retrieval tools: sources, ways of searching, filters."""

from typing import Any

import pytest

from domain.errors import Invalid
from domain.references import identify
from domain.retrieval import weighed
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


LATER = {"rerank", "rewrite", "multi_query", "fusion", "boosts", "recency", "translate"}
"""Fields that came after the first release."""


def before_reranking() -> RetrievalTool:
    """Return a tool as it was recorded before tools could rerank."""
    tool = a_tool()
    tool.definition = {name: value for name, value in tool.definition.items() if name not in LATER}
    tool.labels = {"live": {"version": 1, "definition": tool.definition}}
    return tool


def test_a_field_that_came_later_is_as_if_it_had_its_default():
    given(before_reranking()).when(lambda t: t.change({**t.definition, "title": "Handbook"})).then(
        (RetrievalTool.Described, {"title": "Handbook"})
    )
    given(before_reranking()).when(lambda t: t.change({**t.definition, "rerank": None})).then_nothing()
    given(before_reranking()).when(lambda t: t.roll_back(to_version=1, definition=a_tool().definition)).then_nothing()
    assert not before_reranking().is_draft


def test_reranking_is_set_in_an_event_of_its_own_with_its_defaults():
    model = str(identify("model", "judge"))
    tool = before_reranking()
    given(tool).when(lambda t: t.change({**t.definition, "rerank": {"model": model}})).then(
        (RetrievalTool.RerankSet, {"rerank": {"model": model, "top_n": 30, "instruction": None}})
    )
    assert tool.is_draft
    assert {(path, kind) for path, kind, _ in tool.references()} >= {("/rerank/model", "model")}


def test_fusion_and_what_is_done_to_queries_are_set_in_events_of_their_own():
    prompt = str(identify("prompt", "in-english"))
    wanted = {"fusion": "rrf", "rewrite": {"prompt": prompt}, "multi_query": {}}
    tool = (
        given(a_tool())
        .when(lambda t: t.change({**t.definition, **wanted}))
        .then(
            (RetrievalTool.FusionChosen, {"fusion": "rrf"}),
            (
                RetrievalTool.ExpansionSet,
                {"rewrite": {"prompt": prompt, "model": None}, "multi_query": {"queries": 3, "model": None}},
            ),
        )
    )
    assert ("/rewrite/prompt", "prompt") in {(path, kind) for path, kind, _ in tool.references()}


def test_what_sources_and_age_weigh_is_set_in_an_event_of_its_own_with_its_defaults():
    boosts = [{"source": SOURCE, "factor": 2.0}]
    given(before_reranking()).when(
        lambda t: t.change({**t.definition, "boosts": boosts, "recency": {"half_life_days": 30.0}})
    ).then(
        (
            RetrievalTool.WeighingSet,
            {"boosts": boosts, "recency": {"field": None, "half_life_days": 30.0, "weight": 0.5}},
        )
    )


@pytest.mark.parametrize(
    "boosts",
    [
        [{"source": str(identify("knowledge_source", "other")), "factor": 2.0}],
        [{"source": SOURCE, "factor": 2.0}, {"source": SOURCE, "factor": 3.0}],
        [{"source": SOURCE, "factor": 0}],
    ],
)
def test_only_sources_of_the_tool_count_more_each_once_and_by_a_factor_above_nothing(boosts: list[Any]):
    with pytest.raises(Invalid):
        a_tool(boosts=boosts)


def test_a_weight_moves_scores_above_and_below_nothing_the_same_way():
    assert (weighed(0.5, 2), weighed(-0.5, 2)) == (1, -0.25)
    assert weighed(-0.5, 0) < weighed(-0.5, 0.5) < -0.5 < weighed(0.5, 0.5)
