"""Reading HTML: which blanks are left of a page, and what is not shown of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.reading.html import read_html

BLANKS = [" ", "  ", "\t", "\n", " \n ", "&nbsp;", "\u2003", "\u3000", "\u2028", "\x1f", "\x85"]
LONG = f"<!-- {'long ' * 100} -->"
"""Without it, what has two control characters would be no text."""


@pytest.mark.parametrize("blank", BLANKS)
def test_words_of_a_page_are_a_space_apart_whatever_is_between_them(blank: str):
    page = f"{LONG}<p>{blank}one{blank}<b>two{blank}</b>three{blank}{blank}four{blank}</p>{blank}<p>five</p>"
    assert read_html(page.encode()).text == "one two three four\n\nfive"


@given(st.lists(st.sampled_from([*BLANKS, "a", "é", "世", "\u200b", "\xad", "😀"]), max_size=12).map("".join))
def test_what_is_no_blank_of_a_page_is_kept_as_it_is(said: str):
    text = read_html(f"{LONG}<p>begin {said} end</p>".encode()).text
    assert text == " ".join(f"begin {said} end".replace("&nbsp;", "\xa0").split())


def test_what_is_hidden_is_left_out_and_what_follows_it_is_not():
    page = (
        "<p>a<span hidden>b<i>c</i></span>d</p><div style='color: red; DISPLAY : none'><h1>e</h1>f</div>"
        "<div class='g' style='display: block'>h<script>i</script>j</div><p hidden='until-found'>k</p>"
    )
    text = read_html(page.encode())
    assert (text.text, text.headings) == ("ad\n\nhj\n\nk", [])
