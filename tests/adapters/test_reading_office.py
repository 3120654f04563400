"""Slides and sheets: in their order, with titles and tables; what would burst ends with its reason."""

import pytest

from adapters.reading.reader import Reader
from commands.knowledge.reading import PasswordProtected, ReadingLimit, TooLarge, Unreadable
from tests.support.files import a_docx, declaring, overlapping, with_entry, with_part
from tests.support.office_files import SHEETS, a_pptx, a_shape, an_epub, an_xlsx

pytestmark = pytest.mark.asyncio(loop_scope="module")

LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%b">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(10))
    + b"]>"
)
ROW = '<row r="1"><c r="A1" t="inlineStr"><is><t>said</t></is></c></row>'
TABLE = (
    "<p:graphicFrame><a:graphic><a:graphicData><a:tbl>"
    "<a:tr><a:tc><a:txBody><a:p><a:r><a:t>a</a:t></a:r></a:p></a:txBody></a:tc>"
    "<a:tc><a:txBody><a:p><a:r><a:t>b</a:t></a:r></a:p><a:p><a:r><a:t>c</a:t></a:r></a:p></a:txBody></a:tc></a:tr>"
    '<a:tr><a:tc gridSpan="2"><a:txBody><a:p><a:r><a:t>wide</a:t></a:r></a:p></a:txBody></a:tc>'
    '<a:tc hMerge="1"><a:txBody><a:p/></a:txBody></a:tc></a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame>'
)
DIAGRAM = (
    '<p:graphicFrame><d:relIds xmlns:d="http://schemas.openxmlformats.org/drawingml/2006/diagram" r:dm="r2"/>'
    "</p:graphicFrame>"
)
POINTS = (
    '<d:dataModel xmlns:d="x" xmlns:a="y"><d:ptLst><d:pt><d:t><a:p><a:r><a:t>plan</a:t></a:r></a:p></d:t></d:pt>'
    "<d:pt/><d:pt><d:t><a:p><a:r><a:t>do</a:t></a:r></a:p></d:t></d:pt></d:ptLst></d:dataModel>"
)
CHOICE = (
    '<m:AlternateContent xmlns:m="http://schemas.openxmlformats.org/markup-compatibility/2006">'
    f"<m:Choice>{a_shape('new form')}</m:Choice><m:Fallback>{a_shape('old form')}</m:Fallback></m:AlternateContent>"
)


async def test_slides_are_pages_in_the_order_they_are_shown_with_titles_tables_diagrams_and_notes(reader: Reader):
    made = a_pptx(
        a_shape("Plan", stands_for="ctrTitle")
        + a_shape("1. May", stands_for="dt")
        + a_shape("one", "10:30 <two> & three")
        + DIAGRAM,
        f"<p:grpSp>{a_shape('in a group')}</p:grpSp>{TABLE}{CHOICE}",
        "",
        a_shape("End", stands_for="title"),
        notes=a_shape("1", stands_for="sldNum") + a_shape("say hello", stands_for="body"),
        more={"ppt/diagrams/data1.xml": POINTS},
    )
    text = await reader.read(made, "", "a.pptx")
    pages = [text.text[start:end].strip() for start, end in zip(text.pages, [*text.pages[1:], None], strict=True)]
    assert pages == [
        "Plan\n\none\n10:30 <two> & three\n\nplan\ndo\n\nsay hello",
        "in a group\n\na | b c\nwide\n\nnew form",
        "",
        "End",
    ]
    assert [(each.text, text.text[each.at :][:3]) for each in text.headings] == [
        ("Plan", "Pla"),
        ("Slide 2", "in "),
        ("Slide 3", "End"),
        ("End", "End"),
    ]
    assert text.title == "The title"


async def test_sheets_stand_in_the_order_of_the_workbook_each_under_its_name(reader: Reader):
    made = an_xlsx({"Last year": ROW, "Empty": "", "This & that": ROW.replace("said", "a\n b")})
    text = await reader.read(made, "", "a.xlsx")
    assert text.text == "Last year\n\nsaid\n\nEmpty\n\nThis & that\n\na b"
    assert [(each.text, text.text[each.at :].startswith(each.text)) for each in text.headings] == [
        ("Last year", True),
        ("Empty", True),
        ("This & that", True),
    ]
    assert (text.title, list(text.pages)) == ("The title", [])


async def test_cells_keep_their_columns_and_empty_rows_and_columns_are_left_out(reader: Reader):
    rows = (
        '<row r="2"><c r="B2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c><c r="XFD2" t="str"><v>far</v></c></row>'
        '<row r="3"><c r="A3"/><c r="C3"><f>1+1</f><v>2</v></c></row><row r="1048576"/>'
        '<row><c t="b"><v>1</v></c><c t="e"><v>#DIV/0!</v></c></row>'
    )
    shared = ("<t>plain</t>", '<r><t xml:space="preserve">rich </t></r><r><t>text</t></r><rPh><t>x</t></rPh>')
    text = await reader.read(an_xlsx({"S": rows}, shared), "", "a.xlsx")
    assert text.text == "S\n\n| plain | rich text | far\n|  | 2 |\nTRUE | #DIV/0! |  |"


@pytest.mark.parametrize(
    ("value", "style", "said"),
    [
        ("45413", 0, "45413"),
        ("45413", 1, "2024-05-01"),
        ("1", 1, "1900-01-01"),
        ("59", 1, "1900-02-28"),
        ("61", 1, "1900-03-01"),
        ("45413.4375", 4, "2024-05-01 10:30"),
        ("45413", 4, "2024-05-01"),
        ("0.4375115740740741", 6, "10:30:01"),
        ("1.5", 2, "36:00:00"),
        ("0.30000000000000004", 0, "0.3"),
        ("12345678901234567890", 0, "12345678901234567890"),
        ("-1.5E-7", 0, "-1.5e-07"),
        ("2.50", 3, "2.5"),
        ("0.07", 5, "7%"),
        ("-5", 1, "-5"),
        ("1e300", 1, "1e+300"),
        ("none", 1, "none"),
        ("7", 99, "7"),
    ],
)
async def test_numbers_say_what_they_are_in_the_sheet(reader: Reader, value: str, style: int, said: str):
    made = an_xlsx({"S": f'<row><c s="{style}"><v>{value}</v></c></row>'})
    assert (await reader.read(made, "", "a.xlsx")).text == f"S\n\n{said}"


async def test_dates_of_workbooks_that_count_from_1904_are_the_same_dates(reader: Reader):
    made = an_xlsx({"S": '<row><c s="1"><v>43951</v></c></row>'}, more='<workbookPr date1904="1"/>')
    assert (await reader.read(made, "", "a.xlsx")).text == "S\n\n2024-05-01"


async def test_office_files_without_text_say_so(reader: Reader):
    with pytest.raises(Unreadable, match="no text"):
        await reader.read(a_pptx("", ""), "", "a.pptx")
    with pytest.raises(Unreadable, match="no text"):
        await reader.read(an_xlsx({}), "", "a.xlsx")


async def test_one_office_file_under_the_name_of_another_says_so(reader: Reader):
    given = {"pptx": a_pptx(a_shape("x")), "xlsx": an_xlsx({"S": ROW}), "epub": an_epub({"a": "<p>x"})}
    for name in ("docx", "pptx", "xlsx", "epub"):
        for kind, content in {**given, "docx": a_docx("x")}.items():
            if kind != name:
                with pytest.raises(Unreadable) as failed:
                    await reader.read(content, "", f"a.{name}")
                assert failed.value.error_code == "unreadable"
                assert f"no {name.upper()}" in str(failed.value), (name, kind)


@pytest.mark.parametrize("kind", ["pptx", "xlsx"])
async def test_archives_that_are_traps_are_not_opened(reader: Reader, kind: str):
    good = a_pptx(a_shape("said")) if kind == "pptx" else an_xlsx({"S": ROW})
    part = "ppt/presentation.xml" if kind == "pptx" else "xl/workbook.xml"
    root = b"<presentation>&k;</presentation>" if kind == "pptx" else b"<workbook>&k;</workbook>"
    for made, error, why in (
        (declaring(good, 2_000_000_000), TooLarge, "declares"),
        (with_entry(good, "media/a.xml", b" " * 50_000_000), TooLarge, "packed"),
        (overlapping(good), Unreadable, "overlap"),
        (with_part(good, part, LAUGHS + root), Unreadable, "no XML"),
        (
            with_part(good, part, b'<!DOCTYPE l [<!ENTITY k SYSTEM "file:///etc/passwd">]>' + root),
            Unreadable,
            "entities",
        ),
        (with_part(good, part, root[: root.index(b"&")] + b"<a>" * 100_000), Unreadable, "no XML"),
        (with_part(good, part, b""), Unreadable, "no XML"),
        (good[: len(good) // 2], Unreadable, "damaged"),
        (b"\xd0\xcf\x11\xe0" + bytes(508) + "EncryptedPackage".encode("utf-16-le"), PasswordProtected, "password"),
    ):
        with pytest.raises(error, match=why):
            await reader.read(made, "", f"a.{kind}")
    assert "said" in (await reader.read(good, "", f"a.{kind}")).text


async def test_a_sheet_whose_cells_all_stand_for_one_long_text_ends_where_it_is_too_long(reader: Reader):
    rows = '<row><c t="s"><v>0</v></c></row>' * 100_000
    with pytest.raises(TooLarge, match="more than"):
        await reader.read(an_xlsx({"S": rows}, [f"<t>{'long ' * 200_000}</t>"]), "", "a.xlsx")


async def test_a_sheet_of_which_each_row_has_a_column_of_its_own_ends_where_it_is_too_long(reader: Reader):
    letters = [chr(65 + n // 676) + chr(65 + n // 26 % 26) + chr(65 + n % 26) for n in range(9000)]
    rows = "".join(f'<row><c r="{each}1"><v>1</v></c></row>' for each in letters)
    with pytest.raises(TooLarge, match="more than"):
        await reader.read(an_xlsx({"S": rows}), "", "a.xlsx")


async def test_a_slide_that_is_shown_a_thousand_times_ends_where_the_text_is_too_long(reader: Reader):
    made = a_pptx(a_shape("long " * 100_000))
    shown = b'<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst>%s</p:sldIdLst></p:presentation>'
    with pytest.raises(TooLarge, match="more than"):
        await reader.read(
            with_part(made, "ppt/presentation.xml", shown % (b'<p:sldId r:id="r1"/>' * 1000)), "", "a.pptx"
        )


@pytest.mark.parametrize("kind", ["xlsx", "docx", "html"])
async def test_what_takes_more_memory_than_a_document_may_take_says_so_and_is_not_read_in_part(
    reader: Reader, kind: str
):
    # Elements without end in one, of which none says anything: all of them are held at once.
    held = b"".join(b'<c r="A%d" s="%d"></c>' % (n, n * 7919 % 9973) for n in range(5000)) * 800
    if kind == "xlsx":
        content = b'<w xmlns="%s"><row>%s</row></w>' % (SHEETS.encode(), held)
        made = with_part(an_xlsx({"S": ROW}), "xl/worksheets/sheet1.xml", content)
    elif kind == "docx":
        made = with_part(a_docx("x"), "word/document.xml", b'<w:document xmlns:w="w">%s</w:document>' % held)
    else:
        made = b"<p>said</p>" + held + held
    with pytest.raises(ReadingLimit):
        await reader.read(made, "", f"a.{kind}")
    assert (await reader.read(an_xlsx({"S": ROW}), "", "a.xlsx")).text == "S\n\nsaid"


async def test_parts_that_are_named_and_missing_are_told(reader: Reader):
    made = an_xlsx({"S": '<row><c t="s"><v>7</v></c></row>'})
    with pytest.raises(Unreadable, match="no shared text '7'"):
        await reader.read(made, "", "a.xlsx")
    with pytest.raises(Unreadable, match=r"data1\.xml"):
        await reader.read(a_pptx(DIAGRAM, notes=a_shape("x")), "", "a.pptx")
