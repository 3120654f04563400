"""What can be asked of a conversation as it stands, and what must be so before something is done with it."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from domain.errors import NotFound, StaleVersion
from domain.turn import (
    OPEN_STATES,
    ConversationClosed,
    TurnEnded,
    TurnInProgress,
    TurnNotNewest,
    content_of,
    messages_of,
)


class ConversationState:
    """The questions that a conversation answers of itself; it changes nothing."""

    version: int
    agent: str
    turns: dict[str, dict[str, Any]]
    confirmations: dict[str, dict[str, Any]]
    closed: bool

    def turn(self, id: str) -> dict[str, Any]:
        """Return a turn, or raise NotFound."""
        if id not in self.turns:
            raise NotFound("There is no such turn in this conversation.")
        return self.turns[id]

    def confirmation(self, id: str) -> dict[str, Any]:
        """Return what a person is asked to agree to, or raise NotFound."""
        if id not in self.confirmations:
            raise NotFound("There is no such confirmation in this conversation.")
        return self.confirmations[id]

    @property
    def begun_with(self) -> UUID:
        """The agent whose settings say how the conversation is held."""
        return UUID(self.agent)

    @property
    def answered(self) -> bool:
        """Whether the agent has answered something."""
        return any(turn["state"] == "completed" for turn in self.turns.values())

    @property
    def running(self) -> dict[str, Any] | None:
        """The turn that goes on, or waits for a person."""
        return next((turn for turn in reversed(self.turns.values()) if turn["state"] in OPEN_STATES), None)

    def must_be_at(self, version: int | None) -> None:
        """Raise StaleVersion unless no version is asked for or it is the present one."""
        if version not in (None, self.version):
            raise StaleVersion(details={"current_version": self.version})

    def must_be_open(self) -> None:
        """Raise ConversationClosed where it is closed."""
        if self.closed:
            raise ConversationClosed

    def must_be_idle(self) -> None:
        """Raise TurnInProgress where a turn goes on, or waits until one has ended."""
        for turn in reversed(self.turns.values()):
            if turn["state"] in ("running", "queued"):
                raise TurnInProgress(details={"turn": turn["id"]})

    def must_be_newest(self, run: UUID) -> None:
        """Raise TurnNotNewest unless the newest turn is, or goes on as, this run."""
        newest = next(reversed(self.turns.values()), None)
        if newest is None or newest["run_id"] != str(run):
            raise TurnNotNewest

    def turn_of(self, run: UUID) -> dict[str, Any]:
        """Return the turn that is, was, or went on as a run, or raise NotFound."""
        for turn in self.turns.values():
            if str(run) in (turn["run_id"], *(leg["run_id"] for leg in turn["legs"])):
                return turn
        raise NotFound("There is no such turn in this conversation.")

    def must_go_on(self, turn: str) -> None:
        """Raise TurnEnded unless a turn runs."""
        if self.turn(turn)["state"] != "running":
            raise TurnEnded

    def history(self, upto: str, persons_messages: int | None = None) -> list[dict[str, Any]]:
        """Return the messages before a turn as its model is told them: of turns that were answered, all of it.

        With `persons_messages`, only what was said since the last so many.
        """
        turns = self.told_before(upto)
        first = 0 if persons_messages is None else max(0, len(turns) - persons_messages)
        return messages_of(turns[first:])

    def told_before(self, upto: str) -> list[dict[str, Any]]:
        """Return the turns before another one whose messages a model is told.

        It is told of none that was tried again, and of none in which it may not know what was said.
        """
        retried = {turn["retry_of"] for turn in self.turns.values()}
        before = self.turns[upto]["number"] - 1
        turns = list(self.turns.values())[:before]
        return [turn for turn in turns if turn["id"] not in retried and not turn["refused"]]

    def said(self) -> Iterator[str]:
        """Yield every text that was said, by either side."""
        for turn in self.turns.values():
            yield turn["content"]
            yield content_of(turn)
