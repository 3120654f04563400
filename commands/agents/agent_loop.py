"""An agent's answer: its model is asked, does what it asks for, and asked again, until it says something."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from typing import Any

from commands.agents.acting import carried_out
from commands.agents.actions import ActionDone, Actions, Asker
from commands.agents.agent_brief import FINDING, brief_of, channel_of, may_cite
from commands.agents.agent_part import Assignment, Part
from commands.agents.agent_talk import (
    BEGINNING,
    NO_TOOLS,
    Acting,
    ActionStarted,
    ClientTools,
    Course,
    Note,
    Talk,
    assistant_message,
    decided,
    paused,
)
from commands.agents.budgets import Budget
from commands.agents.classifying import Classifier, TopicChosen
from commands.agents.confirming import questions
from commands.agents.guarding import Exposure, Guard
from commands.agents.guardrails import Blocked, Guards, Triggered, Watch
from commands.agents.other_agents import HandedOff, Nested, OtherAgents
from commands.agents.pausing import Resumption
from commands.agents.researching import Findings, Learned, Planned, Reflected, Researcher, researches, writing
from commands.agents.screening import Screen
from commands.choosing import Chosen
from commands.deadline import Deadline
from commands.models.model_calls import (
    Attached,
    ChatAnswer,
    ChatModels,
    ModelCallFailed,
    NoModel,
    SaidBefore,
    TextPiece,
    ToolCall,
)
from commands.models.saying import say
from commands.prompt_run import InvalidOutput, asked_again, fitting
from commands.retrieval.answering import Cited
from commands.retrieval.quoting import quoted
from commands.runs.runs import Recording
from domain.topics import TopicChoice
from domain.turn import Pause, Reply


class TurnTimedOut(ModelCallFailed):
    """The turn took longer than its agent's limit allows."""

    code = "turn_timed_out"


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What whoever asks is to do before the agent can go on."""

    calls: Sequence[ToolCall]


Piece = (
    Triggered
    | TopicChosen
    | HandedOff
    | TextPiece
    | ActionStarted
    | ActionDone
    | Cited
    | Handed
    | Planned
    | Learned
    | Reflected
    | Reply
    | Pause
)


@dataclass(frozen=True, kw_only=True)
class AgentLoop:
    """Lets agents answer."""

    models: ChatModels
    actions: Actions
    classifier: Classifier
    guards: Guards

    async def reply(
        self,
        recording: Recording,
        agent: Chosen,
        messages: Sequence[Mapping[str, Any]],
        asker: Asker,
        note: Note,
        *,
        resumed: Resumption | None = None,
        confirms: bool | None = False,
        tools: ClientTools = NO_TOOLS,
        course: Course = BEGINNING,
    ) -> AsyncGenerator[Piece, None]:
        """Yield what happens, and last the Reply; raise ModelCallFailed, also at one of the agent's limits.

        Where somebody `confirms`, the last may be a Pause, and a turn be `resumed`; else what needs a confirmation is
        not done, and the model is told so, unless (None) they have agreed to all of it. Where the agent has topics, a
        TopicChosen comes first. After HandedOff it is another agent that answers. A call of one of the `tools` ends
        it with Handed before the Reply: what the model asked for besides is not done, since the next reply would know
        nothing of it.
        """
        limits = agent.definition["limits"]
        until, deadline = asyncio.get_running_loop().time() + limits["seconds"], Deadline()
        budget = Budget.of(recording, limits, outer=course.budget, earlier=course.earlier)
        asked = Assignment(
            recording=recording,
            messages=messages,
            asker=asker,
            note=note,
            confirms=confirms,
            tools=tools,
            course=replace(course, budget=budget, earlier=(), exposure=course.exposure or Exposure.before(messages)),
        )
        with closing(deadline):
            async with aclosing(self._reply(asked, agent, resumed)) as pieces:
                while True:
                    try:
                        with deadline.until(until):
                            piece = await anext(pieces, None)
                    except TimeoutError:
                        raise TurnTimedOut(f"The turn took longer than {limits['seconds']:g} seconds.") from None
                    if piece is None:
                        return
                    yield piece

    async def _reply(self, asked: Assignment, agent: Chosen, resumed: Resumption | None) -> AsyncGenerator[Piece, None]:
        """Yield what happens; where something is blocked, that is the end of it, with the words for that."""
        there = channel_of(agent.definition, asked.course.channel)
        talk = Talk.of(resumed, asked.course.given, told=asked.course.told, markers=there.get("citations", True))
        watch = self._watch(asked, agent)
        try:
            async with aclosing(self._answered(asked, agent, resumed, talk, watch)) as pieces:
                async for piece in pieces:
                    for each in watch.taken():
                        yield each
                    yield piece
        except Blocked as blocked:
            for each in watch.taken():
                yield each
            for shown in talk.refuse(blocked.words):
                yield shown
            yield talk.reply()

    async def _answered(
        self, asked: Assignment, agent: Chosen, resumed: Resumption | None, talk: Talk, watch: Watch
    ) -> AsyncGenerator[Piece, None]:
        budget = asked.course.budget
        assert budget is not None
        choice = asked.course.choice
        if resumed is None:
            asked = replace(asked, messages=await watch.admitted(asked.messages))
            choice = await self._choice(asked, agent, asked.course.topic)
            if choice is not None:
                yield TopicChosen(choice=choice)
        part = await self._part(asked, agent, choice, talk, watch)
        if resumed is not None:
            async with aclosing(self._go_on(part, talk, resumed)) as pieces:
                async for piece in pieces:
                    yield piece
        iteration = 0
        while not talk.answered:
            if part.others.handed is not None:
                agent, asked = part.others.handed, passed_on(asked, agent)
                yield HandedOff(agent=agent)
                watch.settings = agent.definition.get("guardrails", {})
                asked = replace(asked, messages=await watch.admitted(await told_anew(asked, agent)))
                talk.history = [dict(each) for each in await watch.admitted(talk.history)]  # of this turn, until now
                choice = await self._choice(asked, agent, None)
                if choice is not None:
                    yield TopicChosen(choice=choice)
                part = await self._part(asked, agent, choice, talk, watch)
            budget.must_allow()
            if researches(asked, part):
                researcher = Researcher(models=self.models, actions=self.actions)
                async with aclosing(researcher.research(asked, part, talk)) as researched:
                    async for found in researched:
                        if isinstance(found, Findings):
                            asked, part = writing(asked, part, found)
                        else:
                            yield found
                continue
            answer: ChatAnswer | None = None
            try:
                async with aclosing(self._said(asked, part, talk, iteration)) as said:
                    async for spoken in said:
                        if isinstance(spoken, ChatAnswer):
                            answer = spoken
                        else:
                            yield spoken
            except NoModel:
                if part.form is not None:
                    raise
                async with aclosing(quoted(self.actions, asked, part, talk)) as without:
                    async for piece in without:
                        yield piece
                break
            assert answer is not None
            # At the limit the model is asked once more, and may only answer.
            calls = () if part.is_last(iteration) else answer.tool_calls
            theirs = asked.tools.theirs(calls)
            if theirs:
                yield Handed(calls=theirs)
                break
            talk.history.append(assistant_message(answer.text, calls))
            if not calls:
                break
            waiting = [call for call in calls if part.acting.waits(call)]
            part.others.waiting = bool(waiting)
            async with aclosing(self._do(part, talk, [call for call in calls if call not in waiting])) as pieces:
                async for piece in pieces:
                    yield piece
            if waiting:
                asking = await questions(self.actions.prompts.renderer, part.acting, waiting, part.described)
                yield paused(part.acting, talk, waiting, asking)
                return
            iteration += 1
        yield talk.reply()

    async def _said(
        self, asked: Assignment, part: Part, talk: Talk, iteration: int
    ) -> AsyncGenerator[TextPiece | Cited | ChatAnswer, None]:
        """Yield what the model says, and last its answer; one that has to be JSON comes whole, once it is."""
        request = part.request(asked, talk, iteration)
        told, screen = request.messages, Screen(part.watch)
        for last_try in (False, True):
            async with aclosing(say(asked.recording, self.models, request, parent=asked.course.parent)) as said:
                async for spoken in said:
                    if isinstance(spoken, ChatAnswer):
                        answer = spoken
                    elif part.form is None:
                        if asked.course.parent is None:
                            asked.recording.first_token()
                        if heard := await screen.feed(talk.filter.feed(spoken.text)):
                            for shown in talk.say(heard):
                                yield shown
            if part.form is None:
                heard = await screen.feed(talk.filter.rest()) + await screen.rest()
                for shown in talk.say(heard):
                    yield shown
                talk.paragraph = True
            elif not answer.tool_calls or part.is_last(iteration):
                try:
                    fitting(answer, part.schema)
                except InvalidOutput as error:
                    if last_try:
                        raise
                    request = asked_again(request, told, answer, error)
                    continue
                for shown in talk.say(await screen.feed(answer.text) + await screen.rest()):
                    yield shown
            yield replace(answer, text=screen.passed) if part.watch.output and screen.passed else answer
            return

    def _watch(self, asked: Assignment, agent: Chosen) -> Watch:
        """Return the guardrails of an agent."""
        return Watch(
            guards=self.guards,
            recording=asked.recording,
            settings=agent.definition.get("guardrails", {}),
            parent=asked.course.parent,
        )

    async def _choice(self, asked: Assignment, agent: Chosen, present: str | None) -> TopicChoice | None:
        """Return what the message is about, for an agent."""
        return await self.classifier.choose(
            asked.recording,
            agent,
            asked.messages,
            present=present,
            subject=asked.asker.subject,
            parent=asked.course.parent,
        )

    async def _part(
        self, asked: Assignment, agent: Chosen, choice: TopicChoice | None, talk: Talk, watch: Watch
    ) -> Part:
        """Return an agent's part in a turn."""
        talk.filter.cites = bool(talk.given) or may_cite(agent.definition)
        brief = brief_of(agent.definition, choice, asked.course.channel)
        others = OtherAgents(
            things=self.actions.things,
            recording=asked.recording,
            agent=agent,
            course=asked.course,
            asker=asked.asker,
            given=talk.given,
            note=asked.note,
            replying=self._nested,
        )
        acting = Acting(
            recording=asked.recording,
            by_name={action["function"]: action for action in brief.actions},
            asker=asked.asker,
            given=talk.given,
            citable=talk.citable,
            seconds=agent.definition["limits"]["action_seconds"],
            note=asked.note,
            confirms=asked.confirms,
            parent=asked.course.parent,
            guard=Guard(
                facts=await self.actions.tools.facts(brief.actions),
                exposure=asked.course.exposure or Exposure(),
                allows_outside=agent.definition.get("untrusted") == "allow",
            ),
            starting=asked.course.starting,
            inspect=watch.inspected,
            asking=others.asking,
            waited=asked.tools.waited,
        )
        functions = await self.actions.functions(brief.actions, asked.asker)
        return Part(agent=agent, brief=brief, acting=acting, functions=functions, others=others, watch=watch)

    def _nested(self, recording: Recording, nested: Nested) -> AsyncGenerator[Piece, None]:
        """Let another agent answer what this one asks it."""
        return self.reply(
            recording,
            nested.agent,
            [{"role": "user", "content": nested.message}],
            nested.asker,
            nested.note,
            confirms=nested.confirms,
            course=nested.course,
        )

    async def _go_on(self, part: Part, talk: Talk, resumed: Resumption) -> AsyncGenerator[Piece, None]:
        """Do what a person agreed to, and note what they declined, and what the client has done."""
        acting = part.acting
        comments = {call: await part.watch.heard(comment) for call, comment in resumed.comments.items()}
        known = decided(acting, resumed, comments)
        for number, each in enumerate(known):
            if each.outcome != "declined":
                acting.guard.saw(each.type)
                known[number] = await acting.inspect(each)
            await acting.note(known[number])
            yield known[number]
        talk.done(known, [*resumed.declined, *resumed.carried_out])
        async with aclosing(
            self._do(replace(part, acting=replace(acting, confirms=None)), talk, resumed.approved)
        ) as pieces:
            async for piece in pieces:
                yield piece

    async def _do(self, part: Part, talk: Talk, calls: Sequence[ToolCall]) -> AsyncGenerator[Piece, None]:
        """Do what was asked for; where its results are the answer, say them."""
        acting, screen = part.acting, Screen(part.watch)
        for call in calls:
            yield ActionStarted(call=call, type=acting.type_of(call))
        results: list[ActionDone] = []
        async with aclosing(carried_out(self.actions, acting, calls)) as ended:
            async for result in ended:
                results.append(result)
                yield result
        talk.done(results, calls)
        direct = [each for each in results if acting.action(each.call).get("answer_directly")]
        if direct and all(each.outcome == "completed" for each in direct):
            text = "\n\n".join(each.said or each.told for each in direct)
            cited = [talk.checked(each.said or each.told, cites=each.type in FINDING) for each in direct]
            heard = await screen.feed("\n\n".join(cited)) + await screen.rest()
            for shown in talk.say(heard):
                yield shown
            talk.history.append({"role": "assistant", "content": heard if part.watch.output else text})
            talk.answered = True


async def told_anew(asked: Assignment, agent: Chosen) -> Sequence[Mapping[str, Any]]:
    """Return the messages for an agent that takes over: those of earlier turns as it may be told them."""
    if asked.course.remembered is None:
        return asked.messages
    now = [each for each in asked.messages if not isinstance(each, SaidBefore) or isinstance(each, Attached)]
    return [*await asked.course.remembered(agent), *now]


def passed_on(asked: Assignment, agent: Chosen) -> Assignment:
    """Return what is to be answered, after an agent has handed it over."""
    return replace(asked, course=replace(asked.course, chain=(*asked.course.chain, agent.id)))
