"""API keys: roles and times."""

from typing import Any

import pytest

from domain.api_key import ApiKey
from domain.errors import Archived, Invalid
from tests.scenario import given


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("roles", []),
        ("roles", ["root"]),
        ("groups", ["a\nb"]),
        ("expires_at", "tomorrow"),
        ("expires_at", "2027-01-01T00:00:00"),
        ("requests_per_minute", 0),
    ],
)
def test_a_wrong_setting_is_pointed_at(field: str, value: Any):
    with pytest.raises(Invalid) as refusal:
        ApiKey.create(name="k", definition={field: value})
    assert refusal.value.errors[0].pointer.startswith(f"/{field}")


def test_a_revoked_key_is_revoked_for_good():
    key = ApiKey.create(name="k", definition={"roles": ["admin"]})
    given(key).when(lambda k: k.archive()).then((ApiKey.ArchivedAway, {}))
    given(key).when(lambda k: k.change(k.definition | {"roles": ["user"]})).then_refused(Archived)
    assert ApiKey.ArchivedAway.TOPIC == "api_key.revoked"
