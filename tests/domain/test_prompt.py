"""Prompts: what a definition may be."""

from typing import Any

import pytest

from domain import variants
from domain.errors import Invalid, NotFound
from domain.prompt import Prompt, inclusions


def errors_of(**definition: Any) -> set[str]:
    with pytest.raises(Invalid) as refusal:
        Prompt.create(name="p", definition=definition)
    return {error.pointer for error in refusal.value.errors}


@pytest.mark.parametrize(
    ("definition", "pointer"),
    [
        ({}, ""),
        ({"text": "a", "messages": [{"role": "user", "content": "b"}]}, ""),
        ({"text": 5}, "/text"),
        ({"messages": []}, "/messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "/messages/0/role"),
        ({"text": "a", "temperature": "0.5"}, "/temperature"),
        ({"text": "a", "temperature": True}, "/temperature"),
        ({"text": "a", "max_tokens": 1.0}, "/max_tokens"),
        ({"text": "a", "max_tokens": 0}, "/max_tokens"),
        ({"text": "a", "unknown": 1}, "/unknown"),
        ({"text": "a", "version": 7}, "/version"),
        ({"text": "a", "tags": ["x", "x"]}, "/tags"),
        ({"text": "a", "variables": {"no name": {}}}, "/variables"),
        ({"text": "a", "variables": {"v": {"schema": {"type": "nothing"}}}}, "/variables/v/schema"),
        ({"text": "a", "variables": {"v": {"schema": {"$ref": "http://x/y"}}}}, "/variables/v/schema"),
        ({"text": "a", "response_format": {"type": "json_schema"}}, "/response_format"),
        ({"text": "a", "variants": {"b": {"weight": -1}}}, ""),
        ({"text": "a", "variants": {"b": {"title": "x"}}}, ""),
        ({"text": "a", "variants": {"b": {"temperature": 9.0}}}, "/variants/b/temperature"),
    ],
)
def test_a_wrong_field_is_pointed_at(definition: dict[str, Any], pointer: str):
    assert pointer in errors_of(**definition)


def test_no_message_repeats_the_value_that_was_wrong():
    with pytest.raises(Invalid) as refusal:
        Prompt.create(name="p", definition={"text": "a", "temperature": "canary-value"})
    assert all("canary-value" not in error.message for error in refusal.value.errors)


def test_the_definition_is_stored_with_every_default():
    definition = Prompt.create(name="p", definition={"text": "a"}).definition
    assert definition["observability"] == "full"
    assert definition["response_format"] == {"type": "text", "schema": None}


def test_a_variant_may_say_something_else_altogether():
    prompt = Prompt.create(
        name="p",
        definition={"text": "a", "variants": {"b": {"messages": [{"role": "user", "content": "c"}]}}},
    )
    assert variants.apply(prompt.definition, "b")["messages"] == [{"role": "user", "content": "c"}]


def test_includes_are_found_in_every_text_with_their_label_and_place():
    found = inclusions(
        {
            "messages": [{"role": "user", "content": "{% include 'head' %} {%- include \"foot@v2\" -%}"}],
            "variants": {"b/c": {"text": "{% include 'other@beta' %}"}},
        }
    )
    assert sorted(found) == [
        ("/messages/0/content", "foot", "v2"),
        ("/messages/0/content", "head", "live"),
        ("/variants/b~1c/text", "other", "beta"),
    ]


def test_a_subject_always_gets_the_same_variant_and_all_get_their_share():
    prompt = Prompt.create(name="p", definition={"text": "a", "variants": {"b": {"weight": 3}, "off": {"weight": 0}}})
    choices = [variants.choose(prompt.id, prompt.definition["variants"], f"subject-{n}") for n in range(4000)]
    assert choices == [variants.choose(prompt.id, prompt.definition["variants"], f"subject-{n}") for n in range(4000)]
    assert set(choices) == {"default", "b"}
    assert 0.70 < choices.count("b") / 4000 < 0.80


def test_an_unknown_variant_is_not_found():
    with pytest.raises(NotFound):
        variants.apply({"text": "a", "variants": {}}, "b")
