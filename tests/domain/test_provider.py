"""Providers: addresses and headers that can be trusted."""

import pytest

from domain.errors import Invalid
from domain.provider import Provider, directory_of, origin


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example.com/",
        "file:///etc/passwd",
        "https:api.example.com",
        "//api.example.com/",
        "https://",
        "https://user:secret@api.example.com/",
        "https://api.example.com\\@evil.example.com/",
        "https://api.example.com/ x",
        "https://api.example.com/\tx",
        "https://api.example.com:99999/",
        "https://[::1%25lo]/",
        "https://api.example.com/?key=1",
        "https://api.example.com/#x",
    ],
)
def test_an_address_that_could_mislead_is_refused(url: str):
    with pytest.raises(Invalid) as refusal:
        Provider.create(name="p", definition={"type": "openai", "base_url": url})
    assert refusal.value.errors[0].pointer == "/base_url"
    assert "secret" not in str(refusal.value.errors[0].message).replace("secret_headers", "")


def test_an_origin_is_scheme_host_and_port():
    assert origin("https://API.Example.com./v1") == origin("https://api.example.com:443/other")
    assert origin("http://[::1]:8080/x") == "http://[::1]:8080"
    assert origin("http://a.example.com") != origin("https://a.example.com")


@pytest.mark.parametrize(
    "headers", [{"Authorization": "x"}, {"X-API-Key": "x"}, {"bad name": "x"}, {"X": "a\r\nB: c"}, {"": "x"}]
)
def test_a_header_that_carries_a_credential_or_breaks_the_request_is_refused(headers: dict[str, str]):
    with pytest.raises(Invalid) as refusal:
        Provider.create(
            name="p",
            definition={"type": "openai", "base_url": "https://a.example.com", "headers": headers},
        )
    assert refusal.value.errors[0].pointer == "/headers"


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example.com/",
        "file://host/models",
        "file:/models",
        "file:models",
        "file:///models/../secrets",
        "file:///models/%2e%2e/secrets",
        "file:////models",
        "file:///a//b",
        "file:///a%00b",
        "file:///a%ff",
        "file:///a?b=c",
        "file:///a b",
    ],
)
def test_a_local_provider_is_in_a_directory(url: str):
    with pytest.raises(Invalid) as refusal:
        Provider.create(name="p", definition={"type": "local", "base_url": url})
    assert refusal.value.errors[0].pointer == "/base_url"


def test_the_origin_of_a_local_provider_is_its_directory():
    provider = Provider.create(name="p", definition={"type": "local", "base_url": "file:///models/mini%20lm/"})
    assert provider.origin == "file:///models/mini lm"
    assert directory_of("file:///") == "/"
    with pytest.raises(Invalid):
        provider.change(provider.definition | {"type": "openai"})


def test_time_outs_that_are_not_set_are_those_that_are_promised():
    provider = Provider.create(name="p", definition={"type": "openai", "base_url": "https://api.example.com/v1"})
    assert provider.definition["timeouts"] == {"connect": 5, "first_token": 60, "idle": 30, "total": 600}
