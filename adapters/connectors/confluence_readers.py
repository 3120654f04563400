"""Who may read a page of Confluence, as far as it is told in groups."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from adapters.connectors.confluence_content import Above, Get
from commands.knowledge.connectors import NotFetched
from domain.paths import at

LIMIT = 200
MOST_PAGES = 1000


class Readers:
    """The restrictions of reading: those of a page and of all that it stands below hold together."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._own: dict[str, frozenset[str] | None] = {}

    async def of(self, id: str, above: Sequence[Above]) -> list[str] | None:
        """Return the groups that may read a page, None where nothing restricts it; `[]`: only single persons may.

        Raises NotFetched where that can't be told: what may be secret is not taken over.
        """
        readers: frozenset[str] | None = None
        for each in [*above, Above(id=id, title="")]:
            if not each.whole:
                raise NotFetched(
                    "What it stands below can't be seen, so nobody can tell who may read it: let the credentials see "
                    "that, or take over no permissions.",
                    code="access_unknown",
                )
            own = await self._restriction(each.id)
            if own is not None:
                readers = own if readers is None else readers & own
        return None if readers is None else sorted(readers)

    async def _restriction(self, id: str) -> frozenset[str] | None:
        """Return the groups that a restriction names, None: there is no restriction."""
        if id not in self._own:
            self._own[id] = await self._ask(id)
        return self._own[id]

    async def _ask(self, id: str) -> frozenset[str] | None:
        groups, persons, start = set[str](), 0, 0
        for _ in range(MOST_PAGES):
            query = {"expand": "restrictions.user,restrictions.group", "start": start, "limit": LIMIT}
            path = f"/rest/api/content/{quote(id, safe='')}/restriction/byOperation/read"
            answer = (await self._get(f"{path}?{urlencode(query)}")).of_part().json()
            listed, users = named(answer, "group"), named(answer, "user")
            groups.update(name_of(each) for each in listed)
            persons += len(users)
            step = min(most(answer, "group"), most(answer, "user"))
            if len(listed) < step and len(users) < step:
                return frozenset(groups) if groups or persons else None
            start += step
        raise NotFetched("The list of those who may read it has no end.", code="access_unknown")


def named(answer: Any, kind: str) -> Sequence[Mapping[str, Any]]:
    """Return the groups or users of a restriction, or raise NotFetched."""
    found = at(answer, f"restrictions.{kind}.results")
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise NotFetched(
            f"Who may read it is not told: there is no list at `restrictions.{kind}`.", code="access_unknown"
        )
    return found


def name_of(group: Mapping[str, Any]) -> str:
    """Return the name of a group, or raise NotFetched."""
    name = group.get("name")
    if not isinstance(name, str) or not name:
        raise NotFetched("A group that may read it has no name.", code="access_unknown")
    return name


def most(answer: Any, kind: str) -> int:
    """Return how many there are on a page at most."""
    limit = at(answer, f"restrictions.{kind}.limit")
    return limit if isinstance(limit, int) and 0 < limit < LIMIT else LIMIT
