"""Deep research: a question is taken apart, looked into part by part, thought over, and only then answered."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from commands.agents.actions import ActionDone, Actions
from commands.agents.agent_part import Assignment, Part
from commands.agents.agent_talk import ActionStarted, Talk, call_document
from commands.agents.budgets import Budget, taken
from commands.agents.inquiring import BOUNDS, Bounds, Found, Inquirer, model_of, searching
from commands.agents.pausing import kept, passage_of
from commands.agents.research_words import (
    CUT_SHORT,
    PLAN,
    REFLECT,
    WRITE,
    notes_told,
    questions_form,
    questions_in,
)
from commands.models.json_calls import read_from
from commands.models.model_calls import ChatModels, ChatRequest
from commands.prompt_run import InvalidOutput
from domain.citations import renumbered
from domain.research import Noted, Progress, planned


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A question was taken apart into sub-questions; `fell_back`: the model gave none, it is looked into as it is.

    `spent` is what the research has taken until then, as in what follows: {usage, cost}, attempts before included.
    """

    questions: Sequence[str]
    fell_back: bool
    spent: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return its public form."""
        return {"questions": list(self.questions), "fell_back": self.fell_back}


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Something was found out for a sub-question."""

    noted: Noted
    spent: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reflected:
    """What is missing, as further sub-questions; none: it is enough, or the model gave no good answer (`fell_back`)."""

    questions: Sequence[str]
    fell_back: bool
    spent: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return its public form."""
        return {"questions": list(self.questions), "enough": not self.questions, "fell_back": self.fell_back}


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The end of it: what whoever answers is told."""

    told: str


ResearchPiece = Planned | Learned | Reflected | ActionStarted | ActionDone | Findings


def researches(asked: Assignment, part: Part) -> bool:
    """Return whether an agent looks into what a person said before it answers: where it is set to, and can search."""
    said = any(message["role"] == "user" for message in asked.messages[-1:])  # else what was looked into goes on
    return said and bool(part.agent.definition.get("research")) and bool(searching(part))


def writing(asked: Assignment, part: Part, findings: Findings) -> tuple[Assignment, Part]:
    """Return what is left to be done after research: the answer, by what was found out, and without any action."""
    *before, question = asked.messages
    messages = [*before, {"role": "system", "content": findings.told}, question]
    nothing = replace(part.brief, actions=())
    acting = replace(part.acting, by_name={})
    return replace(asked, messages=messages), replace(part, brief=nothing, acting=acting, functions=())


@dataclass(frozen=True, kw_only=True)
class Researcher:
    """Looks into what an agent is asked."""

    models: ChatModels
    actions: Actions

    async def research(self, asked: Assignment, part: Part, talk: Talk) -> AsyncGenerator[ResearchPiece, None]:
        """Yield what happens, and last the Findings; it goes on from what the course says was found out before.

        The passages that the notes cite are those that the answer may cite. At one of its own bounds it ends with what
        there is; raise TurnLimitReached at those of the turn, and ModelCallFailed.
        """
        settings = part.agent.definition["research"]
        progress = Progress.of(asked.course.research)
        noted_before, base = len(progress.notes), len(talk.given)
        talk.given.extend(passage_of(each) for note in progress.notes for each in note.passages)
        talk.citable.update(range(base + 1, len(talk.given) + 1))
        earlier = () if progress.spent is None else (progress.spent,)
        bounds = Bounds(
            steps=settings["steps"],
            taken=progress.steps,
            budget=Budget.of(asked.recording, settings, outer=asked.course.budget, earlier=earlier),
        )
        start = asked.recording.spent()

        def spent() -> dict[str, Any]:
            return taken(start, asked.recording.spent(), progress.spent)

        message = str(asked.messages[-1]["content"])
        if not progress.questions:
            plan = await self._plan(asked, part, talk, planned(settings["questions"]), message)
            progress.questions.extend(plan.questions)
            yield replace(plan, spent=spent())
        while (ended := progress.ended(settings["questions"]) or bounds.reached()) is None:
            if progress.open:
                looking = self._looked_into(asked, part, talk, base, bounds, progress, message)
                async with aclosing(looking) as pieces:
                    async for piece in pieces:
                        yield replace(piece, spent=spent()) if isinstance(piece, Learned) else piece
            else:
                most = settings["questions"] - len(progress.questions)
                reflection = await self._reflect(asked, part, progress, most, message)
                progress.questions.extend(reflection.questions)
                progress.enough = not reflection.questions
                yield replace(reflection, spent=spent())
        talk.research = {
            "ended": ended,
            "questions": len(progress.questions),
            "noted": len(progress.notes),
            "noted_before": noted_before,
            "steps": bounds.taken,
        }
        cut_short = [CUT_SHORT] if ended in BOUNDS else []
        yield Findings(told="\n\n".join([WRITE, *cut_short, notes_told(progress.notes)]))

    async def _plan(self, asked: Assignment, part: Part, talk: Talk, most: int, message: str) -> Planned:
        """Return the sub-questions of what is asked; where the model names none, it is one itself."""
        request = ChatRequest(
            model=model_of(part),
            messages=[
                {"role": "system", "content": f"{part.brief.instructions}\n\n{PLAN.format(most=most)}"},
                *asked.messages,
                *talk.history,
            ],
            response_format=questions_form(most),
        )
        questions = await self._questions(asked, "plan", request, most, (), least=1)
        if questions is None:
            return Planned(questions=[message], fell_back=True)
        return Planned(questions=await shown(part, questions), fell_back=False)

    async def _reflect(self, asked: Assignment, part: Part, progress: Progress, most: int, message: str) -> Reflected:
        """Return what is missing."""
        request = ChatRequest(
            model=model_of(part),
            messages=[
                {"role": "system", "content": REFLECT.format(most=most)},
                {"role": "user", "content": f"The question: {message}\n\nThe notes:\n\n{notes_told(progress.notes)}"},
            ],
            response_format=questions_form(most),
        )
        questions = await self._questions(asked, "reflect", request, most, progress.questions, least=0)
        return Reflected(questions=await shown(part, questions or ()), fell_back=questions is None)

    async def _questions(
        self, asked: Assignment, name: str, request: ChatRequest, most: int, known: Sequence[str], *, least: int
    ) -> list[str] | None:
        """Return the sub-questions that a model names, as a step; None where its answers can't be read."""
        with asked.recording.step("research", name, asked.course.parent) as step:
            try:
                questions, step.model = await read_from(
                    asked.recording,
                    self.models,
                    request,
                    lambda answer: questions_in(answer, most, known, least=least),
                    parent=step.number,
                )
            except InvalidOutput as error:
                step.outcome = error.error_code
                step.note["fell_back"] = True
                return None
            step.note["questions"] = len(questions)
            step.output = {"questions": questions}
        return questions

    async def _looked_into(
        self,
        asked: Assignment,
        part: Part,
        talk: Talk,
        base: int,
        bounds: Bounds,
        progress: Progress,
        message: str,
    ) -> AsyncGenerator[Learned | ActionStarted | ActionDone, None]:
        """Look into the open sub-questions, some at once, and yield what happens and what was found out as it is."""
        happening: asyncio.Queue[ActionStarted | ActionDone | Found | asyncio.Task[None]] = asyncio.Queue()
        gate = asyncio.Semaphore(part.agent.definition["research"]["at_once"])
        inquirer = Inquirer(models=self.models, actions=self.actions)

        async def looked_into(sub_question: tuple[int, str]) -> None:
            async with gate:
                found = await inquirer.look_into(asked, part, bounds, sub_question, message, happening.put_nowait)
                if found is not None:
                    happening.put_nowait(found)

        tasks = [asyncio.create_task(looked_into(each)) for each in progress.open]
        for task in tasks:
            task.add_done_callback(happening.put_nowait)
        try:
            ended = 0
            while ended < len(tasks):
                match await happening.get():
                    case asyncio.Task() as task:
                        task.result()
                        ended += 1
                    case Found() as found:
                        noted = await self._noted(part, talk, base, found)
                        progress.notes.append(noted)
                        yield Learned(noted=noted)
                    case ActionDone() as done:
                        talk.calls.append(call_document(done))
                        yield done
                    case ActionStarted() as started:
                        yield started
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _noted(self, part: Part, talk: Talk, base: int, found: Found) -> Noted:
        """Return notes with the numbers that their passages have in the answer; new ones are added to those given.

        The first `base` of those given are not the research's own.
        """
        [notes] = await shown(part, [found.notes])
        numbers: dict[int, int] = {}
        passages: list[dict[str, Any]] = []
        places = {passage.id: place for place, passage in enumerate(talk.given[base:], base + 1)}
        for number in found.cited:
            passage = found.given[number - 1]
            if passage.id not in places:
                talk.given.append(passage)
                places[passage.id] = len(talk.given)
                passages.append({"number": len(talk.given), **kept(passage)})
            numbers[number] = places[passage.id]
        talk.citable.update(numbers.values())
        return Noted(
            number=found.number,
            question=found.question,
            notes=renumbered(notes, numbers),
            passages=passages,
            steps=found.steps,
        )


async def shown(part: Part, texts: Sequence[str]) -> list[str]:
    """Return what a model wrote as a person may see it, by the agent's guardrails; or raise Blocked."""
    return [await part.watch.judged("output", part.watch.output, text) if text else text for text in texts]
