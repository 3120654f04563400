"""RAG tools: what they search by, and how they answer."""

from typing import Any

import pytest

from domain.errors import Invalid
from domain.rag_tool import RagTool
from domain.references import identify
from tests.scenario import given

TOOL = str(identify("retrieval_tool", "handbook"))


def a_rag_tool(**definition: Any) -> RagTool:
    return RagTool.create(name="handbook", definition={"retrieval_tool": TOOL, **definition})


def test_a_rag_tool_needs_something_to_search_by():
    with pytest.raises(Invalid) as refusal:
        RagTool.create(name="handbook", definition={})
    assert refusal.value.errors[0].pointer == "/retrieval_tool"


def test_how_it_answers_changes_in_one_event():
    given(a_rag_tool()).when(lambda t: t.change(t.definition | {"citations": False, "no_answer": "Ask Ada."})).then(
        (RagTool.AnswersSet, {"citations": False, "no_answer": "Ask Ada."})
    )


def test_a_variant_may_search_by_another_tool():
    other = str(identify("retrieval_tool", "other"))
    tool = a_rag_tool(variants={"b": {"weight": 1, "retrieval_tool": other}})
    assert ("/variants/b/retrieval_tool", "retrieval_tool", identify("retrieval_tool", "other")) in tool.references()


def test_languages_and_the_grounding_check_are_set_in_events_of_their_own_with_their_defaults():
    settings = {"languages": {}, "grounding": {"check": "model"}}
    judged = {"check": "model", "model": None, "threshold": 0.5, "least": 1.0, "on_failure": "flag"}
    given(a_rag_tool()).when(lambda t: t.change(t.definition | settings)).then(
        (RagTool.LanguagesSet, {"languages": {"detect": True, "answer": "asked"}}),
        (RagTool.GroundingSet, {"grounding": judged}),
    )


def test_post_processing_is_set_in_an_event_of_its_own():
    told = {"prompt": None, "model": None, "fields": {"type": "object"}}
    settings = {"categories": [{"name": "a"}], "post_processing": {"fields": {"type": "object"}}}
    given(a_rag_tool()).when(lambda t: t.change(t.definition | settings)).then(
        (RagTool.PostProcessingSet, {"categories": [{"name": "a", "description": ""}], "post_processing": told}),
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"categories": [{"name": "a"}, {"name": "a"}]},
        {"post_processing": {"fields": {"type": "array"}}},
        {"post_processing": {"fields": {"type": "object", "properties": 5}}},
        {"post_processing": {"fields": {"type": "object", "$ref": "http://example.com/x"}}},
        {
            "categories": [{"name": "a"}],
            "post_processing": {"fields": {"type": "object", "properties": {"category": {}}}},
        },
    ],
)
def test_categories_that_stand_twice_and_fields_that_are_no_objects_schema_are_refused(settings: Any):
    with pytest.raises(Invalid):
        a_rag_tool(**settings)
