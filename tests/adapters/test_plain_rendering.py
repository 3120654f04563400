"""Rendering without a process: the same as a process gives."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rendering import plain, work


@given(
    source=st.lists(
        st.sampled_from(["{{a}}", "{{ l }}", "{{ o\t}}", "{", "}", "}}", "{{{a}}}", "x", "\n", "\r\n", "é", '"', "{{ none }}", "#"])
    ).map("".join),
    a=st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)  # fmt: skip
@settings(deadline=None)
def test_what_needs_no_process_gives_the_same_text_as_the_process(source: str, a: Any) -> None:
    variables = {"a": a, "l": [a, {"k": a}], "o": {"k": [a]}}
    quick = plain.rendered("t", source, variables)
    if quick is not None:
        request = {"op": "render", "templates": [["t", source]], "variables": variables, "includes": {}}
        assert work.answer(orjson.loads(orjson.dumps(request))) == {"texts": [quick]}


@given(st.lists(st.sampled_from(["{{ a }}", "{{b}}", "{{\ta }}", " text ", "}}", "{ {", "\n"]), max_size=12))
@settings(max_examples=40, deadline=None)
def test_variables_found_at_once_are_those_that_the_child_finds(pieces: list[str]):
    source = "".join(pieces)
    quick = plain.variables_of(source)
    if quick is None:
        return
    answer = work.answer({"op": "check", "templates": [["/text", source]], "variables": {}, "includes": {}})
    assert set(answer["checked"][0]["variables"]) == quick
