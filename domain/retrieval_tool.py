"""Retrieval tool: which sources are searched, and how."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from domain import filters, variants
from domain.configuration import Configuration
from domain.configuration_events import Changed
from domain.definition import JSON, Definition, Reference, Strict
from domain.errors import Invalid


class Rerank(Strict):
    """How what was found is put into a new order by a model that reads query and passage together."""

    model: Reference = Field(description="Of kind `rerank`, or of kind `chat`, which is asked for scores.")
    top_n: int = Field(30, ge=1, le=100, description="How many of the best passages are put into a new order.")
    instruction: str | None = Field(
        None, min_length=1, max_length=2000, description="What makes a passage a good one, beside the query."
    )


class Rewrite(Strict):
    """How a query is put into other words before it is searched for."""

    prompt: Reference | None = Field(None, description="Given the variable `query`; null = the built-in one.")
    model: Reference | None = Field(None, description="null = the prompt's, else the default chat model.")


class Translate(Strict):
    """Into which language a query is translated before it is searched for; the given one is searched for besides."""

    to: str = Field(min_length=1, max_length=40, description="The documents' language, such as `en` or `English`.")
    model: Reference | None = Field(None, description="null = the default chat model.")


class MultiQuery(Strict):
    """How a query is searched for in several forms at once."""

    queries: int = Field(3, ge=1, le=10, description="How many are made of it, which are searched for besides.")
    model: Reference | None = Field(None, description="null = the default chat model.")


class Boost(Strict):
    """How much the passages of a source count."""

    source: Reference
    factor: float = Field(gt=0, le=100, description="Scores are multiplied by it; 1 = as they are.")


class Recency(Strict):
    """How much newer documents count for more: scores are multiplied by 1 - weight + weight * 0.5^(age / half-life)."""

    field: str | None = Field(
        None,
        min_length=1,
        max_length=filters.LONGEST_KEY,
        description="A metadata field that is mapped as a time; a document without it counts as very old. "
        "null = when the document's newest version was given.",
    )
    half_life_days: float = Field(gt=0, le=100_000, description="Days after which the weight is halved.")
    weight: float = Field(0.5, gt=0, le=1, description="The part of a score that age can take away.")


class RetrievalToolSettings(Strict):
    """The fields of a retrieval tool that a variant may set differently."""

    sources: Annotated[list[Reference], Field(min_length=1, max_length=100, description="The knowledge sources.")]
    mode: Literal["hybrid", "vector", "lexical"] = Field("hybrid", description="By meaning, by words, or by both.")
    vector_weight: float = Field(0.6, ge=0, le=1, description="Of meaning in hybrid search; the rest is the words'.")
    fusion: Literal["weighted", "rrf"] = Field(
        "weighted", description="How hybrid search makes one order: by scores, or by ranks (reciprocal rank fusion)."
    )
    limit: int = Field(10, ge=1, le=100, description="Passages that are found at most.")
    threshold: float | None = Field(
        None, ge=0, le=1, description="The least score of a passage that is found, before any reranking."
    )
    window: int = Field(0, ge=0, le=10, description="Neighbouring passages that come along on either side.")
    rewrite: Rewrite | None = Field(None, description="null = queries are searched for as they are.")
    translate: Translate | None = Field(None, description="null = queries are searched for in their own language.")
    multi_query: MultiQuery | None = Field(None, description="null = a query is searched for in one form.")
    rerank: Rerank | None = Field(None, description="null = the order in which the passages are found.")
    boosts: list[Boost] = Field(default_factory=list, max_length=100, description="Sources that count more, or less.")
    recency: Recency | None = Field(None, description="null = age has no say.")
    filter: dict[str, JSON] | None = Field(None, description="Which documents, by their metadata.")
    allow_filter: bool = Field(True, description="Whether a caller may filter further.")

    @field_validator("filter")
    @classmethod
    def _is_a_filter(cls, value: dict[str, JSON] | None) -> dict[str, JSON] | None:
        if value is None:
            return None
        try:
            return filters.echo(filters.parse(value, ""))
        except Invalid as error:
            where = error.errors[0].pointer
            raise ValueError(f"at '{where}': {error}" if where else str(error)) from None

    @field_validator("sources")
    @classmethod
    def _sources_are_distinct(cls, sources: list[str]) -> list[str]:
        if len(set(sources)) != len(sources):
            raise ValueError("a source may stand only once")
        return sources

    @model_validator(mode="after")
    def _boosts_are_of_its_sources(self) -> Self:
        boosted = [boost.source for boost in self.boosts]
        if len(set(boosted)) != len(boosted) or not set(boosted) <= set(self.sources):
            raise ValueError("boosts name sources of this tool, each once")
        return self


class RetrievalToolDefinition(Definition, RetrievalToolSettings):
    """A retrieval tool's settings."""

    variants: dict[str, dict[str, JSON]] = Field(default_factory=dict, max_length=20)

    REFERENCES: ClassVar[Mapping[str, str]] = {
        "sources/*": "knowledge_source",
        "boosts/*/source": "knowledge_source",
        "rewrite/prompt": "prompt",
        "rewrite/model": "model",
        "translate/model": "model",
        "multi_query/model": "model",
        "rerank/model": "model",
        "variants/*/sources/*": "knowledge_source",
        "variants/*/boosts/*/source": "knowledge_source",
        "variants/*/rewrite/prompt": "prompt",
        "variants/*/rewrite/model": "model",
        "variants/*/translate/model": "model",
        "variants/*/multi_query/model": "model",
        "variants/*/rerank/model": "model",
    }

    @model_validator(mode="after")
    def _variants_fit(self) -> Self:
        if self.variants:
            variants.fit(self, self.variants, RetrievalToolSettings)
        return self


class RetrievalTool(Configuration):
    """Which sources are searched, and how."""

    TOPIC = "retrieval_tool"
    DEFINITION = RetrievalToolDefinition

    class SourcesChosen(Changed):
        """It searches other sources."""

        TOPIC = "retrieval_tool.sources_chosen"
        sources: list[str]

    class SearchChanged(Changed):
        """How it searches changed."""

        TOPIC = "retrieval_tool.search_changed"
        mode: str
        vector_weight: float
        limit: int
        threshold: float | None
        window: int

    class FusionChosen(Changed):
        """How it makes one order of what meaning and words find changed."""

        TOPIC = "retrieval_tool.fusion_chosen"
        fusion: str

    class ExpansionSet(Changed):
        """How it rewrites queries, or searches for them in several forms, changed."""

        TOPIC = "retrieval_tool.expansion_set"
        rewrite: dict[str, Any] | None
        multi_query: dict[str, Any] | None

    class TranslationSet(Changed):
        """Into which language it translates queries changed, or that it does."""

        TOPIC = "retrieval_tool.translation_set"
        translate: dict[str, Any] | None

    class RerankSet(Changed):
        """How what it finds is put into a new order changed, or that it is."""

        TOPIC = "retrieval_tool.rerank_set"
        rerank: dict[str, Any] | None

    class WeighingSet(Changed):
        """How much sources and age count changed."""

        TOPIC = "retrieval_tool.weighing_set"
        boosts: list[dict[str, Any]]
        recency: dict[str, Any] | None

    class FilterSet(Changed):
        """Which documents it finds, or whether a caller may filter further, changed."""

        TOPIC = "retrieval_tool.filter_set"
        filter: dict[str, Any] | None
        allow_filter: bool

    class VariantsChanged(Changed):
        """Its variants changed."""

        TOPIC = "retrieval_tool.variants_changed"
        variants: dict[str, dict[str, Any]]
