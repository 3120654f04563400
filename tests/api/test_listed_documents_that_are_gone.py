"""Documents that a source lists and no longer has: they go like those that it does not list, and nothing else goes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.postgres import Database
from tests.support.reading import PlainReader
from tests.support.server import serving
from tests.support.site import Answer, Asked, Site, site
from tests.support.synced import SOURCE, SyncedSource, counts

PLAIN = {"Content-Type": "text/plain"}
HTML = {"Content-Type": "text/html"}


@dataclass
class Pages(SyncedSource):
    """A server whose source `docs` is pages by their addresses: those in `there` are there."""

    site: Site
    there: dict[str, Answer]

    def ids(self, *names: str) -> set[str]:
        return {f"{self.site.url}/{name}" for name in names}

    async def stand(self) -> set[str]:
        return set(await self.documents())


@pytest.fixture
async def pages(database: Database, tmp_path: Path) -> AsyncIterator[Pages]:
    there = {name: Answer(body=f"{name} stands here".encode(), headers=PLAIN) for name in "abc"}

    def answer(asked: Asked) -> Answer:
        return there.get(asked.path.removeprefix("/"), Answer(status=404))

    async with (
        site(answer) as made,
        serving(database, tmp_path / "home", reader=PlainReader(), MAGNET_EGRESS_ALLOW=made.place) as magnet,
    ):
        config = {"url": f"{made.url}/a", "pages": [f"{made.url}/{name}" for name in "bcd"]}
        await magnet.do("POST", "/v1/knowledge-sources", {"name": "docs", "type": "url", "config": config})
        yield Pages(magnet=magnet, site=made, there=there)


async def test_a_listed_document_that_is_gone_goes_and_one_that_never_was_there_fails(pages: Pages):
    first = await pages.sync()
    assert (first["state"], first["counts"]) == ("completed", counts(listed=4, added=3, failed=1))
    assert [(each["external_id"], each["code"]) for each in first["errors"]] == [(f"{pages.site.url}/d", "gone")]
    del pages.there["b"]
    pages.there["c"] = Answer(status=403)
    second = await pages.sync()
    assert (second["state"], second["counts"]) == ("completed", counts(listed=4, unchanged=1, failed=2, removed=1))
    assert await pages.stand() == pages.ids("a", "c"), "what is refused is not gone"
    pages.there["b"] = Answer(body=b"b is back", headers=PLAIN)
    third = await pages.sync()
    assert third["counts"] == counts(listed=4, added=1, unchanged=1, failed=2)
    assert await pages.stand() == pages.ids("a", "b", "c")


async def test_a_source_in_which_nearly_all_is_gone_is_not_believed(pages: Pages):
    await pages.sync()
    kept = dict(pages.there)
    pages.there.clear()
    pages.there["d"] = Answer(status=404)
    await pages.magnet.do("PATCH", SOURCE, {"config": {"pages": [f"{pages.site.url}/{name}" for name in "bc"]}})
    failed = await pages.sync()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "too_few_listed"), failed
    assert await pages.stand() == pages.ids("a", "b", "c")
    pages.there.update(kept)
    assert (await pages.sync())["counts"] == counts(listed=3, unchanged=3)
    pages.there.clear()
    allowed = await pages.sync(allow_mass_removal=True)
    assert (allowed["state"], allowed["counts"]) == ("completed", counts(listed=3, removed=3))
    assert await pages.stand() == set()


async def test_what_lies_behind_a_page_that_can_not_be_seen_stays(pages: Pages):
    def links(*names: str) -> Answer:
        shown = " ".join(f'<a href="{name}">{name}</a>' for name in names)
        return Answer(body=f"It leads to {shown}.".encode(), headers=HTML)

    pages.there |= {"docs/": links("hub", "new"), "docs/hub": links("leaf"), "docs/leaf": links()}
    config = {"url": f"{pages.site.url}/docs/", "mode": "crawl", "pages": []}
    await pages.magnet.do("PATCH", SOURCE, {"config": config})
    await pages.sync()
    assert await pages.stand() == pages.ids("docs/", "docs/hub", "docs/leaf")
    stands = pages.ids("docs/", "docs/hub", "docs/leaf")
    pages.there |= {"docs/hub": Answer(status=403)}
    refused = await pages.sync()
    assert (refused["state"], refused["counts"]) == ("completed", counts(listed=3, unchanged=2, failed=1, left_out=1))
    assert refused["progress"] == {"done": 2, "total": 2}
    assert await pages.stand() == stands
    pages.there |= {"docs/hub": Answer(status=302, headers={"Location": "http://10.0.0.1/login"})}
    refused = await pages.sync()
    assert (refused["state"], refused["counts"]) == ("completed", counts(listed=3, unchanged=2, failed=1, left_out=2))
    assert await pages.stand() == stands
    pages.there |= {"docs/hub": links(), "docs/new": Answer(status=403)}
    assert (await pages.sync())["counts"] == counts(listed=4, unchanged=2, changed=1, failed=1)
    assert await pages.stand() == stands, "who knows what only leads there now"
    del pages.there["docs/leaf"]
    assert (await pages.sync())["counts"] == counts(listed=4, unchanged=2, failed=1, removed=1)
    assert await pages.stand() == pages.ids("docs/", "docs/hub")
    config = {"url": f"{pages.site.url}/docs/", "mode": "crawl", "pages": [], "exclude": ["*/hub"]}
    await pages.magnet.do("PATCH", SOURCE, {"config": config})
    await pages.sync()
    assert await pages.stand() == pages.ids("docs/"), "what the settings leave out goes whatever is refused"


async def test_what_lies_behind_a_page_that_is_no_document_and_can_not_be_seen_stays(pages: Pages):
    def led(*names: str, head: str = "") -> Answer:
        shown = " ".join(f'<a href="{name}">{name}</a>' for name in names)
        return Answer(body=f"<html><head>{head}</head><body>It leads to {shown}</body></html>".encode(), headers=HTML)

    pages.there |= {
        "docs/": led("index", "moved"),
        "docs/index": led("one", head='<meta name="robots" content="noindex">'),
        "docs/moved": Answer(status=302, headers={"Location": "/docs/real"}),
        "docs/real": led("two"), "docs/one": led("index"), "docs/two": led("moved"),
    }  # fmt: skip
    await pages.magnet.do("PATCH", SOURCE, {"config": {"url": f"{pages.site.url}/docs/", "mode": "crawl", "pages": []}})
    await pages.sync()
    stands = pages.ids("docs/", "docs/one", "docs/real", "docs/two")
    assert await pages.stand() == stands
    pages.there |= {"docs/index": Answer(status=403), "docs/moved": Answer(status=403)}
    assert (await pages.sync())["state"] == "completed"
    assert await pages.stand() == stands
