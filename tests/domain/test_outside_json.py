"""JSON that somebody else has written."""

import pytest

from domain.outside_json import DEEPEST, NotJson, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"a": "x\u0000y"}', {"a": "x\ufffdy"}),
        (r'{"k\u0000": [1]}', {"k\ufffd": [1]}),
        (r'["\ud800", "\uDFFF\uD800", "\ud83dx"]', ["\ufffd", "\ufffd\ufffd", "\ufffdx"]),
        (r'["\ud83d\ude00", "\u00e9"]', ["\N{GRINNING FACE}", "\u00e9"]),
        (r'["\\u0000", "\\\u0000", "\\ud800"]', ["\\u0000", "\\\ufffd", "\\ud800"]),
    ],
)
def test_what_is_no_text_is_replaced_and_all_else_stays(text: str, value: object):
    assert read(text) == value


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1e999]", '{"a": 1} {}', "[" * 100_000, "'a'"])
def test_what_is_no_json_is_refused(text: str):
    with pytest.raises(NotJson):
        read(text)


def test_it_is_nested_so_deep_at_most():
    assert read("[" * DEEPEST + "]" * DEEPEST) is not None
    assert len(read(f"[{', '.join(['{}'] * 100)}]")) == 100
    assert read(r'["[[\"[["]' + " ") == ['[["[[']
    for deep in ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), '{"a":' * 300 + "1" + "}" * 300):
        with pytest.raises(NotJson):
            read(deep)
