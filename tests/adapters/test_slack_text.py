"""Answers as Slack shows them, and messages without Slack's signs."""

import pytest

from adapters.channels.slack_events import decided_in, plain, said_in
from adapters.channels.slack_text import asking, marked, with_sources


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Thirty** days", "*Thirty* days"),
        ("# Leave\n- one\n* two", "*Leave*\n• one\n• two"),
        ("see [the rules](https://example.com/a?b=1&c=2)", "see <https://example.com/a?b=1&amp;c=2|the rules>"),
        ("[no](javascript:alert(1))", "[no](javascript:alert(1))"),
        ("<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;"),
        ("`**kept** <b>`", "`**kept** &lt;b&gt;`"),
        ("```\n# no heading\n```", "```\n# no heading\n```"),
    ],
)
def test_markdown_becomes_slacks_marks_and_nobody_is_called_by_an_answer(text: str, shown: str):
    assert marked(text) == shown


def test_sources_stand_below_an_answer_with_links_to_the_web_only():
    cited = [
        {"marker": "[1]", "title": "Leave <b>|", "url": "https://example.com/leave"},
        {"marker": "[2]", "title": "Files", "url": "file:///etc"},
        {"marker": "[3]", "title": None, "external_id": "a.md", "url": None},
    ]
    shown = with_sources("Thirty.", cited, "Sources")
    assert shown.split("\n")[3:] == ["[1] <https://example.com/leave|Leave &lt;b&gt;¦>", "[2] Files", "[3] a.md"]
    assert with_sources("Thirty.", [], "Sources") == "Thirty."


def test_what_is_asked_has_two_buttons_that_name_it():
    texts = {"approve": "Ja", "decline": "Nein"}
    section, actions = asking([{"id": "c-1", "message": "Delete <all>?"}], texts)
    assert section["text"]["text"] == "Delete &lt;all&gt;?"
    assert [(each["text"]["text"], each["value"]) for each in actions["elements"]] == [("Ja", "c-1"), ("Nein", "c-1")]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("<@U0LAN0Z89> hello", "hello"),
        ("see <https://example.com|the page> and <https://example.com>", "see the page and https://example.com"),
        ("in <#C1|general> a &lt; b &amp;amp;", "in general a < b &amp;"),
    ],
)
def test_a_message_is_read_without_slacks_signs(written: str, meant: str):
    assert plain(written) == meant


EVENT = {"type": "message", "channel_type": "im", "user": "U1", "text": "Hi", "ts": "1.1", "channel": "D1"}


def test_a_direct_message_begins_a_thread():
    said = said_in({"type": "event_callback", "team_id": "T1", "event": EVENT})
    assert said is not None
    assert (said.thread, said.begins, said.person) == ("D1/1.1", True, "slack:T1:U1")


@pytest.mark.parametrize(
    "payload",
    [
        {}, {"type": "event_callback"}, {"type": "event_callback", "event": []},
        {"type": "event_callback", "event": {**EVENT, "text": ""}}, {"type": "event_callback", "event": {**EVENT, "user": 1}},
        {"type": "event_callback", "event": {**EVENT, "subtype": "message_changed"}},
        {"type": "event_callback", "event": {**EVENT, "type": "reaction_added"}},
        {"type": "event_callback", "event": {**EVENT, "channel_type": "channel"}},
        {"type": "block_actions"}, {"type": "block_actions", "actions": [1]}, {"type": "block_actions", "actions": [], "message": {}},
        {"type": "block_actions", "actions": [{"action_id": "other"}], "message": {"ts": "1"}},
    ],
)  # fmt: skip
def test_what_is_no_message_and_no_decision_is_none(payload: object):
    assert isinstance(payload, dict)
    assert said_in(payload) is None
    assert decided_in(payload) is None
