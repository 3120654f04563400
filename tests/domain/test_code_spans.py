"""Code is told from prose as a text comes, in whatever pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.code_spans import LONGEST_SPAN, CodeSpans, parts_of


def code_of(*pieces: str) -> tuple[str, list[str]]:
    """Return the whole text, and each stretch of code in it."""
    spans = CodeSpans()
    parts = [part for piece in pieces for part in spans.feed(piece)] + spans.rest()
    stretches: list[str] = []
    before = False
    for text, code in parts:
        if code:
            stretches[-1:] = [stretches[-1] + text] if before else [*stretches[-1:], text]
        before = code
    return "".join(text for text, _ in parts), stretches


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Say `argv[0]` or ``a`[1]``.", ["`argv[0]`", "``a`[1]``"]),
        ("A ` alone [1].\nAnother ` there.", []),
        ("One `a` two `b", ["`a`"]),
        ("Say:\n```python\na = [0]\n```\nThen [1].", ["```python\na = [0]\n```\n"]),
        ("~~~\na\n```\n~~~\nb ~ c ~~ d", ["~~~\na\n```\n~~~\n"]),
        ("1. So:\n   ```\n   a\n   ```\n2. b", ["```\n   a\n   ```\n"]),
        ("````\n```\na\n```\n````\nb", ["````\n```\na\n```\n````\n"]),
        ("> ```\n> a\n> ```\nb", ["```\n> a\n> ```\n"]),
        ("```\nnever closed [1]", ["```\nnever closed [1]"]),
        ("```a``` is a span", ["```a```"]),
        ("Text ```\nnot a fence [1]", []),
        ("```markdown\nThirty [1], `a[0]`.\n```\nThen [2].", ["`a[0]`"]),
        ("```md\na\n```py\nb\n```\nc\n```\nd", ["```py\nb\n```\n"]),
        ("`" + "a" * LONGEST_SPAN + "`", []),
        ("```" + "a" * 200 + "\nb", []),
        ("```\r\na\r\n```\r\nb", ["```\r\na\r\n```\r\n"]),
    ],
)
def test_what_is_code_is_known_in_whatever_pieces_it_comes(text: str, code: list[str]):
    for cut in range(len(text) + 1):
        assert code_of(text[:cut], text[cut:]) == (text, code)
    assert code_of(*text) == (text, code)


@given(st.lists(st.text(alphabet="`~a[1] \n\r>-", max_size=30), max_size=8))
def test_nothing_is_lost_and_pieces_make_no_difference(pieces: list[str]):
    whole = "".join(pieces)
    assert code_of(*pieces) == code_of(whole) == code_of(*whole)
    assert code_of(whole)[0] == whole


def test_what_never_ends_is_not_kept_back_for_ever():
    for text in ("`" * 10_000, "~" * 10_000, "`a" + "b" * 10_000, "```" + "b" * 10_000, "`` ` " * 10_000):
        spans = CodeSpans()
        given = "".join(part for letter in text for part, _ in spans.feed(letter))
        assert len(text) - len(given) <= LONGEST_SPAN
    assert [code for _, code in parts_of("` `` " * 100_000)]
