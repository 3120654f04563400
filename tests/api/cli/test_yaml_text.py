"""YAML as configuration: it reads back as it was written, and strictly."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.cli.yaml_text import WrongYAML, read, write

ODD = " \n\t'\"|>-:#&*!%@`{}[],?\r\x85\u2028\u00a0~01e.yno\x07\ufeff\ufffe"
TEXT = st.text(alphabet=st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"])), max_size=30)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXT,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(TEXT, JSON, min_size=1, max_size=4), min_size=1, max_size=3))
def test_any_json_reads_back_as_it_was_written(documents):
    back = [document.value for document in read(write(documents))]
    assert orjson.dumps(back) == orjson.dumps(documents)


def test_text_of_many_lines_is_a_block_that_people_can_edit():
    assert write([{"text": "Hello\n  {{ name }}\n"}]) == "text: |\n  Hello\n    {{ name }}\n"


@pytest.mark.parametrize("word", ["no", "yes", "on", "2026-01-01", "0o17", "010", "1_000", ".inf", "12:30", "=", "<<"])
def test_what_json_does_not_know_is_text(word):
    [document] = read(f"a: {word}")
    assert document.value == {"a": word}
    [again] = read(write([document.value]))
    assert again.value == {"a": word}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3", 3, "twice"),
        ("a: {x: 1, x: 2}", 1, "twice"),
        ("a: &here 1\nb: *here", 2, "aliases"),
        ("a: !!python/object/apply:os.system ['x']", 1, "tags"),
        ("a: !!int '5'", 1, "tags"),
        ("a: [1", 1, "no YAML"),
        ("[1]: 2", 1, "a key is text"),
        ("a: 99999999999999999999", 1, "64 bits"),
        ("a: 1e999", 1, "too large"),
        ("a: 1\nb: \x00", 2, "character"),
        ("a: " + "[" * 5000, 1, "deep"),
    ],
)
def test_what_is_not_plain_configuration_is_refused_with_its_line(text, line, says):
    with pytest.raises(WrongYAML, match=says) as refused:
        list(read(text))
    assert refused.value.line in (line, line + 1)


def test_a_field_is_found_by_its_pointer():
    [first, second] = read("a: 1\n---\nb:\n  c:\n    - x\n    - d/e: 5\n")
    assert (first.line("/a"), second.line(), second.line("/b/c/1/d~1e"), second.line("/b/nothing")) == (1, 3, 6, 3)
