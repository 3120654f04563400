"""What the model server has received, as tests look at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    """One request. `ended` says how it ended: None while it runs, `answered`, `failed` or `left` by the client."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any
    connection: int
    pieces: int = 0
    ended: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def credential(self) -> str | None:
        """The key that came with it, in either form."""
        bearer = self.headers.get("authorization", "")
        return bearer.removeprefix("Bearer ") or self.headers.get("api-key")

    @property
    def model(self) -> str | None:
        """The model that was asked for: in the body, or as deployment in the path."""
        if "/deployments/" in self.path:
            return self.path.split("/deployments/")[1].split("/")[0]
        return self.body.get("model") if isinstance(self.body, dict) else None

    @property
    def stream(self) -> bool:
        """Whether a stream was asked for."""
        return isinstance(self.body, dict) and bool(self.body.get("stream"))

    @property
    def prompt(self) -> str:
        """All text of the messages."""
        return " ".join(map(text_of, self.body["messages"]))

    @property
    def question(self) -> str:
        """The text of the last message."""
        return text_of(self.body["messages"][-1])


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message's text, also where it comes in parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
