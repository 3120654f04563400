"""The provider that OPENAI_API_KEY stands for, with its default models: there from the start."""

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

from api.settings import Settings
from commands.configuration import ChangeThing, CreateThing
from commands.ports import Actor, Context
from domain.errors import NameTaken
from domain.model import DefaultModel, Model
from domain.provider import Provider
from domain.references import identify

if TYPE_CHECKING:
    from api.container import Container

ENVIRONMENT = Actor(type="system", id="environment", name="environment")
BASE_URL = "https://api.openai.com/v1"
MODELS: tuple[tuple[str, str, str, dict[str, bool], int | None], ...] = (
    ("openai-chat", "gpt-4.1-mini", "chat", {"json_mode": True, "json_schema": True, "tools": True}, None),
    ("openai-embedding", "text-embedding-3-small", "embedding", {}, 1536),
)
"""Name, the provider's name, kind, capabilities, dimensions; their prices are unknown until somebody sets them."""


async def ensure_default_provider(container: "Container", settings: Settings) -> None:
    """Make the provider `openai` and its models where they are missing; give it the present key and address.

    What a person has changed since stays: only the key and the address follow the environment.
    """
    if settings.openai_api_key is None:
        return
    key = settings.openai_api_key.get_secret_value()
    context = Context(actor=ENVIRONMENT, reason="OPENAI_API_KEY is set")
    id = identify("provider", "openai")
    url = settings.openai_base_url
    loaded = await container.store.load(id)
    if loaded is None:
        body: dict[str, Any] = {"type": "openai", "base_url": url or BASE_URL, "title": "OpenAI", "api_key": key}
        await create(container, CreateThing(kind=Provider, name="openai", body=body), context)
    else:
        provider = loaded[0]
        assert isinstance(provider, Provider)
        if provider.archived:
            return
        patch = {"base_url": url} if url is not None and url != provider.definition["base_url"] else {}
        if not await same_key(container, provider, key) or patch:
            patch["api_key"] = key
        if patch:
            await container.bus.dispatch(ChangeThing(kind=Provider, id=id, patch=patch), context)
    for name, model, kind, capabilities, dimensions in MODELS:
        if await container.store.load(identify("model", name)) is None:
            default = await container.store.load(DefaultModel.create_id(kind)) is None
            settled: dict[str, Any] = {
                "provider": "openai",
                "model": model,
                "kind": kind,
                "capabilities": capabilities,
                "dimensions": dimensions,
                "default": default,
            }
            await create(container, CreateThing(kind=Model, name=name, body=settled), context)


async def create(container: "Container", command: CreateThing, context: Context) -> None:
    """Make a thing; of several processes that start at once, one does."""
    with contextlib.suppress(NameTaken):
        await container.bus.dispatch(command, context)


async def same_key(container: "Container", provider: Provider, key: str) -> bool:
    """Return whether the provider's stored key is this one."""
    sealed = await container.store.secret(provider.id, "api_key")
    if sealed is None:
        return False
    stored = container.secret_box.open(sealed, owner=provider.id, field="api_key", origin=provider.origin)
    return hashlib.sha256(stored.encode()).digest() == hashlib.sha256(key.encode()).digest()
