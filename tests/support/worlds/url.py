"""A website behind a password: with an index of sitemaps, one of them packed, or with a page of links."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.support.site import Answer, Asked, Site
from tests.support.worlds import CANARY, SiteWorld

INDEX = (
    '<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>{}</loc></sitemap></sitemapindex>'
)
ENTRY = "<url><loc>{}</loc><lastmod>2026-01-01T00:{:02}:00+00:00</lastmod></url>"
PAGES = '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</urlset>'


class UrlWorld(SiteWorld):
    type = "url"
    secrets: ClassVar[Mapping[str, str]] = {"basic": f"user:{CANARY}"}

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.edits: dict[str, int] = {}

    async def put(self, name: str, text: str) -> None:
        await super().put(name, text)
        self.edits[name] = self.edits.get(name, 0) + 1

    @property
    def config(self) -> dict[str, Any]:
        return {"url": f"{self.site.url}/sitemap.xml", "mode": "sitemap"}

    def external_id(self, name: str) -> str:
        return f"{self.site.url}/pages/{name}"

    def authorized(self, asked: Asked) -> bool:
        told = base64.b64encode(f"user:{CANARY}".encode()).decode()
        return asked.headers.get("authorization") == f"Basic {told}"

    def asks_for(self, asked: Asked) -> str | None:
        return asked.path.removeprefix("/pages/") if asked.path.startswith("/pages/") else None

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/sitemap.xml":
            return Answer(body=INDEX.format("/pages.xml.gz").encode())
        if asked.path == "/pages.xml.gz":
            entries = "".join(ENTRY.format(self.external_id(name), self.edits[name]) for name in sorted(self.documents))
            return Answer(body=gzip.compress(PAGES.format(entries).encode()))
        name = self.asks_for(asked)
        if name not in self.documents:
            return Answer(status=404)
        page = f"<html><head><title>About {name}</title></head><body><p>{self.documents[name]}</p></body></html>"
        return Answer(body=page.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


class CrawlWorld(UrlWorld):
    """Its first page is no document itself."""

    left_out = 1

    @property
    def config(self) -> dict[str, Any]:
        return {"url": f"{self.site.url}/pages/", "mode": "crawl"}

    def asks_for(self, asked: Asked) -> str | None:
        return super().asks_for(asked) or None

    def answer(self, asked: Asked) -> Answer:
        if asked.path != "/pages/":
            return super().answer(asked)
        links = "".join(f'<a href="{name}">{name}</a>' for name in sorted(self.documents))
        page = f'<html><head><meta name="robots" content="noindex"></head><body>{links}</body></html>'
        return Answer(body=page.encode(), headers={"Content-Type": "text/html"})
