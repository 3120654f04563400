"""Agent: instructions, a model, and the actions it may take to answer."""

import operator
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from domain import variants
from domain.agent_conduct import CLOSE_FUNCTION, CONDUCT_REFERRED, Conduct
from domain.channels import Channel, ChannelName
from domain.configuration import Configuration
from domain.configuration_events import Changed
from domain.definition import JSON, Definition, Reference, Strict
from domain.guardrails import Guardrails
from domain.pricing import Money
from domain.prompt import ResponseFormat
from domain.research import Research
from domain.topics import Classification

FUNCTIONS: Mapping[str, str] = {
    "rag_tool": "ask",
    "retrieval_tool": "search",
    "prompt": "run_prompt",
    "agent": "ask_agent",
}
TOOLS = frozenset({"api_tool", "mcp_tool"})
"""Types of actions that are tools of a tool server; they are called by the tools' names."""

absent = partial(operator.is_, None)
"""Whether a field that came when agents were stored already is not set: those keep the form that they had."""
FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")


class Action(Strict):
    """Something that the agent's model may do, told to it as a function."""

    type: Literal["rag_tool", "retrieval_tool", "prompt", "agent", "api_tool", "mcp_tool"]
    tool: Reference
    operation: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        exclude_if=absent,
        description="Of api_tool and mcp_tool: the name of a tool that the tool server offers.",
    )
    function: str | None = Field(
        None, max_length=64, description="What the model calls it by: letters, digits, _ and -; null = by its type."
    )
    description: str = Field("", max_length=4000, description="When and what for the model should use it.")
    answer_directly: bool = Field(False, description="Whether its result is the answer.")
    requires_confirmation: bool = Field(
        False, description="Whether a person must agree, in a conversation, before it is carried out."
    )
    confirmation_message: str | None = Field(
        None,
        max_length=4000,
        exclude_if=absent,
        description="What the person is asked, a template of the arguments; null = by description and arguments.",
    )
    hand_off: bool = Field(
        False,
        exclude_if=operator.not_,
        description="Of type agent: whether the conversation goes on with that agent, instead of asking it.",
    )

    @field_validator("function")
    @classmethod
    def _is_a_function_name(cls, name: str | None) -> str | None:
        if name is not None and not FUNCTION.match(name):
            raise ValueError("a function's name has 1 to 64 letters, digits, _ and -, and starts with a letter or _")
        return name

    @model_validator(mode="after")
    def _only_tools_are_operations(self) -> Self:
        if (self.operation is not None) != (self.type in TOOLS):
            raise ValueError("'operation' goes with the types api_tool and mcp_tool, and they need it")
        return self

    @model_validator(mode="after")
    def _only_agents_take_over(self) -> Self:
        if self.hand_off and self.type != "agent":
            raise ValueError("'hand_off' goes with the type agent")
        return self


def named(actions: Sequence[Action]) -> list[str]:
    """Return the functions of actions: those that are given, else one by the type, numbered where it is taken."""
    names = [action.function or "" for action in actions]
    for place, action in enumerate(actions):
        if not names[place]:
            own = FUNCTIONS.get(action.type) or str(action.operation)
            free = (f"{own[:60]}{number}" for number in ("", *(f"_{n}" for n in range(2, 102))))
            names[place] = next(name for name in free if name not in names)
    return names


def with_functions(actions: Sequence[Action]) -> list[Action]:
    """Return actions that all have a function; raise ValueError where two have the same."""
    given = [action.function for action in actions if action.function is not None]
    if len(set(given)) != len(given):
        raise ValueError("two actions have the same function")
    return [action.model_copy(update={"function": name}) for action, name in zip(actions, named(actions), strict=True)]


class Topic(Strict):
    """Something that an agent is asked about, with instructions and actions of its own."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="What it is called in records.")
    description: str = Field(min_length=1, max_length=4000, description="What messages are about that belong to it.")
    instructions: str = Field("", max_length=200_000, description="What its model is told besides the agent's own.")
    actions: list[Action] = Field(default_factory=list, max_length=100)

    _functions_differ = field_validator("actions")(with_functions)


class Limits(Strict):
    """How far a turn may go."""

    iterations: int = Field(8, ge=1, le=50, description="Model calls of a turn that may ask for actions.")
    seconds: float = Field(300.0, gt=0, le=3600)
    action_seconds: float = Field(60.0, gt=0, le=3600, description="Of one action.")
    tokens: int | None = Field(
        None, ge=1, exclude_if=absent, description="After so many no model is asked any more; null = no limit."
    )
    cost: Money | None = Field(
        None, exclude_if=absent, description="After so much no model is asked any more; null = no limit."
    )


class Memory(Strict):
    """Which earlier messages the model is told again."""

    strategy: Literal["all", "last_n", "summary"] = Field(
        "all", description="`summary`: what is older than the last n is told in short, made anew every n/2 messages."
    )
    n: int = Field(20, ge=1, le=10_000, description="Messages of persons, for last_n and summary.")
    prompt: Reference | None = Field(
        None,
        exclude_if=absent,
        description="Makes a summary, given `summary` (what there is of one) and `messages`; null = the built-in one.",
    )
    model: Reference | None = Field(
        None, exclude_if=absent, description="Makes a summary; null = the prompt's, else the agent's."
    )
    tokens: int | None = Field(
        None, ge=20, le=100_000, exclude_if=absent, description="Of a summary at most; null = 500."
    )

    @model_validator(mode="after")
    def _summaries_are_asked_for(self) -> Self:
        if self.strategy != "summary" and (self.prompt, self.model, self.tokens) != (None, None, None):
            raise ValueError("'prompt', 'model' and 'tokens' go with the strategy summary")
        return self


class AgentSettings(Strict):
    """The fields of an agent that a variant may set differently."""

    instructions: str = Field(min_length=1, max_length=200_000, description="Who it is and what it does.")
    model: Reference | None = Field(None, description="null = the default chat model.")
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    response_format: ResponseFormat = Field(default_factory=ResponseFormat, description="What form its answers have.")
    actions: list[Action] = Field(default_factory=list, max_length=100)
    memory: Memory = Field(default_factory=Memory)
    limits: Limits = Field(default_factory=Limits)
    untrusted: Literal["confirm", "allow"] = Field(
        "confirm",
        description="Once texts from outside are before its model: whether a person must agree to what changes something.",
    )

    topics: list[Topic] = Field(
        default_factory=list, max_length=50, description="Where there are some, their actions serve, not the agent's."
    )
    guardrails: Guardrails = Field(default_factory=Guardrails, description="What is looked for in what is said.")
    channels: dict[ChannelName, Channel] = Field(
        default_factory=dict,
        max_length=20,
        description="What is otherwise where it is talked to by `api`, `slack`, ...",
    )
    classification: Classification | None = Field(
        None, description="How a message's topic is found out; null = it is always the first."
    )
    research: Research | None = Field(
        None, description="How it looks into a question, part by part, before it answers; null = it does not."
    )

    _functions_differ = field_validator("actions")(with_functions)

    @field_validator("topics")
    @classmethod
    def _topics_differ(cls, topics: list[Topic]) -> list[Topic]:
        if len({topic.name for topic in topics}) != len(topics):
            raise ValueError("two topics have the same name")
        return topics

    @model_validator(mode="after")
    def _its_form_is_the_models(self) -> Self:
        actions = [*self.actions, *(action for topic in self.topics for action in topic.actions)]
        if self.response_format.type != "text" and any(action.answer_directly for action in actions):
            raise ValueError("'answer_directly' goes with answers that are text: no model gives them a form")
        return self


REFERRED: Mapping[str, str] = {
    "model": "model",
    "actions/*/tool": "@type",
    "topics/*/actions/*/tool": "@type",
    "classification/prompt": "prompt",
    "classification/model": "model",
    "memory/prompt": "prompt",
    "memory/model": "model",
    "research/model": "model",
    "guardrails/input/*/provider": "provider",
    "guardrails/output/*/provider": "provider",
}
"""What an agent, and each of its variants, refers to."""


class AgentDefinition(Definition, AgentSettings, Conduct):
    """An agent's settings."""

    welcome_message: str = Field("", max_length=10_000)
    sample_questions: list[str] = Field(default_factory=list, max_length=50)
    observability: Literal["none", "metadata", "full"] = Field("full", description="What its runs record.")
    variants: dict[str, dict[str, JSON]] = Field(default_factory=dict, max_length=20)

    REFERENCES: ClassVar[Mapping[str, str]] = {
        **{f"{place}{path}": kind for place in ("", "variants/*/") for path, kind in REFERRED.items()},
        **CONDUCT_REFERRED,
    }

    @model_validator(mode="after")
    def _closing_is_told_apart(self) -> Self:
        actions = [*self.actions, *(action for topic in self.topics for action in topic.actions)]
        if self.may_close and any(action.function == CLOSE_FUNCTION for action in actions):
            raise ValueError(f"an agent that may close conversations has no action of the function {CLOSE_FUNCTION}")
        return self

    @model_validator(mode="after")
    def _variants_fit(self) -> Self:
        if self.variants:
            variants.fit(self, self.variants, AgentSettings)
        return self


class Agent(Configuration):
    """Instructions, a model, and the actions it may take to answer."""

    TOPIC = "agent"
    DEFINITION = AgentDefinition

    @classmethod
    def as_variant(cls, definition: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return the definition as the variant has it, with what the variant leaves open inside its fields."""
        varied = super().as_variant(definition, name)
        return varied if name == variants.DEFAULT else cls.normal(varied)

    class InstructionsChanged(Changed):
        """Who it is and what it does changed."""

        TOPIC = "agent.instructions_changed"
        instructions: str

    class ModelChosen(Changed):
        """Another model, the default one, or other parameters were chosen."""

        TOPIC = "agent.model_chosen"
        model: str | None
        temperature: float | None
        max_tokens: int | None

    class ResponseFormatChanged(Changed):
        """What form its answers have changed."""

        TOPIC = "agent.response_format_changed"
        response_format: dict[str, Any]

    class ActionsChanged(Changed):
        """What it may do changed."""

        TOPIC = "agent.actions_changed"
        actions: list[dict[str, Any]]

    class TopicsChanged(Changed):
        """What it is asked about, or how that is found out, changed."""

        TOPIC = "agent.topics_changed"
        topics: list[dict[str, Any]]
        classification: dict[str, Any] | None

    class GuardrailsChanged(Changed):
        """What is looked for in what is said changed."""

        TOPIC = "agent.guardrails_changed"
        guardrails: dict[str, Any]

    class ChannelsChanged(Changed):
        """What it does otherwise by some ways of talking to it changed."""

        TOPIC = "agent.channels_changed"
        channels: dict[str, dict[str, Any]]

    class MemoryChanged(Changed):
        """Which earlier messages its model is told again changed."""

        TOPIC = "agent.memory_changed"
        memory: dict[str, Any]

    class LimitsChanged(Changed):
        """How far its turns may go changed."""

        TOPIC = "agent.limits_changed"
        limits: dict[str, Any]

    class ResearchSet(Changed):
        """How it looks into questions before it answers changed."""

        TOPIC = "agent.research_set"
        research: dict[str, Any] | None

    class UntrustedSet(Changed):
        """What it may do once texts from outside are before its model changed."""

        TOPIC = "agent.untrusted_set"
        untrusted: str

    class WelcomeChanged(Changed):
        """How it greets, and what it offers to be asked, changed."""

        TOPIC = "agent.welcome_changed"
        welcome_message: str
        sample_questions: list[str]

    class ConversationsSet(Changed):
        """How it holds conversations changed: when a turn runs, in the end, and what is made of them."""

        TOPIC = "agent.conversations_set"
        on_busy: str
        close_after: int | None
        may_close: bool
        titles: dict[str, Any] | None
        post_processing: dict[str, Any] | None

    class ObservabilityChanged(Changed):
        """What its runs record changed."""

        TOPIC = "agent.observability_changed"
        observability: str

    class VariantsChanged(Changed):
        """Its variants changed."""

        TOPIC = "agent.variants_changed"
        variants: dict[str, dict[str, Any]]
