"""Calls whose caller leaves: what was tried is told to whoever keeps account of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from adapters.openai.policy import Call
from commands.models.model_calls import Attempt, ModelCallFailed


@contextmanager
def telling(call: Call, abandoned: Callable[[Sequence[Attempt]], object] | None) -> Iterator[None]:
    """Tell what was tried where neither an answer nor an error can: the caller has left."""
    try:
        yield
    except ModelCallFailed:
        raise
    except BaseException:
        if abandoned is not None:
            abandoned(tuple(call.attempts))
        raise
