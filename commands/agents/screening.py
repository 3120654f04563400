"""What an agent says, looked at before it is heard: what can't be judged yet is held back."""

import re
from collections import Counter

from commands.agents.guardrails import Watch, masked_in

END = re.compile(r"(?<![.!?…])[.!?…]++[\"')\]]*+\s+|\n+")
"""Where a sentence ends with the text to come being another one."""

SPACE = re.compile(r"\s")
CLOSING = ".!?…\"')]"
"""What may stand before the space at an end."""


class Screen:
    """Passes one text of a model on: whole where it may be blocked, by sentences where it is masked, else as it comes.

    `passed` is what has been passed on.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._whole = any(rail["action"] == "block" for rail in watch.output)
        self._masks = [] if self._whole else [rail for rail in watch.output if rail["action"] == "mask"]
        self._masked = [Counter[str]() for _ in self._masks]
        self._held = ""
        self._said: list[str] = []
        self.passed = ""

    async def feed(self, text: str) -> str:
        """Return what may be heard by now."""
        self._said.append(text)
        if self._whole:
            return ""
        if not self._masks:
            return self._pass(text)
        if SPACE.search(text) is None:  # so none ends, and what is held is not looked through again for each piece
            self._held += text
            return ""
        begins = len(self._held.rstrip(CLOSING))
        self._held += text
        ends = [found.end() for found in END.finditer(self._held, begins)]
        if not ends:
            return ""
        ready, self._held = self._held[: ends[-1]], self._held[ends[-1] :]
        return self._pass(await self._mask(ready))

    async def rest(self) -> str:
        """Return the rest, at the end; or raise Blocked."""
        watch, said = self._watch, "".join(self._said)
        if not said:
            return ""
        if self._whole:
            return self._pass(await watch.judged("output", watch.output, said))
        rest = await self._mask(self._held) if self._held else ""
        for rail, found in zip(self._masks, self._masked, strict=True):
            with watch.recording.step("guardrail", rail["type"], watch.parent) as step:
                watch.note("output", rail, found, step, None)
        await watch.judged("output", [rail for rail in watch.output if rail["action"] == "flag"], said)
        return self._pass(rest)

    async def _mask(self, text: str) -> str:
        for rail, found in zip(self._masks, self._masked, strict=True):
            findings = await self._watch.looked_for(rail, text, None)
            found.update(each.label for each in findings)
            text = masked_in(text, findings)
        return text

    def _pass(self, text: str) -> str:
        self.passed += text
        return text
