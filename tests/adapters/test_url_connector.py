"""Websites: what a crawl finds and leaves, what sitemaps hold, and that neither leads where nobody may go."""

import gzip
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from adapters.connectors import web as requests
from adapters.connectors.pages import links_of, sitemap_of, title_of
from adapters.connectors.url import UrlConnector
from adapters.connectors.web import AddressRefused, Web
from adapters.egress import Egress
from adapters.reading.html import read_html
from commands.knowledge.connectors import NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.site import Answer, Asked, Site, site

HTML = {"Content-Type": "text/html"}


def page(*links: str, head: str = "") -> Answer:
    body = "".join(f'<a href="{link}">x</a>' for link in links)
    return Answer(body=f"<html><head>{head}</head><body>{body}</body></html>".encode(), headers=HTML)


@pytest.fixture
async def there() -> AsyncIterator[Site]:
    async with site() as made:
        yield made


@pytest.fixture
async def connector(there: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UrlConnector]:
    monkeypatch.setattr(requests, "FIRST_PAUSE", 0.001)
    web = Web(Egress([there.place]))
    yield UrlConnector(web)
    await web.close()


def pages(there: Site, answers: Mapping[str, Answer]) -> None:
    def answer(asked: Asked) -> Answer:
        return answers.get(asked.path, Answer(status=404))

    there.answers = answer


async def listed(connector: UrlConnector, there: Site, path: str = "/docs/", **config: Any) -> tuple[list[str], int]:
    """Return the paths of what is listed, and how much is left out."""
    place = Place(source=uuid4(), config={"url": there.url + path, "mode": "crawl", **config})
    found = [each async for each in connector.list(place)]
    ids = [each.external_id.removeprefix(there.url) for each in found if each is not None and each.wanted]
    return ids, len(found) - len(ids)


async def test_a_crawl_takes_each_page_below_its_beginning_once(connector: UrlConnector, there: Site):
    pages(there, {
        "/docs/": page("a.html", "/docs/a.html#part", "b/", "/other/", "https://example.com/", "mailto:x@y", "javascript:1"),
        "/docs/a.html": page("/docs/", "b/c.html"),
        "/docs/b/": page("c.html", "paper.pdf", "film.mp4", "gone.html"),
        "/docs/b/c.html": page(),
        "/docs/b/paper.pdf": Answer(body=b"%PDF-", headers={"Content-Type": "application/pdf"}),
        "/docs/b/film.mp4": Answer(body=b"", headers={"Content-Type": "video/mp4"}),
    })  # fmt: skip
    ids, left_out = await listed(connector, there)
    assert ids == ["/docs/", "/docs/a.html", "/docs/b/", "/docs/b/c.html", "/docs/b/paper.pdf"]
    assert left_out == 2  # the film, and what is gone
    asked = [each.path for each in there.asked]
    assert len(asked) == len(set(asked)) == 8  # with robots.txt


async def test_a_crawl_goes_no_deeper_than_it_may(connector: UrlConnector, there: Site):
    pages(there, {f"/docs/{n}": page(f"{n + 1}") for n in range(9)} | {"/docs/": page("0")})
    assert (await listed(connector, there, depth=2))[0] == ["/docs/", "/docs/0", "/docs/1"]
    assert (await listed(connector, there, depth=0))[0] == ["/docs/"]


async def test_a_site_with_more_pages_than_are_expected_is_told_and_not_cut(connector: UrlConnector, there: Site):
    pages(there, {"/docs/": page(*(f"{n}" for n in range(20)))})
    with pytest.raises(SourceUnavailable, match="more than 10 pages"):
        await listed(connector, there, most_pages=10)


async def test_robots_and_their_marks_on_pages_are_honoured(connector: UrlConnector, there: Site):
    site_map = {
        "/robots.txt": Answer(body=b"User-agent: *\nDisallow: /docs/secret\n"),
        "/docs/": page("secret.html", "hidden.html", "end.html"),
        "/docs/secret.html": page(),
        "/docs/hidden.html": page("behind.html", head='<meta name="robots" content="noindex">'),
        "/docs/end.html": page("never.html", head='<meta name="ROBOTS" content="nofollow">'),
        "/docs/behind.html": page(),
        "/docs/never.html": page(),
    }
    pages(there, site_map)
    assert await listed(connector, there) == (["/docs/", "/docs/end.html", "/docs/behind.html"], 2)
    assert "/docs/secret.html" in (await listed(connector, there, robots=False))[0]
    pages(there, site_map | {"/robots.txt": Answer(status=500)})
    with pytest.raises(SourceUnavailable, match=r"robots\.txt"):
        await listed(connector, there)


async def test_robots_are_honoured_where_a_redirect_leads_too(connector: UrlConnector, there: Site):
    site_map = {
        "/robots.txt": Answer(body=b"User-agent: *\nDisallow: /docs/secret\n"),
        "/docs/": page("away.html"),
        "/docs/away.html": Answer(status=302, headers={"Location": "/docs/secret.html"}),
        "/docs/secret.html": page("behind.html"),
        "/docs/behind.html": page(),
    }
    pages(there, site_map)
    assert await listed(connector, there) == (["/docs/"], 1)
    assert "/docs/behind.html" in (await listed(connector, there, robots=False))[0]


@pytest.mark.parametrize("status", [400, 403, 406, 451])
async def test_a_page_of_a_crawl_that_is_refused_is_not_gone(connector: UrlConnector, there: Site, status: int):
    site_map = {
        "/docs/": page("a.html", "b.html", "gone.html"),
        "/docs/b.html": page(),
        "/docs/gone.html": Answer(status=410),
    }
    pages(there, site_map | {"/docs/a.html": Answer(status=status)})
    assert await listed(connector, there) == (["/docs/", "/docs/a.html", "/docs/b.html"], 1)
    assert await listed(connector, there, include=["*/b.html"]) == (["/docs/b.html"], 3)
    with pytest.raises(NotFetched, match=str(status)):
        await connector.fetch(Place(source=uuid4(), config={"url": f"{there.url}/docs/"}), f"{there.url}/docs/a.html")


async def test_a_page_of_a_crawl_that_can_not_be_fetched_fails_where_it_is_wanted(connector: UrlConnector, there: Site):
    packed = Answer(body=b"", headers={"Content-Encoding": "gzip"})
    pages(there, {"/docs/": page("a.html", "b.html"), "/docs/a.html": packed, "/docs/b.html": page()})
    assert await listed(connector, there) == (["/docs/", "/docs/a.html", "/docs/b.html"], 0)
    assert await listed(connector, there, include=["*/b.html"]) == (["/docs/b.html"], 2)
    with pytest.raises(NotFetched, match="packed"):
        await listed(connector, there, "/docs/a.html", include=["*/b.html"])


async def test_a_crawl_whose_credentials_end_in_the_middle_is_refused_and_one_without_goes_on(
    connector: UrlConnector, there: Site
):
    pages(there, {"/docs/": page("a.html", "b.html"), "/docs/a.html": Answer(status=401), "/docs/b.html": page()})
    assert await listed(connector, there) == (["/docs/", "/docs/a.html", "/docs/b.html"], 0)
    config = {"url": f"{there.url}/docs/", "mode": "crawl"}
    guarded = Place(source=uuid4(), config=config, secrets={"token": "canary"})
    with pytest.raises(SourceUnavailable) as refused:
        [each async for each in connector.list(guarded)]
    assert refused.value.error_code == "credentials_refused"


async def test_globs_say_which_pages_are_taken_and_which_are_not_even_asked(connector: UrlConnector, there: Site):
    pages(there, {
        "/docs/": page("a.html", "b.html", "old/c.html"),
        "/docs/a.html": page(), "/docs/b.html": page(), "/docs/old/c.html": page(),
    })  # fmt: skip
    assert (await listed(connector, there, include=["*.html"], exclude=["*/old/*"]))[0] == [
        "/docs/a.html",
        "/docs/b.html",
    ]
    assert "/docs/old/c.html" not in [each.path for each in there.asked]


async def test_a_page_that_is_broken_stays_listed_so_that_it_is_told_and_not_removed(
    connector: UrlConnector, there: Site
):
    pages(there, {"/docs/": page("a.html"), "/docs/a.html": Answer(status=500)})
    assert (await listed(connector, there))[0] == ["/docs/", "/docs/a.html"]
    with pytest.raises(NotFetched):
        await connector.fetch(Place(source=uuid4(), config={"url": f"{there.url}/docs/"}), f"{there.url}/docs/a.html")


@pytest.mark.parametrize("status", [404, 401, 500])
async def test_a_beginning_that_is_not_there_is_a_source_that_is_not_there(
    connector: UrlConnector, there: Site, status: int
):
    pages(there, {"/docs/": Answer(status=status)})
    with pytest.raises(SourceUnavailable):
        await listed(connector, there)


async def test_a_crawl_is_led_nowhere_else_by_redirects(connector: UrlConnector, there: Site):
    async with site(lambda asked: page()) as canary:
        pages(there, {
            "/docs/": page("inside.html", "outside.html", "private.html"),
            "/docs/inside.html": Answer(status=302, headers={"Location": "/docs/real.html"}),
            "/docs/real.html": page(),
            "/docs/outside.html": Answer(status=302, headers={"Location": f"{canary.url}/"}),
            "/docs/private.html": Answer(status=302, headers={"Location": "http://169.254.169.254/"}),
        })  # fmt: skip
        assert (await listed(connector, there))[0] == ["/docs/", "/docs/real.html"]
        assert canary.asked == []
    pages(there, {"/docs/": Answer(status=302, headers={"Location": "http://10.0.0.1/"})})
    with pytest.raises(SourceUnavailable, match="MAGNET_EGRESS_ALLOW"):
        await listed(connector, there)


async def test_a_page_of_a_crawl_that_is_sent_on_is_not_taken_for_what_it_leads_to_nor_for_gone(
    connector: UrlConnector, there: Site
):
    pages(there, {"/docs/a": Answer(status=302, headers={"Location": "/login"}), "/login": page()})
    place = Place(source=uuid4(), config={"url": f"{there.url}/docs/", "mode": "crawl", "exclude": ["*/old/*"]})
    with pytest.raises(NotFetched) as told:
        await connector.fetch(place, f"{there.url}/docs/a")
    assert told.value.error_code == "sent_on"
    with pytest.raises(NotFetched) as told:
        await connector.fetch(place, f"{there.url}/docs/old/b")
    assert told.value.error_code == "gone", "the settings leave it out"


async def test_a_page_that_leads_to_another_site_where_nothing_is_is_not_gone(there: Site):
    async with site(lambda asked: Answer(status=404)) as other:
        pages(there, {"/a": Answer(status=302, headers={"Location": f"{other.url}/login"})})
        both = Web(Egress([there.place, other.place]))
        place = Place(source=uuid4(), config={"url": f"{there.url}/a"})
        with pytest.raises(NotFetched) as told:
            await UrlConnector(both).fetch(place, f"{there.url}/a")
        await both.close()
        assert told.value.error_code == "not_fetched"


async def test_a_page_comes_with_its_title_and_where_it_was_in_the_end(connector: UrlConnector, there: Site):
    pages(there, {
        "/a": Answer(status=301, headers={"Location": "/b"}),
        "/b": Answer(body="<title>\n Caf\u00e9 &amp; more </title>".encode("latin-1"), headers={
            "Content-Type": "text/html; charset=ISO-8859-1", "Content-Language": "fr",
        }),
    })  # fmt: skip
    place = Place(source=uuid4(), config={"url": f"{there.url}/a"})
    [only] = [each async for each in connector.list(place)]
    assert only is not None
    given = await connector.fetch(place, only.external_id)
    assert (given.title, given.url, given.media_type) == ("Caf\u00e9 & more", f"{there.url}/b", "text/html")
    assert given.metadata == {"language": "fr"}
    with pytest.raises(NotFetched):
        await connector.fetch(place, f"{there.url}/nothing")
    with pytest.raises(AddressRefused):
        await connector.fetch(place, "http://127.0.0.1:1/")


POLISH, FRENCH = "Za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105", "caf\u00e9"


@pytest.mark.parametrize(("told", "written", "text"), [
    ("iso-8859-2", "iso-8859-2", POLISH), ("utf-16-le", "utf-16-le", POLISH), ("iso-8859-2", "utf-8", POLISH),
    ("iso-8859-2", "utf-16", POLISH), ("", "utf-8", POLISH), ("utf-8", "cp1252", FRENCH), ("idna", "cp1252", FRENCH),
    ("undefined", "cp1252", FRENCH), ("punycode", "utf-8", "a-b"), ("unicode_escape", "utf-8", r"\u0041"), ("base64", "cp1252", FRENCH), ("no-such", "cp1252", FRENCH),
])  # fmt: skip
async def test_a_text_is_read_in_the_charset_that_its_answer_tells_and_one_that_is_none_hurts_nothing(
    connector: UrlConnector, there: Site, told: str, written: str, text: str
):
    answer = Answer(body=f"<p>{text}</p>".encode(written), headers={"Content-Type": f"text/html; charset={told}"})
    pages(there, {"/docs/": answer})
    assert (await listed(connector, there))[0] == ["/docs/"]
    given = await connector.fetch(Place(source=uuid4(), config={"url": f"{there.url}/docs/"}), f"{there.url}/docs/")
    assert read_html(given.content).text == text


def test_sitemaps_are_read_in_all_their_forms():
    pages = sitemap_of("http://a/s.xml", b"\xef\xbb\xbfhttp://a/1\n\n http://a/2#x \nhttp://a/b c\nhttp://[\n").pages
    assert [page for page, _ in pages] == ["http://a/1", "http://a/2", "http://a/b%20c", "http://["]
    xml = b"""<urlset xmlns="x" xmlns:i="y"><url><loc> http://A/1?a=1&amp;b=2 </loc><lastmod>2026-01-01</lastmod>
        <i:image><i:loc>http://a/p.png</i:loc></i:image></url><url><loc></loc></url></urlset>"""
    for body in (xml, gzip.compress(xml)):
        assert sitemap_of("http://a/s.xml", body).pages == [("http://a/1?a=1&b=2", "2026-01-01")]


@pytest.mark.parametrize("body", [
    b"<urlset><url>", b"\x1f\x8bdamaged", gzip.compress(b"<a/>", mtime=0)[:-5],
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "' + b"&b;" * 1000 + b'"><!ENTITY d "' + b"&c;" * 1000
    + b'">]><urlset>' + b"&d;" * 10_000 + b"<url></urlset>",
])  # fmt: skip
def test_a_sitemap_that_is_damaged_or_a_bomb_is_told(body: bytes):
    with pytest.raises(SourceUnavailable):
        sitemap_of("http://a/s.xml", body)


def test_a_sitemap_that_grows_when_it_is_unpacked_is_told():
    with pytest.raises(SourceUnavailable):
        sitemap_of("http://a/s.xml", gzip.compress(b" " * 60_000_000, mtime=0))


def test_a_sitemap_reads_no_file():
    body = b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>http://a/&f;</loc></url></urlset>'
    assert all("root" not in page for page, _ in sitemap_of("http://a/s.xml", body).pages)


def test_links_are_found_in_whatever_stands_there():
    for body in (b"", b"\0\0", b"<", b"<a href>", b"<a href='http://['>x</a>", b"<html>" * 10_000, b"\xff\xfe"):
        assert links_of("http://a/", body).addresses == []
    body = b'<base href="/x/"><a href=" 1 ">a</a><a href="2" rel="x NOFOLLOW">b</a><area href="HTTP://B/">'
    assert links_of("http://a/", body).addresses == ["http://a/x/1", "http://b/"]
    body = '<a href="annual report \u00fc.pdf?a=1 2">a</a><a href="lo\nng/p\tath.html">b</a>'.encode()
    assert links_of("http://a/b/", body).addresses == [
        "http://a/b/annual%20report%20\u00fc.pdf?a=1%202", "http://a/b/long/path.html"
    ]  # fmt: skip


@pytest.mark.parametrize(("told", "declared", "written"), [
    ("", "", "utf-8"), ("utf-8", "", "utf-8"), ("windows-1252", "", "cp1252"), ("", "<meta charset=iso-8859-1>", "latin-1"),
    ("punycode", "", "utf-8"), ("", "<meta charset=punycode>", "utf-8"), ("idna", "<meta charset=iso-8859-1>", "latin-1"),
    ("utf-8", "<meta charset=iso-8859-1>", "utf-8"), ("utf-16", "", "utf-16"), ("no-such", "", "utf-8"),
])  # fmt: skip
def test_links_are_read_in_the_page_s_charset(told: str, declared: str, written: str):
    body = f'{declared}<a href="\u00fcber.html">a</a>'.encode(written)
    assert links_of("http://a/", body, told).addresses == ["http://a/\u00fcber.html"]


def test_titles_are_found_where_they_are():
    assert title_of(b"<TITLE lang=en>A &lt;b&gt;\x07</TITLE>", "") == "A <b>"
    assert title_of(b"<meta charset=latin-1><title>\xe9</title>", "") == "\u00e9"
    assert title_of(b"<title>a</title>", "no-such-charset") == "a"
    assert title_of(b"<title>" + b"x" * 5000, "") == ""


@pytest.mark.parametrize(("field", "value"), [
    ("url", "ftp://a/"), ("url", "http://u:p@a/"), ("url", ""), ("mode", "all"), ("depth", -1), ("pages", ["x"]), ("x", 1),
])  # fmt: skip
async def test_settings_that_can_not_be_right_are_refused(connector: UrlConnector, field: str, value: Any):
    with pytest.raises(Invalid):
        connector.check({"url": "http://example.com/", field: value})


async def test_a_sitemap_s_entry_that_is_no_address_fails_alone(connector: UrlConnector, there: Site):
    urls = f"{there.url}/a\nmailto:a@b\nhttp://["
    pages(there, {"/sitemap.txt": Answer(body=urls.encode()), "/a": page()})
    place = Place(source=uuid4(), config={"url": f"{there.url}/sitemap.txt", "mode": "sitemap"})
    listed = [each.external_id async for each in connector.list(place) if each is not None]
    assert len(listed) == 3
    await connector.fetch(place, listed[0])
    for wrong in listed[1:]:
        with pytest.raises(NotFetched):
            await connector.fetch(place, wrong)


async def test_a_sitemap_s_day_is_no_version_before_it_is_over(connector: UrlConnector, there: Site):
    today = datetime.now(UTC).date().isoformat()
    entries = "".join(f"<url><loc>/{day}</loc><lastmod>{day}</lastmod></url>" for day in ("2020-05-01", today))
    pages(there, {"/sitemap.xml": Answer(body=f"<urlset>{entries}</urlset>".encode())})
    place = Place(source=uuid4(), config={"url": f"{there.url}/sitemap.xml", "mode": "sitemap"})
    listed = [each.version async for each in connector.list(place) if each is not None]
    assert listed == ["2020-05-01", None]


async def test_rules_that_are_too_many_are_not_read(connector: UrlConnector, there: Site):
    pages(there, {"/docs/": page(), "/robots.txt": Answer(body=b"Disallow: /x\n" * 100_000)})
    with pytest.raises(NotFetched, match="more than"):
        await listed(connector, there)
