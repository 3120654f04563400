"""Documents from any HTTP API that answers with JSON: a list of items, page by page, each of which is a document."""

import re
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

import orjson
from pydantic import Field, field_validator

from adapters.connectors.credentials import HTTP_SECRETS, http_credentials
from adapters.connectors.remembered import Remembered
from adapters.connectors.web import Answer, Ask, Web, at_home, must_be_address, origin_of
from commands.knowledge.connectors import FINDS, GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from domain.definition import Strict, parse
from domain.errors import Invalid
from domain.paths import at
from domain.provider import CREDENTIAL_HEADERS

Path = Annotated[str, Field(max_length=200)]
Header = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
HeaderValue = Annotated[str, Field(max_length=8000, pattern=r"^[ -~]*$")]
MOST_PAGES = 100_000
OF_THE_CONNECTION = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te"})
NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next\b')


class HttpJsonConfig(Strict):
    """Any HTTP API that lists items as JSON; paths such as `a.b` say where things stand in it."""

    url: str = Field(min_length=1, max_length=2000, description="Of the first page, with its query.")
    headers: dict[Header, HeaderValue] = Field(
        default_factory=dict, max_length=50, description="Sent with each request."
    )
    items: Path = Field("", description="Where the list of items stands in an answer; empty: the answer is the list.")
    id: Path = Field("id", description="What tells an item from the others.")
    title: Path | None = Field(None, description="What people see; null = the id.")
    text: Path | None = Field(None, description="null = the whole item as JSON.")
    media_type: Literal["text/plain", "text/html", "text/markdown"] = Field("text/plain", description="Of the text.")
    link: Path | None = Field(None, description="The address that people open.")
    version: Path | None = Field(None, description="What changes with the item; null = it is compared whole.")
    item_url: str | None = Field(
        None, max_length=2000, description="Where one item is had, `{id}` stands for its id; null = it is in the list."
    )
    next: Annotated[Path | None, FINDS] = Field(
        None, description="In an answer: the address, or the cursor, of the next page."
    )
    cursor_parameter: Annotated[str | None, FINDS] = Field(
        None, max_length=100, description="The query's name for what `next` gives."
    )
    page_parameter: Annotated[str | None, FINDS] = Field(
        None, max_length=100, description="The query's name for a page's number."
    )
    first_page: Annotated[Literal[0, 1], FINDS] = Field(
        1, description="With `page_parameter`: the number of the first page."
    )

    @field_validator("headers")
    @classmethod
    def _headers_are_public(cls, headers: dict[str, str]) -> dict[str, str]:
        for name in headers:
            if name.lower() in CREDENTIAL_HEADERS:
                raise ValueError("a header that carries a credential is one of the secrets: token, basic or api_key")
            if name.lower() in OF_THE_CONNECTION:
                raise ValueError(f"{name} belongs to the connection")
        return headers


class HttpJsonConnector:
    """Walks the pages of a list: by what an answer names as next, by its `Link` header, or by numbers."""

    config = HttpJsonConfig
    secrets = HTTP_SECRETS

    def __init__(self, web: Web) -> None:
        self._web = web
        self._items = Remembered()

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where an address is none, or credentials would go to another one."""
        settings = parse(HttpJsonConfig, dict(config), "/config")
        must_be_address(settings.url, "/config/url")
        if settings.item_url is not None:
            must_be_address(settings.item_url.replace("{id}", "id"), "/config/item_url")
            if origin_of(settings.item_url.replace("{id}", "id")) != origin_of(settings.url):
                raise Invalid("An item is had where the list is.", code="other_origin", pointer="/config/item_url")

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all items of all pages."""
        settings = parse(HttpJsonConfig, dict(place.config), "/config")
        self._items.forget(place.visit)
        async for item in self._walk(settings, place):
            id = id_of(item, settings)
            if settings.item_url is None:
                self._items.keep(place.visit, id, item)
            version = None if settings.version is None else at(item, settings.version)
            yield Listed(external_id=id, version=digest(item) if version is None else str(version))

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return an item as a document."""
        settings = parse(HttpJsonConfig, dict(place.config), "/config")
        if settings.item_url is None:
            item = await self._items.take(place.visit, external_id, lambda: self.list(place))
        else:
            url = settings.item_url.replace("{id}", quote(external_id, safe=""))
            answer = await self._ask(settings, place, url)
            from_api = "html" not in answer.headers.get("content-type", "")
            item = (answer.of_document() if from_api else answer.of_part()).json()
        return document_of(item, external_id, settings)

    def end(self, place: Place) -> None:
        """Drop the items that were kept for fetching."""
        self._items.end(place.visit)

    async def _walk(self, settings: HttpJsonConfig, place: Place) -> AsyncIterator[Any]:
        url: str | None = settings.url
        if settings.page_parameter is not None:
            url = with_query(settings.url, settings.page_parameter, str(settings.first_page))
        for number in range(MOST_PAGES):
            assert url is not None
            answer = (await self._ask(settings, place, url)).of_source()
            told = answer.json()
            items = at(told, settings.items)
            if not isinstance(items, list):
                raise SourceUnavailable(f"Page {number + 1} has no list at `items` ({settings.items or 'the whole'}).")
            for item in items:
                yield item
            try:
                before, url = url, following(url, answer, told, items, number, settings)
            except ValueError:
                raise SourceUnavailable(f"Page {number + 1} names what is no address as the next one.") from None
            if url is None:
                return
            if url == before:
                raise SourceUnavailable(f"Page {number + 1} names itself as the next one.")
        raise SourceUnavailable(f"There are more than {MOST_PAGES:,} pages.")

    async def _ask(self, settings: HttpJsonConfig, place: Place, url: str) -> Answer:
        own = {**settings.headers, **http_credentials(place.secrets)} if at_home(url, settings.url) else {}
        return await self._web.ask(Ask(url=url, credentials=own))


def following(
    url: str, answer: Answer, told: Any, items: list[Any], number: int, settings: HttpJsonConfig
) -> str | None:
    """Return the address of the next page; None: this was the last."""
    if settings.next is not None:
        named = at(told, settings.next)
        if named in (None, "", False):
            return None
        if settings.cursor_parameter is not None:
            return with_query(settings.url, settings.cursor_parameter, str(named))
        return urljoin(url, str(named))
    if settings.page_parameter is not None:
        next_number = settings.first_page + number + 1
        return with_query(settings.url, settings.page_parameter, str(next_number)) if items else None
    linked = NEXT.search(answer.headers.get("link", ""))
    return urljoin(url, linked[1]) if linked else None


def with_query(url: str, name: str, value: str) -> str:
    """Return the address with this value in its query, instead of the one it may have there."""
    parts = urlsplit(url)
    query = [(key, each) for key, each in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, value)])))


def id_of(item: Any, settings: HttpJsonConfig) -> str:
    """Return what tells an item from the others, or raise SourceUnavailable: without it nothing can be compared."""
    id = at(item, settings.id)
    if id is None or isinstance(id, dict | list | bool) or id == "":
        raise SourceUnavailable(f"An item has no text or number at `id` ({settings.id}).")
    return str(id)


def digest(item: Any) -> str:
    """Return what changes with an item."""
    return sha256(orjson.dumps(item, option=orjson.OPT_SORT_KEYS)).hexdigest()


def document_of(item: Any, external_id: str, settings: HttpJsonConfig) -> GivenDocument:
    """Return an item as a document; all of it but its text is metadata."""
    title = None if settings.title is None else at(item, settings.title)
    link = None if settings.link is None else at(item, settings.link)
    if settings.text is None:
        content, media_type = orjson.dumps(item, option=orjson.OPT_INDENT_2), "application/json"
    else:
        text = at(item, settings.text)
        if not isinstance(text, str):
            raise NotFetched(f"It has no text at `text` ({settings.text}).", code="no_text")
        content, media_type = text.encode(errors="replace"), settings.media_type
    return GivenDocument(
        external_id=external_id,
        title=str(title or external_id)[:1000],
        url=str(link) if link else None,
        media_type=media_type,
        content=content,
        metadata=without(item, settings.text) if isinstance(item, dict) and settings.text else {},
        acl=None,
    )


def without(item: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return a JSON object without what stands at a path."""
    head, _, rest = (path, "", "") if path in item else path.partition(".")
    inner = item.get(head)
    kept = {key: value for key, value in item.items() if key != head}
    return {**kept, head: without(inner, rest)} if rest and isinstance(inner, Mapping) else kept
