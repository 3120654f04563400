"""Pages of websites: some by their addresses, those of a sitemap, or those that links lead to."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser
from uuid import UUID

from pydantic import Field

from adapters.connectors.credentials import HTTP_SECRETS, http_credentials
from adapters.connectors.edit_times import version_of
from adapters.connectors.pages import as_told, links_of, normal, sitemap_of, title_of
from adapters.connectors.selection import Glob
from adapters.connectors.web import GONE, REFUSAL, AddressRefused, Answer, Ask, Web, at_home, must_be_address
from adapters.connectors.web import place as named
from adapters.reading.kinds import kind_of
from commands.at_once import at_once
from commands.knowledge.connectors import FINDS, GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from commands.knowledge.reading import Unreadable
from domain.definition import Strict, parse

AGENT = "Magnet"
"""As which robots.txt is asked."""

MOST_RULES = 512_000
"""Bytes of a robots.txt: as many as its standard has read at least."""

AT_ONCE = 8
MOST_SITEMAPS = 1000
SETTLED = timedelta(minutes=5)
"""How long ago a page of a sitemap has to be edited: until then it may be edited again within what is told."""

HTML = ("text/html", "application/xhtml+xml")
Address = Annotated[str, Field(min_length=1, max_length=2000)]


class UrlConfig(Strict):
    """Pages of a website: some by their addresses, those of a sitemap, or those that links lead to."""

    url: Annotated[Address, FINDS] = Field(description="A page, a sitemap, or where a crawl begins.")
    mode: Literal["page", "sitemap", "crawl"] = Field(
        "page", description="`crawl` follows links to what lies below the directory of `url`."
    )
    pages: Annotated[list[Address], FINDS] = Field(
        default_factory=list, max_length=1000, description="More pages, with mode page."
    )
    include: Annotated[list[Glob], FINDS] = Field(
        default_factory=list, max_length=100, description="Of whole addresses; empty = all."
    )
    exclude: Annotated[list[Glob], FINDS] = Field(
        default_factory=list, max_length=100, description="Not taken, and not followed."
    )
    depth: Annotated[int, FINDS] = Field(5, ge=0, le=50, description="How many links from the first page a crawl goes.")
    most_pages: Annotated[int, FINDS] = Field(
        10_000, ge=1, le=100_000, description="A site with more is told as wrong, not cut."
    )
    robots: Annotated[bool, FINDS] = Field(True, description="Whether a crawl honours robots.txt.")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A page that a crawl came to: None where nothing is to be taken of `url`; and where it leads."""

    url: str
    listed: Listed | None
    leads: Sequence[str] = ()


class UrlConnector:
    """Lists and fetches pages; secrets go to the origin of `url` only."""

    config = UrlConfig
    secrets = HTTP_SECRETS

    def __init__(self, web: Web) -> None:
        self._web = web
        self._left_out: dict[UUID, set[str]] = {}
        """By visit, the pages that a crawl came to and does not take."""

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where an address is none."""
        settings = parse(UrlConfig, dict(config), "/config")
        must_be_address(settings.url, "/config/url")
        for number, page in enumerate(settings.pages):
            must_be_address(page, f"/config/pages/{number}")

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield the pages, each once."""
        walk = Walk(web=self._web, place=place, settings=parse(UrlConfig, dict(place.config), "/config"))
        match walk.settings.mode:
            case "page":
                for page in dict.fromkeys(map(normal, [walk.settings.url, *walk.settings.pages])):
                    yield Listed(external_id=page, version=None)
            case "sitemap":
                async for each in walk.sitemap():
                    yield each
            case "crawl":
                left_out = self._left_out[place.visit] = set()
                async for seen in walk.crawl():
                    if seen.listed is None:
                        left_out.add(seen.url)
                    yield seen.listed

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a page as a document."""
        walk = Walk(web=self._web, place=place, settings=parse(UrlConfig, dict(place.config), "/config"))
        crawls = walk.settings.mode == "crawl"
        if crawls and (external_id in self._left_out.get(place.visit, ()) or not walk.wanted(external_id)):
            raise NotFetched("The site or the settings leave it out.", code="gone")
        answer = await walk.ask(external_id)
        if crawls and normal(answer.url) != external_id:
            raise NotFetched(f"It was sent on to {named(answer.url)}.", code="sent_on")  # its id is where it was found
        if answer.status == 401 and not place.secrets:
            raise NotFetched(f"{external_id} is not for everybody (401).")
        if at_home(answer.url, external_id):
            answer.of_document()
        answer.of_part()
        media_type, charset = media_type_of(answer)
        return GivenDocument(
            external_id=external_id,
            title=(title_of(answer.body, charset) if media_type in HTML else "") or external_id[:1000],
            url=answer.url,
            media_type=media_type,
            content=as_told(answer.body, charset)
            if media_type in HTML or media_type.startswith("text/")
            else answer.body,
            metadata={
                name: answer.headers[header]
                for name, header in (("last_modified", "last-modified"), ("language", "content-language"))
                if header in answer.headers
            },
            acl=None,
        )

    def end(self, place: Place) -> None:
        """Forget what was left out."""
        self._left_out.pop(place.visit, None)


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One walk through a site."""

    web: Web
    place: Place
    settings: UrlConfig

    async def ask(self, url: str) -> Answer:
        """Ask for an address, with the secrets where it is at home."""
        credentials = http_credentials(self.place.secrets) if at_home(url, self.settings.url) else {}
        return await self.web.ask(Ask(url=url, credentials=credentials))

    async def sitemap(self) -> AsyncIterator[Listed | None]:
        """Yield the pages of a sitemap and of those that it names."""
        waiting, seen, pages = [self.settings.url], {self.settings.url}, set[str]()
        while waiting:
            url = waiting.pop(0)
            answer = (await self.ask(url)).of_source()
            found = await asyncio.to_thread(sitemap_of, url, answer.body)
            waiting += [each for each in found.sitemaps if each not in seen]
            seen.update(found.sitemaps)
            if len(seen) > MOST_SITEMAPS:
                raise SourceUnavailable(f"There are more than {MOST_SITEMAPS} sitemaps.")
            for page, edited in found.pages:
                if page not in pages:
                    pages.add(page)
                    self._must_be_few(pages)
                    version = version_of(edited or "", SETTLED)
                    yield Listed(external_id=page, version=version) if self.wanted(page) else None

    async def crawl(self) -> AsyncIterator[Seen]:
        """Yield what links lead to, page by page, those that are nearer to the first one before the others."""
        rules = await self._robots() if self.settings.robots else None
        first = normal(self.settings.url)
        below, seen, level = urljoin(first, "."), {first}, [first]
        taken: set[str] = set()
        for depth in range(self.settings.depth + 1):
            leads: dict[str, None] = {}
            for start in range(0, len(level), AT_ONCE):
                part = level[start : start + AT_ONCE]
                for each in await at_once(self._look(url, first, rules) for url in part):
                    leads |= dict.fromkeys(each.leads)
                    if each.listed is None or not each.listed.wanted or each.url not in taken:
                        taken |= {each.url} if each.listed and each.listed.wanted else set()
                        yield each
            level = [
                url for url in leads if url not in seen and url.startswith(below) and not self._excluded(url)
            ]  # fmt: skip
            seen.update(level)
            self._must_be_few(seen)
            if not level or depth == self.settings.depth:
                return

    async def _look(self, url: str, beginning: str, rules: RobotFileParser | None) -> Seen:
        """Ask for a page: what is there to be taken, and where it leads, if that can be seen."""
        first = url == beginning
        if not await may_crawl(rules, url):
            return Seen(url=url, listed=None)
        try:
            answer = await self.ask(url)
        except AddressRefused:
            if first:
                raise SourceUnavailable(f"{url} may not be asked: let MAGNET_EGRESS_ALLOW name it.") from None
            return self._unseen(url, wanted=False)
        except NotFetched:
            if first:
                raise  # without it the site is not known whole
            return self._unseen(url)
        here = normal(answer.url)
        elsewhere = not at_home(here, self.settings.url)
        if first or (answer.status == 401 and self.place.secrets and not elsewhere):
            answer.of_source()
        if elsewhere:
            return self._unseen(url, wanted=False)
        if answer.status in GONE or not await may_crawl(rules, here):
            return Seen(url=here, listed=None)
        media_type, charset = media_type_of(answer)
        if answer.status >= REFUSAL or (not answer.body and media_type in ("", *HTML)):
            return self._unseen(here)  # it may be there for others, or later
        links = await asyncio.to_thread(links_of, here, answer.body, charset) if media_type in HTML else None
        wanted = self.wanted(here) and readable(media_type, here) and (links is None or links.indexed)
        leads = links.addresses if links else ()
        # sent on to where a crawl does not go, as to a page to log in, or at a beginning that leads nowhere
        lost = (here != url and not here.startswith(urljoin(beginning, "."))) or (first and not leads)
        version = sha256(answer.body).hexdigest()
        listed = Listed(external_id=here, version=version, leads=not lost, wanted=wanted)
        return Seen(url=here, listed=listed if wanted or lost else None, leads=leads)

    async def _robots(self) -> RobotFileParser:
        """Return what robots.txt asks for (RFC 9309: none, or one that is refused, allows all)."""
        rules = RobotFileParser()
        answer = await self.web.ask(Ask(url=urljoin(self.settings.url, "/robots.txt"), most=MOST_RULES))
        if answer.status >= 500:
            raise SourceUnavailable(f"{answer.url} answered {answer.status}: without it nothing is crawled.")
        lines = answer.body.decode(errors="replace").splitlines() if answer.status < 300 else []
        await asyncio.to_thread(rules.parse, lines)
        return rules

    def _unseen(self, url: str, *, wanted: bool = True) -> Seen:
        """Return a page that could not be seen: where it is wanted, it is told as failed when it is fetched."""
        wanted = wanted and self.wanted(url)
        return Seen(url=url, listed=Listed(external_id=url, version=None, leads=False, wanted=wanted))

    def wanted(self, url: str) -> bool:
        """Return whether a page is to be taken by its address."""
        included = not self.settings.include or any(fnmatchcase(url, glob) for glob in self.settings.include)
        return included and not self._excluded(url)

    def _excluded(self, url: str) -> bool:
        return any(fnmatchcase(url, glob) for glob in self.settings.exclude)

    def _must_be_few(self, pages: set[str]) -> None:
        if len(pages) > self.settings.most_pages:
            raise SourceUnavailable(
                f"There are more than {self.settings.most_pages:,} pages: set `most_pages` higher, or exclude some.",
                code="too_many_pages",
            )


async def may_crawl(rules: RobotFileParser | None, url: str) -> bool:
    """Return whether robots.txt lets a page be taken; without rules all are."""
    return rules is None or await asyncio.to_thread(rules.can_fetch, AGENT, url)


def media_type_of(answer: Answer) -> tuple[str, str]:
    """Return an answer's media type in small letters, and its charset; empty where it tells none."""
    kind, _, rest = answer.headers.get("content-type", "").partition(";")
    charset = rest.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    return kind.strip().lower(), charset


def readable(media_type: str, url: str) -> bool:
    """Return whether there is a parser for a page."""
    try:
        kind_of(media_type, urlsplit(url).path)
    except Unreadable:
        return False
    return True
