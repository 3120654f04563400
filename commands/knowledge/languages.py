"""The port behind which the language of a text is found out."""

from typing import Protocol


class LanguageDetector(Protocol):
    """Finds out in which language texts are, without asking any model provider."""

    async def detect(self, text: str) -> str | None:
        """Return the language as its ISO 639 code, such as `de`; None where that is not sure."""
