"""Sources as connectors find them: each with documents that come, change and go, and with what may go wrong there."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.support.site import Answer, Asked, Site

CANARY = "canary-0815-CANARY-4711"
"""What the secrets of sources look like; it must appear nowhere."""


class World(ABC):
    """One source. Names are those of the test; `external_id` says how the connector calls a document."""

    type: ClassVar[str]
    secrets: ClassVar[Mapping[str, str]] = {}
    allow: str = ""
    """What MAGNET_EGRESS_ALLOW has to name."""

    plugins: str = ""
    """What MAGNET_PLUGINS has to name."""

    renames: ClassVar[bool] = False
    """Whether documents have lasting ids, so that they may be called otherwise."""

    left_out: int = 0
    """How many things it lists that are no documents."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]: ...

    @abstractmethod
    async def put(self, name: str, text: str) -> None:
        """Let there be a document, or let it say something else."""

    @abstractmethod
    async def remove(self, name: str) -> None: ...

    @abstractmethod
    async def leave(self, *, after: int = 0) -> None:
        """Be away, after so many more answers."""

    @abstractmethod
    async def come_back(self) -> None: ...

    def external_id(self, name: str) -> str:
        return name


class GuardedWorld(World):
    """A source that asks for credentials, and may have too much to do."""

    def __init__(self) -> None:
        self.refusing = False
        self.lets_in: int | None = None
        self.broken: set[str] = set()

    breakable = True
    """Whether single documents may be broken, those in `broken`."""

    @abstractmethod
    def throttle(self, times: int) -> None:
        """Have the next requests wait."""

    def expire(self, *, after: int) -> None:
        """Refuse the credentials after so many more answers, as a token's end does; None in `lets_in` undoes it."""
        self.lets_in = after


class SiteWorld(GuardedWorld):
    """A source that is asked by HTTP: `answer` says what is there, everything else is what may go wrong."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.documents: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.left: int | None = None
        site.answers = self._answers
        self.allow = site.place

    @property
    def refusal(self) -> Answer:
        """How credentials are refused."""
        return Answer(status=401)

    @abstractmethod
    def answer(self, asked: Asked) -> Answer:
        """Answer as the source's API does."""

    @abstractmethod
    def authorized(self, asked: Asked) -> bool:
        """Return whether a request brings the secrets as this API wants them."""

    @abstractmethod
    def asks_for(self, asked: Asked) -> str | None:
        """Return which document's text a request is for, None: it is for a list."""

    async def put(self, name: str, text: str) -> None:
        self.documents[name] = text

    async def remove(self, name: str) -> None:
        del self.documents[name]

    async def rename(self, name: str, title: str) -> None:
        """Let a document be called otherwise, where it `renames`."""
        self.titles[name] = title
        await self.put(name, self.documents[name])

    def title(self, name: str) -> str:
        return self.titles.get(name, f"About {name}")

    async def leave(self, *, after: int = 0) -> None:
        self.left = after

    async def come_back(self) -> None:
        self.left = None

    def throttle(self, times: int) -> None:
        """Have the next requests wait."""
        self.site.next = [Answer(status=429, headers={"Retry-After": "0"})] * times

    def _answers(self, asked: Asked) -> Answer:
        if self.left is not None:
            if self.left == 0:
                return Answer(status=503)
            self.left -= 1
        if self.refusing or self.lets_in == 0 or not self.authorized(asked):
            return self.refusal
        if self.lets_in is not None:
            self.lets_in -= 1
        if self.asks_for(asked) in self.broken:
            return Answer(status=500)
        return self.answer(asked)
