"""Knowledge source: where documents come from, how they are cut, and which of its indexes answers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from domain.configuration import Configuration
from domain.configuration_events import Changed, ConfigurationEvent
from domain.definition import JSON, Definition, Reference, Strict, same
from domain.pricing import Money
from domain.schedule import next_time
from domain.values import Group

Acl = Annotated[list[Group], Field(max_length=1000)]
"""Names of groups that may find a document; `[]` = admins only, null = everyone who may search."""

MetadataType = Literal["text", "number", "boolean", "time", "list"]


class Chunking(Strict):
    """How a document's text is cut into passages; sizes in tokens."""

    strategy: Literal[
        "recursive", "sentence", "markdown", "html_headings", "code", "none", "parent_child", "plugin"
    ] = "recursive"
    size: int = Field(512, ge=16, le=8192)
    overlap: int = Field(64, ge=0, le=4096)
    parent_size: int | None = Field(
        None,
        ge=32,
        le=32_768,
        description="Of `parent_child`: parts of `size` are found, and the passage of this size given. Needed there.",
    )

    plugin: str | None = Field(None, max_length=64, description="Of `plugin`: the chunker that cuts. Needed there.")
    config: dict[str, JSON] | None = Field(None, description="Of `plugin`: what the chunker is set to.")

    @model_validator(mode="after")
    def _plugins_fit(self) -> Self:
        if (self.strategy == "plugin") != (self.plugin is not None):
            raise ValueError("the name of a plugin belongs to the strategy plugin, and to no other")
        if self.strategy != "plugin" and self.config is not None:
            raise ValueError("a config belongs to the strategy plugin, and to no other")
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.overlap >= self.size:
            raise ValueError("overlap has to be smaller than size")
        if (self.strategy == "parent_child") != (self.parent_size is not None):
            raise ValueError("the strategy parent_child needs a parent_size, and no other strategy takes one")
        if self.parent_size is not None and self.parent_size <= self.size:
            raise ValueError("parent_size has to be larger than size")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, given: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is not there: sources that were stored before have none to compare with."""
        told: dict[str, Any] = given(self)
        later = ("parent_size", "plugin", "config")
        return {name: value for name, value in told.items() if name not in later or value is not None}


Parser = Literal["text", "markdown", "html", "pdf", "docx", "pptx", "xlsx", "epub", "eml", "csv", "json", "code"]
Ocr = Literal["auto", "off", "always"]
"""Which pages of a PDF are read by OCR: those that are pictures, none, or all."""


class Profile(Strict):
    """How documents are read and cut whose name a pattern fits."""

    glob: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]+$",
        description="Of the whole external_id, `path` in the metadata, or title; `*` also spans folders.",
    )
    parser: Parser | None = Field(None, description="null = told by media type and name.")
    chunking: Chunking | None = Field(None, description="null = the source's.")
    ocr: Ocr | None = Field(
        None,
        description="Whether pages that are pictures are read by OCR (`auto`, which null means too), none, or all pages.",
    )

    @model_serializer(mode="wrap")
    def _as_before(self, given: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is not there: indexes that were begun before have none to compare with."""
        told: dict[str, Any] = given(self)
        return {name: value for name, value in told.items() if name != "ocr" or value is not None}


def profile_of(profiles: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Mapping[str, Any] | None:
    """Return the first profile whose pattern one of a document's names fits."""
    return next((each for each in profiles if any(fnmatchcase(name, each["glob"]) for name in names)), None)


class Transformation(Strict):
    """What a chat model makes of each chunk before it is indexed; by default, sentences that situate it."""

    mode: Literal["replace", "prepend", "append"] = Field(
        "prepend", description="Whether that stands instead of the chunk, before it or after it."
    )
    prompt: Reference | None = Field(None, description="Given the variables `document`, `title` and `chunk`.")
    instructions: str | None = Field(
        None, min_length=1, max_length=10_000, description="Instead of a prompt; null = the built-in ones."
    )
    model: Reference | None = Field(None, description="null = the prompt's, else the default chat model.")
    embed: Literal["original", "transformed"] = Field(
        "transformed", description="Which of the two is embedded and searched by words."
    )
    give: Literal["original", "transformed"] = Field("original", description="Which of the two is given and cited.")
    cost_limit: Money | None = Field(None, description="What it may cost in a day (UTC); then documents wait.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.prompt is not None and self.instructions is not None:
            raise ValueError("a prompt or instructions, not both")
        if "transformed" not in (self.embed, self.give):
            raise ValueError("what is made of a chunk is embedded, given, or both")
        return self


class MetadataField(Strict):
    """A field that passages can be filtered by: where it stands in a document's metadata, and its type."""

    path: str = Field(min_length=1, max_length=200, description="Dotted path in the document's metadata.")
    type: MetadataType = "text"


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class KnowledgeSourceDefinition(Definition):
    """A knowledge source's settings."""

    type: str = Field(
        min_length=1, max_length=64, description="Its connector: `files`, or one of those that `GET /v1/plugins` lists."
    )
    config: dict[str, JSON] = Field(default_factory=dict, description="The connector's settings.")
    chunking: Chunking = Field(default_factory=Chunking)
    profiles: list[Profile] = Field(
        default_factory=list, max_length=100, description="The first that fits a document says how it is read and cut."
    )
    transformation: Transformation | None = Field(None, description="null = chunks are indexed as they are.")
    embedding_model: Reference | None = Field(None, description="null = the default embedding model, if any.")
    metadata: dict[str, MetadataField] = Field(default_factory=dict, max_length=200)
    language: str | None = Field(None, max_length=40, description="Of its texts, such as 'english'; null = any.")
    acl: Acl | None = Field(None, description="Who may find documents that bring no acl of their own.")
    schedule: str | None = Field(
        None, max_length=100, description="When it is synced: cron's five fields, after `CRON_TZ=Area/City` if not UTC."
    )

    REFERENCES: ClassVar[Mapping[str, str]] = {
        "embedding_model": "model",
        "transformation/prompt": "prompt",
        "transformation/model": "model",
    }
    SECRETS: ClassVar[tuple[str, ...]] = ("secrets/*",)
    LATER: ClassVar[frozenset[str]] = frozenset({"secrets"})

    @field_validator("schedule")
    @classmethod
    def _schedule_comes(cls, schedule: str | None) -> str | None:
        if schedule is not None:
            next_time(schedule, LONG_AGO)
        return schedule


class KnowledgeSource(Configuration):
    """Where documents come from.

    An index is the documents cut in one way and embedded by one model. A change of either begins a new
    index; the one before answers until the new one is complete, and stays to be taken back.
    """

    TOPIC = "knowledge_source"
    DEFINITION = KnowledgeSourceDefinition
    LABELLED = False
    FIXED = frozenset({"type"})
    FURTHER = ("index", "indexes")
    answered = 0
    """The newest index that ever answered since it was complete; here for snapshots from before that was noted."""

    class ConfigChanged(Changed):
        """Its connector was set differently."""

        TOPIC = "knowledge_source.config_changed"
        config: dict[str, Any]

    class ChunkingChanged(Changed):
        """Its documents are cut differently."""

        TOPIC = "knowledge_source.chunking_changed"
        chunking: dict[str, Any]

    class ProfilesChosen(Changed):
        """Which of its documents are read and cut in their own ways changed."""

        TOPIC = "knowledge_source.profiles_chosen"
        profiles: list[dict[str, Any]]

    class TransformationChosen(Changed):
        """What a chat model makes of its chunks changed."""

        TOPIC = "knowledge_source.transformation_chosen"
        transformation: dict[str, Any] | None

    class EmbeddingModelChosen(Changed):
        """Another embedding model, or the default one, was chosen."""

        TOPIC = "knowledge_source.embedding_model_chosen"
        embedding_model: str | None

    class MetadataMapped(Changed):
        """Which metadata can be filtered by changed."""

        TOPIC = "knowledge_source.metadata_mapped"
        metadata: dict[str, dict[str, Any]]

    class LanguageSet(Changed):
        """The language of its texts was set."""

        TOPIC = "knowledge_source.language_set"
        language: str | None

    class AccessChanged(Changed):
        """Who may find its documents by default changed."""

        TOPIC = "knowledge_source.access_changed"
        acl: list[str] | None

    class ScheduleSet(Changed):
        """When it is synced changed."""

        TOPIC = "knowledge_source.schedule_set"
        schedule: str | None

    class IndexStarted(ConfigurationEvent):
        """A new index is being built beside the present one; the first one answers at once.

        `space` names where its vectors live (one embedding model, one length); null: words only.
        """

        TOPIC = "knowledge_source.index_started"
        index: int
        chunking: dict[str, Any]
        embedding_model: str | None
        space: str | None

        def apply(self, aggregate: Any) -> None:
            entry = {"chunking": self.chunking, "embedding_model": self.embedding_model, "space": self.space}
            aggregate.indexes = aggregate.indexes | {str(self.index): entry}
            if aggregate.index is None:
                aggregate.index = self.index

    class IndexSwitched(ConfigurationEvent):
        """Another index answers now."""

        TOPIC = "knowledge_source.index_switched"
        index: int

        def apply(self, aggregate: Any) -> None:
            aggregate.index = self.index
            aggregate.answered = max(aggregate.answered, self.index)

    def __init__(self, name: str, definition: dict[str, Any]) -> None:
        super().__init__(name, definition)
        self.indexes: dict[str, dict[str, Any]] = {}
        self.index: int | None = None

    @property
    def origin(self) -> str:
        """Where its secrets may go: the origins of the addresses in its connector's settings."""
        config = self.definition["config"]
        named = sorted(name for name, value in config.items() if is_address(name) and isinstance(value, str))
        return " ".join(f"{name}={origin_of(config[name])}" for name in named)

    @property
    def newest_index(self) -> int | None:
        """The index that new documents go into; it answers as soon as it is complete."""
        return max((int(number) for number in self.indexes), default=None)

    @property
    def filled(self) -> frozenset[int]:
        """The indexes that documents go into: the one that answers, and the newest."""
        return frozenset(index for index in (self.index, self.newest_index) if index is not None)

    @property
    def building(self) -> Mapping[str, Any] | None:
        """The index that answers as soon as it is complete; None where none is being built."""
        newest = self.newest_index
        is_built = newest is None or newest <= max(self.answered, self.index or 0)
        return None if is_built else self.indexes[str(newest)]

    @property
    def cutting(self) -> dict[str, Any]:
        """How its texts become chunks, with what is made of these; nothing is told of what there is none.

        What that may cost makes no other chunks.
        """
        cutting: dict[str, Any] = dict(self.definition["chunking"])
        if profiles := self.definition.get("profiles"):
            cutting["profiles"] = profiles
        if asked := self.definition.get("transformation"):
            cutting["transformation"] = {name: asked[name] for name in asked if name != "cost_limit"}
        return cutting

    def wants_index(self, *, embedding_model: str | None, space: str | None) -> bool:
        """Return whether the newest index is another than the settings ask for.

        How its tokens are counted is settled when an index begins: a tokenizer that is there later begins none.
        """
        newest = self.newest_index
        if newest is None:
            return True
        there = self.indexes[str(newest)]
        chunking = {name: value for name, value in there["chunking"].items() if name != "tokenizer"}
        wanted = {"chunking": self.cutting, "embedding_model": embedding_model, "space": space}
        return not same({**there, "chunking": chunking}, wanted)

    def build_index(self, *, embedding_model: str | None, space: str | None, tokenizer: str | None = None) -> None:
        """Begin the index that the settings ask for, unless the newest one is that already."""
        self.must_be_active()
        if self.wants_index(embedding_model=embedding_model, space=space):
            chunking = self.cutting | ({} if tokenizer is None else {"tokenizer": tokenizer})
            wanted = {"chunking": chunking, "embedding_model": embedding_model, "space": space}
            self.trigger_event(self.IndexStarted, index=(self.newest_index or 0) + 1, **wanted)

    def complete_index(self, index: int) -> None:
        """Let the newest index answer, once: one that has answered before, and does not now, was taken back by somebody."""
        if index == self.newest_index and self.building is not None:
            self.switch_index(index)

    def switch_index(self, index: int) -> None:
        """Let another index answer; nothing happens where it does already."""
        if self.index != index and str(index) in self.indexes:
            self.trigger_event(self.IndexSwitched, index=index)


def is_address(setting: str) -> bool:
    """Return whether a connector's setting says by its name that it is an address."""
    return setting == "url" or setting.endswith("_url")


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address; one that can't be read stands for itself."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return url
    return f"{parts.scheme}://{host}:{port or ''}" if parts.scheme and host else url
