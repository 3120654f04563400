"""What a Confluence holds, in the words that its two interfaces have in common."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from adapters.connectors.web import Answer

Kind = Literal["page", "blogpost", "attachment"]
Get = Callable[[str], Awaitable[Answer]]
"""Asks for what stands at a path below Confluence's address."""

ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
"""What an id of Confluence looks like."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """Where pages stand; `id` is what the interface calls it by."""

    id: str | None
    key: str | None


@dataclass(frozen=True, kw_only=True)
class Above:
    """Something that a page stands below; `whole` False: what it is and stands below itself could not be told."""

    id: str
    title: str
    whole: bool = True


@dataclass(frozen=True, kw_only=True)
class Content:
    """A page, blog post or attachment, as a list tells it."""

    kind: Kind
    id: str
    title: str
    version: str
    on: "Content | None" = None
    """What an attachment is attached to."""

    told: Any = None
    """All that was told."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A page or blog post with what it says."""

    content: Content
    stored: str
    space: str | None
    labels: Sequence[str]
    changed_at: str | None
    link: str | None


class Wiki(Protocol):
    """One of the interfaces, for one sync of one source; it remembers what it was told."""

    def spaces(self, keys: Sequence[str]) -> AsyncIterator[Space]:
        """Yield the spaces with these keys, or that which stands for all."""

    def contents(self, kind: Kind, space: Space) -> AsyncIterator[Content]:
        """Yield all pages or blog posts of a space."""

    def attachments(self, content: Content) -> AsyncIterator[Content]:
        """Yield all that is attached to a page or blog post."""

    async def above(self, content: Content) -> Sequence[Above]:
        """Return what a page stands below, the highest first."""

    async def whole(self, kind: Kind, id: str) -> Whole:
        """Return a page or blog post, or raise NotFetched."""

    async def attachment(self, id: str) -> Content:
        """Return an attachment and what it is attached to, or raise NotFetched."""

    async def file(self, attachment: Content) -> Answer:
        """Return the bytes of an attachment."""
