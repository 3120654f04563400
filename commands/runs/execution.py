"""What runs of every kind share: begun on record, answered once per key, ended before the answer is given out."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from commands.models.model_calls import TextPiece
from commands.ports import Context
from commands.runs.runs import EarlierAnswers, Recording, Runs, answer_of
from domain.run import Kind


@dataclass(frozen=True, kw_only=True)
class RunBegan:
    """The run is on record; `replayed` where an earlier request with this key began it."""

    run_id: UUID
    position: int
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class RunAnswer:
    """The answer as it is shown; `replayed` where an earlier request with this key gave it."""

    body: Mapping[str, Any]
    position: int
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """What work came to: the answer's body without usage, cost and run, and what the record keeps as its output."""

    body: Mapping[str, Any]
    output: Any


@dataclass(frozen=True, kw_only=True)
class Told:
    """Something that whoever follows a run is told of, under this name."""

    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a run is begun with; with an id that was taken before, to choose a variant by."""

    kind: Kind
    target: Mapping[str, Any]
    subject: str | None
    input: Any
    observability: str = "full"
    id: UUID | None = None


Work = Callable[[Recording], AsyncGenerator[Any, None]]
"""Yields whatever its caller passes on, and last one Result."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request in which nothing is wrong: what its run is begun with, and the work."""

    asked: Asked
    work: Work


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Carries work out as a recorded run."""

    runs: Runs
    earlier: EarlierAnswers

    async def carry_out(self, asked: Asked, context: Context, work: Work) -> AsyncGenerator[Any, None]:
        """Yield RunBegan, what the work yields, and last the RunAnswer; or raise, with the failure on record."""
        recording, receipt = await self.runs.start(
            id=asked.id or uuid4(),
            kind=asked.kind,
            target=asked.target,
            context=context,
            subject=asked.subject,
            input=asked.input,
            observability=asked.observability,
        )
        if receipt.replayed and context.idempotency is not None:
            earlier, position = await self.earlier.wait(context.idempotency, receipt.id)
            yield RunBegan(run_id=receipt.id, position=receipt.position, replayed=True)
            yield RunAnswer(body=earlier, position=position, replayed=True)
            return
        async with recording.guarded():
            yield RunBegan(run_id=recording.id, position=receipt.position)
            async with aclosing(work(recording)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Result):
                        result = piece
                        continue
                    if isinstance(piece, TextPiece):
                        recording.first_token()
                    yield piece
            body = {**result.body, **recording.spent(), "run_id": str(recording.id)}
            await recording.finish("completed", output=result.output, answer=answer_of(body))
        assert recording.receipt is not None
        yield RunAnswer(body=body, position=recording.receipt.position)


async def whole(pieces: AsyncGenerator[Any, None]) -> RunAnswer:
    """Return the answer of a run, when it is there."""
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, RunAnswer):
                return piece
    raise AssertionError("a run ends with an answer or an error")
