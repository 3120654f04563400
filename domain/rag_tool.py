"""RAG tool: answers questions from passages, with citations."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from domain import variants
from domain.configuration import Configuration
from domain.configuration_events import Changed
from domain.definition import JSON, Definition, Reference, Strict
from domain.prompt import check_schema


class Languages(Strict):
    """In which language answers are given."""

    detect: bool = Field(
        True, description="Whether the question's language is found out, told, and named to the model."
    )
    answer: str = Field(
        "asked",
        min_length=1,
        max_length=40,
        description="A language such as `en` or `English`; `asked` = the question's.",
    )


class Grounding(Strict):
    """How it is checked that the passages support each sentence of an answer, and what becomes of one that fails."""

    check: Literal["model", "similarity"] = Field(
        description="A chat model judges, or vectors are compared (words where nothing was embedded)."
    )
    model: Reference | None = Field(None, description="The chat model that judges; null = the default one.")
    threshold: float = Field(
        0.5, ge=0, le=1, description="By similarity: from which score on a passage supports a sentence."
    )
    least: float = Field(1.0, ge=0, le=1, description="The part of the sentences that must be supported.")
    on_failure: Literal["flag", "no_answer"] = Field(
        "flag", description="Tell it, or say `no_answer` instead; then a stream begins only when the check is made."
    )


class Category(Strict):
    """What questions may be about."""

    name: str = Field(min_length=1, max_length=100)
    description: str = Field("", max_length=2000, description="What belongs to it.")


class PostProcessing(Strict):
    """What a model tells of a question and its answer, beside the category."""

    prompt: Reference | None = Field(
        None,
        description="Given `question`, `answer`, `resolution`, `passages`, `language` and `categories`; null = the "
        "built-in one.",
    )
    model: Reference | None = Field(None, description="null = the prompt's, the tool's, else the default chat model.")
    fields: dict[str, JSON] = Field(description="The JSON schema of what is told: an object's.")

    @field_validator("fields")
    @classmethod
    def _fields_are_an_objects(cls, value: dict[str, JSON]) -> dict[str, JSON]:
        if value.get("type") != "object":
            raise ValueError('the schema is one of an object: {"type": "object", "properties": {...}}')
        return check_schema(value)


class RagToolSettings(Strict):
    """The fields of a RAG tool that a variant may set differently."""

    retrieval_tool: Reference
    prompt: Reference | None = Field(
        None,
        description="Given the variables `question`, `passages`, `no_answer` and `language`; null = the built-in one.",
    )
    model: Reference | None = Field(None, description="null = the prompt's, else the default chat model.")
    no_answer: str = Field("I can't find that in the documents.", min_length=1, max_length=2000)
    citations: bool = Field(True, description="Whether answers cite their passages as [1], [2], ...")
    grounding: Grounding | None = Field(None, description="null = answers are not checked against their passages.")
    categories: list[Category] = Field(default_factory=list, max_length=50, description="Told of each question.")
    post_processing: PostProcessing | None = Field(None, description="null = nothing is told but the category.")
    languages: Languages | None = Field(None, description="null = the model is asked for the question's language.")

    @model_validator(mode="after")
    def _categories_are_distinct(self) -> Self:
        names = [category.name for category in self.categories]
        if len(set(names)) != len(names):
            raise ValueError("a category may stand only once")
        if names and self.post_processing and "category" in self.post_processing.fields.get("properties", {}):
            raise ValueError("with categories, `category` is none of the fields of post_processing")
        return self


class RagToolDefinition(Definition, RagToolSettings):
    """A RAG tool's settings."""

    variants: dict[str, dict[str, JSON]] = Field(default_factory=dict, max_length=20)

    REFERENCES: ClassVar[Mapping[str, str]] = {
        "retrieval_tool": "retrieval_tool",
        "prompt": "prompt",
        "model": "model",
        "grounding/model": "model",
        "post_processing/prompt": "prompt",
        "post_processing/model": "model",
        "variants/*/retrieval_tool": "retrieval_tool",
        "variants/*/prompt": "prompt",
        "variants/*/model": "model",
        "variants/*/grounding/model": "model",
        "variants/*/post_processing/prompt": "prompt",
        "variants/*/post_processing/model": "model",
    }

    @model_validator(mode="after")
    def _variants_fit(self) -> Self:
        if self.variants:
            variants.fit(self, self.variants, RagToolSettings)
        return self


class RagTool(Configuration):
    """Answers questions from passages, with citations."""

    TOPIC = "rag_tool"
    DEFINITION = RagToolDefinition

    class RetrievalToolChosen(Changed):
        """It searches by another retrieval tool."""

        TOPIC = "rag_tool.retrieval_tool_chosen"
        retrieval_tool: str

    class PromptChosen(Changed):
        """It asks by another prompt, or the built-in one."""

        TOPIC = "rag_tool.prompt_chosen"
        prompt: str | None

    class ModelChosen(Changed):
        """Another model, or the default one, was chosen."""

        TOPIC = "rag_tool.model_chosen"
        model: str | None

    class AnswersSet(Changed):
        """How it answers changed."""

        TOPIC = "rag_tool.answers_set"
        no_answer: str
        citations: bool

    class LanguagesSet(Changed):
        """In which language it answers changed."""

        TOPIC = "rag_tool.languages_set"
        languages: dict[str, Any] | None

    class GroundingSet(Changed):
        """How answers are checked against their passages changed, or that they are."""

        TOPIC = "rag_tool.grounding_set"
        grounding: dict[str, Any] | None

    class PostProcessingSet(Changed):
        """What a model tells of questions and answers changed."""

        TOPIC = "rag_tool.post_processing_set"
        categories: list[dict[str, Any]]
        post_processing: dict[str, Any] | None

    class VariantsChanged(Changed):
        """Its variants changed."""

        TOPIC = "rag_tool.variants_changed"
        variants: dict[str, dict[str, Any]]
