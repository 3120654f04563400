"""Finding out the language of a text by a small model that comes along: the same for the same text, always."""

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.language_model import LanguageModel

LONGEST = 10_000
"""Characters of a text that are looked at."""

LEAST = 0.5
"""The probability from which on a language counts as found: single words are below it."""

NONE = frozenset({"zxx", "und"})
"""Codes of what is no language."""

_loading = threading.Lock()
_loaded: "list[LanguageModel]" = []


def identifier() -> "LanguageModel":
    """Return the model, which is loaded once in a process; that takes most of a second, and 115 MB."""
    with _loading:
        if not _loaded:
            from adapters.language_model import LanguageModel  # noqa: PLC0415 - most processes never need it

            _loaded.append(LanguageModel.load())
        return _loaded[0]


class Languages:
    """Finds out in which language texts are."""

    async def detect(self, text: str) -> str | None:
        """Return the language as its ISO 639 code; None where that is not sure."""
        known = _loaded[0] if _loaded else await asyncio.to_thread(identifier)
        code, probability = known.classify(text[:LONGEST])
        return str(code) if probability >= LEAST and code not in NONE else None
