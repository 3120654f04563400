"""Replaying a conversation: what persons said is answered again by another version of an agent, beside what was answered."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from commands.agents.actions import ActionDone, Asker
from commands.agents.agent_closing import closing_tools
from commands.agents.agent_loop import AgentLoop, Handed
from commands.agents.agent_talk import Course
from commands.agents.classifying import TopicChosen
from commands.agents.other_agents import HandedOff
from commands.agents.summaries import Memory
from commands.choosing import Chosen, choose
from commands.conversations.attachments import FilesOfTurn
from commands.conversations.private_source import PrivateSources
from commands.models.model_calls import SaidBefore, TextPiece
from commands.ports import Context, Things
from commands.replays.replay_record import ModelsAlone, RecordedActions, TurnRecord
from commands.replays.replay_scoring import Similarities
from commands.replays.scorers import ChosenScorer, Compared, Scoring
from commands.retrieval.retrieval import groups_of
from commands.runs.execution import Asked, Execution, Result, Told
from commands.runs.runs import Recording, Runs
from domain.agent import Agent
from domain.configuration_events import LIVE
from domain.conversation import Conversation
from domain.copied_history import UNREADABLE
from domain.errors import Busy, DomainError, Invalid, NotFound, Unavailable
from domain.replay import summary_of, sums
from domain.turn import content_of, message_told

Mode = Literal["recorded", "live"]


@dataclass(frozen=True, kw_only=True)
class ReplayConversation:
    """Have a conversation's turns answered again by an agent (None: its own) at a version or label.

    Neither: its newest version. `turns` are the ids of those that are; None: all. `concurrency` at once. Answers are
    scored by `scorers`, besides how similar they are to those on record.
    """

    conversation: UUID
    agent: UUID | None = None
    version: int | None = None
    label: str | None = None
    variant: str | None = None
    mode: Mode = "recorded"
    turns: Sequence[str] | None = None
    concurrency: int = 4
    scorers: Sequence[ChosenScorer] = ()


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a candidate has said and done in a turn."""

    text: str
    error: DomainError | None
    topic: str | None
    handed_to: str | None
    closes: bool


@dataclass(frozen=True, kw_only=True)
class Replays:
    """Replays conversations: nothing is recorded in them, and nothing of what the record answers is done again."""

    things: Things
    runs: Runs
    loop: AgentLoop
    memory: Memory
    sources: PrivateSources
    similarities: Similarities
    scoring: Scoring
    execution: Execution

    async def replay(self, command: ReplayConversation, context: Context) -> AsyncGenerator[Any, None]:
        """Yield RunBegan, a Told `turn.replayed` for each turn as it is answered, and last the RunAnswer; or raise.

        What is wrong with the request is raised before anything is recorded.
        """
        conversation = await self.things.newest(Conversation, command.conversation)
        candidate = await self._candidate(command, conversation)
        await self.scoring.must_be_able(command.scorers)
        turns, skipped = chosen_turns(conversation, candidate, command.turns)
        asked = Asked(
            kind="evaluation",
            target=candidate.target(),
            subject=conversation.subject,
            input={"conversation": str(conversation.id), "version": conversation.version, "mode": command.mode},
            observability=candidate.definition["observability"],
        )

        async def work(recording: Recording) -> AsyncGenerator[Told | Result, None]:
            recording.versions["agent"] = candidate.document()
            replayed: list[dict[str, Any]] = []
            replaying = self._replayed(recording, command, conversation, candidate, turns, context)
            async with aclosing(replaying) as each:
                async for turn in each:
                    replayed.append(turn)
                    yield Told(type="turn.replayed", data=turn)
            replayed.sort(key=lambda turn: int(turn["number"]))
            summary = summary_of(replayed)
            body = {
                "conversation": {"id": str(conversation.id), "version": conversation.version},
                "candidate": candidate.document(),
                "mode": command.mode,
                "scorers": [each.document() for each in command.scorers],
                "turns": replayed,
                "skipped": skipped,
                "summary": summary,
            }
            yield Result(body=body, output={"summary": summary})

        async with aclosing(self.execution.carry_out(asked, context, work)) as pieces:
            async for piece in pieces:
                yield piece

    async def _candidate(self, command: ReplayConversation, conversation: Conversation) -> Chosen:
        id = command.agent or conversation.begun_with
        version = command.version
        if version is None and command.label is None:
            version = (await self.things.newest(Agent, id)).version
        return await choose(
            self.things,
            Agent,
            id,
            subject=conversation.subject or str(conversation.id),
            version=version,
            label=command.label or LIVE,
            variant=command.variant,
        )

    async def _replayed(
        self,
        recording: Recording,
        command: ReplayConversation,
        conversation: Conversation,
        candidate: Chosen,
        turns: Sequence[Mapping[str, Any]],
        context: Context,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield turns as they are answered, some at once; none is left under way."""
        gate = asyncio.Semaphore(command.concurrency)

        async def replayed(turn: Mapping[str, Any]) -> dict[str, Any]:
            async with gate:
                return await self._turn(recording, command, conversation.id, candidate, turn, context)

        tasks = [asyncio.ensure_future(replayed(turn)) for turn in turns]
        try:
            for following in asyncio.as_completed(tasks):
                yield await following
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _turn(
        self,
        recording: Recording,
        command: ReplayConversation,
        id: UUID,
        candidate: Chosen,
        turn: Mapping[str, Any],
        context: Context,
    ) -> dict[str, Any]:
        """Return a turn with both answers; what the candidate fails with is its answer."""
        # As it stood at the end of the turn: what is told of earlier ones is what was told then.
        conversation = await self.things.at_version(Conversation, id, turn["ended_version"])
        record = TurnRecord(actions=conversation.turn(turn["id"])["actions"])
        then = recorded(turn)
        with recording.step("turn", f"turn {turn['number']}") as step:
            part = Recording(self.runs, recording.id, context, recording.observability)
            try:
                answered = await self._answered(part, command.mode, record, conversation, candidate, turn, context)
            finally:
                recording.adopt(part, step.number)
            step.outcome = "completed" if answered.error is None else answered.error.error_code
            duration = part.elapsed_ms
            score, scores = None, list[dict[str, Any]]()
            if answered.error is None:
                score = await self.similarities.of(recording, then["text"], answered.text, parent=step.number)
                compared = Compared(
                    message=message_told(turn),
                    expected=then["text"],
                    answer=answered.text,
                    expected_calls=then["tool_calls"],
                    calls=record.answers,
                )
                scores = await self.scoring.scores(recording, command.scorers, compared, parent=step.number)
        error = answered.error
        return {
            "turn": turn["id"],
            "number": turn["number"],
            "message": message_told(turn),
            "recorded": then,
            "candidate": {
                "text": answered.text,
                "tool_calls": record.answers,
                "topic": answered.topic,
                "handed_to": answered.handed_to,
                "closes": answered.closes,
                "error": None if error is None else {"code": error.error_code, "message": str(error)},
                **part.spent(),
                "duration_ms": duration,
            },
            "similarity": score,
            "scores": scores,
            "same_calls": sorted(names_of(then["tool_calls"])) == sorted(names_of(record.answers)),
        }

    async def _answered(
        self,
        part: Recording,
        mode: Mode,
        record: TurnRecord,
        conversation: Conversation,
        candidate: Chosen,
        turn: Mapping[str, Any],
        context: Context,
    ) -> Answered:
        files = await FilesOfTurn.of(
            conversation, turn["id"], self.sources, part, searches=not candidate.definition.get("research")
        )
        said: list[str] = []
        topic = handed_to = None
        closes, error = False, None
        asker = Asker(
            subject=conversation.subject or str(conversation.id),
            groups=groups_of(context.actor),
            variables=conversation.variables,
            files=files.search,
        )

        async def note(done: ActionDone) -> None:
            """Record nothing: the conversation is over."""

        try:
            earlier = await self.memory.of(part, candidate, conversation, turn["id"])
            messages = [*map(SaidBefore, earlier.messages), *files.told(), told_again(turn)]
            replying = self._loop(mode, record).reply(
                part,
                files.known_to(candidate),
                messages,
                asker,
                note,
                confirms=None,  # what a person agreed to or declined is on record
                tools=closing_tools(candidate.definition),
                course=Course(
                    channel=conversation.channel or "api", topic=topic_before(conversation, turn), told=files.found
                ),
            )
            async with aclosing(replying) as pieces:
                async for piece in pieces:
                    match piece:
                        case TextPiece(text=text):
                            said.append(text)
                        case TopicChosen(choice=choice):
                            topic = choice.topic
                        case HandedOff(agent=other):
                            handed_to = other.name
                        case Handed():
                            closes = True
                        case _:
                            pass
        except (Unavailable, Busy):
            raise
        except DomainError as refusal:
            error = refusal
        return Answered(text="".join(said), error=error, topic=topic, handed_to=handed_to, closes=closes)

    def _loop(self, mode: Mode, record: TurnRecord) -> AgentLoop:
        """Return what lets the candidate answer, with the record of the turn in the place of what it does."""
        own = self.loop.actions
        actions = RecordedActions(
            things=own.things,
            answerer=own.answerer,
            prompts=own.prompts,
            tools=own.tools,
            record=record,
            live=mode == "live",
        )
        models = self.loop.models if mode == "live" else ModelsAlone(models=self.loop.models)
        return replace(self.loop, models=models, actions=actions)


def chosen_turns(
    conversation: Conversation, candidate: Chosen, wanted: Sequence[str] | None
) -> tuple[list[Mapping[str, Any]], list[dict[str, str]]]:
    """Return the turns that are replayed, and {turn, reason} of all others that are asked for.

    Where the candidate's agent has answered some turns, those that others answered are not its own.
    """
    turns = list(conversation.turns.values())
    for number, id in enumerate(wanted or ()):
        if id not in conversation.turns:
            raise Invalid(
                "There is no such turn in this conversation.", code="unknown_turn", pointer=f"/turns/{number}"
            )
    own = any(turn["agent"] and turn["agent"]["id"] == str(candidate.id) for turn in turns)
    replayed: list[Mapping[str, Any]] = []
    skipped: list[dict[str, str]] = []
    for turn in turns:
        if wanted is not None and turn["id"] not in wanted:
            continue
        reason = why_not(turn, candidate, own=own)
        if reason is None:
            replayed.append(turn)
        else:
            skipped.append({"turn": turn["id"], "reason": reason})
    if not replayed:
        raise NotFound(
            "No turn of this conversation can be replayed: "
            f"{', '.join(sorted({each['reason'] for each in skipped})) or 'it has none'}.",
            code="nothing_to_replay",
        )
    return replayed, skipped


def why_not(turn: Mapping[str, Any], candidate: Chosen, *, own: bool) -> str | None:
    """Return why a turn is not replayed; None where it is."""
    if turn["copied_from"] is not None:
        return "copied_from_another_conversation"
    if turn["state"] != "completed":
        return str(turn["state"])
    if turn["content"] == UNREADABLE["content"]:
        return "erased"
    if own and turn["agent"]["id"] != str(candidate.id):
        return "answered_by_another_agent"
    return None


def recorded(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was answered in a turn; how long it took is not known of one that waited for a person."""
    taken = [turn["details"], *(leg["details"] for leg in turn["legs"])]
    began, ended = (datetime.fromisoformat(turn[name]) for name in ("started_at", "ended_at"))
    return {
        "text": content_of(turn),
        "agent": turn["agent"],
        "tool_calls": [
            {name: action[name] for name in ("function", "arguments", "outcome")}
            for action in turn["actions"]
            if "/" not in action["id"]  # else another agent's, as part of a call
        ],
        **sums(taken),
        "duration_ms": None if turn["legs"] else round((ended - began).total_seconds() * 1000, 3),
    }


def told_again(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message of a turn as a model is told it."""
    return {"role": "user", "content": message_told(turn)}


def topic_before(conversation: Conversation, turn: Mapping[str, Any]) -> str | None:
    """Return what the conversation was about before a turn."""
    topic = None
    for earlier in list(conversation.turns.values())[: turn["number"] - 1]:
        if earlier["handed_to"] is not None:
            topic = None
        chosen = earlier["topic"]
        topic = topic if chosen is None or chosen["topic"] is None else chosen["topic"]
    return topic


def names_of(calls: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the functions of calls."""
    return (call["function"] for call in calls)
