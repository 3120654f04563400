"""What was said before an agent took over, as that agent's guardrails let its model be told it."""

import asyncio
import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from commands.agents.guardrails import TOOLS, Finding, Guards, Watch, masked_in
from commands.at_once import at_once
from commands.choosing import Chosen
from commands.runs.runs import Recording
from domain.conversation import Conversation
from domain.conversation_course import answering
from domain.guardrails import WITHHELD

AT_ONCE = 8
MOST_KEPT = 20_000
"""Texts of which it is kept what was found in them: a guardrail that is asked elsewhere is not asked in each turn."""

Rails = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class LookingBack:
    """Looks at turns that this agent's guardrails have not seen: those that another agent answered, or nobody.

    Those that it has answered itself were looked at when they were said.
    """

    guards: Guards
    _kept: dict[bytes, Sequence[Finding]] = field(default_factory=dict)

    async def seen(self, recording: Recording, agent: Chosen, conversation: Conversation, turn: str) -> Conversation:
        """Return the conversation as an agent may be told it before a turn; nothing of it is recorded.

        What is blocked is left out with what was answered to it, what is masked is masked in answers too, and results that
        hold instructions are withheld. Raises GuardrailFailed where a guardrail can't be asked.
        """
        rails: Rails = agent.definition.get("guardrails", {}).get("input", ())
        unseen = [each for each in conversation.told_before(turn) if strange(each, agent)] if rails else []
        if not unseen:
            return conversation
        found: Counter[str] = Counter()
        watch = Watch(guards=self.guards, recording=recording, settings=agent.definition["guardrails"], parent=None)
        gate = asyncio.Semaphore(AT_ONCE)

        async def shown(each: dict[str, Any]) -> dict[str, Any]:
            async with gate:
                return await self._shown(watch, rails, each, found)

        with recording.step("guardrail", "history") as step:
            step.note |= {"turns": len(unseen)}
            changed = await at_once(shown(each) for each in unseen)
            step.note["findings"] = dict(found)
        return told_so(conversation, {each["id"]: each for each in changed}, agent)

    async def _shown(self, watch: Watch, rails: Rails, turn: dict[str, Any], found: Counter[str]) -> dict[str, Any]:
        """Return a turn as it may be told."""
        said = turn["content"] if turn["told"] is None else turn["told"]
        told = await self._judged(watch, rails, said, found)
        if told is None:
            return {**turn, "refused": True}
        masks = [rail for rail in rails if rail["action"] == "mask"]
        reply = turn["reply"]
        if reply is not None:
            history = [await self._message(watch, rails, each, found) for each in reply["history"]]
            content = await self._judged(watch, masks, reply["content"], found)
            reply = {**reply, "history": history, "content": content}
        partial = await self._judged(watch, masks, turn["partial"], found)
        return {**turn, "told": told, "reply": reply, "partial": partial}

    async def _message(
        self, watch: Watch, rails: Rails, message: Mapping[str, Any], found: Counter[str]
    ) -> Mapping[str, Any]:
        """Return a message of an answer: what the agent said with what is masked, or a result without instructions."""
        text = message.get("content")
        if not isinstance(text, str):
            return message
        if message["role"] == "tool":
            injected = [rail for rail in rails if rail["type"] == TOOLS]
            told = await self._judged(watch, injected, text, found)
            return {**message, "content": WITHHELD if told is None else told}
        masks = [rail for rail in rails if rail["action"] == "mask"]
        return {**message, "content": await self._judged(watch, masks, text, found)}

    async def _judged(self, watch: Watch, rails: Rails, text: str, found: Counter[str]) -> str | None:
        """Return a text with what is masked; None where it is blocked."""
        for rail in rails:
            findings = await self._looked_for(watch, rail, text) if text else ()
            found.update(each.label for each in findings)
            if findings and rail["action"] == "block":
                return None
            text = masked_in(text, findings) if rail["action"] == "mask" else text
        return text

    async def _looked_for(self, watch: Watch, rail: Mapping[str, Any], text: str) -> Sequence[Finding]:
        key = sha256(orjson.dumps([dict(rail), text], option=orjson.OPT_SORT_KEYS)).digest()
        if key not in self._kept:
            findings = await watch.looked_for(rail, text, None)
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = findings
        return self._kept[key]


def strange(turn: Mapping[str, Any], agent: Chosen) -> bool:
    """Return whether an agent's guardrails may not have seen a turn: another one answered it, or it has no answer."""
    return turn["reply"] is None or answering(turn).get("id") != str(agent.id)


def told_so(conversation: Conversation, changed: Mapping[str, dict[str, Any]], agent: Chosen) -> Conversation:
    """Return a conversation with some turns changed, for reading only.

    A summary that was made for another agent holds what was said as it was said: it is left out.
    """
    seen = copy.copy(conversation)
    seen.turns = {**conversation.turns, **changed}
    if conversation.summarized_by != str(agent.id):
        seen.summary = None
    return seen
