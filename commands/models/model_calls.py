"""Calling models: what is asked, what comes back piece by piece, and what it took."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from uuid import UUID

from domain.errors import DomainError
from domain.pricing import Cost, Usage


@dataclass(frozen=True, kw_only=True)
class ModelUsed:
    """The exact model that answered: `version` is that of its settings, `model` the provider's name for it."""

    id: UUID
    name: str
    version: int
    model: str
    provider: str


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One request to a provider: `outcome` is `ok`, `cancelled` or the code of what went wrong; times in milliseconds."""

    model: ModelUsed
    outcome: str
    upstream_status: int | None
    duration_ms: float
    usage: Usage
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A function that the model wants called; `arguments` is its JSON text as it came."""

    id: str
    name: str
    arguments: str


class SaidBefore(dict[str, Any]):
    """A message of a conversation's earlier turns. It stands in the conversation's stream: no run repeats it."""


class Attached(SaidBefore):
    """What a model is told of the files of a conversation, in each turn anew."""


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What a chat model is asked.

    `messages`, `tools`, `tool_choice` and `response_format` have the form of OpenAI's chat completions;
    `parameters` may hold temperature, top_p, max_tokens, stop, seed. No model means the default one.
    `abandoned` is told what was tried where the call ends without an answer or an error: its caller left.
    """

    model: UUID | None
    messages: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    abandoned: "Callable[[Sequence[Attempt]], object] | None" = None


@dataclass(frozen=True, kw_only=True)
class TextPiece:
    """Some text of a streamed answer: never empty, never half a character."""

    text: str


@dataclass(frozen=True, kw_only=True)
class ChatAnswer:
    """A whole answer. `usage` and `cost` sum all attempts; times in milliseconds from the first one's start.

    `replaced` counts characters that are no text (NUL, lone surrogates) and became U+FFFD.
    """

    text: str
    tool_calls: Sequence[ToolCall]
    finish_reason: str
    model: ModelUsed
    usage: Usage
    cost: Cost
    attempts: Sequence[Attempt]
    first_token_ms: float | None
    duration_ms: float
    replaced: int = 0


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Vectors of some texts, in their order: float32, little-endian, `dimensions` long."""

    vectors: Sequence[bytes]
    dimensions: int
    model: ModelUsed
    usage: Usage
    cost: Cost
    attempts: Sequence[Attempt] = ()


@dataclass(frozen=True, kw_only=True)
class RerankRequest:
    """What a reranking model is asked: how well each document answers the query.

    `abandoned` is told what was tried where the call ends without an answer or an error: its caller left.
    """

    model: UUID
    query: str
    documents: Sequence[str]
    abandoned: "Callable[[Sequence[Attempt]], object] | None" = None


@dataclass(frozen=True, kw_only=True)
class Reranked:
    """How well each document answers the query, in their order; None for one that the model left out."""

    scores: Sequence[float | None]
    model: ModelUsed
    usage: Usage
    cost: Cost
    attempts: Sequence[Attempt] = ()


class NoModel(DomainError):
    """No model is named, and there is no default one of this kind: create a model, or set `default` on one."""

    code: ClassVar[str] = "no_model"


class ModelCallFailed(DomainError):
    """The model's provider failed.

    `details` has `provider` and `upstream_status`; `attempts` what was tried and what it cost; `text`
    what had reached the caller before.
    """

    code: ClassVar[str] = "model_call_failed"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        attempts: Sequence[Attempt] = (),
        text: str = "",
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.attempts = attempts
        self.text = text


class ModelCallTimedOut(ModelCallFailed):
    """The model's provider did not answer in time."""

    code: ClassVar[str] = "model_call_timed_out"


class ModelLimitReached(ModelCallFailed):
    """A limit of the model or its provider is reached: try again later.

    `details` has `retry_after` in seconds where it is known.
    """

    code: ClassVar[str] = "model_limit_reached"


class ChatModels(Protocol):
    """Calls chat models."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[TextPiece | ChatAnswer, None]:
        """Yield pieces as they come, and last one ChatAnswer; closing it closes the call upstream.

        Raises NoModel or ModelCallFailed; nothing is retried once a piece was yielded.
        """

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """Return the whole answer; the same accounting as a stream."""


class EmbeddingModels(Protocol):
    """Calls embedding models."""

    async def embed(
        self,
        model: UUID | None,
        texts: Sequence[str],
        space: str | None = None,
        *,
        abandoned: "Callable[[Sequence[Attempt]], object] | None" = None,
    ) -> Embedded:
        """Return the texts' vectors, or raise NoModel or ModelCallFailed; many texts become several requests.

        `abandoned` is told what was tried where it ends without either: its caller left.

        Where vectors of a space are wanted (domain.retrieval.space_name), the model is called as it was when it made
        those that are there: by the name of then at its provider.
        """


class RerankModels(Protocol):
    """Calls reranking models."""

    async def rerank(self, request: RerankRequest) -> Reranked:
        """Return the documents' scores, or raise NoModel or ModelCallFailed."""


class OfferedModels(Protocol):
    """Asks providers which models they offer."""

    async def available(self, provider: UUID) -> Sequence[str]:
        """Return the names by the provider's own list, or raise NotFound, Archived or ModelCallFailed."""
