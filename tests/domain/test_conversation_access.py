"""Conversations are opened to pages of an origin, once each, as long as they are not closed."""

import pytest

from domain.conversation import Conversation
from domain.conversation_access import allow_origin
from domain.origins import browser_origin
from domain.turn import ConversationClosed
from tests.domain.test_conversation import a_conversation
from tests.scenario import given

SHOP = "https://shop.example.com"


def test_it_is_opened_to_an_origin_once():
    conversation = a_conversation()
    given(conversation).when(lambda c: allow_origin(c, SHOP)).then((Conversation.OriginAllowed, {"origin": SHOP}))
    given(conversation).when(lambda c: allow_origin(c, SHOP)).then_nothing()
    given(conversation).when(lambda c: allow_origin(c, None)).then_nothing()
    assert conversation.origins == {SHOP}


@pytest.mark.parametrize("origin", [SHOP, None])
def test_a_closed_one_is_opened_to_nobody(origin: str | None):
    conversation = a_conversation()
    conversation.close()
    given(conversation).when(lambda c: allow_origin(c, origin)).then_refused(ConversationClosed)


@pytest.mark.parametrize(
    ("given_as", "told_as"),
    [
        ("https://Shop.Example.com", SHOP),
        ("https://shop.example.com:443", SHOP),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_kept_as_browsers_tell_it(given_as: str, told_as: str):
    assert browser_origin(given_as) == told_as


@pytest.mark.parametrize(
    "text",
    [
        *("null", "*", "https://*.example.com", "https://a.example.com/", "https://a.example.com/shop", "https://a?"),
        *(
            "https://a#",
            "file:///tmp",
            "https://user@a.example.com",
            "https://bücher.example",
            "a.example.com",
            "https://",
        ),
    ],
)
def test_what_is_no_origin_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011 - which it is, each says in its own words
        browser_origin(text)
