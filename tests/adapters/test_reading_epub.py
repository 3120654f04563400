"""Books: their pages in the order of the spine, read as XML or as the HTML that they are."""

import pytest

from adapters.reading.reader import Reader
from commands.knowledge.reading import PasswordProtected, TooLarge, Unreadable
from tests.support.files import declaring, overlapping, with_entry, with_part
from tests.support.office_files import an_epub

pytestmark = pytest.mark.asyncio(loop_scope="module")

XHTML = '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><head>%s</head><body>%s</body></html>'
LOCKED = (
    '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:CipherData><e:CipherReference URI="%s"/>'
    "</e:CipherData></e:EncryptedData></encryption>"
)


async def test_a_book_is_its_pages_in_the_order_of_its_spine(reader: Reader):
    made = an_epub(
        {
            "b.xhtml": XHTML % ("<title/><script/>", "<h1>Two</h1><table><tr><td>a</td><td>b</td></tr></table>"),
            "text/a%20b.xhtml": XHTML
            % ("<style>p {}</style>", "<h1>One</h1><p>a&nbsp;b &amp; &eacute; &odd; <br/>c</p>"),
        },
        spine=["text/a%20b.xhtml", "b.xhtml"],
    )
    text = await reader.read(made, "", "a.epub")
    assert text.text == "One\n\na b & é &odd;\nc\n\nTwo\n\na | b"
    assert [(each.level, each.text, text.text[each.at :].startswith(each.text)) for each in text.headings] == [
        (1, "One", True),
        (1, "Two", True),
    ]
    assert (text.title, text.language, text.replaced) == ("The book", "en", 0)


async def test_a_page_that_is_no_xml_is_read_as_html_and_in_its_encoding(reader: Reader):
    odd = b'<?xml version="1.0" encoding="windows-1251"?><html><body><p>' + "привет".encode("cp1251") + b"<p>a < b<br>c"
    assert (await reader.read(an_epub({"a": odd}), "application/epub+zip", "a")).text == "привет\n\na < b\nc"


async def test_encrypted_fonts_harm_nothing_and_encrypted_pages_say_so(reader: Reader):
    told = {"META-INF/encryption.xml": LOCKED % "OEBPS/font.otf"}
    assert (await reader.read(an_epub({"a": "<p>said"}, more=told), "", "a.epub")).text == "said"
    with pytest.raises(PasswordProtected, match="unprotected"):
        await reader.read(
            an_epub({"a b": b"\x00"}, more={"META-INF/encryption.xml": LOCKED % "OEBPS/a%20b"}), "", "a.epub"
        )


async def test_a_book_that_lacks_what_it_names_says_what(reader: Reader):
    good = an_epub({"a.xhtml": "<p>x"})
    with pytest.raises(Unreadable, match="spine"):
        await reader.read(
            with_part(good, "OEBPS/book.opf", b'<p><spine><itemref idref="x"/></spine></p>'), "", "a.epub"
        )
    with pytest.raises(Unreadable, match=r"OEBPS/book\.opf"):
        await reader.read(with_part(good, "OEBPS/book.opf", b"none"), "", "a.epub")
    missing = b'<p><manifest><item id="a" href="../../etc/x" media-type="text/html"/></manifest><spine><itemref idref="a"/></spine></p>'
    with pytest.raises(Unreadable, match="etc/x"):
        await reader.read(with_part(good, "OEBPS/book.opf", missing), "", "a.epub")
    with pytest.raises(Unreadable, match="OCR"):
        await reader.read(an_epub({"a": "<body><img src='p.png'></body>"}), "", "a.epub")


async def test_books_that_are_traps_end_with_their_reason(reader: Reader):
    good = an_epub({"a.xhtml": "<p>x"})
    entities = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><html><body>&a;</body></html>'
    for made, error, why in (
        (declaring(good, 2_000_000_000), TooLarge, "declares"),
        (with_entry(good, "OEBPS/z.xhtml", bytes(50_000_000)), TooLarge, "packed"),
        (overlapping(good), Unreadable, "overlap"),
        (an_epub({"a": entities}), Unreadable, "entities"),
        (an_epub({"a": "<div>" * 3000 + "x"}), Unreadable, "nested"),
        (an_epub({"a": f"<p>{'long ' * 500_000}"}, spine=["a"] * 100), TooLarge, "more than"),
    ):
        with pytest.raises(error, match=why):
            await reader.read(made, "", "a.epub")
