"""Markers of citations are checked as a text comes, in whatever pieces."""

import pytest

from domain.citations import CitationFilter, markers, renumbered


def said(checked: CitationFilter, *pieces: str) -> str:
    return "".join([*map(checked.feed, pieces), checked.rest()])


@pytest.mark.parametrize(
    ("text", "shown", "invented"),
    [
        ("Thirty [1], or so [2].", "Thirty [1], or so [2].", 0),
        ("Thirty [1, 9].", "Thirty [1].", 1),
        ("Thirty [9].", "Thirty .", 1),
        ("Thirty [[9]8].", "Thirty .", 2),
        ("Thirty [[9]2].", "Thirty [2].", 1),
        ("Thirty [[[9]9]9].", "Thirty .", 3),
        ("A list: [1, 2", "A list: [1, 2", 0),
        ("Between [0, 1] [1].", "Between [0, 1] [1].", 0),
        ("Say `argv[0]` [9].", "Say `argv[0]` .", 1),
        ("[9]`a[9]`[9][2]", "`a[9]`[2]", 2),
        (
            "So [1]:\n```python\na = [0] * 5\nb[3] = [7, 8]\n```\nThat's it [3].",
            "So [1]:\n```python\na = [0] * 5\nb[3] = [7, 8]\n```\nThat's it .",
            1,
        ),
        ("A ` alone [9].", "A ` alone .", 1),
        ("```markdown\nThirty [1][9].\n```", "```markdown\nThirty [1].\n```", 1),
    ],
)
def test_what_points_at_nothing_is_removed_also_where_it_hides_another_and_in_any_pieces(
    text: str, shown: str, invented: int
):
    for cut in range(len(text) + 1):
        whole, letters = CitationFilter(range(1, 3)), CitationFilter(range(1, 3))
        assert said(whole, text[:cut], text[cut:]) == said(letters, *text) == shown
        assert whole.invented == letters.invented == invented


def test_what_stands_in_code_cites_nothing():
    text = "See `argv[1]`, [2] and\n```\nlist[1] = [1, 2]\n```\n"
    checked = CitationFilter(range(1, 3))
    assert said(checked, text) == text
    assert checked.cited == [2]
    assert [(text[each.start : each.end], each.numbers) for each in markers(text)] == [("[2]", [2])]
    assert renumbered(text, {1: 7, 2: 8}) == text.replace(", [2] and", ", [8] and")


def test_code_is_left_as_it_is_where_markers_are_not_shown():
    text = "See `a [1]` [1], and [0, 1] [2].\n\n    b [1]"
    checked = CitationFilter(range(1, 3), shown=False)
    assert said(checked, text) == said(CitationFilter(range(1, 3), shown=False), *text)
    assert said(checked, text) == "See `a [1]`, and [0, 1].\n\n    b"


def test_a_text_that_breaks_off_in_code_leaves_the_next_one_as_it_is():
    checked = CitationFilter(range(1, 2))
    assert said(checked, "```\na[9]") == "```\na[9]"
    assert said(checked, "Thirty [9] [1].") == "Thirty  [1]."


def test_where_nothing_can_be_cited_all_is_text():
    checked = CitationFilter(())
    checked.cites = False
    assert said(checked, "print(sys.argv[0]); b = [1, 2]") == "print(sys.argv[0]); b = [1, 2]"
    assert (checked.cited, checked.invented) == ([], 0)
