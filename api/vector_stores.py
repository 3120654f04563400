"""Where vectors are searched, by the settings: in PostgreSQL, or in the store that VECTOR_DB_TYPE names."""

from uuid import UUID

from pydantic import ValidationError

from adapters.plugins.checking import VECTOR_STORES
from adapters.plugins.plugins import Plugins
from adapters.plugins.vector_store import PluginVectorStore
from adapters.vector_stores.chroma import Chroma
from adapters.vector_stores.qdrant import Qdrant
from api.settings import Settings, SettingsError

POSTGRESQL = "pgvector"
BUILT_IN = (Qdrant, Chroma)


def vector_store_of(settings: Settings, plugins: Plugins, installation: UUID) -> PluginVectorStore | None:
    """Return the store that is asked what is near, None where PostgreSQL is; or raise SettingsError."""
    name = settings.vector_db_type
    if name == POSTGRESQL:
        return None
    stores = plugins.of(VECTOR_STORES)
    if name not in stores:
        failed = f" ({why})" if (why := plugins.failure(VECTOR_STORES, name)) else ""
        raise SettingsError(
            f"VECTOR_DB_TYPE is wrong: there is no vector store of this name{failed}."
            f" There are {', '.join(sorted([POSTGRESQL, *stores]))}."
        )
    plugin, secrets = stores[name], settings.vector_store_secrets
    if strange := secrets.keys() - plugin.secrets.keys():
        known = ", ".join(plugin.secrets) or "no secrets"
        raise SettingsError(f"VECTOR_DB_SECRETS is wrong: {name} has {known}, not {', '.join(sorted(strange))}.")
    try:
        config = plugin.config.model_validate(settings.vector_db_config)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, found['loc'])) or 'as a whole'}: {found['msg']}"
            for found in error.errors(include_url=False, include_input=False)
        )
        raise SettingsError(f"VECTOR_DB_CONFIG is wrong for {name}: {wrong}.") from None
    return PluginVectorStore(plugin, config, secrets, installation)
