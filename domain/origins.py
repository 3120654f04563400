"""Origins of web pages, as browsers tell them."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from domain.provider import web_origin

STANDARD = {"http": 80, "https": 443}


def browser_origin(text: str) -> str:
    """Return an origin as browsers send it (`https://shop.example.com`), or raise ValueError saying what is wrong."""
    web_origin(text)
    parts = urlsplit(text)
    if "*" in text:
        raise ValueError("an origin has no *: name each")
    if parts.path or parts.query or parts.fragment or text.endswith(("?", "#")) or not text.isascii():
        raise ValueError("an origin is scheme, host and port alone, such as https://shop.example.com, in ASCII")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, STANDARD[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


Origin = Annotated[str, Field(max_length=300), AfterValidator(browser_origin)]
