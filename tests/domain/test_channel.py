"""What a channel is set to, by its type."""

from typing import Any
from uuid import uuid4

import pytest

from domain.channel import Channel
from domain.errors import Invalid

AGENT = str(uuid4())
CONFIGS = {
    "web": {"origins": ["https://Shop.example.com:443"]},
    "slack": {},
    "webhook": {"url": "https://chat.example.com/answers"},
}


def a_channel(type: str = "web", config: Any = None, **more: Any) -> Channel:
    return Channel.create(
        name="c", definition={"type": type, "agent": AGENT, "config": config or CONFIGS.get(type, {}), **more}
    )


def test_its_config_is_that_of_its_type_with_every_default():
    assert a_channel().config["origins"] == ["https://shop.example.com"]
    assert a_channel().config["texts"]["send"] == "Send"
    assert a_channel("slack").config["api_url"] == "https://slack.com/api"
    assert a_channel("webhook").config == CONFIGS["webhook"]


@pytest.mark.parametrize(
    ("type", "config"),
    [
        ("web", {"origins": []}),
        ("web", {"origins": ["*"]}),
        ("web", {"origins": ["https://a.example.com"], "color": "red; background: url(//x)"}),
        ("web", {"origins": ["https://a.example.com"], "url": "https://a.example.com"}),
        ("web", {"origins": ["https://a.example.com"], "texts": {"sends": "Los"}}),
        ("slack", {"api_url": "file:///etc"}),
        ("slack", {"api_url": "https://slack.com/api?x"}),
        ("webhook", {"url": "ftp://a"}),
        ("webhook", {"url": "https://a.example.com/#x"}),
        ("fax", {"x": 1}),
    ],
)
def test_what_does_not_fit_its_type_is_refused(type: str, config: Any):
    with pytest.raises(Invalid) as refusal:
        a_channel(type, config)
    assert refusal.value.errors[0].pointer in ("/config", "/type")


def test_each_group_of_settings_has_its_event():
    channel = a_channel()
    config = {**channel.config, "color": "#000000"}
    changed = {"agent": str(uuid4()), "config": config, "groups": ["customers"], "active": False}
    channel.change(channel.definition | changed)
    assert [type(event).__name__ for event in channel.pending_events][1:] == [
        "AgentChosen",
        "ConfigChanged",
        "GroupsChanged",
        "ActivityChanged",
    ]


def test_its_type_never_changes():
    channel = a_channel()
    with pytest.raises(Invalid, match="never changes"):
        channel.change(channel.definition | {"type": "slack", "config": {}})


def test_it_lets_people_in_while_it_is_active_and_not_archived():
    channel = a_channel()
    assert channel.open
    assert not a_channel(active=False).open
    channel.archive()
    assert not channel.open


def test_a_token_is_bound_to_where_it_is_sent():
    slack = a_channel("slack")
    slack.set_secret("secrets/bot_token", hint="")
    before = slack.origin
    slack.change(slack.definition | {"config": {"api_url": "https://slack.example.com/api"}})
    slack.forget_secrets_of(before)
    assert slack.secrets == {}
