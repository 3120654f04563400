"""Lists that come page by page, each naming the cursor of the next one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from commands.knowledge.connectors import SourceUnavailable
from domain.errors import DomainError
from domain.paths import at

MOST_PAGES = 100_000


async def pages(
    ask: Callable[[str | None], Awaitable[Any]],
    *,
    items: str,
    next: str,
    refusal: type[DomainError] = SourceUnavailable,
) -> AsyncIterator[tuple[list[Any], Any]]:
    """Yield the items of each page and the whole answer, to the last page.

    `ask` is given the cursor; `items` and `next` are paths in its answer. Raises `refusal` where an answer has no
    list, or where pages lead in a circle: what is told of such a list is a part of it only.
    """
    seen: set[str] = set()
    cursor: str | None = None
    for number in range(1, MOST_PAGES + 1):
        told = await ask(cursor)
        found = at(told, items)
        if not isinstance(found, list):
            raise refusal(f"Page {number} of a list has no `{items}`: this is no answer of such an API.")
        yield found, told
        following = at(told, next)
        if following in (None, "", False):
            return
        cursor = str(following)
        if cursor in seen:
            raise refusal(f"Page {number} of a list names as the next one a page that was read already.")
        seen.add(cursor)
    raise refusal(f"A list has more than {MOST_PAGES:,} pages.")
