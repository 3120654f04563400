"""Small real files for tests of reading: PPTX, XLSX and EPUB, and mails."""

from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from io import BytesIO
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWN = "http://schemas.openxmlformats.org/drawingml/2006/main"
TITLED = (
    '<p:cp xmlns:p="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The title</dc:title></p:cp>'
)
STYLES = (
    f'<styleSheet xmlns="{SHEETS}"><numFmts><numFmt numFmtId="164" formatCode="dd\\.mm\\.yyyy"/>'
    '<numFmt numFmtId="165" formatCode="[h]:mm"/><numFmt numFmtId="166" formatCode="#,##0.00 &quot;days&quot;"/>'
    '<numFmt numFmtId="167" formatCode="yyyy\\-mm\\-dd hh:mm"/></numFmts><cellXfs>'
    + "".join(f'<xf numFmtId="{number}"/>' for number in (0, 164, 165, 166, 167, 9, 21))
    + "</cellXfs></styleSheet>"
)
"""Styles from 0: none, date, duration, number, moment, percentage, time."""

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)


def packed(parts: Mapping[str, str | bytes]) -> bytes:
    """Return a ZIP archive of these parts."""
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def relations(*targets: tuple[str, str]) -> str:
    """Return relations r1, r2 and so on: each the last word of its type, and its target."""
    told = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/{kind}" Target="{escape(target)}"/>'
        for number, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{RELATIONS}">{told}</Relationships>'


def an_xlsx(sheets: Mapping[str, str], shared: Sequence[str] = (), more: str = "") -> bytes:
    """Return an XLSX whose sheets have these rows of SpreadsheetML, and these shared strings."""
    names = list(sheets)
    told = "".join(f'<sheet name="{escape(name)}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(names, 1))
    strings = "".join(f"<si>{each}</si>" for each in shared)
    return packed(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": relations(("officeDocument", "xl/workbook.xml"), ("core-properties", "docProps/core.xml")),
            "docProps/core.xml": TITLED,
            "xl/workbook.xml": f'<workbook xmlns="{SHEETS}" xmlns:r="{OFFICE}">{more}<sheets>{told}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": relations(
                # Where the parts are called otherwise than the sheets stand, the workbook's order counts.
                *(("worksheet", f"worksheets/sheet{len(names) - n}.xml") for n in range(len(names))),
                ("sharedStrings", "sharedStrings.xml"),
                ("styles", "/xl/styles.xml"),
            ),
            "xl/sharedStrings.xml": f'<sst xmlns="{SHEETS}">{strings}</sst>',
            "xl/styles.xml": STYLES,
            **{
                f"xl/worksheets/sheet{len(names) - n}.xml": (
                    f'<worksheet xmlns="{SHEETS}"><sheetData>{sheets[name]}</sheetData></worksheet>'
                )
                for n, name in enumerate(names)
            },
        }
    )


def a_pptx(*slides: str, notes: str = "", more: Mapping[str, str] | None = None) -> bytes:
    """Return a PPTX of slides with these shapes; notes belong to the first, a diagram's data is its relation `r2`."""
    shapes = f'<p:sld xmlns:p="{SLIDES}" xmlns:a="{DRAWN}" xmlns:r="{OFFICE}"><p:cSld><p:spTree>%s</p:spTree></p:cSld></p:sld>'
    told = "".join(f'<p:sldId id="{256 + n}" r:id="r{n}"/>' for n in range(1, len(slides) + 1))
    return packed(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": relations(("officeDocument", "/ppt/presentation.xml"), ("core-properties", "core.xml")),
            "core.xml": TITLED,
            "ppt/presentation.xml": (
                f'<p:presentation xmlns:p="{SLIDES}" xmlns:r="{OFFICE}"><p:sldIdLst>{told}</p:sldIdLst></p:presentation>'
            ),
            "ppt/_rels/presentation.xml.rels": relations(
                *(("slide", f"slides/slide{len(slides) - n}.xml") for n in range(len(slides)))
            ),
            **{f"ppt/slides/slide{len(slides) - n}.xml": shapes % each for n, each in enumerate(slides)},
            f"ppt/slides/_rels/slide{len(slides)}.xml.rels": relations(
                *((("notesSlide", "../notes/n1.xml"),) if notes else (("slideLayout", "../layout.xml"),)),
                ("diagramData", "../diagrams/data1.xml"),
            ),
            "ppt/notes/n1.xml": shapes % notes,
            **(more or {}),
        }
    )


def a_shape(*paragraphs: str, stands_for: str | None = None) -> str:
    """Return a shape with these paragraphs; `stands_for` is the type of its placeholder."""
    place = "" if stands_for is None else f'<p:nvPr><p:ph type="{stands_for}"/></p:nvPr>'
    said = "".join(f"<a:p><a:pPr/><a:r><a:t>{escape(each)}</a:t></a:r></a:p>" for each in paragraphs)
    return f"<p:sp><p:nvSpPr>{place}</p:nvSpPr><p:txBody><a:bodyPr/>{said}</p:txBody></p:sp>"


def an_epub(
    pages: Mapping[str, str | bytes], *, spine: Sequence[str] | None = None, more: Mapping[str, str] | None = None
) -> bytes:
    """Return an EPUB of these pages, by their names; they stand in the order of the spine."""
    names = list(pages)
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(names)
    )
    refs = "".join(f'<itemref idref="i{names.index(name)}"/>' for name in (names if spine is None else spine))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>The book</dc:title><dc:language>en</dc:language></metadata><manifest>{items}"
        '<item id="p" href="p.png" media-type="image/png"/></manifest>'
        f'<spine>{refs}<itemref idref="p"/></spine></package>'
    )
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OEBPS/book.opf": package,
            **{f"OEBPS/{name}".replace("%20", " "): content for name, content in pages.items()},
            **(more or {}),
        }
    )


def a_mail(text: str | None = None, *, html: str | None = None, attached: Sequence[str] = ()) -> EmailMessage:
    """Return a mail with headers beyond ASCII, and a text in one form or two."""
    mail = EmailMessage()
    mail["From"] = "Jörg Größe <joerg@x.example>"
    mail["To"] = "a@x.example, Bé <b@x.example>"
    mail["Subject"] = "Grüße aus Köln – 世界"  # noqa: RUF001
    mail["Date"] = "Wed, 01 May 2024 10:30:00 +0200"
    if text is not None:
        mail.set_content(text)
    if html is not None:
        (mail.set_content if text is None else mail.add_alternative)(html, subtype="html")
    for name in attached:
        mail.add_attachment(b"%PDF-1.7 secret", maintype="application", subtype="pdf", filename=name)
    return mail
