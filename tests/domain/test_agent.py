"""Agents: what they may do, and how variants differ."""

from typing import Any

import pytest

from domain.agent import Agent
from domain.configuration import references
from domain.errors import Invalid
from domain.references import identify
from domain.research import planned
from tests.scenario import given

HANDBOOK = str(identify("rag_tool", "handbook"))


def an_action(**fields: Any) -> dict[str, Any]:
    return {"type": "rag_tool", "tool": HANDBOOK, "function": "ask_handbook", **fields}


def an_agent(**definition: Any) -> Agent:
    return Agent.create(name="helper", definition={"instructions": "Help.", **definition})


def test_an_action_refers_to_a_thing_of_the_kind_that_its_type_names():
    agent = an_agent(actions=[an_action(), an_action(type="prompt", function="say")])
    assert [(pointer, kind) for pointer, kind, _ in references(agent.DEFINITION, agent.definition)] == [
        ("/actions/0/tool", "rag_tool"),
        ("/actions/1/tool", "prompt"),
    ]


@pytest.mark.parametrize("function", ["", "1st", "with space", "a" * 65, "tücke"])
def test_a_function_has_a_name_that_every_provider_takes(function: str):
    with pytest.raises(Invalid) as refusal:
        an_agent(actions=[an_action(function=function)])
    assert refusal.value.errors[0].pointer == "/actions/0/function"


def test_two_actions_never_share_a_function():
    with pytest.raises(Invalid) as refusal:
        an_agent(actions=[an_action(), an_action()])
    assert refusal.value.errors[0].pointer == "/actions"


def test_a_change_of_instructions_is_an_event_of_its_own():
    given(an_agent()).when(lambda a: a.change(a.definition | {"instructions": "Help briefly."})).then(
        (Agent.InstructionsChanged, {"instructions": "Help briefly."})
    )


def test_a_variant_differs_only_in_what_an_agent_does():
    assert an_agent(variants={"brief": {"weight": 1, "instructions": "Be brief."}}).definition["variants"]
    with pytest.raises(Invalid):
        an_agent(variants={"odd": {"welcome_message": "Hi"}})


def test_an_action_without_a_function_is_called_by_its_type_and_numbered_where_that_is_taken():
    ask = {"type": "rag_tool", "tool": HANDBOOK}
    agent = an_agent(actions=[ask, an_action(function="ask_2"), ask, {**ask, "type": "prompt"}])
    assert [each["function"] for each in agent.definition["actions"]] == ["ask", "ask_2", "ask_3", "run_prompt"]


def test_functions_are_unique_within_a_topic_and_topics_by_name():
    topic = {"name": "orders", "description": "Orders."}
    agent = an_agent(topics=[{**topic, "actions": [an_action()]}, {**topic, "name": "all", "actions": [an_action()]}])
    assert [pointer for pointer, _, _ in references(agent.DEFINITION, agent.definition)] == [
        "/topics/0/actions/0/tool",
        "/topics/1/actions/0/tool",
    ]
    for topics, pointer in (
        ([{**topic, "actions": [an_action(), an_action()]}], "/topics/0/actions"),
        ([topic, topic], "/topics"),
    ):
        with pytest.raises(Invalid) as refusal:
            an_agent(topics=topics)
        assert refusal.value.errors[0].pointer == pointer


def test_what_a_variant_leaves_open_inside_its_fields_is_filled_in():
    brief = {"actions": [{"type": "rag_tool", "tool": HANDBOOK}], "limits": {"iterations": 2}}
    agent = an_agent(variants={"brief": brief})
    varied = Agent.as_variant(agent.definition, "brief")
    assert (varied["actions"][0]["function"], varied["limits"]["seconds"]) == ("ask", 300.0)


def test_how_an_agent_looks_into_questions_is_an_event_of_its_own_with_a_model_that_it_refers_to():
    model = str(identify("model", "cheap"))
    settings = {"questions": 6, "steps": 20, "at_once": 3, "tokens": None, "cost": None}
    given(an_agent()).when(lambda a: a.change(a.definition | {"research": {"model": model}})).then(
        (Agent.ResearchSet, {"research": {**settings, "model": model}})
    )
    agent = an_agent(variants={"deep": {"research": {"model": model}}})
    assert [pointer for pointer, _, _ in references(agent.DEFINITION, agent.definition)] == [
        "/variants/deep/research/model"
    ]


@pytest.mark.parametrize(("questions", "first"), [(1, 1), (2, 2), (3, 2), (6, 4), (50, 34)])
def test_a_third_of_the_sub_questions_is_kept_for_what_is_missing(questions: int, first: int):
    assert planned(questions) == first
