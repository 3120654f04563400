"""What OPENAI_API_KEY stands for is there from the start, once, and follows the key."""

import asyncio

from pydantic import SecretStr

from api.default_provider import ensure_default_provider
from api.settings import Settings
from domain.provider import Provider
from domain.references import identify
from tests.support.server import Running

KEY = "sk-from-the-environment-1234"


def environment(**more: str) -> Settings:
    return Settings(_env_file=None, OPENAI_API_KEY=SecretStr(KEY), **more)  # type: ignore[call-arg]


async def test_provider_and_default_models_are_made_once_by_whoever_starts_first(magnet: Running):
    await asyncio.gather(*(ensure_default_provider(magnet.container, environment()) for _ in range(4)))
    head = await magnet.container.log.head()
    await ensure_default_provider(magnet.container, environment())
    assert await magnet.container.log.head() == head
    magnet.position = head
    provider = await magnet.get("/v1/providers/openai")
    assert (provider["key_set"], provider["key_hint"], provider["type"]) == (True, "1234", "openai")
    models = {model["name"]: model for model in (await magnet.get("/v1/models"))["items"]}
    assert {(model["kind"], model["default"]) for model in models.values()} == {("chat", True), ("embedding", True)}
    assert all(model["prices"] == [] for model in models.values())


async def test_another_address_takes_the_key_along_and_changes_of_persons_stay(magnet: Running):
    await ensure_default_provider(magnet.container, environment())
    await magnet.do("PATCH", "/v1/providers/openai", {"title": "Ours"})
    await ensure_default_provider(magnet.container, environment(OPENAI_BASE_URL="https://b.example.com/v1"))
    magnet.position = await magnet.container.log.head()
    provider = await magnet.get("/v1/providers/openai")
    assert (provider["title"], provider["base_url"], provider["key_set"]) == ("Ours", "https://b.example.com/v1", True)
    sealed = await magnet.container.store.secret(identify("provider", "openai"), "api_key")
    loaded = await magnet.container.store.load(identify("provider", "openai"))
    assert sealed is not None and loaded is not None and isinstance(loaded[0], Provider)
    box = magnet.container.secret_box
    assert box.open(sealed, owner=loaded[0].id, field="api_key", origin=loaded[0].origin) == KEY
