"""Pipeline: prompts and tools in steps, several at once in a step, each given what earlier ones gave."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, field_validator, model_serializer
from pydantic import model_validator as validator

from domain import variants
from domain.agent import TOOLS
from domain.configuration import Configuration
from domain.configuration_events import Changed
from domain.definition import JSON, Definition, Reference, Strict
from domain.errors import FieldError, Invalid
from domain.pricing import Money
from domain.prompt import VARIABLE, Variable
from domain.references import escaped

RESULTS: Mapping[str, frozenset[str]] = {
    "prompt": frozenset({"text", "parsed"}),
    "rag_tool": frozenset(
        {"text", "citations", "resolution", "passages", "language", "grounding", "category", "processed"}
    ),
    "retrieval_tool": frozenset({"text", "passages"}),
    "api_tool": frozenset({"text", "json"}),
    "mcp_tool": frozenset({"text", "json"}),
}
"""What the items of each type give; one that failed gives `error` instead."""

ASKED: Mapping[str, tuple[str, frozenset[str]]] = {
    "rag_tool": ("question", frozenset({"question", "filter"})),
    "retrieval_tool": ("query", frozenset({"query", "filter", "limit"})),
}
"""What items are given whose inputs have fixed names: the one that is needed, and all."""

RESERVED = "runs"
"""The name under which pipelines' runs are found, which no pipeline can have."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$")]
Path = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Given(Strict):
    """Where an input of an item comes from: one of `path`, `input` and `value`."""

    path: Path | None = Field(
        None, description="`steps.<step>.<item>.<field>...` of an earlier step, or `inputs.<name>...`."
    )
    input: str | None = Field(None, max_length=64, description="An input of the pipeline.")
    value: JSON = Field(None, description="This value.")
    default: JSON = Field(None, description="Given where nothing stands at the path; without one the item fails.")

    @validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if len(self.model_fields_set & {"path", "input", "value"}) != 1:
            raise ValueError("an input has one of 'path', 'input' and 'value'")
        if "default" in self.model_fields_set and self.path is None:
            raise ValueError("'default' goes with 'path'")
        return self

    @model_serializer(mode="wrap")
    def _as_it_was_given(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if name in self.model_fields_set}


class Item(Strict):
    """One prompt or tool of a step."""

    name: Name = Field(description="What paths call it by.")
    type: Literal["prompt", "rag_tool", "retrieval_tool", "api_tool", "mcp_tool"]
    tool: Reference
    operation: str | None = Field(
        None, min_length=1, max_length=64, description="Of api_tool and mcp_tool: the tool's name at its tool server."
    )
    inputs: dict[Annotated[str, StringConstraints(min_length=1, max_length=200)], Given] = Field(
        default_factory=dict,
        max_length=200,
        description="A prompt's variables, a tool's arguments; `question` of a RAG tool, `query` of a retrieval tool.",
    )
    when: Path | None = Field(
        None, description="A path: where nothing, or false, 0 or an empty value is there, it is skipped."
    )
    on_error: Literal["fail", "continue"] = Field("fail", description="Whether the run goes on where it fails.")

    @validator(mode="after")
    def _is_given_what_its_type_takes(self) -> Self:
        if (self.operation is not None) != (self.type in TOOLS):
            raise ValueError("'operation' goes with the types api_tool and mcp_tool, and they need it")
        needed, known = ASKED.get(self.type, (None, None))
        if needed is not None and needed not in self.inputs:
            raise ValueError(f"a {self.type} needs the input '{needed}'")
        if known is not None and not set(self.inputs) <= known:
            raise ValueError(f"a {self.type} has the inputs {', '.join(sorted(known))}")
        if self.type == "prompt" and not all(VARIABLE.match(name) for name in self.inputs):
            raise ValueError("a prompt's inputs have the names of variables")
        return self


class PipelineStep(Strict):
    """What is done at once; the next step begins when all of it has ended."""

    name: Name = Field(description="What paths call it by.")
    parallel: list[Item] = Field(min_length=1, max_length=50)

    @field_validator("parallel")
    @classmethod
    def _names_differ(cls, items: list[Item]) -> list[Item]:
        if len({item.name for item in items}) != len(items):
            raise ValueError("two items of a step have the same name")
        return items


class PipelineLimits(Strict):
    """How far a run may go."""

    seconds: float = Field(
        600.0, gt=0, le=86_400, description="Of the whole run, without the time that nobody worked on it."
    )
    item_seconds: float = Field(120.0, gt=0, le=3600, description="Of one item.")
    cost: Money | None = Field(None, description="After so much nothing more is begun; null = no limit.")
    concurrency: int = Field(4, ge=1, le=20, description="Items of a step that are under way at once.")


class PipelineSettings(Strict):
    """The fields of a pipeline that a variant may set differently."""

    inputs: dict[str, Variable] = Field(default_factory=dict, max_length=200, description="What a run is given.")
    steps: list[PipelineStep] = Field(min_length=1, max_length=50, description="Done one after the other.")
    output: Path | dict[Name, Path] | None = Field(
        None, description="What a run gives: what stands at a path, or several by name; null = the last step's results."
    )
    limits: PipelineLimits = Field(default_factory=PipelineLimits)

    @field_validator("inputs")
    @classmethod
    def _inputs_have_names(cls, declared: dict[str, Variable]) -> dict[str, Variable]:
        if not all(VARIABLE.match(name) for name in declared):
            raise ValueError("an input's name has 1 to 64 letters, digits and _, and starts with no digit")
        return declared

    @field_validator("steps")
    @classmethod
    def _names_differ(cls, steps: list[PipelineStep]) -> list[PipelineStep]:
        if len({step.name for step in steps}) != len(steps):
            raise ValueError("two steps have the same name")
        return steps


class PipelineDefinition(Definition, PipelineSettings):
    """A pipeline's settings."""

    observability: Literal["none", "metadata", "full"] = Field(
        "full", description="What its runs record; what items give is kept, sealed, whatever is said here."
    )
    variants: dict[str, dict[str, JSON]] = Field(default_factory=dict, max_length=20)

    REFERENCES: ClassVar[Mapping[str, str]] = {
        f"{place}steps/*/parallel/*/tool": "@type" for place in ("", "variants/*/")
    }

    @validator(mode="after")
    def _variants_fit(self) -> Self:
        if self.variants:
            variants.fit(self, self.variants, PipelineSettings)
        return self


class Pipeline(Configuration):
    """Prompts and tools in steps, several at once in a step, each given what earlier ones gave."""

    TOPIC = "pipeline"
    DEFINITION = PipelineDefinition

    class InputsChanged(Changed):
        """What its runs are given changed."""

        TOPIC = "pipeline.inputs_changed"
        inputs: dict[str, dict[str, Any]]

    class StepsChanged(Changed):
        """What its runs do, or give, changed."""

        TOPIC = "pipeline.steps_changed"
        steps: list[dict[str, Any]]
        output: Any

    class LimitsChanged(Changed):
        """How far its runs may go changed."""

        TOPIC = "pipeline.limits_changed"
        limits: dict[str, Any]

    class ObservabilityChanged(Changed):
        """What its runs record changed."""

        TOPIC = "pipeline.observability_changed"
        observability: str

    class VariantsChanged(Changed):
        """Its variants changed."""

        TOPIC = "pipeline.variants_changed"
        variants: dict[str, dict[str, Any]]

    @classmethod
    def create(cls, *, name: str, definition: Mapping[str, Any]) -> Self:
        """Make a new one, or raise Invalid."""
        if name == RESERVED:
            raise Invalid(f"'{RESERVED}' is where pipelines' runs are found: take another name.", pointer="/name")
        return super().create(name=name, definition=definition)

    @classmethod
    def as_variant(cls, definition: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return the definition as the variant has it, with what the variant leaves open inside its fields."""
        varied = super().as_variant(definition, name)
        return varied if name == variants.DEFAULT else cls.normal(varied)

    @classmethod
    def normal(cls, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Return the definition as for any thing; its paths must point at what is there by then, else Invalid."""
        whole = super().normal(definition)
        wrong = list(dangling(whole, ""))
        for name in whole["variants"]:
            differing = whole["variants"][name]
            if differing.keys() & {"inputs", "steps", "output"}:
                varied = super().normal({**variants.apply(whole, name), "variants": {}})
                wrong += dangling(varied, f"/variants/{escaped(name)}")
        if wrong:
            raise Invalid("A path points at nothing: see errors.", code="unknown_path", errors=wrong)
        return whole


def dangling(settings: Mapping[str, Any], prefix: str) -> Iterator[FieldError]:
    """Yield what is wrong with the paths of a pipeline: each may only point at inputs and at earlier steps."""
    inputs: Mapping[str, Any] = settings["inputs"]
    known: dict[str, dict[str, str]] = {}
    for number, step in enumerate(settings["steps"]):
        for place, item in enumerate(step["parallel"]):
            at = f"{prefix}/steps/{number}/parallel/{place}"
            paths = {f"/inputs/{escaped(name)}/path": given.get("path") for name, given in item["inputs"].items()}
            for pointer, path in {**paths, "/when": item["when"]}.items():
                if path is not None:
                    yield from _wrong(path, inputs, known, at + pointer)
            for name, given in item["inputs"].items():
                if given.get("input") is not None and given["input"] not in inputs:
                    yield _unknown(f"{at}/inputs/{escaped(name)}/input", "the pipeline has no such input")
        known[step["name"]] = {item["name"]: item["type"] for item in step["parallel"]}
    output = settings["output"]
    named = output if isinstance(output, Mapping) else {} if output is None else {"": output}
    for name, path in named.items():
        yield from _wrong(path, inputs, known, f"{prefix}/output" + (f"/{escaped(name)}" if name else ""))


def _wrong(
    path: str, inputs: Mapping[str, Any], known: Mapping[str, Mapping[str, str]], pointer: str
) -> Iterator[FieldError]:
    root, first, second, field = (*path.split("."), None, None, None)[:4]
    if root == "inputs":
        if first is None or first not in inputs:
            yield _unknown(pointer, "the pipeline has no such input")
    elif root != "steps" or first is None:
        yield _unknown(pointer, "a path begins with 'steps.<step>' or 'inputs.<name>'")
    elif first not in known:
        yield _unknown(pointer, "there is no earlier step of this name")
    elif second is not None and second not in known[first]:
        yield _unknown(pointer, "the step has no item of this name")
    elif second is not None and field is not None and field not in RESULTS[known[first][second]] | {"error"}:
        gives = ", ".join(sorted(RESULTS[known[first][second]]))
        yield _unknown(pointer, f"a {known[first][second]} gives {gives}; where it failed, error")


def _unknown(pointer: str, message: str) -> FieldError:
    return FieldError(pointer=pointer, message=message, code="unknown_path")


def items_of(definition: Mapping[str, Any]) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Return (step, item) of every item, in order."""
    return [(step["name"], item) for step in definition["steps"] for item in step["parallel"]]
