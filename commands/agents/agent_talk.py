"""What a turn has said, seen and done so far, and what carrying out its actions needs."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from commands.agents.actions import ActionDone, AskAgent, Asker
from commands.agents.budgets import Budget
from commands.agents.guarding import Exposure, Guard
from commands.agents.pausing import Resumption, kept
from commands.choosing import Chosen
from commands.models.model_calls import SaidBefore, TextPiece, ToolCall
from commands.retrieval.answering import Cited
from commands.runs.runs import Recording
from domain.citations import CitationFilter, citations_of
from domain.retrieval import Passage
from domain.topics import TopicChoice
from domain.turn import CLIENT_TOOL, Pause, Reply, declined_with

NOBODY = "Error: a person must agree to this first, and nobody can be asked here."
"""What a model is told of an action that nobody can agree to."""

Note = Callable[[ActionDone], Awaitable[None]]
"""Records what was done, before anything else happens."""


@dataclass(frozen=True, kw_only=True)
class ClientTools:
    """What whoever asks can do itself, in the form of OpenAI's tools: a call of it ends the reply.

    `choice` and `parallel_calls` are how its model is to call at first. Those that are `waited` for do not end the reply:
    it pauses until whoever asks says what they came to.
    """

    functions: Sequence[Mapping[str, Any]] = ()
    choice: Any = None
    parallel_calls: bool | None = None
    waited: frozenset[str] = frozenset()

    def beside(self, own: "ClientTools") -> "ClientTools":
        """Return these as tools that are waited for, together with those of a conversation itself."""
        return replace(self, functions=[*own.functions, *self.functions], waited=self.names)

    @property
    def names(self) -> frozenset[str]:
        """What they are called by."""
        described = (tool[tool["type"]] if "type" in tool else tool for tool in self.functions)
        return frozenset(each["name"] for each in described)

    def theirs(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """Return the calls that whoever asks carries out, and that end the reply."""
        return [call for call in calls if call.name in self.names - self.waited]

    def first(self) -> dict[str, Any]:
        """Return the parameters of a model's first call."""
        return {} if self.parallel_calls is None else {"parallel_tool_calls": self.parallel_calls}


NO_TOOLS = ClientTools()


@dataclass(frozen=True, kw_only=True)
class ActionStarted:
    """The agent is about to do something."""

    call: ToolCall
    type: str


Starting = Callable[[ActionStarted], Awaitable[None]]
"""Records that something is about to be changed, before it is."""


Remembering = Callable[[Chosen], Awaitable[Sequence[SaidBefore]]]
"""Returns the messages of earlier turns as an agent's model is told them."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """How it came to what an agent is to answer.

    `channel` is the way by which it is asked, `topic` the one so far, `choice` that of a turn that goes on. `chain` are the agents that wait for the answer,
    whose step `parent` is, who were `given` passages, and whose `budget` it counts for too. `earlier` is what the turn
    had taken before it goes on. `began` is told what agents below it are about to do. `exposure` is what all that take part
    have read; `starting` records what changes something before it is done. `research` is what an attempt before has found out.
    `remembered` gives what another agent that takes over may be told of what was said before; None: the same as this one.
    `told` are passages that stand in the messages, numbered from 1: those may be cited.
    """

    channel: str = ""
    topic: str | None = None
    choice: TopicChoice | None = None
    chain: tuple[UUID, ...] = ()
    parent: int | None = None
    given: list[Passage] | None = None
    budget: Budget | None = None
    earlier: Sequence[Mapping[str, Any]] = ()
    began: Callable[[ActionStarted], None] | None = None
    exposure: Exposure | None = None
    starting: Starting | None = None
    research: Mapping[str, Any] | None = None
    remembered: Remembering | None = None
    told: Sequence[Passage] = ()


BEGINNING = Course()


@dataclass(kw_only=True)
class Talk:
    """What a turn has said and seen so far.

    Of the passages that were `given`, to whoever took part, `citable` are the numbers of those that its own model was told of.
    """

    given: list[Passage]
    citable: set[int]
    filter: CitationFilter
    said: list[str]
    history: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    told: int = 0
    paragraph: bool = False
    answered: bool = False
    code: str | None = None
    research: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        resumed: Resumption | None,
        found: list[Passage] | None = None,
        *,
        told: Sequence[Passage] = (),
        markers: bool = True,
    ) -> "Talk":
        """Return a talk that begins, or goes on; passages that were `found` before are not its own to cite.

        Those are that it is `told` at its beginning. `markers` says whether those of citations are shown.
        """
        if resumed is None:
            given = [] if found is None else found
            citable = set(range(len(given) + 1, len(given) + 1 + len(told)))
            given.extend(told)
            return cls(given=given, citable=citable, filter=CitationFilter(citable, shown=markers), said=[])
        given = list(resumed.given)
        citable = set(range(1, len(given) + 1)) - resumed.untold
        talk = cls(
            given=given,
            citable=citable,
            filter=CitationFilter(citable, shown=markers),
            said=[resumed.content] if resumed.content else [],
            history=list(resumed.history),
            calls=list(resumed.tool_calls),
            told=len(resumed.cited),
            paragraph=True,
        )
        talk.filter.cited = list(resumed.cited)
        return talk

    def done(self, results: Sequence[ActionDone], calls: Sequence[ToolCall]) -> None:
        """Take what was done; the model is told in the order in which it asked."""
        self.calls += [call_document(result) for result in results]
        self.citable.update(number for result in results for number in result.citable)
        self.history += [tool_message(result) for call in calls for result in results if result.call is call]

    def reply(self) -> Reply:
        """Return what there is of the reply."""
        return Reply(
            content="".join(self.said),
            citations=citations_of(self.filter.cited, self.given),
            tool_calls=list(self.calls),
            history=list(self.history),
            details={
                "invented_citations": self.filter.invented,
                **({} if self.code is None else {"code": self.code}),
                **({} if self.research is None else {"research": dict(self.research)}),
            },
        )

    def refuse(self, words: str) -> list[TextPiece | Cited]:
        """Return what is said instead of what is blocked; what that would have cited is forgotten."""
        self.filter.rest()
        del self.filter.cited[self.told :]
        self.code, self.paragraph = "blocked", True
        self.history.append({"role": "assistant", "content": words})
        return self.say(words)

    def checked(self, text: str, *, cites: bool) -> str:
        """Return a whole text as it may be said: what no passage was given for may have [1] in it, and cites nothing."""
        return self.filter.feed(text) + self.filter.rest() if cites else text

    def say(self, text: str) -> list[TextPiece | Cited]:
        """Return what can be said of a text for certain, and what it newly cites."""
        pieces: list[TextPiece | Cited] = []
        if text:
            if self.paragraph and self.said:
                text = f"\n\n{text}"
            self.paragraph = False
            self.said.append(text)
            pieces.append(TextPiece(text=text))
        new = citations_of(self.filter.cited[self.told :], self.given)
        self.told = len(self.filter.cited)
        return [*pieces, *(Cited(citation=citation) for citation in new)]


@dataclass(frozen=True, kw_only=True)
class Acting:
    """What carrying out an agent's actions needs.

    `given` and `citable` are as of its Talk. `confirms`: whether there is somebody who can agree to what needs it; None:
    they have. `inspect` returns what was done as the model may be told it. `asking` says how the agent of an action is
    asked for a call. Whoever asks carries out calls of those that are `waited` for.
    """

    recording: Recording
    by_name: Mapping[str, Mapping[str, Any]]
    asker: Asker
    given: list[Passage]
    citable: Collection[int]
    seconds: float
    note: Note
    confirms: bool | None
    parent: int | None
    guard: Guard
    starting: Starting | None
    inspect: Callable[[ActionDone], Awaitable[ActionDone]]
    asking: "Callable[[ToolCall, Mapping[str, Any], bool | None], AskAgent]"
    waited: frozenset[str] = frozenset()

    def action(self, call: ToolCall) -> Mapping[str, Any]:
        """Return the action that a call means; empty where there is none."""
        return self.by_name.get(call.name, {})

    def type_of(self, call: ToolCall) -> str:
        """Return the type of the action that a call means."""
        return CLIENT_TOOL if call.name in self.waited else str(self.action(call).get("type", "unknown"))

    def waits(self, call: ToolCall) -> bool:
        """Return whether a call waits for a person, or for whoever asks to carry it out."""
        return call.name in self.waited or bool(
            self.confirms and (self.guard.asked(self.action(call)) or self.guard.doubt(call.name))
        )

    def refused(self, call: ToolCall) -> ActionDone | None:
        """Count a call; return what is told of one that is not made.

        Who has agreed to another agent being asked has agreed to what that needs a confirmation for, but not to
        what it may have been talked into.
        """
        doubt = self.guard.doubt(call.name)
        nobody = self.confirms is False and (doubt or self.guard.asked(self.action(call)))
        if nobody or (self.confirms is None and self.parent is not None and doubt):
            return self._not_made(call, "confirmation_needed", f"{NOBODY} {doubt}" if doubt else NOBODY)
        most = self.guard.too_many(call.name)
        if most is not None:
            return self._not_made(call, "too_many_calls", f"Error: it may be called {most} times in a turn, and was.")
        return None

    def _not_made(self, call: ToolCall, outcome: str, told: str) -> ActionDone:
        return ActionDone(call=call, type=self.type_of(call), outcome=outcome, duration_ms=0.0, told=told)


def decided(acting: Acting, resumed: Resumption, comments: Mapping[str, str]) -> list[ActionDone]:
    """Return what came of calls that are not to be carried out here: a person declined them, or the client did them."""
    declined = [
        ActionDone(
            call=call,
            type=acting.type_of(call),
            outcome="declined",
            duration_ms=0.0,
            told=declined_with(comments.get(call.id)),
        )
        for call in resumed.declined
    ]
    results = [
        ActionDone(call=call, type=CLIENT_TOOL, outcome="completed", duration_ms=0.0, told=resumed.results[call.id])
        for call in resumed.carried_out
    ]
    return [*declined, *results]


def paused(acting: Acting, talk: Talk, calls: Sequence[ToolCall], messages: Sequence[str]) -> Pause:
    """Return where a turn waits for a person to decide on calls, of each of which a message tells."""
    return Pause(
        reply=talk.reply(),
        calls=[
            {
                "call": call.id,
                "function": call.name,
                "type": acting.type_of(call),
                "arguments": call.arguments,
                "message": message,
            }
            for call, message in zip(calls, messages, strict=True)
        ],
        given=[kept(passage, number in talk.citable) for number, passage in enumerate(talk.given, 1)],
        cited=talk.filter.cited,
    )


def call_document(done: ActionDone) -> dict[str, Any]:
    """Return what was done, as a message shows it."""
    return {
        "id": done.call.id,
        "function": done.call.name,
        "type": done.type,
        "arguments": done.call.arguments,
        "outcome": done.outcome,
        "duration_ms": done.duration_ms,
    }


def assistant_message(text: str, calls: Sequence[ToolCall]) -> dict[str, Any]:
    """Return what the model said, as it is told again: text together with calls is kept."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    elif not text:
        message["content"] = ""
    return message


def tool_message(done: ActionDone) -> dict[str, Any]:
    """Return an action's result, as the model is told it."""
    return {"role": "tool", "tool_call_id": done.call.id, "content": done.told}
