"""Awkward documents, each with exactly what it says, or with the code of the reason for which it can't be read."""
# ruff: noqa: RUF001 - texts of other scripts are what this is about

import random
from collections.abc import Callable
from typing import NamedTuple

import pytest

from adapters.reading.reader import Reader
from commands.knowledge.reading import Unreadable
from tests.support.files import (
    a_docx,
    a_docx_of,
    a_locked_pdf,
    a_pdf,
    a_pdf_with_ligatures,
    of_many_parts,
    with_entry,
)

TEXT = "10:30 https://x.example/a?b=1&c=(d)#e \"q\" (a) [1] <b> 50% $5 a_b *c* \\n 's' -- … end.\n"
GRID = "| a | b |\n|---|:-:|\n| 1 | `x | y` |\n| | 2 |\n"
CODE = "def f(x):\n    if x:\n\t\treturn  {\n            1: [2],\n        }\n\n\nclass A:\n    pass\n"
ARABIC = "يبدأ الاجتماع في الساعة 10:30 صباحًا (القاعة B2)."
HEBREW = "הפגישה מתחילה ב־10:30 (חדר B2)."
MARKED = "\u202bשלום\u202c, \u200fa\u200e"
CHINESE = "会议在十点半开始。请带上所有的文件，不要迟到！"
JAPANESE = "会議は十時半に始まります。「書類」を持ってきてください。"
COMBINED = "Cafe\u0301 versus Caf\u00e9; a\u0323\u0307 Z" + "\u0301\u0327" * 50 + " ก็ไม่ได้"
EMOJI = "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea 1\ufe0f\u20e3"
GERMAN = "Größe: 5 m² – „Straße“ kostet 10 €.\r\n"
LATIN = "El niño comió piñas en Málaga; ¿dónde está?\n"
FENCED = "# One\n\n````\n# no\n```py\n# no\n```\n````\n\n~~~ x\n# no\n~~~\n\n```inline``` is code\n\n## Two\n"
MATTER = "---\ntitle: A page\ntags: [x]\n---\n\nIntro\n=====\n\n- item\n---\n\n> said\n---\n"
CELLS = 'id,said\r\n1,"two\r\nlines, and ""quotes"""\r\n2,"=1+1"\r\n;3\t4\r\n'
NESTED = "[" * 100_000 + "]" * 100_000
TEN_MEGABYTES = "".join(f"{number}: {TEXT}" for number in range(10 * 1024 * 1024 // len(TEXT)))
PAGE = """<!DOCTYPE html><html><head><title>T</title><style>p { color: red }</style><script>var hidden = 1</script></head>
<body><p>seen<!-- not <b>seen</b> --> too</p><script>document.write("x")</script><noscript>x</noscript>
<p hidden>not seen</p><p style="color: red; DISPLAY : none">not seen</p><template>x</template>
<!--[if IE]><p>x</p><![endif]--><p onclick="x()">a &lt;b&gt; &amp;amp; &#x41;&nbsp;c</p></body></html>"""
TABLE = """<table><caption>Rooms</caption><thead><tr><th>floor</th><th>room</th></tr></thead><tbody>
<tr><td>1</td><td>hall<br>and <i>bar</i></td></tr><tr><td colspan="2">none</td></tr>
<tr><td><table><tr><td>x</td><td>y</td></tr></table></td><td>z</td></tr></tbody></table>"""
MERGED = (
    "<w:tbl>"
    '<w:tr><w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr><w:p><w:r><w:t>wide</w:t></w:r></w:p></w:tc></w:tr>'
    '<w:tr><w:tc><w:tcPr><w:vMerge w:val="restart"/></w:tcPr><w:p><w:r><w:t>tall</w:t></w:r></w:p></w:tc>'
    "<w:tc><w:p><w:r><w:t>1</w:t></w:r></w:p></w:tc></w:tr>"
    "<w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/></w:tc><w:tc><w:p><w:r><w:t>2</w:t></w:r></w:p>"
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>within</w:t></w:r></w:p></w:tc></w:tr></w:tbl><w:p/></w:tc></w:tr>"
    "</w:tbl>"
)
CHANGED = (
    "<w:p><w:r><w:t>It was </w:t></w:r><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
    "<w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:r><w:tab/><w:t>here</w:t><w:br/><w:t>and</w:t></w:r></w:p>"
    "<w:sdt><w:sdtPr/><w:sdtContent><w:p><w:r><w:t>in a form</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    "<w:p><w:r><w:t>beside</w:t></w:r><w:r><w:pict><w:txbxContent><w:p><w:r><w:t>in a box</w:t></w:r></w:p>"
    "</w:txbxContent></w:pict></w:r></w:p>"
)
PARTLY = b"good \xed\xa0\x80 and \xed\xa0\xbd\xed\xb8\x80 end"
BY_LOT = random.Random(7).randbytes(3000)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(96)


class Case(NamedTuple):
    """A document, and what it says or the code of why it can't be read.

    What takes long to make is made by its own test: each worker collects all tests.
    """

    name: str
    content: bytes | Callable[[], bytes]
    text: str = ""
    headings: tuple[str, ...] = ()
    replaced: int = 0
    code: str = ""


CASES = {
    "text with marks of all sorts": Case("a.txt", TEXT.encode(), TEXT),
    "ten megabytes of text": Case("a.txt", TEN_MEGABYTES.encode(), TEN_MEGABYTES),
    "a table in Markdown": Case("a.md", GRID.encode(), GRID),
    "a table in HTML": Case("a.html", TABLE.encode(), "Rooms\nfloor | room\n1 | hall\nand bar\nnone\nx | y | z"),
    "a table in DOCX": Case("a.docx", a_docx([["a", "b"], ["", "2\n3"]]), "a | b\n | 2 3"),
    "merged and nested cells in DOCX": Case("a.docx", a_docx_of(MERGED), "wide\ntall | 1\ntall | 2 within"),
    "changes, forms and boxes in DOCX": Case(
        "a.docx", a_docx_of(CHANGED), "It was new\there\nand\n\nin a form\n\nbeside\n\nin a box"
    ),
    "cells with quotes and lines in CSV": Case("a.csv", CELLS.encode(), CELLS),
    "source code with its indentation": Case("a.py", CODE.encode(), CODE, ("def f(x):", "class A:")),
    "fences in Markdown": Case("a.md", FENCED.encode(), FENCED, ("One", "Two")),
    "what stands before Markdown": Case("a.md", MATTER.encode(), MATTER, ("Intro",)),
    "lines that only look like headings": Case("a.md", "a\u2028# b\x0c# c\n#d\n".encode(), "a\u2028# b\x0c# c\n#d\n"),
    "Arabic": Case("a.txt", ARABIC.encode(), ARABIC),
    "Arabic in HTML": Case("a.html", f"<h1 dir=rtl>{ARABIC}</h1>".encode(), ARABIC, (ARABIC,)),
    "Hebrew in DOCX": Case("a.docx", a_docx(f"# {HEBREW}", MARKED), f"{HEBREW}\n\n{MARKED}", (HEBREW,)),
    "Chinese without blanks": Case("a.md", f"# {CHINESE}".encode(), f"# {CHINESE}", (CHINESE,)),
    "combining marks": Case("a.txt", COMBINED.encode(), COMBINED),
    "emoji of several characters": Case("a.html", f"<p>{EMOJI}".encode(), EMOJI),
    "ligatures in a PDF": Case("a.pdf", a_pdf_with_ligatures(), "office finds floor"),
    "UTF-16 with its mark": Case("a.csv", CELLS.encode("utf-16"), CELLS),
    "UTF-16 of the other order with its mark": Case("a.txt", b"\xfe\xff" + CHINESE.encode("utf-16-be"), CHINESE),
    "Latin-1": Case("a.txt", LATIN.encode("latin-1"), LATIN),
    "Windows-1252": Case("a.txt", GERMAN.encode("cp1252"), GERMAN),
    "Shift-JIS": Case("a.txt", JAPANESE.encode("shift_jis"), JAPANESE),
    "much Shift-JIS": Case("a.txt", (JAPANESE * 5000).encode("shift_jis"), JAPANESE * 5000),
    "EUC-JP": Case("a.txt", (JAPANESE * 9).encode("euc_jp"), JAPANESE * 9),
    "GB 18030": Case("a.txt", CHINESE.encode("gb18030"), CHINESE),
    "Windows-1251": Case("a.txt", "Встреча начинается в 10:30.".encode("cp1251"), "Встреча начинается в 10:30."),
    "ruled lines of Windows-1252": Case("a.txt", b"caf\xe9\n" + b"\x97" * 40, "café\n" + "—" * 40),
    "an empty file": Case("a.txt", b"", code="unreadable"),
    "only white space": Case("a.md", " \t\r\n\u00a0\u3000\u2003\n".encode(), code="unreadable"),
    "only a mark of UTF-8": Case("a.csv", b"\xef\xbb\xbf\n", code="unreadable"),
    "only a mark of UTF-16": Case("a.txt", b"\xff\xfe", code="unreadable"),
    "a page that only scripts fill": Case(
        "a.html", b"<body style='display:none'><script>x()</script><div></div>", code="unreadable"
    ),
    "a DOCX without text": Case("a.docx", a_docx(" "), code="unreadable"),
    "a PDF with a password": Case("a.pdf", a_locked_pdf("x", "sesame"), code="password_protected"),
    "a PDF with a password by AES": Case("a.pdf", a_locked_pdf("x", "sesame", "AES-256"), code="password_protected"),
    "a PDF that only its owner may change": Case("a.pdf", a_locked_pdf("x", "", "AES-256"), "x"),
    "a DOCX with a password": Case("a.docx", OLE, code="password_protected"),
    "an old DOC under a new name": Case("a.docx", OLE[:512], code="unreadable"),
    "half a PDF": Case("a.pdf", a_pdf("one", "two")[:300], code="unreadable"),
    "a PDF of pictures": Case("a.pdf", a_pdf("", ""), code="unreadable"),
    "half a DOCX": Case("a.docx", a_docx("x")[:9000], code="unreadable"),
    "a DOCX that bursts": Case(
        "a.docx", lambda: with_entry(a_docx("x"), "word/z.xml", bytes(90_000_000)), code="too_large"
    ),
    "a DOCX of too many parts": Case("a.docx", lambda: of_many_parts(a_docx("x")), code="too_large"),
    "HTML nested too deeply": Case("a.html", b"<div>" * 5000 + b"x", code="unreadable"),
    "JSON nested deeply": Case("a.json", NESTED.encode(), NESTED),
    "HTML with what is not shown": Case("a.html", PAGE.encode(), "seen too\n\na <b> &amp; A c"),
    "NUL in text": Case(
        "a.txt",
        b"a\x00b \x00\x00c and so on and on, to the end",
        "a\ufffdb \ufffd\ufffdc and so on and on, to the end",
        replaced=3,
    ),
    "single surrogates": Case("a.txt", PARTLY, "good \ufffd and 😀 end", replaced=1),
    "surrogates in JSON": Case("a.json", rb'{"a": "\ud800"}', r'{"a": "\ud800"}'),
    "a single surrogate in UTF-16": Case("a.txt", b"\xff\xfea\x00\x00\xd8b\x00", "a\ufffdb", replaced=1),
    "bytes drawn by lot": Case("a.txt", BY_LOT, code="unreadable"),
    "few bytes drawn by lot": Case("a.txt", BY_LOT[:60], code="unreadable"),
    "a program named as text": Case("a.txt", b"\x7fELF" + bytes(200), code="unreadable"),
    "a picture named as a page": Case("a.html", b"\x89PNG\r\n\x1a\n" + bytes(99), code="unreadable"),
    "a film": Case("a.mp4", b"\x00\x00\x00\x18ftypmp42", code="unsupported_media_type"),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
async def test_it_says_exactly_this_or_fails_for_exactly_this_reason(reader: Reader, case: Case):
    content = case.content if isinstance(case.content, bytes) else case.content()
    if case.code:
        with pytest.raises(Unreadable) as failed:
            await reader.read(content, "", case.name)
        assert failed.value.error_code == case.code
        assert len(str(failed.value)) > 15, "and says it to people too"
        return
    text = await reader.read(content, "", case.name)
    assert text.text == case.text
    assert [each.text for each in text.headings] == list(case.headings)
    assert text.replaced == case.replaced
