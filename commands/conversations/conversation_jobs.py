"""What conversations have done by jobs, asked for with the events that make it due."""

from collections.abc import Mapping
from uuid import UUID

from commands.configuration import JSONObject
from commands.ports import Things, Unit
from commands.runs.runs import LEASE
from domain.agent import Agent
from domain.configuration_events import LIVE
from domain.conversation import Conversation
from domain.conversation_queue import next_queued

QUEUED_TURNS = "queued_turns"
"""The kind of job that begins the turn that waits longest; its key is the conversation's id, as that of the others."""

BACKGROUND_TURNS = "background_turns"
"""The kind of job that carries out a turn that nobody waits for; its key is the turn's id."""

NOBODY = UUID(int=0)
"""Who holds the lease of a turn until a process takes it."""

UNTAKEN = 7200.0
"""Seconds after which a turn that no process has taken counts as interrupted: longer than its job is tried."""

CLOSE_IDLE = "close_idle"
"""Closes a conversation in which nothing was said for long enough."""

POST_PROCESSING = "post_processing"
"""Looks at a conversation that was closed."""

TITLE = "title"
"""Gives a conversation a title."""

CHANNEL_ANSWERS = "channel_answers"
"""Tells what was said in the thread of the channel by which it is held."""

INDEX_FILES = "index_files"
"""Indexes the files of a conversation, or removes what was made of them once it is closed."""

FIND_IDLE = "find_idle"
"""Asks for `CLOSE_IDLE` for all open conversations of an agent, whose id is the key."""


def live_definition(agent: Agent) -> JSONObject:
    """Return what an agent is at present, archived or not."""
    definition: JSONObject = agent.labels[LIVE]["definition"]
    return definition


def have_carried_out(
    unit: Unit,
    conversation: Conversation,
    turn: str,
    owner: UUID | None,
    channel: str,
    attributes: Mapping[str, str],
) -> None:
    """Have a turn carried out by a process, or (None) by whichever takes its job."""
    lease = {"id": turn, "kind": "turn", "stream": str(conversation.id)}
    if owner is not None:
        unit.effect("lease", **lease, owner=str(owner), seconds=LEASE)
        return
    unit.effect("lease", **lease, owner=str(NOBODY), seconds=UNTAKEN)
    told = {"conversation": str(conversation.id), "channel": channel, "attributes": dict(attributes)}
    unit.effect("job", kind=BACKGROUND_TURNS, key=turn, payload=told)


def wake_queue(unit: Unit, conversation: Conversation) -> None:
    """Have the turn begin that waits longest, where nothing is before it any more."""
    if next_queued(conversation) is not None:
        unit.effect("job", kind=QUEUED_TURNS, key=str(conversation.id))


def tell_channel(unit: Unit, conversation: Conversation) -> None:
    """Have told what there is to be told where it is held in a thread elsewhere."""
    if conversation.thread is not None:
        unit.effect("job", kind=CHANNEL_ANSWERS, key=str(conversation.id))


def turn_over(unit: Unit, conversation: Conversation) -> None:
    """Ask for what follows when a turn has ended, however that was."""
    wake_queue(unit, conversation)
    tell_channel(unit, conversation)


def close_later(unit: Unit, conversation: Conversation, definition: JSONObject) -> None:
    """Have it closed when nothing is said for as long as its agent waits."""
    if definition.get("close_after") is not None and not conversation.closed:
        unit.effect("job", kind=CLOSE_IDLE, key=str(conversation.id), delay=definition["close_after"])


async def after_turn(unit: Unit, conversation: Conversation, things: Things) -> None:
    """Ask for what is to be done when a turn has ended."""
    turn_over(unit, conversation)
    definition = live_definition(await things.newest(Agent, conversation.begun_with))
    close_later(unit, conversation, definition)
    if definition.get("titles") is not None and conversation.title is None and conversation.answered:
        unit.effect("job", kind=TITLE, key=str(conversation.id))
    if conversation.closed:
        after_closing(unit, conversation)


def after_closing(unit: Unit, conversation: Conversation) -> None:
    """Ask for what is to be done when it has been closed."""
    if conversation.turns:
        unit.effect("job", kind=POST_PROCESSING, key=str(conversation.id))
    if conversation.files:
        unit.effect("job", kind=INDEX_FILES, key=str(conversation.id))
