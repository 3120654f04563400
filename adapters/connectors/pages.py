"""What a page, a sitemap and a robots.txt say to who walks a website."""

import codecs
import html
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit, urlunsplit

from lxml import etree

from adapters.reading.decoding import MARKS
from commands.knowledge.connectors import SourceUnavailable

MOST_UNPACKED = 50_000_000
"""Bytes of a sitemap, as its standard has it."""

BEGINNING = 100_000
"""Bytes of a page in which its title must stand."""

TITLE = re.compile(r"<title\b[^>]{0,200}>([^<]{0,2000})</title", re.IGNORECASE)
CHARSET = re.compile(rb"""<meta[^>]{0,200}charset=["']?([A-Za-z0-9_-]{1,40})""", re.IGNORECASE)

NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"})
"""What Python can decode and no page is written in; some of it takes the square of a page's length, or raises."""

WIDE = ("utf-16", "utf-32")
"""Charsets whose texts may look like UTF-8."""


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where a page leads; `indexed`: it does not ask to be left out."""

    addresses: Sequence[str]
    indexed: bool


@dataclass(frozen=True, kw_only=True)
class Sitemap:
    """The pages of a sitemap with what changes with them, and further sitemaps."""

    pages: Sequence[tuple[str, str | None]]
    sitemaps: Sequence[str]


NO_PART = str.maketrans({"\t": None, "\n": None, "\r": None, " ": "%20"})
"""What browsers leave out of an address, and what they write for a blank in it."""


def normal(url: str) -> str:
    """Return an address as it stands for a page: without what leads inside of it, and as browsers read it."""
    parts = urlsplit(urldefrag(url.strip().translate(NO_PART)).url)
    return urlunsplit(parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower(), path=parts.path or "/"))


def links_of(url: str, body: bytes, charset: str = "") -> Links:
    """Return where an HTML page leads, in its order, each once; `nofollow` is honoured."""
    parser = etree.HTMLParser(recover=True, no_network=True, huge_tree=False, remove_comments=True, encoding="utf-8")
    try:
        root = etree.fromstring(decoded(body, charset).encode(), parser)
    except etree.LxmlError:
        root = None
    if root is None:
        return Links(addresses=[], indexed=True)
    told = " ".join(
        str(meta.get("content", "")).lower()
        for meta in root.iter("meta")
        if str(meta.get("name", "")).lower() == "robots"
    )
    followed = not re.search(r"\b(nofollow|none)\b", told)
    indexed = not re.search(r"\b(noindex|none)\b", told)
    base = next((str(each.get("href")) for each in root.iter("base") if each.get("href")), "")
    home = joined(url, base) or url
    found: dict[str, None] = {}
    for link in root.iter("a", "area") if followed else ():
        if link.get("href") and "nofollow" not in str(link.get("rel", "")).lower().split():
            address = joined(home, str(link.get("href")))
            if address is not None:
                found[address] = None
    return Links(addresses=list(found), indexed=indexed)


def joined(base: str, link: str) -> str | None:
    """Return where a link leads on the web; None: nowhere there."""
    try:
        address = normal(urljoin(base, link.strip()))
    except ValueError:
        return None
    return address if address.startswith(("http://", "https://")) else None


def charset_named(name: str) -> str:
    """Return the charset of that name as Python has it; empty: there is none that texts on the web are written in."""
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return ""
    return "" if found in NO_CHARSETS else found


def decoded(body: bytes, charset: str) -> str:
    """Return a page's text in the charset that its answer tells, else the one that it tells itself, else UTF-8."""
    declared = CHARSET.search(body[:BEGINNING])
    named = charset_named(charset) or (charset_named(declared[1].decode()) if declared else "")
    try:
        return body.decode(named or "utf-8", errors="replace")
    except LookupError:  # it is one of bytes
        return body.decode(errors="replace")


def as_told(body: bytes, charset: str) -> bytes:
    """Return a text in UTF-8 where only the answer that brought it tells its charset; else as it is."""
    named = charset_named(charset)
    if not named or body.startswith(MARKS):
        return body
    if not named.startswith(WIDE):
        with suppress(UnicodeDecodeError):
            body.decode()
            return body
    try:
        return body.decode(named).encode()
    except (LookupError, UnicodeError):
        return body


def title_of(body: bytes, charset: str) -> str:
    """Return a page's title; empty where it has none."""
    text = decoded(body[:BEGINNING], charset)
    found = TITLE.search(text)
    title = " ".join(html.unescape(found[1]).split()) if found else ""
    return "".join(each for each in title if each.isprintable())[:1000]


def sitemap_of(url: str, body: bytes) -> Sitemap:
    """Return what a sitemap or an index of sitemaps holds, packed or not, or one that is plain text."""
    if body.startswith(b"\x1f\x8b"):
        body = unpacked(url, body)
    if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        lines = [line.strip() for line in body.decode("utf-8-sig", errors="replace").splitlines()]
        named = [line for line in lines if line]
        if not any(line.startswith(("http://", "https://")) for line in named):
            raise SourceUnavailable(f"{url} is no sitemap: neither XML nor a list of addresses.")
        return Sitemap(pages=[(absolute(url, line), None) for line in named], sitemaps=[])
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    try:
        root = etree.fromstring(body, parser)
    except etree.LxmlError as error:
        raise SourceUnavailable(f"The sitemap {url} is no XML: {error}"[:500]) from None
    if etree.QName(root).localname not in ("urlset", "sitemapindex"):
        raise SourceUnavailable(f"{url} is no sitemap: it is a <{etree.QName(root).localname}>.")
    pages: list[tuple[str, str | None]] = []
    sitemaps: list[str] = []
    for entry in root.iter("{*}url", "{*}sitemap"):
        place = (entry.findtext("{*}loc") or "").strip()
        if not place:
            continue
        if etree.QName(entry).localname == "sitemap":
            sitemaps.append(absolute(url, place))
        else:
            pages.append((absolute(url, place), (entry.findtext("{*}lastmod") or "").strip() or None))
    return Sitemap(pages=pages, sitemaps=sitemaps)


def absolute(base: str, place: str) -> str:
    """Return an address that a sitemap names; one that is none stands for itself, and can't be fetched."""
    try:
        return normal(urljoin(base, place))
    except ValueError:
        return place


def unpacked(url: str, body: bytes) -> bytes:
    """Return what is packed by gzip, or raise SourceUnavailable where that is damaged or too much."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        plain = unpacking.decompress(body, MOST_UNPACKED)
    except zlib.error:
        raise SourceUnavailable(f"The sitemap {url} is packed, and damaged.") from None
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise SourceUnavailable(f"The sitemap {url} is damaged, or has more than {MOST_UNPACKED:,} bytes.")
    return plain
