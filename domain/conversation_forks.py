"""Forks: conversations that begin with what was said in another one until then, and go their own way.

A fork keeps nothing of its origin by reference: what it was begun with stands in its own stream, under the data key
of the same subject. Its origin is not changed by it, so one that is closed can be forked too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID, uuid5

from domain.conversation import Conversation
from domain.conversation_files import file_id
from domain.copied_history import portions
from domain.errors import Conflict, Invalid, NotFound
from domain.turn import TurnInProgress, answer_id, content_of, turn_id
from domain.turn_effects import carried_after, effects


class NothingToEdit(Conflict):
    """Nothing was said in this conversation yet that could be said otherwise."""

    code = "nothing_to_edit"


class Cut:
    """Where a conversation is forked: the turns that come along, and what the last of them leaves out.

    `left` are the turns that tried to answer what is to be answered anew: they do not come along, what they did does.
    """

    def __init__(
        self,
        turns: Sequence[Mapping[str, Any]],
        message: str | None,
        *,
        unanswered: bool = False,
        left: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.turns = turns
        self.message = message
        self.unanswered = unanswered
        self.left = left

    @classmethod
    def after(cls, origin: Conversation, message: str | None) -> Self:
        """Return the cut after a message (None: after the newest); raise NotFound or TurnInProgress.

        After what a person said, its answer is left out: the fork can be asked for one by trying the turn again.
        """
        turns = list(origin.turns.values())
        if message is None:
            return cls.whole(turns, None)
        place, is_answer = place_of(turns, message)
        kept = turns[: place + 1]
        if is_answer:
            return cls.whole(kept, message)
        must_have_ended(kept[:-1])
        return cls(kept, message, unanswered=True, left=trying(turns, message))

    @classmethod
    def before(cls, origin: Conversation, message: str | None) -> Self:
        """Return the cut before what a person said (None: the last time).

        Raises NotFound, Invalid, NothingToEdit, or TurnInProgress where something before it is not answered yet.
        """
        turns = list(origin.turns.values())
        if message is None:
            if not turns:
                raise NothingToEdit
            message = str(turns[-1]["message_id"])
        place, is_answer = place_of(turns, message)
        if is_answer:
            raise Invalid("Only what a person said can be said otherwise: name their message.", pointer="/message_id")
        return cls.whole(turns[:place], message, left=trying(turns, message))

    @classmethod
    def whole(
        cls, turns: Sequence[Mapping[str, Any]], message: str | None, *, left: Sequence[Mapping[str, Any]] = ()
    ) -> Self:
        """Return the cut after turns that have all ended, or raise TurnInProgress."""
        must_have_ended(turns)
        return cls(turns, message, left=left)


def trying(turns: Sequence[Mapping[str, Any]], message: str) -> list[Mapping[str, Any]]:
    """Return the turns in which it was tried to answer what a person said."""
    return [turn for turn in turns if turn["message_id"] == message]


def must_have_ended(turns: Sequence[Mapping[str, Any]]) -> None:
    """Raise TurnInProgress unless all of these turns have ended: nobody would carry out a copy of one that goes on."""
    for turn in turns:
        if turn["state"] in ("running", "queued"):
            raise TurnInProgress(details={"turn": turn["id"]})


def place_of(turns: Sequence[Mapping[str, Any]], message: str) -> tuple[int, bool]:
    """Return in which turn a message was said first, and whether it answers; or raise NotFound."""
    for place, turn in enumerate(turns):
        if turn["message_id"] == message:
            return place, False
        if str(answer_id(UUID(turn["id"]))) == message and (turn["reply"] is not None or turn["partial"]):
            return place, True
    raise NotFound("There is no such message in this conversation.")


def fork(
    origin: Conversation, cut: Cut, *, id: UUID, subject: str | None, principal: Mapping[str, str]
) -> Conversation:
    """Begin a conversation with the turns of a cut."""
    made = Conversation.begin(
        id=id,
        agent=UUID(origin.agent),
        subject=held_for(origin, subject),
        principal=principal,
        variables=origin.variables,
        welcome=origin.welcome,
        channel=origin.channel,
    )
    ids = {turn["id"]: str(turn_id(id, number)) for number, turn in enumerate(cut.turns, 1)}
    messages: dict[str, str] = {}
    turns = []
    for number, turn in enumerate(cut.turns, 1):
        mine = ids[turn["id"]]
        said = messages.setdefault(turn["message_id"], str(uuid5(UUID(mine), "user")))
        turns.append(frame(turn, cut, id=mine, number=number, message_id=said, retry_of=ids.get(turn["retry_of"])))
    copied = [
        {**texts(turn, UUID(ids[turn["id"]]), cut), **files(origin, turn, said)}
        for turn, said in zip(cut.turns, [turn["message_id"] for turn in turns], strict=True)
    ]
    (first, first_texts), *others = portions(turns, copied)
    made.trigger_event(
        Conversation.HistoryCopied,
        origin={
            "conversation": str(origin.id),
            "version": origin.version,
            "turn": cut.turns[-1]["id"] if cut.turns else None,
            "message": cut.message,
        },
        subject=made.subject,
        turns=first,
        texts=first_texts,
    )
    for more, more_texts in others:
        made.trigger_event(Conversation.HistoryContinued, subject=made.subject, turns=more, texts=more_texts)
    left = [] if cut.unanswered else effects(cut.left)
    carried = [*carried_after(origin, cut.turns), *map(dict, left)]
    if carried:
        made.trigger_event(Conversation.EffectsCarried, subject=made.subject, actions=carried)
    return made


def held_for(origin: Conversation, subject: str | None) -> str | None:
    """Return for whom a fork is held, or raise Invalid: for whom its origin is, or for somebody where that is nobody."""
    if origin.subject is not None and subject not in (None, origin.subject):
        raise Invalid(
            "What was said in this conversation is its subject's: it can't be forked for another one.",
            code="other_subject",
            pointer="/subject",
        )
    return origin.subject or subject


def left_out(turn: Mapping[str, Any], cut: Cut) -> bool:
    """Return whether the answer of a turn does not come along."""
    return cut.unanswered and turn is cut.turns[-1]


def frame(turn: Mapping[str, Any], cut: Cut, **here: Any) -> dict[str, Any]:
    """Return what a fork keeps of a turn without what was said in it; what waited for a person there, does not here."""
    unanswered = left_out(turn, cut)
    state = "cancelled" if unanswered or turn["state"] == "awaiting_confirmation" else turn["state"]
    return {
        **here,
        "state": state,
        "run_id": turn["run_id"],
        "agent": turn["agent"],
        "topic": None if unanswered else turn["topic"],
        "guardrails": turn["guardrails"],
        "refused": turn["refused"],
        "handed_to": None if unanswered else turn["handed_to"],
        "error": None if unanswered else turn["error"],
        "started_at": turn["started_at"],
        "ended_at": turn["started_at"] if unanswered else turn["ended_at"],
        "copied_from": turn["copied_from"] or turn["id"],
    }


def files(origin: Conversation, turn: Mapping[str, Any], message: str) -> dict[str, Any]:
    """Return the files of a turn's message, as those of the message here."""
    given = origin.files.get(turn["message_id"])
    if not given:
        return {}
    return {"files": [{**file, "id": file_id(message, number)} for number, file in enumerate(given, 1)]}


def texts(turn: Mapping[str, Any], here: UUID, cut: Cut) -> dict[str, Any]:
    """Return what was said in a turn, its answer as that of the turn here; where that is left out, what was changed."""
    if left_out(turn, cut):
        return {"content": turn["content"], "told": turn["told"], "actions": effects(cut.left)}
    reply = turn["reply"]
    return {
        "content": turn["content"],
        "told": turn["told"],
        "reply": None if reply is None else {**reply, "id": str(answer_id(here))},
        "partial": content_of(turn) if turn["state"] == "awaiting_confirmation" else turn["partial"],
        "actions": turn["actions"],
    }
