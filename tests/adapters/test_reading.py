"""Reading documents: what they say is kept as it is, and what can't be read says why."""

from contextlib import suppress

import pytest

from adapters.reading.reader import Reader
from commands.knowledge.reading import PasswordProtected, TooLarge, Unreadable, UnsupportedMediaType
from tests.support.files import (
    a_docx,
    a_locked_pdf,
    a_pdf,
    declaring,
    overlapping,
    with_entry,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD = '10:30 https://x "q" (a)\n\n\tif x:\r\n\t\treturn  1\n| a | b |\n'
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.json", "a.py", "README", "a.log"])
async def test_text_is_kept_as_it_is(reader: Reader, name: str):
    text = await reader.read(ODD.encode(), "", name)
    assert (text.text, text.replaced) == (ODD, 0)


async def test_text_that_is_long_is_kept_as_it_is_too(reader: Reader):
    long = ODD * 5000
    assert (await reader.read(long.encode(), "text/plain", "a.txt")).text == long


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]
)
async def test_text_in_other_encodings_is_read(reader: Reader, encoding: str):
    said = "Füße und Straßen: naïve café, 10 £. " * 3
    assert (await reader.read(said.encode(encoding), "text/plain", "a.txt")).text == said


async def test_what_is_no_text_in_a_text_is_replaced_and_counted(reader: Reader):
    text = await reader.read("Grüße, 世界\x00 ".encode() + b"\xed\xa0\x80 end " + "世界 ".encode() * 99, "", "a.txt")
    assert text.text.startswith("Grüße, 世界\ufffd ")
    assert "end" in text.text and "\x00" not in text.text
    assert text.replaced >= 2


async def test_a_file_that_is_no_text_is_not_taken_for_one(reader: Reader):
    with pytest.raises(Unreadable, match="no text"):
        await reader.read(bytes(range(1, 32)) * 50, "text/plain", "a.txt")


@pytest.mark.parametrize("content", [b"", b"  \n\t ", b"\x00\x00"])
async def test_an_empty_document_says_so(reader: Reader, content: bytes):
    for name in ("a.txt", "a.html", "a.pdf", "a.docx"):
        with pytest.raises(Unreadable, match="empty"):
            await reader.read(content, "", name)


async def test_headings_of_markdown_say_where_they_stand(reader: Reader):
    said = "Intro\n\n# One\ntext\n```\n# no heading\n```\n## Two ##\n\nThree\n-----\nend\n"
    text = await reader.read(said.encode(), "text/markdown", "a")
    assert [(each.level, each.text) for each in text.headings] == [(1, "One"), (2, "Two"), (2, "Three")]
    assert [said[each.at :].splitlines()[0] for each in text.headings] == ["# One", "## Two ##", "Three"]
    assert text.title == "One"


async def test_a_page_of_html_is_its_text_without_scripts_and_styles(reader: Reader):
    page = """<!doctype html><html lang="en"><head><title> My
      page </title><style>p {}</style></head><body><h1>Top</h1><p>Some <b>bold</b>, &amp; plain.<br>next</p>
      <script>alert(1)</script><ul><li>one</li><li>two</li></ul><svg onload="x"><text>drawn</text></svg>
      <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
      <pre>x = 1
  y = 2</pre><h2>Sub</h2>end</body></html>"""
    text = await reader.read(page.encode(), "text/html", "x")
    assert text.text == (
        "Top\n\nSome bold, & plain.\nnext\n\n- one\n- two\n\na | b\n1 | 2\n\nx = 1\n  y = 2\n\nSub\n\nend"
    )
    assert [(each.level, each.text, text.text[each.at :].startswith(each.text)) for each in text.headings] == [
        (1, "Top", True),
        (2, "Sub", True),
    ]
    assert (text.title, text.language) == ("My page", "en")


async def test_html_that_is_nested_too_deep_to_be_read_whole_is_not_read_in_part(reader: Reader):
    def nested(levels: int) -> bytes:
        return b"<div>" * levels + b"deep" + b"</div>" * levels

    assert (await reader.read(nested(1400), "text/html", "x")).text == "deep"
    for levels in (1600, 3000, 20_000):
        with pytest.raises(Unreadable, match="nested"):
            await reader.read(nested(levels), "text/html", "x")


async def test_entities_of_xml_and_html_are_not_resolved(reader: Reader):
    trap = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><html><body><p>&a;end</p></body></html>'
    assert "root:" not in (await reader.read(trap, "text/html", "x")).text


async def test_a_pdf_has_pages_and_a_title(reader: Reader):
    text = await reader.read(a_pdf("First page", "Second page", title="Report"), "application/pdf", "a")
    assert "First page" in text.text[: text.pages[1]] and "Second page" in text.text[text.pages[1] :]
    assert (text.pages[0], text.title) == (0, "Report")
    chunks = await reader.cut(text, {"strategy": "none", "size": 16, "overlap": 0})
    assert [chunk.page for chunk in chunks] == [1]


async def test_a_pdf_without_a_text_layer_says_what_to_do(reader: Reader):
    with pytest.raises(Unreadable, match="OCR"):
        await reader.read(a_pdf(""), "application/pdf", "a")


async def test_a_pdf_with_a_password_says_so(reader: Reader):
    with pytest.raises(PasswordProtected):
        await reader.read(a_locked_pdf("secret", "sesame"), "application/pdf", "a")


@pytest.mark.parametrize("damage", [lambda made: made[: len(made) // 2], lambda made: b"%PDF-1.7\n" + b"x" * 5000])
async def test_a_damaged_pdf_says_so(reader: Reader, damage):
    with pytest.raises(Unreadable):
        await reader.read(damage(a_pdf("one", "two")), "application/pdf", "a")


async def test_a_docx_has_headings_lists_and_tables_in_their_order(reader: Reader):
    made = a_docx("# Top", "Some text.", "- one", "- two", [["a", "b"], ["1", "2"]], "end", title="Memo")
    text = await reader.read(made, DOCX, "a")
    assert text.text == "Top\n\nSome text.\n\n- one\n\n- two\n\na | b\n1 | 2\n\nend"
    assert ([(each.at, each.level, each.text) for each in text.headings], text.title) == ([(0, 1, "Top")], "Memo")


async def test_a_docx_that_declares_far_more_than_it_has_is_not_opened(reader: Reader):
    with pytest.raises(TooLarge, match="declares"):
        await reader.read(declaring(a_docx("x"), 2_000_000_000), DOCX, "a")


async def test_a_docx_that_is_packed_too_well_is_not_opened(reader: Reader):
    with pytest.raises(TooLarge, match="packed"):
        await reader.read(with_entry(a_docx("x"), "word/media/a.xml", b" " * 50_000_000), DOCX, "a")


async def test_a_docx_whose_parts_overlap_is_not_opened(reader: Reader):
    with pytest.raises(Unreadable, match="overlap"):
        await reader.read(overlapping(a_docx("x")), DOCX, "a")


async def test_names_in_an_archive_lead_nowhere(reader: Reader):
    made = with_entry(a_docx("said"), "../../../../tmp/evil.txt", b"evil")
    assert (await reader.read(made, DOCX, "a")).text == "said"


async def test_an_archive_that_is_no_docx_says_so(reader: Reader):
    with pytest.raises(Unreadable, match="no DOCX"):
        await reader.read(with_entry(b"", "a.txt", b"a"), DOCX, "a")


async def test_a_wrong_extension_is_noticed(reader: Reader):
    for content, name in ((a_pdf("x"), "a.txt"), (a_docx("x"), "a.csv"), (b"\x89PNG\r\n\x1a\n" + bytes(99), "a.md")):
        with pytest.raises(Unreadable, match="give it under its own"):
            await reader.read(content, "", name)
    for name in ("a.pdf", "a.docx"):
        with pytest.raises(Unreadable, match="whatever its name"):
            await reader.read(b"just text", "", name)


@pytest.mark.parametrize("media_type", ["image/png", "application/zip", "video/mp4", "application/msword"])
async def test_what_no_parser_reads_is_refused_with_what_can_be_read(reader: Reader, media_type: str):
    with pytest.raises(UnsupportedMediaType, match="Markdown"):
        reader.parser(media_type, "a")


async def test_the_media_type_decides_and_the_name_helps_where_it_tells_nothing(reader: Reader):
    assert reader.parser("application/pdf", "a.txt") == "pdf/2"
    assert reader.parser("text/plain", "notes.md") == "markdown/2"
    assert reader.parser("application/octet-stream", "..\\..\\x.PY") == "code/2"
    assert reader.parser("", "README") == "text/2"
    with pytest.raises(UnsupportedMediaType):
        reader.parser("", "a.exe")


@pytest.mark.parametrize(
    "evil",
    [
        "# " + "# " * 30_000 + "x",
        "# a" + " " * 60_000 + "x",
        "#" * 60_000,
        "~" * 60_000,
        "`" * 60_000 + "x`",
        "a\n" + "-" * 60_000 + "x",
        "---\na: b\n" + "x\n" * 30_000,
        "---\na:" + " " * 60_000,
        "---\na: b\n" + " " * 60_000 + "x",
    ],
)
async def test_headings_are_found_in_time_whatever_stands_there(reader: Reader, evil: str):
    # Were the time a square or a cube of the length, this would not end within the test's patience.
    assert (await reader.read(evil.encode(), "text/markdown", "a")).text == evil


@pytest.mark.parametrize(
    ("page", "said", "replaced"),
    [
        ("<p>é 世界 привет".encode(), "é 世界 привет", 0),
        (b'<meta charset="windows-1251"><p>' + "привет".encode("cp1251"), "привет", 0),
        (b'<meta charset="windows-1251"><p>' + "привет".encode(), "привет", 0),
        (b'<meta charset="nonsense"><p>caf\xe9', "café", 0),
        ('<meta charset="ascii"><p>привет'.encode("utf-16"), "привет", 0),
        (b'<?xml version="1.0" encoding="iso-8859-1"?><html><body><p>caf\xe9', "café", 0),
        (b"<p>one \x00 two three", "one \ufffd two three", 1),
    ],
)
async def test_html_is_read_in_its_encoding(reader: Reader, page: bytes, said: str, replaced: int):
    text = await reader.read(page, "text/html", "x")
    assert (text.text, text.replaced) == (said, replaced)


async def test_empty_cells_of_a_table_keep_their_column(reader: Reader):
    page = b"<table><tr><th>a<th>b<th>c<tr><td><td>2<td><tr><td><p>1</p></td><td></td><td>3</td></table>"
    assert (await reader.read(page, "text/html", "x")).text == "a | b | c\n| 2 | \n1 |  | 3"


async def test_a_title_that_is_no_text_is_made_text(reader: Reader):
    made = a_pdf("said", title="0123456789")
    assert b"(0123456789)" in made
    made = made.replace(b"0123456789", b"\xfe\xff\x00a\x00\x00\xd8\x00\x00b")
    title = (await reader.read(made, "application/pdf", "a")).title or ""
    assert title.encode() and "b" in title and "\x00" not in title


async def test_damage_that_no_parser_foresaw_says_so(reader: Reader):
    made = a_docx("# Top", "text", [["a", "b"]])
    for cut in range(0, len(made), max(1, len(made) // 60)):
        broken = made[:cut] + bytes([made[cut] ^ 0xFF]) + made[cut + 1 :]
        with suppress(Unreadable):
            await reader.read(broken, DOCX, "a")
    assert (await reader.read(made, DOCX, "a")).text.startswith("Top")
