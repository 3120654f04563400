"""Which parser reads what: by the media type, else by the name, and checked by the first bytes."""

from pathlib import PurePosixPath

from commands.knowledge.reading import PasswordProtected, Unreadable, UnsupportedMediaType

VERSIONS = {
    "text": 2,
    "markdown": 2,
    "html": 2,
    "pdf": 2,
    "docx": 2,
    "csv": 2,
    "json": 2,
    "code": 2,
    "pptx": 1,
    "xlsx": 1,
    "epub": 1,
    "eml": 1,
}
"""A parser's version is raised when it makes another text of the same content: texts are kept under it."""

MEDIA_TYPES = {
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/epub+zip": "epub",
    "message/rfc822": "eml",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/json": "json",
    "application/x-ndjson": "json",
    "application/jsonl": "json",
    "application/xml": "code",
    "application/javascript": "code",
    "application/x-python-code": "code",
    "application/x-sh": "code",
    "application/sql": "code",
    "application/toml": "code",
    "application/yaml": "code",
    "application/x-yaml": "code",
}
CODE = (
    "py pyi js mjs cjs ts tsx jsx java kt kts scala c h cc cpp cxx hpp cs go rs rb php pl pm lua r jl swift m mm"
    " sh bash zsh fish ps1 bat sql graphql proto tf hcl css scss less vue svelte xml svg yaml yml toml ini cfg conf"
    " properties env gradle cmake mk dockerfile makefile el clj cljs ex exs erl hs ml mli f90 asm s tex bib"
)
SUFFIXES = {
    **dict.fromkeys(CODE.split(), "code"),
    **dict.fromkeys(("md", "markdown", "mdown", "mkd"), "markdown"),
    **dict.fromkeys(("html", "htm", "xhtml"), "html"),
    **dict.fromkeys(("csv", "tsv"), "csv"),
    **dict.fromkeys(("json", "jsonl", "ndjson", "ipynb", "geojson"), "json"),
    **dict.fromkeys(("txt", "text", "log", "rst", "adoc", "asciidoc", "org", "srt", "vtt", "1", "man"), "text"),
    **{kind: kind for kind in ("pdf", "docx", "pptx", "xlsx", "epub", "eml")},
}
UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream", "text/plain"})
"""Media types by which senders say that they don't know, or only that it is text: a name may say more."""

PICTURES = {"image/png": "png", "image/jpeg": "jpg jpeg", "image/tiff": "tif tiff"}
"""What OCR reads, and the endings of its names. Sources take such files only where they are told to by name."""

READABLE = "text, Markdown, HTML, PDF, DOCX, PPTX, XLSX, EPUB, EML, CSV, JSON and source code"
OLD_OFFICE = b"\xd0\xcf\x11\xe0"
ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
"""Office keeps what a password protects in the old form, under this name."""

SIGNATURES = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a ZIP archive, as DOCX, PPTX, XLSX and EPUB are",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x1f\x8b": "compressed",
    OLD_OFFICE: "an old Office document",
    b"\x7fELF": "a program",
}
BEGINNINGS = {"pdf": (b"%PDF-",), **dict.fromkeys(("docx", "pptx", "xlsx", "epub"), (b"PK\x03\x04",))}


def kind_of(media_type: str, name: str) -> str:
    """Return which parser reads such content, or raise UnsupportedMediaType."""
    if media_type not in UNTOLD:
        if media_type in MEDIA_TYPES:
            return MEDIA_TYPES[media_type]
        if media_type.endswith(("+json", "+xml")):
            return "json" if media_type.endswith("+json") else "code"
        if not media_type.startswith("text/"):
            raise UnsupportedMediaType(f"Documents of type {media_type} can't be read: {READABLE} can.")
    path = PurePosixPath(name.replace("\\", "/").lower())
    suffix = path.suffix.removeprefix(".") or path.name
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if media_type.startswith("text/") or not path.suffix:
        return "text"
    raise UnsupportedMediaType(f"Nothing tells what kind of document this is: {READABLE} can be read.")


def is_picture(media_type: str, name: str) -> bool:
    """Return whether a content is a picture that OCR reads."""
    if media_type not in UNTOLD:
        return media_type in PICTURES
    return PurePosixPath(name.replace("\\", "/").lower()).suffix[1:] in " ".join(PICTURES.values()).split()


def must_begin_as(kind: str, content: bytes) -> None:
    """Raise Unreadable where the content begins otherwise than what it is said to be."""
    if not content.strip(b" \t\r\n\x00"):
        raise Unreadable("The document is empty.")
    expected = BEGINNINGS.get(kind)
    head = content[:1024].lstrip() if kind == "pdf" else content
    if expected is not None:
        if not any(each in content[:1024] if kind == "pdf" else head.startswith(each) for each in expected):
            if content.startswith(OLD_OFFICE) and ENCRYPTED_PACKAGE in content:
                raise PasswordProtected(
                    f"The {kind.upper()} opens only with a password: take it away, then give it again."
                )
            raise Unreadable(f"This is no {kind.upper()}, whatever its name or type says.")
        return
    for signature, what in SIGNATURES.items():
        if content.startswith(signature):
            raise Unreadable(f"This is {what}, not {kind}: give it under its own media type.")
