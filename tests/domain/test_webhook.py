"""What a webhook is set to, and which events it wants."""

import pytest

from domain.errors import Invalid
from domain.webhook import Webhook


def a_webhook(**definition: object) -> Webhook:
    return Webhook.create(name="w", definition={"url": "https://example.com/hook", **definition})


def test_it_wants_everything_unless_types_or_kinds_are_chosen():
    assert a_webhook().wants("prompt.created")
    chosen = a_webhook(types=["prompt.published"], kinds=["model"])
    assert [chosen.wants(each) for each in ("prompt.published", "prompt.created", "model.created")] == [
        True,
        False,
        True,
    ]


def test_each_group_of_settings_has_its_event():
    webhook = a_webhook()
    webhook.change(webhook.definition | {"url": "https://example.org/", "kinds": ["run"], "active": False})
    assert [type(event).__name__ for event in webhook.pending_events][1:] == [
        "UrlChanged",
        "EventsChosen",
        "ActivityChanged",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://a/", "ftp://a/", "data:text/plain,x", "jar:http://a!/", "//127.0.0.1/", "http:127.0.0.1/",
        "http://127.0.0.1\\@example.com/", "http://a:b@example.com/", "http://ex\tample.com/", "http://127。0。0。1/",
        "http://[::1%25lo]/", "https://example.com/#x", "http://", "",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(Invalid):
        a_webhook(url=url)


@pytest.mark.parametrize(
    "wrong", [{"types": ["prompt"]}, {"types": ["Prompt.Created\n"]}, {"kinds": ["a.b"]}, {"active": 1}]
)
def test_what_no_event_can_be_is_refused(wrong: dict[str, object]):
    with pytest.raises(Invalid):
        a_webhook(**wrong)
