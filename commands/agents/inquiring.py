"""Looking into one sub-question: searched, read, and noted with the passages that say so."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from commands.agents.acting import carried_out
from commands.agents.actions import READ_ON, ActionDone, Actions
from commands.agents.agent_part import Assignment, Part
from commands.agents.agent_talk import ActionStarted, assistant_message, tool_message
from commands.agents.budgets import Budget, TurnLimitReached
from commands.agents.research_words import INQUIRE
from commands.models.model_calls import ChatAnswer, ChatModels, ChatRequest
from commands.models.saying import say
from domain.citations import CitationFilter
from domain.retrieval import Passage

FINDING = frozenset({"rag_tool", "retrieval_tool", "files"})
"""Types of actions that give passages."""

SEARCHING = FINDING | {"api_tool", "mcp_tool", "prompt"}
"""Types of actions that research may use, where they change nothing and no person must agree."""

BOUNDS = frozenset({"steps", "tokens", "cost"})
"""What research may be cut short by."""

ENDS: Mapping[str, str] = {"turn_tokens_reached": "tokens", "turn_cost_reached": "cost"}


@dataclass(kw_only=True)
class Bounds:
    """How far research may go: `taken` of its `steps`, and what its budget allows."""

    steps: int
    taken: int
    budget: Budget

    def reached(self) -> str | None:
        """Return which bound is reached, `steps`, `tokens` or `cost`; raise TurnLimitReached at those of the turn."""
        if self.budget.outer is not None:
            self.budget.outer.must_allow()
        try:
            replace(self.budget, outer=None).must_allow()
        except TurnLimitReached as reached:
            return ENDS[reached.error_code]
        return "steps" if self.taken >= self.steps else None

    def take(self) -> bool:
        """Take a step where there is one left; return whether there was."""
        left = self.reached() is None
        self.taken += left
        return left


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found out for a sub-question: the notes cite passages of `given`, by their numbers there, from 1."""

    number: int
    question: str
    notes: str
    given: Sequence[Passage]
    cited: Sequence[int]
    steps: int


def searching(part: Part) -> dict[str, Mapping[str, Any]]:
    """Return the actions that research may use, by function: what changes nothing, and needs nobody's agreement."""
    guard = part.acting.guard
    found = {
        name: action
        for name, action in part.acting.by_name.items()
        if action["type"] in SEARCHING and not guard.changes(name) and not guard.asked(action)
    }
    if READ_ON["function"] not in found and any(action["type"] in FINDING for action in found.values()):
        found[READ_ON["function"]] = READ_ON
    return found


def model_of(part: Part) -> UUID | None:
    """Return the model that plans, searches and notes; None: the default one."""
    chosen = part.agent.definition["research"]["model"] or part.agent.definition["model"]
    return None if chosen is None else UUID(chosen)


@dataclass(frozen=True, kw_only=True)
class Inquirer:
    """Looks into sub-questions."""

    models: ChatModels
    actions: Actions

    async def look_into(
        self,
        asked: Assignment,
        part: Part,
        bounds: Bounds,
        sub_question: tuple[int, str],
        message: str,
        happened: Callable[[ActionStarted | ActionDone], None],
    ) -> Found | None:
        """Return what was found out for a sub-question of a message; None where no step was left to begin with."""
        number, question = sub_question
        if not bounds.take():
            return None
        by_name = searching(part)
        functions = await self.actions.functions(list(by_name.values()), asked.asker)
        history: list[dict[str, Any]] = []
        given: list[Passage] = []
        citable: set[int] = set()
        steps, may_search = 0, True
        with asked.recording.step("research", "question", asked.course.parent) as step:
            step.input = {"question": question}
            step.note["number"] = number
            acting = replace(
                part.acting, by_name=by_name, given=given, citable=citable, confirms=False, parent=step.number
            )
            while True:
                request = ChatRequest(
                    model=model_of(part),
                    messages=[
                        {"role": "system", "content": f"{part.brief.instructions}\n\n{INQUIRE}"},
                        {"role": "user", "content": f"What it is about: {message}\n\nThe sub-question: {question}"},
                        *history,
                    ],
                    tools=functions,
                    tool_choice=None if may_search else "none",
                )
                async with aclosing(say(asked.recording, self.models, request, parent=step.number)) as said:
                    async for piece in said:
                        if isinstance(piece, ChatAnswer):
                            answer = piece
                calls = answer.tool_calls if may_search else ()
                if not calls:
                    bounds.taken -= may_search  # it was not needed
                    break
                steps += 1
                history.append(assistant_message(answer.text, calls))
                for call in calls:
                    happened(ActionStarted(call=call, type=acting.type_of(call)))
                results: list[ActionDone] = []
                async with aclosing(carried_out(self.actions, acting, calls)) as ended:
                    async for result in ended:
                        results.append(result)
                        happened(result)
                citable.update(number for result in results for number in result.citable)
                history += [tool_message(result) for call in calls for result in results if result.call is call]
                may_search = steps < part.agent.definition["limits"]["iterations"] and bounds.take()
            checked = CitationFilter(citable)
            notes = (checked.feed(answer.text) + checked.rest()).strip()
            step.output = {"notes": notes}
            step.note |= {"steps": steps, "passages": len(given), "cited": len(checked.cited)}
        return Found(number=number, question=question, notes=notes, given=given, cited=checked.cited, steps=steps)
