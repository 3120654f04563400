"""Whatever happens in whatever order: no message is lost, one turn goes on at a time, and history stays valid."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.conversation import Conversation
from domain.conversation_closing import close_idle, last_said
from domain.conversation_forks import Cut, fork
from domain.conversation_queue import begin_queued, next_queued, take, withdraw
from domain.errors import Conflict
from domain.turn import Pause, Reply
from domain.turn_effects import attempts_before, begin_action, cut_off_before, effects
from tests.domain.test_conversation import AGENT, a_conversation

ENDED = ("completed", "failed", "cancelled", "interrupted")
CALLS = st.integers(0, 2)
NOT_CLOSED = precondition(lambda it: not it.closed)
RUNNING = precondition(lambda it: it.state_of("running"))
WAITING = precondition(lambda it: it.state_of("awaiting_confirmation"))


@dataclass
class Expected:
    """What a plain model knows of a turn; `asked` are the calls that wait for a person, and what they decided.

    `effects` are the functions that were begun in it and change something outside.
    """

    content: str
    state: str
    retried: bool = False
    asked: dict[str, bool | None] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)


class ConversationMachine(RuleBasedStateMachine):
    """One conversation, driven at random."""

    @initialize()
    def begin(self) -> None:
        self.conversation = a_conversation()
        self.events: list[Any] = []
        self.turns: list[Expected] = []
        self.closed = False
        self.said = 0
        self.carried: list[str] = []
        self.copied = 0

    def state_of(self, state: str) -> Expected | None:
        return next((turn for turn in self.turns if turn.state == state), None)

    def id_of(self, turn: Expected) -> str:
        return list(self.conversation.turns)[self.turns.index(turn)]

    def calls(self, number: int) -> list[str]:
        self.said += 1
        return [f"c{self.said}.{place}" for place in range(number)]

    def acted(self, calls: list[str], text: str) -> list[dict[str, Any]]:
        """Return a history in which calls were asked for, together with text, and done."""
        if not calls:
            return []
        asking = {"role": "assistant", "content": text, "tool_calls": [{"id": call} for call in calls]}
        return [asking, *({"role": "tool", "tool_call_id": call, "content": "done"} for call in calls)]

    def decline(self) -> None:
        if waiting := self.state_of("awaiting_confirmation"):
            waiting.state = "cancelled"

    def refused(self, act: Any) -> None:
        version = self.conversation.version
        try:
            act()
        except Conflict:
            assert self.conversation.version == version
            return
        raise AssertionError("it was not refused")

    # What persons do ----------------------------------------------------------

    @rule(on_busy=st.sampled_from(["reject", "enqueue", "interrupt"]))
    def say(self, on_busy: Any) -> None:
        content = f"message {self.said}"
        self.said += 1

        def post() -> str:
            return take(self.conversation, content, agent=AGENT, on_busy=on_busy, channel="api", attributes={})[0]

        queued = self.state_of("queued")
        busy = self.state_of("running") or queued
        if self.closed or (busy and on_busy == "reject"):
            self.refused(post)
            return
        post()
        self.decline()
        if on_busy == "interrupt":
            for turn in self.turns:
                turn.state = "cancelled" if turn.state == "queued" else turn.state
        goes_on = self.state_of("running") or self.state_of("queued")
        self.turns.append(Expected(content, "queued" if goes_on else "running"))

    @rule()
    def retry(self) -> None:
        newest = self.turns[-1] if self.turns else None
        if newest is None:
            return
        busy = self.state_of("running") or self.state_of("queued")
        fits = newest.state in ("failed", "cancelled", "interrupted") and not self.closed and not busy
        if not fits:
            self.refused(lambda: self.conversation.retry(self.id_of(newest), agent=AGENT))
            return
        self.conversation.retry(self.id_of(newest), agent=AGENT)
        newest.retried = True
        self.decline()
        self.turns.append(Expected(newest.content, "running"))

    @WAITING
    @rule(approved=st.booleans(), place=st.integers(0, 1))
    def decide(self, approved: bool, place: int) -> None:
        turn = self.state_of("awaiting_confirmation")
        assert turn is not None
        call = list(turn.asked)[min(place, len(turn.asked) - 1)]
        confirmation = next(each["id"] for each in self.conversation.confirmations.values() if each["call"] == call)
        if turn.asked[call] not in (None, approved):
            self.refused(lambda: self.conversation.decide(confirmation, approved=approved))
            return
        version = self.conversation.version
        repeated = turn.asked[call] is not None
        goes_on = self.conversation.decide(confirmation, approved=approved)
        assert not repeated or self.conversation.version == version
        turn.asked[call] = approved
        assert goes_on == (not repeated and None not in turn.asked.values())
        if goes_on:
            turn.state = "running"

    @rule(up=st.booleans())
    def rate(self, up: bool) -> None:
        answers = [turn["reply"]["id"] for turn in self.conversation.turns.values() if turn["reply"] is not None]
        for answer in answers[-1:]:
            rating = "up" if up else "down"
            self.conversation.give_feedback(answer, rating=rating, reason=None, comment=None)
            assert self.conversation.feedback[answer]["rating"] == rating

    @rule(by=st.sampled_from(["person", "idle"]))
    def close(self, by: str) -> None:
        busy = self.state_of("running") or self.state_of("queued")
        if by == "idle":
            close_idle(self.conversation, since=last_said(self.conversation))
        elif busy and not self.closed:
            self.refused(self.conversation.close)
        else:
            self.conversation.close()
        if busy or self.closed:
            return
        self.closed = True
        self.decline()

    @rule(place=st.integers(0, 5), edits=st.booleans(), at_once=st.booleans())
    def go_on_in_a_fork(self, place: int, edits: bool, at_once: bool) -> None:
        ended = [turn for turn in self.turns if turn.state in (*ENDED, "awaiting_confirmation")]
        if not ended or self.state_of("running") or self.state_of("queued"):
            return
        turn = ended[min(place, len(ended) - 1)]
        message = self.conversation.turns[self.id_of(turn)]["message_id"]
        first = next(
            number for number, each in enumerate(self.conversation.turns.values()) if each["message_id"] == message
        )
        cut = (Cut.before if edits else Cut.after)(self.conversation, message)
        origin = self.conversation
        version = origin.version
        self.replay()
        self.conversation = fork(origin, cut, id=uuid4(), subject=None, principal=origin.principal)
        assert origin.version == version
        self.events, self.closed = [], False
        messages = [each["message_id"] for each in origin.turns.values()]
        left = [e for turn, id in zip(self.turns, messages, strict=True) if id == message for e in turn.effects]
        kept = self.turns[: first + (not edits)]
        self.carried = [*self.carried_after(kept[: first + (not edits)]), *(left if edits else [])]
        self.turns = [Expected(each.content, each.state, each.retried, effects=[*each.effects]) for each in kept]
        self.copied = len(kept)
        for each in self.turns:
            each.state = "cancelled" if each.state == "awaiting_confirmation" else each.state
        if not edits:
            self.turns[-1].state, self.turns[-1].retried, self.turns[-1].effects = "cancelled", False, left
        if at_once and edits:
            self.say("reject")
        elif at_once:
            self.retry()

    def carried_after(self, turns: list[Expected]) -> list[str]:
        """Return what is known of effects elsewhere until there is an answer here."""
        return [] if any(turn.state == "completed" for turn in turns[self.copied :]) else self.carried

    # What an agent does, and what befalls it -----------------------------------

    @RUNNING
    @rule(done=st.booleans())
    def change_something(self, done: bool) -> None:
        turn = self.state_of("running")
        assert turn is not None
        [call] = self.calls(1)
        function = f"order_{call}"
        begin_action(self.conversation, self.id_of(turn), call=call, function=function, type="api_tool", arguments="{}")
        if done:
            self.conversation.note_action(
                self.id_of(turn), call=call, function=function, type="api_tool", arguments="{}", result="",
                outcome="completed", ms=0.0,
            )  # fmt: skip
        turn.effects.append(function)

    @RUNNING
    @rule(calls=CALLS)
    def answer(self, calls: int) -> None:
        turn = self.state_of("running")
        assert turn is not None
        id = self.id_of(turn)
        before = self.conversation.turn(id)["reply"]
        history = [*(self.history_after(id) if before else []), *self.acted(self.calls(calls), "Let me see.")]
        history.append({"role": "assistant", "content": f"answer to {turn.content}"})
        self.conversation.complete(id, Reply(content=f"answer to {turn.content}", history=history))
        turn.state = "completed"

    def history_after(self, id: str) -> list[dict[str, Any]]:
        """Return what a turn goes on with: what was said until it waited, and the results of what was decided."""
        turn = self.conversation.turn(id)
        decided = [self.conversation.confirmations[each["id"]] for each in turn["pause"]["confirmations"]]
        results = [
            {"role": "tool", "tool_call_id": each["call"], "content": "done" if each["approved"] else "declined"}
            for each in decided
        ]
        return [*turn["reply"]["history"], *results]

    @RUNNING
    @rule(done=CALLS, waits=st.integers(1, 2))
    def ask(self, done: int, waits: int) -> None:
        turn = self.state_of("running")
        assert turn is not None
        id = self.id_of(turn)
        before = self.conversation.turn(id)["reply"]
        ready, waiting = self.calls(done), self.calls(waits)
        asking = {"role": "assistant", "content": "Shall I?", "tool_calls": [{"id": call} for call in ready + waiting]}
        results = [{"role": "tool", "tool_call_id": call, "content": "done"} for call in ready]
        history = [*(self.history_after(id) if before else []), asking, *results]
        wanted = [{"call": call, "function": "shout", "type": "prompt", "arguments": "{}"} for call in waiting]
        self.conversation.request_confirmation(
            id, Pause(reply=Reply(content="Shall I?", history=history), calls=wanted)
        )
        turn.state, turn.asked = "awaiting_confirmation", dict.fromkeys(waiting)

    @RUNNING
    @rule(way=st.sampled_from(["fail", "cancel", "kill"]), partial=st.sampled_from(["", "one, t"]), amid=st.booleans())
    def end(self, way: str, partial: str, amid: bool) -> None:
        if amid:
            self.change_something(done=False)
        turn = self.state_of("running")
        assert turn is not None
        id = self.id_of(turn)
        if way == "fail":
            self.conversation.fail(id, code="x", message="y", reply=Reply(content=partial))
        elif way == "cancel":
            self.conversation.cancel(id, Reply(content=partial))
        else:
            self.conversation.interrupt(id)
        turn.state = {"fail": "failed", "cancel": "cancelled", "kill": "interrupted"}[way]

    @rule()
    def begin_next(self) -> None:
        following = next_queued(self.conversation)
        expected = self.state_of("queued")
        if self.state_of("running") or self.state_of("awaiting_confirmation"):
            expected = None
        assert (following is None) == (expected is None)
        if expected is not None and following is not None:
            assert following["content"] == expected.content
            begin_queued(self.conversation, following["id"], agent=AGENT)
            expected.state = "running"

    @rule()
    def take_back(self) -> None:
        if turn := self.state_of("queued"):
            withdraw(self.conversation, self.id_of(turn))
            turn.state = "cancelled"

    # What must always be so ----------------------------------------------------

    @invariant()
    def no_message_is_lost_and_each_turn_is_as_expected(self) -> None:
        found = [(turn["content"], turn["state"]) for turn in self.conversation.turns.values()]
        assert found == [(turn.content, turn.state) for turn in self.turns]
        assert self.conversation.closed == self.closed

    @invariant()
    def one_turn_goes_on_at_a_time(self) -> None:
        going = [turn for turn in self.turns if turn.state in ("running", "awaiting_confirmation")]
        assert len(going) <= 1

    @invariant()
    def a_model_can_be_told_all_of_it(self) -> None:
        if not self.turns:
            return
        history = self.conversation.history(list(self.conversation.turns)[-1])
        open_calls: set[str] = set()
        for place, message in enumerate(history):
            if message["role"] == "tool":
                assert message["tool_call_id"] in open_calls
                open_calls.remove(message["tool_call_id"])
                continue
            assert not open_calls, "every call has its result before anything else is said"
            open_calls = {call["id"] for call in message.get("tool_calls", ())}
            if place and message["role"] == "assistant":
                before = history[place - 1]
                assert before["role"] != "assistant", "an answer answers something"
        assert not open_calls
        told = [message["content"] for message in history if message["role"] == "user"]
        assert told == [turn.content for turn in self.turns[:-1] if not turn.retried]

    @invariant()
    def what_was_begun_since_the_last_answer_is_known_to_who_answers(self) -> None:
        if (turn := self.state_of("running")) is None:
            return
        place = self.turns.index(turn)
        since = next((n for n in reversed(range(place)) if self.turns[n].state == "completed"), -1)
        expected = [e for each in self.turns[since + 1 : place] for e in each.effects]
        id = self.id_of(turn)
        before = [*attempts_before(self.conversation, id), *cut_off_before(self.conversation, id)]
        known = {action["function"] for action in effects(before)}
        assert known == {*expected, *self.carried_after(self.turns[:place])}

    def replay(self) -> None:
        """Show that the events make the same conversation again."""
        self.events += self.conversation.collect_events()
        again: Conversation | None = None
        for event in self.events:
            again = event.mutate(again)
        assert again is not None
        for name in ("turns", "confirmations", "feedback", "closed", "closed_by", "origin", "carried", "version"):
            assert getattr(again, name) == getattr(self.conversation, name), name

    def teardown(self) -> None:
        if hasattr(self, "conversation"):
            self.replay()


ConversationMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyOrderOfEvents = ConversationMachine.TestCase
