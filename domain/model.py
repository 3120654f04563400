"""Model: one model of a provider, with its abilities, prices and limits."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from uuid import UUID

from eventsourcing.domain import Aggregate
from pydantic import Field, field_validator

from domain.configuration import Configuration, Snapshot
from domain.configuration_events import Changed
from domain.definition import Definition, Reference, Strict
from domain.pricing import Price
from domain.references import identify

ModelKind = Literal["chat", "embedding", "rerank"]


class Capabilities(Strict):
    """What the model can do."""

    json_mode: bool = False
    json_schema: bool = False
    tools: bool = False
    reasoning: bool = False
    vision: bool = False


class Routing(Strict):
    """How calls are limited, retried and passed on; each process of Magnet counts limits for itself."""

    fallbacks: list[Reference] = Field(default_factory=list, max_length=10, description="Models, in order.")
    max_concurrency: int | None = Field(None, ge=1, le=10_000, description="Calls at once, from each process.")
    requests_per_minute: int | None = Field(None, ge=1, le=10_000_000, description="From each process.")
    tokens_per_minute: int | None = Field(None, ge=1, le=10_000_000_000, description="Of each process.")
    timeout: float | None = Field(None, gt=0, le=86_400, description="Seconds; null = the provider's.")
    retries: int = Field(2, ge=0, le=10)


class ModelDefinition(Definition):
    """A model's settings."""

    provider: Reference
    model: str = Field(min_length=1, max_length=200, description="The provider's name for it.")
    kind: ModelKind
    capabilities: Capabilities = Field(default_factory=Capabilities)
    dimensions: int | None = Field(None, ge=1, le=16_000, description="Length of an embedding.")
    context_window: int | None = Field(None, ge=1, le=100_000_000, description="Tokens.")
    default: bool = Field(False, description="Whether it is used where no model of its kind is named.")
    active: bool = True
    prices: list[Price] = Field(default_factory=list, max_length=200)
    routing: Routing = Field(default_factory=Routing)

    REFERENCES: ClassVar[Mapping[str, str]] = {"provider": "provider", "routing/fallbacks/*": "model"}

    @field_validator("prices")
    @classmethod
    def _one_price_a_day(cls, prices: list[Price]) -> list[Price]:
        if len({price.valid_from for price in prices}) != len(prices):
            raise ValueError("two prices are valid from the same day")
        return prices


class Model(Configuration):
    """One model of a provider, with its abilities, prices and limits."""

    TOPIC = "model"
    DEFINITION = ModelDefinition
    LABELLED = False
    FIXED = frozenset({"kind"})

    class ProviderChanged(Changed):
        """It is called at another provider, or by another name."""

        TOPIC = "model.provider_changed"
        provider: str
        model: str

    class AbilitiesChanged(Changed):
        """What is known of its abilities changed."""

        TOPIC = "model.abilities_changed"
        capabilities: dict[str, bool]
        dimensions: int | None
        context_window: int | None

    class DefaultChanged(Changed):
        """It became, or is no longer, the default of its kind."""

        TOPIC = "model.default_changed"
        default: bool

    class ActivityChanged(Changed):
        """It was switched on or off."""

        TOPIC = "model.activity_changed"
        active: bool

    class PricesChanged(Changed):
        """Its price list changed."""

        TOPIC = "model.prices_changed"
        prices: list[dict[str, Any]]

    class RoutingChanged(Changed):
        """Its limits, retries or fallbacks changed."""

        TOPIC = "model.routing_changed"
        routing: dict[str, Any]

    def set_default(self, default: bool) -> None:
        """Be, or be no longer, the default of its kind."""
        if self.definition["default"] != default:
            self.trigger_event(self.DefaultChanged, default=default)


class DefaultModel(Aggregate):
    """Which model is the default of a kind: one stream per kind, so there is never a second."""

    TOPIC = "default_model"

    class Created(Aggregate.Created):
        """The first default of a kind was chosen."""

        TOPIC = "default_model.created"
        kind: str
        model_id: str

    class Chosen(Aggregate.Event):
        """Another default was chosen; null: there is none now."""

        TOPIC = "default_model.chosen"
        model_id: str | None

        def apply(self, aggregate: "DefaultModel") -> None:
            aggregate.model_id = self.model_id

    Snapshot = Snapshot

    @classmethod
    def create_id(cls, kind: str) -> UUID:
        """Return the id of the stream of a kind's default."""
        return identify(cls.TOPIC, kind)

    def __init__(self, kind: str, model_id: str) -> None:
        self.kind = kind
        self.model_id: str | None = model_id

    def choose(self, model_id: str | None) -> None:
        """Make this model the default, or none."""
        if self.model_id != model_id:
            self.trigger_event(self.Chosen, model_id=model_id)
