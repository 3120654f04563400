"""A knowledge source's own rule: the index that its settings ask for is built; and which index answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from commands.bus import Done
from commands.configuration import Change, OnThing
from commands.knowledge.connectors import Connectors, must_fit, must_know
from commands.knowledge.tokenizing import Chunkers, Tokenizers
from commands.models.model_kinds import must_be_able
from commands.plugin_settings import must_be_here
from commands.ports import Things, Unit
from domain.definition import Strict, parse
from domain.errors import Invalid, NotFound
from domain.knowledge_source import KnowledgeSource
from domain.model import DefaultModel, Model
from domain.retrieval import space_name

FILL_INDEX = "fill_index"
"""The kind of job that puts a source's documents into an index; its key is the source's id."""

SCHEDULE = "schedule"
"""The kind of job that looks at a source's schedule; its key is the source's id, or the kind itself for all."""

UPLOADS = "files"
"""The type of sources that documents are given to."""

FOLLOW_MODELS = "follow_models"
"""The kind of job that has sources follow a change of embedding models; its key is `all`."""


class NothingToSet(Strict):
    """The settings of sources that documents are given to."""


@dataclass(frozen=True, kw_only=True)
class BuildIndex:
    """Begin the index that a source's settings and models ask for, unless it is there."""

    id: UUID

    @property
    def stream(self) -> UUID:
        """The source's."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class SwitchIndex(OnThing):
    """Let another index of a source answer, at once; what it lacks is put into it afterwards."""

    index: int


@dataclass(frozen=True, kw_only=True)
class CompleteIndex:
    """Let an index answer that is complete now; nothing happens where a newer one is being built, or it was taken back."""

    id: UUID
    index: int

    @property
    def stream(self) -> UUID:
        """The source's."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class IndexHandlers:
    """Carries out the commands on indexes; as a rule of knowledge sources, begins what their settings ask for."""

    things: Things
    tokenizers: Tokenizers
    connectors: Connectors = field(default_factory=dict)
    chunkers: Chunkers = field(default_factory=dict)

    async def __call__(self, change: Change) -> None:
        """Refuse what its connector can't do; begin an index after a change that asks for one."""
        source = cast(KnowledgeSource, change.thing)
        if source.archived:
            return
        await must_be_able(self.things, source.TOPIC, source.definition)
        connector = self.connectors.get(source.definition["type"])
        if connector is None and change.before is None:
            self._must_be_uploads(source)
        config = source.definition["config"]
        is_set_anew = change.before is None or change.before["config"] != config
        if source.definition["type"] == UPLOADS and is_set_anew:
            parse(NothingToSet, config, "/config")
        if connector is not None or source.definition["type"] == UPLOADS:
            must_know(connector, [each.partition("/")[2] for each in source.secrets])
        if connector is not None and is_set_anew:
            must_fit(connector, config)
        before = dict(cuttings(change.before or {}))
        for pointer, chunking in cuttings(source.definition):
            if chunking["strategy"] == "plugin" and chunking != before.get(pointer):
                must_be_here(self.chunkers, chunking["plugin"], f"{pointer}/plugin")
                parse(self.chunkers[chunking["plugin"]].config, chunking.get("config") or {}, f"{pointer}/config")
        if source.definition["schedule"] != (change.before or {}).get("schedule"):
            change.unit.effect("job", kind=SCHEDULE, key=str(source.id))
        await begin_index(source, self.things, self.tokenizers, change.unit)

    async def go_on(self, change: Change) -> None:
        """Begin what a source that is taken back asks for by now, and go on with what was being filled."""
        source = cast(KnowledgeSource, change.thing)
        await begin_index(source, self.things, self.tokenizers, change.unit)
        if source.index != source.newest_index:
            change.unit.effect("job", kind=FILL_INDEX, key=str(source.id), payload={"index": source.newest_index})

    def _must_be_uploads(self, source: KnowledgeSource) -> None:
        """Raise Invalid unless a source that nothing is fetched for is one that documents are given to."""
        if source.definition["type"] != UPLOADS and self.connectors:
            known = ", ".join(sorted({UPLOADS, *self.connectors}))
            raise Invalid(
                f"There is no such type of sources; there are: {known}.", code="unknown_type", pointer="/type"
            )
        if source.definition["schedule"] is not None:
            raise Invalid("Nothing is fetched for this type of sources.", code="not_syncable", pointer="/schedule")

    async def build(self, command: BuildIndex, unit: Unit) -> Done:
        """Begin an index."""
        source = await unit.load(KnowledgeSource, command.id)
        if not source.archived:
            await begin_index(source, self.things, self.tokenizers, unit)
        unit.save(source)
        return Done(aggregate=source)

    async def switch(self, command: SwitchIndex, unit: Unit) -> Done:
        """Let another index answer."""
        source = await unit.load(KnowledgeSource, command.id)
        source.must_be_at(command.if_match)
        source.must_be_active()
        if str(command.index) not in source.indexes:
            raise Invalid("There is no such index.", code="unknown_index", pointer="/index")
        if source.index != command.index:
            source.switch_index(command.index)
            unit.effect("job", kind=FILL_INDEX, key=str(source.id), payload={"index": command.index})
        unit.save(source)
        return Done(aggregate=source)

    async def complete(self, command: CompleteIndex, unit: Unit) -> Done:
        """Let a new index answer."""
        source = await unit.load(KnowledgeSource, command.id)
        source.complete_index(command.index)
        unit.save(source)
        return Done(aggregate=source)


def cuttings(definition: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (JSON pointer, chunking) of each way in which a source's texts are cut."""
    for pointer, each in (
        ("", definition),
        *((f"/profiles/{n}", p) for n, p in enumerate(definition.get("profiles", ()))),
    ):
        if each.get("chunking") is not None:
            yield f"{pointer}/chunking", each["chunking"]


async def begin_index(source: KnowledgeSource, things: Things, tokenizers: Tokenizers, unit: Unit) -> None:
    """Begin the index that a source asks for, where it is not the newest already."""
    model, space = await wanted_space(source, things)
    if source.wants_index(embedding_model=model, space=space):
        tokenizer = None if model is None else await tokenizers.of(UUID(model))
        source.build_index(embedding_model=model, space=space, tokenizer=tokenizer)
        unit.effect("job", kind=FILL_INDEX, key=str(source.id), payload={"index": source.newest_index})


async def ensure_index(source: KnowledgeSource, things: Things, tokenizers: Tokenizers, unit: Unit) -> KnowledgeSource:
    """Return a source whose newest index is the one it asks for, begun with this command where it is not."""
    model, space = await wanted_space(source, things)
    if source.wants_index(embedding_model=model, space=space):
        source = await unit.load(KnowledgeSource, source.id)
        await begin_index(source, things, tokenizers, unit)
        unit.save(source)
    return source


async def wanted_space(source: KnowledgeSource, things: Things) -> tuple[str | None, str | None]:
    """Return the embedding model that a source asks for, and the space of its vectors; None: words only."""
    model = await chosen_model(source.definition["embedding_model"], things)
    return (None, None) if model is None else (str(model.id), space_name(model.id, model.definition["model"]))


async def chosen_model(chosen: str | None, things: Things) -> Model | None:
    """Return the embedding model of this id, or the default one where none is chosen; None: there is none.

    Models are looked at as they are now, not as this process remembers them.
    """
    try:
        if chosen is None:
            default = await things.newest(DefaultModel, DefaultModel.create_id("embedding"))
            chosen = default.model_id
        if chosen is None:
            return None
        model = await things.newest(Model, UUID(chosen))
    except NotFound:
        return None  # the append refuses what refers to it
    if model.definition["kind"] != "embedding":
        raise Invalid("An embedding model is needed here.", code="wrong_model_kind", pointer="/embedding_model")
    return model


def concerns_indexes(model: Model, before: Mapping[str, object] | None) -> bool:
    """Return whether a change of a model may ask for other indexes."""
    now = model.definition
    if now["kind"] != "embedding":
        return False
    was = before or {"default": False, "model": now["model"]}
    return bool(was["default"] != now["default"] or was["model"] != now["model"])
