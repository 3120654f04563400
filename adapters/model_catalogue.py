"""What a call to a model needs: the model, its provider and their secrets, as they are now."""

from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol
from uuid import UUID

from eventsourcing.domain import Aggregate
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.heads import Heads
from adapters.keyring import SealBroken
from adapters.postgres import sql
from adapters.postgres.reading import rows_of
from adapters.secrets import KeyringSecretBox
from commands.models.model_calls import ModelCallFailed, NoModel
from domain.definition import parse
from domain.errors import Archived, Conflict, NotFound, Unavailable
from domain.model import DefaultModel, Model, ModelDefinition
from domain.provider import Provider, ProviderDefinition
from domain.retrieval import space_name

SQL = sql.load("adapters", "model_catalogue.sql")
CACHED = 1000
"""Things kept in memory; some KB each."""

ROUNDS = 10
"""How often a call looks again when things change under its hands."""


class Load(Protocol):
    """Reads a thing out of the log."""

    def __call__(self, id: UUID, upto: int = ..., /) -> Awaitable[tuple[Aggregate, int] | None]:
        """Return the thing, as it is now or was at a version, and the position of its last event."""


class ModelInactive(Conflict):
    """This model is switched off: set `active`, or name another one."""

    code: ClassVar[str] = "model_inactive"


class WrongModelKind(Conflict):
    """This model is of another kind than is needed here."""

    code: ClassVar[str] = "wrong_model_kind"


@dataclass(frozen=True, kw_only=True)
class CalledProvider:
    """A provider at a version, with its opened secrets, which its text form never shows."""

    id: UUID
    name: str
    version: int
    definition: ProviderDefinition
    archived: bool
    api_key: str | None = field(repr=False)
    secret_headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class CalledModel:
    """A model at a version, and where it is called."""

    id: UUID
    name: str
    version: int
    definition: ModelDefinition
    archived: bool
    provider: CalledProvider


@dataclass(frozen=True, kw_only=True)
class _KnownModel:
    """A model's parsed state, without its provider's."""

    id: UUID
    name: str
    version: int
    definition: ModelDefinition
    archived: bool


@dataclass(frozen=True, kw_only=True)
class _KnownDefault:
    """Which model is the default of a kind."""

    version: int
    model: UUID | None


@dataclass(frozen=True, kw_only=True)
class _Nothing:
    """There is no such stream, or it is something else."""

    version: int | None


_Known = _KnownModel | CalledProvider | _KnownDefault | _Nothing


class ModelCatalogue:
    """Finds models and providers by id; every answer is as new as the log.

    Parsed things are kept by their version, and one query per call tells whether all of them are the newest.
    """

    def __init__(self, pool: AsyncConnectionPool, load: Load, heads: Heads, box: KeyringSecretBox) -> None:
        self._pool = pool
        self._load = load
        self._heads = heads
        self._box = box
        self._known: OrderedDict[UUID, _Known] = OrderedDict()
        self._former: OrderedDict[tuple[str, int], Model] = OrderedDict()

    async def route(self, model: UUID | None, kind: str) -> list[CalledModel]:
        """Return the model to call (None: the default of the kind), then its fallbacks that can be called.

        Raises NoModel, NotFound, Archived, ModelInactive or WrongModelKind for the first one.
        """
        for _ in range(ROUNDS):
            needed = self._needed(model, kind)
            newer = await self._newer(needed)
            if not newer and needed == self._needed(model, kind):
                return self._route(model, kind)
            for id in newer:
                await self._read(id)
        raise Unavailable("Models and providers are changing all the time: try again in a moment.")

    async def route_into(self, space: str, route: Sequence[CalledModel]) -> list[CalledModel]:
        """Return the route of an embedding model as it was when the vectors of a space were made.

        Raises ModelCallFailed where the model never had the name that they are of.
        """
        first, *others = route
        if space_name(first.id, first.definition.model) == space:
            return [first, *others]
        former = self._former.get((space, first.version)) or await self._find_former(first, space)
        definition = parse(ModelDefinition, former.definition)
        provider = await self.provider(UUID(definition.provider))
        return [replace(first, version=former.version, definition=definition, provider=provider), *others]

    async def _find_former(self, model: CalledModel, space: str) -> Model:
        """Return a model as it was last when it had the name that a space's vectors are of, or raise ModelCallFailed."""
        for version in range(model.version - 1, 0, -1):
            loaded = await self._load(model.id, version)
            if loaded is None or not isinstance(former := loaded[0], Model):
                break
            if space_name(former.id, former.definition["model"]) == space:
                self._former[space, model.version] = former
                while len(self._former) > CACHED:
                    self._former.popitem(last=False)
                return former
        raise ModelCallFailed(
            "The embedding model has another name at its provider than the one that these vectors are of.",
            code="embedding_model_changed",
            details={"provider": model.provider.name, "upstream_status": None},
        )

    async def provider(self, id: UUID) -> CalledProvider:
        """Return a provider, or raise NotFound or Archived."""
        for _ in range(ROUNDS):
            if not await self._newer([id]):
                known = self._known.get(id)
                if not isinstance(known, CalledProvider):
                    raise NotFound("There is no such provider.")
                if known.archived:
                    raise Archived("This provider is archived: restore it first.")
                return known
            await self._read(id)
        raise Unavailable("This provider is changing all the time: try again in a moment.")

    def _needed(self, model: UUID | None, kind: str) -> list[UUID]:
        """Return the ids of all streams that a call depends on, as far as is known by now."""
        needed: list[UUID] = []
        if model is None:
            default = DefaultModel.create_id(kind)
            needed.append(default)
            known = self._known.get(default)
            model = known.model if isinstance(known, _KnownDefault) else None
        models = [] if model is None else [model]
        first = self._known.get(models[0]) if models else None
        if isinstance(first, _KnownModel):
            models += [UUID(id) for id in first.definition.routing.fallbacks]
        needed += models
        for id in models:
            found = self._known.get(id)
            if isinstance(found, _KnownModel):
                needed.append(UUID(found.definition.provider))
        return list(dict.fromkeys(needed))

    async def _newer(self, ids: Sequence[UUID]) -> list[UUID]:
        """Return those of which less is known than this request has seen."""
        found = []
        for id, head in (await self._heads.of(ids)).items():
            known = self._known.get(id)
            # What is known may be newer than what this request has seen: another one has read it meanwhile.
            if known is None or (head is not None and (known.version is None or known.version < head.version)):
                found.append(id)
            else:
                self._known.move_to_end(id)
        return found

    async def _read(self, id: UUID) -> None:
        loaded = await self._load(id)
        self._known[id] = await self._parsed(loaded[0] if loaded else None)
        self._known.move_to_end(id)
        while len(self._known) > CACHED:
            self._known.popitem(last=False)

    async def _parsed(self, thing: Aggregate | None) -> _Known:
        if isinstance(thing, Model):
            return _KnownModel(
                id=thing.id,
                name=thing.name,
                version=thing.version,
                definition=parse(ModelDefinition, thing.definition),
                archived=thing.archived,
            )
        if isinstance(thing, Provider):
            secrets = await self._secrets(thing)
            prefix = "secret_headers/"
            return CalledProvider(
                id=thing.id,
                name=thing.name,
                version=thing.version,
                definition=parse(ProviderDefinition, thing.definition),
                archived=thing.archived,
                api_key=secrets.get("api_key"),
                secret_headers={
                    field.removeprefix(prefix): secret for field, secret in secrets.items() if field.startswith(prefix)
                },
            )
        if isinstance(thing, DefaultModel):
            return _KnownDefault(version=thing.version, model=UUID(thing.model_id) if thing.model_id else None)
        return _Nothing(version=None if thing is None else thing.version)

    async def _secrets(self, provider: Provider) -> dict[str, str]:
        """Return field -> secret.

        What a newer version has bound elsewhere does not open and is left out: the next look finds that version.
        """
        rows: list[Any] = await rows_of(self._pool, SQL["secrets"], {"id": provider.id})
        opened = {}
        for name, sealed in rows:
            try:
                opened[name] = self._box.open(bytes(sealed), owner=provider.id, field=name, origin=provider.origin)
            except SealBroken:
                continue
        return opened

    def _route(self, model: UUID | None, kind: str) -> list[CalledModel]:
        if model is None:
            default = self._known.get(DefaultModel.create_id(kind))
            if not isinstance(default, _KnownDefault) or default.model is None:
                raise NoModel(f"No model is named, and no {kind} model is the default: set `default` on one.")
            model = default.model
        first = self._callable(model, kind)
        fallbacks = []
        for id in first.definition.routing.fallbacks:
            try:
                fallbacks.append(self._callable(UUID(id), kind))
            except (NotFound, Conflict):
                continue  # what can't be called is no help, and no reason to refuse
        return [first, *(each for each in fallbacks if each.id != first.id)]

    def _callable(self, id: UUID, kind: str) -> CalledModel:
        known = self._known.get(id)
        if not isinstance(known, _KnownModel):
            raise NotFound("There is no such model.")
        if known.archived:
            raise Archived("This model is archived: restore it first, or name another one.")
        if known.definition.kind != kind:
            raise WrongModelKind(f"A {kind} model is needed here; this one is of kind {known.definition.kind}.")
        if not known.definition.active:
            raise ModelInactive
        provider = self._known.get(UUID(known.definition.provider))
        if not isinstance(provider, CalledProvider):
            raise NotFound("There is no such provider.")
        if provider.archived:
            raise Archived("The model's provider is archived: restore it first.")
        if provider.definition.type == "local" and kind != "embedding":
            raise WrongModelKind(f"A {kind} model is needed here; what a local provider runs are embedding models.")
        if provider.definition.type == "plugin" and kind == "chat":
            raise WrongModelKind("A chat model is needed here; what plugins run are embedding and reranking models.")
        return CalledModel(
            id=known.id,
            name=known.name,
            version=known.version,
            definition=known.definition,
            archived=False,
            provider=provider,
        )
