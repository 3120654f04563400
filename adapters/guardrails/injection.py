"""Instructions that stand where none should: heuristics, which find what is blunt and are no proof of the rest."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from uuid import UUID

from pydantic import BaseModel, Field

from commands.agents.guardrails import Finding

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
HIDDEN = re.compile("[\U000e0000-\U000e007f]|[\u202a-\u202e\u2066-\u2069]")
"""Characters that nobody sees: letters as tags, and changes of direction."""

WHOSE = r"(?:(?:all|any|the|your|my|these|those|of|previous|prior|above|earlier|preceding|former|system|developer)\s+)+"
WHAT = r"(?:instructions?|prompts?|rules|directions|guidelines|messages?|context|constraints)"
PATTERNS: Mapping[str, "re.Pattern[str]"] = {
    "override": re.compile(
        rf"\b(?:ignore|disregard|forget|override|bypass|do not follow|don't follow)\s+{WHOSE}{WHAT}\b"
        r"|\b(?:ignorier|vergiss|missacht)\w*\s+(?:\w+\s+){0,3}(?:anweisung|instruktion|regel|vorgabe)\w*"
        r"|\bignore[rz]?\s+(?:\w+\s+){0,3}(?:instructions|consignes)\s+(?:pr[eé]c[eé]dentes|ci-dessus)"
    ),
    "role": re.compile(
        r"\byou are (?:now|no longer)\b|\bfrom now on,? you\b|\bact as (?:if you (?:are|were)|an? unrestricted|dan\b)"
        r"|\b(?:developer|jailbreak|god|dan) mode\b|\bdu bist (?:jetzt|ab jetzt|nicht mehr)\b"
    ),
    "disclosure": re.compile(
        r"\b(?:reveal|print|repeat|show|output|tell me|disclose)\s+(?:\w+\s+){0,3}(?:system|initial|hidden|secret)\s+"
        r"(?:prompt|instructions?|message)"
    ),
    "secrecy": re.compile(
        r"\b(?:do not|don't|never)\s+(?:tell|inform|mention|reveal)\b.{0,40}\b(?:the\s+)?(?:user|person|human)\b"
    ),
    "markup": re.compile(
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext)\|>|\[/?inst\]|<<\s*/?sys\s*>>"
        r"|^[^\S\n]*+#{2,}+\s*+(?:system|new instructions?)\b"
        r"|^[^\S\n]*+(?:system|developer)\s*+(?:prompt|message)?\s*+:",
        re.MULTILINE,
    ),
}


class InjectionConfig(BaseModel, extra="forbid", strict=True):
    """Instructions in what a person says or an action gives that try to replace the agent's own; by heuristics."""

    phrases: list[str] = Field(default=[], max_length=200, description="Further ones, found in any case and spacing.")


class InjectionGuard:
    """Looks for injected instructions."""

    config: type[BaseModel] = InjectionConfig

    async def check(self, text: str, config: BaseModel, provider: UUID | None) -> Sequence[Finding]:
        """Return what the whole text holds of them."""
        assert isinstance(config, InjectionConfig)
        plain = seen(text)
        labels = [label for label, pattern in PATTERNS.items() if pattern.search(plain)]
        words = " ".join(plain.split())
        if any(" ".join(seen(phrase).split()) in words for phrase in config.phrases if phrase.strip()):
            labels.append("phrase")
        if HIDDEN.search(text):
            labels.append("hidden")
        return [Finding(label=label) for label in labels]


def seen(text: str) -> str:
    """Return a text as it is compared: in one form, without what nobody sees."""
    return INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()
