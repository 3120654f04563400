"""Chat completions: one call with all its attempts, streamed or plain."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

from adapters.model_catalogue import CalledModel
from adapters.openai.abandoning import telling
from adapters.openai.chat_answer import ChatReading
from adapters.openai.chat_request import body_of
from adapters.openai.chat_stream import LONGEST_BODY, ChatStream, must_be_data
from adapters.openai.failures import Failure
from adapters.openai.oddities import OPTIONAL, Oddities
from adapters.openai.patience import Patience
from adapters.openai.policy import Call, Policy, Trial, sum_of, total_of, used
from adapters.openai.usage import estimated, tokens_of_request
from adapters.openai.wire import Exchange, Wire
from commands.models.model_calls import ChatAnswer, ChatRequest, TextPiece, ToolCall

PATH = "/chat/completions"


class ChatCalls:
    """Calls chat models over the wire."""

    def __init__(self, wire: Wire, policy: Policy, oddities: Oddities) -> None:
        self._wire = wire
        self._policy = policy
        self._oddities = oddities

    async def stream(
        self, route: Sequence[CalledModel], request: ChatRequest
    ) -> AsyncGenerator[TextPiece | ChatAnswer, None]:
        """Yield the pieces, then the answer."""
        tokens = cache(partial(tokens_of_request, request.messages, request.tools))
        call = self._policy.call(route, lambda: tokens() + _room(request))
        first: float | None = None
        with telling(call, request.abandoned):
            async for trial in call:
                reading = ChatReading()
                tool_calls: Sequence[ToolCall] = ()
                async with trial:
                    patience = _patience(trial, streams=True)
                    exchange = self._exchange(trial, request, patience, stream=True)
                    with self._noting(trial, exchange, reading, tokens):
                        async with exchange:
                            pieces = ChatStream(exchange, reading, patience)
                            while (texts := await pieces.next()) is not None:
                                for text in texts:
                                    trial.passed_on.append(text)
                                    first = first or call.timing.now()
                                    yield TextPiece(text=text)
                        tool_calls = reading.tool_calls()
                if trial.ended_well:
                    answer = _answer(call, trial, reading, tool_calls, first)
                    break
        yield answer

    async def complete(self, route: Sequence[CalledModel], request: ChatRequest) -> ChatAnswer:
        """Return the whole answer."""
        tokens = cache(partial(tokens_of_request, request.messages, request.tools))
        call = self._policy.call(route, lambda: tokens() + _room(request))
        with telling(call, request.abandoned):
            async for trial in call:
                reading = ChatReading()
                tool_calls: Sequence[ToolCall] = ()
                async with trial:
                    patience = _patience(trial, streams=False)
                    exchange = self._exchange(trial, request, patience, stream=False)
                    with self._noting(trial, exchange, reading, tokens):
                        async with exchange:
                            must_be_data(exchange, "application/json")
                            reading.whole(await exchange.read_all(LONGEST_BODY))
                        tool_calls = reading.tool_calls()
                if trial.ended_well:
                    return _answer(call, trial, reading, tool_calls, None)
        raise AssertionError("a call ends by an answer or by an error")

    def _exchange(self, trial: Trial, request: ChatRequest, patience: Patience, *, stream: bool) -> Exchange:
        body = body_of(request, trial.model, stream=stream, leave_out=self._oddities.of(trial.model))
        return self._wire.post(trial.model, PATH, body, patience)

    @contextmanager
    def _noting(
        self, trial: Trial, exchange: Exchange, reading: ChatReading, tokens: Callable[[], int]
    ) -> Iterator[None]:
        """Keep what a trial took, however it ends: once an answer began, its input was read and is paid for."""
        answered = False
        try:
            yield
            answered = True
        except Failure as failure:
            self._oddities.learn(trial.model, failure, OPTIONAL)
            answered = failure.answered
            raise
        except BaseException:
            answered = exchange.status is not None
            raise
        finally:
            trial.status = exchange.status
            if answered:
                trial.usage = reading.usage or estimated(tokens(), reading.written)


def _answer(
    call: Call, trial: Trial, reading: ChatReading, tool_calls: Sequence[ToolCall], first: float | None
) -> ChatAnswer:
    usage, cost = sum_of(call.attempts)
    return ChatAnswer(
        text=reading.text,
        tool_calls=tool_calls,
        finish_reason=reading.finish_reason or ("tool_calls" if tool_calls else "stop"),
        model=used(trial.model),
        usage=usage,
        cost=cost,
        attempts=tuple(call.attempts),
        first_token_ms=None if first is None else (first - call.started) * 1000,
        duration_ms=(call.timing.now() - call.started) * 1000,
        replaced=reading.replaced,
    )


def _patience(trial: Trial, *, streams: bool) -> Patience:
    timeouts = trial.model.provider.definition.timeouts
    return Patience(timeouts, total=total_of(trial.model), left=trial.seconds, streams=streams)


def _room(request: ChatRequest) -> int:
    """Return how many tokens the answer may have at most, as far as it is said."""
    most = request.parameters.get("max_tokens")
    return most if isinstance(most, int) else 0
