"""The answering of one turn: what its agent does and says, recorded and told as it happens."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from commands.agents.actions import ActionDone, Asker
from commands.agents.agent_closing import closing_tools, with_last_words
from commands.agents.agent_loop import AgentLoop, Handed
from commands.agents.agent_talk import ActionStarted, Course
from commands.agents.classifying import TopicChosen
from commands.agents.guarding import Exposure
from commands.agents.guardrails import Triggered
from commands.agents.looking_back import LookingBack
from commands.agents.other_agents import HandedOff
from commands.agents.pausing import resumption_of
from commands.agents.researching import Learned, Planned, Reflected
from commands.agents.summaries import Memory
from commands.bus import Bus, Command
from commands.choosing import Chosen
from commands.conversations.attachments import FilesOfTurn
from commands.conversations.conversation_course import HandOff, NoteBegun, NoteGuardrail, NoteSummary, NoteTopic
from commands.conversations.conversation_research import NoteFindings, NotePlan, NoteReflection
from commands.conversations.private_source import PrivateSources
from commands.conversations.turn_work import Work, action_of
from commands.models.model_calls import SaidBefore, TextPiece
from commands.ports import Things
from commands.retrieval.answering import Cited
from commands.retrieval.retrieval import groups_of
from domain.conversation import Conversation
from domain.topics import TopicChoice
from domain.turn import Pause, Reply, message_told
from domain.turn_effects import attempts_before, told_of


@dataclass(frozen=True, kw_only=True)
class TurnAnswering:
    """Has turns answered."""

    bus: Bus
    things: Things
    loop: AgentLoop
    memory: Memory
    looking_back: LookingBack
    sources: PrivateSources

    async def answer(self, work: Work, agent: Chosen) -> Reply | Pause:
        """Return the reply, and tell the stream what happens on the way."""
        conversation = await self.things.since(Conversation, work.conversation, work.version)
        turn = conversation.turn(str(work.turn))
        earlier = await self._remembered(work, agent, conversation)

        async def remembered(other: Chosen) -> Sequence[SaidBefore]:
            return await self._remembered(work, other, await self.things.newest(Conversation, work.conversation))

        resumed = resumption_of(conversation, str(work.turn))
        await self.sources.prepare(conversation)
        files = await FilesOfTurn.of(
            conversation,
            str(work.turn),
            self.sources,
            work.recording,
            given=None if resumed is None else resumed.given,
            searches=not agent.definition.get("research"),  # that searches by itself, and numbers what it finds
        )
        asker = Asker(
            subject=conversation.subject or str(conversation.id),
            groups=groups_of(work.context.actor),
            variables=conversation.variables,
            files=files.search,
        )
        work.recording.versions["agent"] = agent.document()

        async def note(done: ActionDone) -> None:
            work.note(asyncio.ensure_future(self.bus.dispatch(action_of(work, done), work.inside)), done)

        async def starting(started: ActionStarted) -> None:
            call = started.call
            begun = NoteBegun(**of(work), call=call.id, function=call.name, type=started.type, arguments=call.arguments)
            await self._note(work, begun)

        told = [] if work.instructions is None else [{"role": "system", "content": work.instructions}]
        told += told_of(attempts_before(conversation, str(work.turn)))
        messages = [
            *earlier,
            *told,
            *files.told(),
            {"role": "user", "content": message_told(turn)},
        ]
        if resumed is not None:
            work.said.append(resumed.content)
        reply: Reply | Pause | None = None

        spoken = len(work.said)

        def began(started: ActionStarted) -> None:
            nonlocal spoken
            spoken = len(work.said)
            work.stream.publish(
                "tool.started",
                {"id": started.call.id, "function": started.call.name, "tool_type": started.type},
            )

        course = Course(
            channel=conversation.channel or work.context.channel,
            topic=conversation.topic,
            choice=TopicChoice.of(turn["topic"]),
            began=began,
            exposure=Exposure.of(conversation, str(work.turn)),
            starting=starting,
            earlier=[leg["details"] for leg in turn["legs"]],
            research=turn["research"],
            remembered=remembered,
            told=files.found,
        )
        replying = self.loop.reply(
            work.recording,
            files.known_to(agent),
            messages,
            asker,
            note,
            resumed=resumed,
            confirms=True,
            tools=work.tools.beside(closing_tools(agent.definition)),
            course=course,
        )
        async with aclosing(replying) as pieces:
            async for piece in pieces:
                if isinstance(piece, ActionDone):
                    continue  # told when it is recorded; meanwhile the model may be asked again
                if work.notes:
                    await work.noted()
                match piece:
                    case TextPiece(text=text):  # the most of what comes
                        work.said.append(text)
                        work.stream.publish("message.delta", {"text": text})
                    case Triggered():
                        found = piece.document()
                        await self._note(work, NoteGuardrail(**of(work), found=found, told=piece.told))
                        work.stream.publish("guardrail.triggered", found)
                    case TopicChosen(choice=choice):
                        await self._note(work, NoteTopic(**of(work), choice=choice))
                        work.stream.publish("topic.chosen", choice.document())
                    case Planned() | Learned() | Reflected():
                        await self._researched(work, piece)
                    case HandedOff(agent=other):
                        await self._note(work, HandOff(**of(work), agent=other.document()))
                        work.stream.publish("agent.handed_off", {"agent": other.document()})
                    case ActionStarted():
                        began(piece)
                    case Cited(citation=citation):
                        work.stream.publish("citation", {"citation": dict(citation)})
                    case Handed():
                        work.closes = True
                    case Reply() if work.closes:
                        reply = with_last_words(piece, work.said[spoken:])
                    case Reply() | Pause():
                        reply = piece
        assert reply is not None
        return reply

    async def _researched(self, work: Work, piece: Planned | Learned | Reflected) -> None:
        """Note how far the research has come, and tell it."""
        match piece:
            case Planned():
                plan = NotePlan(**of(work), questions=piece.questions, fell_back=piece.fell_back, spent=piece.spent)
                await self._note(work, plan)
                work.stream.publish("research.planned", piece.document())
            case Learned(noted=noted):
                await self._note(work, NoteFindings(**of(work), noted=noted, spent=piece.spent))
                work.stream.publish("research.noted", noted.document())
            case Reflected():
                reflection = NoteReflection(
                    **of(work), questions=piece.questions, fell_back=piece.fell_back, spent=piece.spent
                )
                await self._note(work, reflection)
                work.stream.publish("research.reflected", piece.document())

    async def _remembered(self, work: Work, agent: Chosen, conversation: Conversation) -> Sequence[SaidBefore]:
        """Return the messages before the turn, as an agent's model is told them; a summary that was made is kept."""
        seen = await self.looking_back.seen(work.recording, agent, conversation, str(work.turn))
        found = await self.memory.of(work.recording, agent, seen, str(work.turn))
        if found.summary is not None and found.upto is not None:
            await self._note(work, NoteSummary(**of(work), upto=found.upto, summary=found.summary))
        return [SaidBefore(each) for each in found.messages]

    async def _note(self, work: Work, command: Command) -> None:
        await self.bus.dispatch(command, work.inside)


def of(work: Work) -> dict[str, Any]:
    """Return the conversation and the turn, as commands name them."""
    return {"id": work.conversation, "turn": str(work.turn)}
