"""Markers of citations are checked as a text comes, in whatever pieces."""

import pytest

from domain.citations import CitationFilter


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
    ],
)
def test_what_points_at_nothing_is_removed_also_where_it_hides_another_and_in_any_pieces(
    text: str, shown: str, invented: int
):
    for cut in range(len(text) + 1):
        whole, letters = CitationFilter(lambda: 2), CitationFilter(lambda: 2)
        assert said(whole, text[:cut], text[cut:]) == said(letters, *text) == shown
        assert whole.invented == letters.invented == invented
