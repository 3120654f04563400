"""Requests that are made of a tool's arguments."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any
from urllib.parse import quote, unquote, urlencode

import orjson

from adapters.tool_servers.openapi import styles
from adapters.tool_servers.openapi.operations import TEMPLATE, plain_type
from domain.provider import check_header

ACCEPTED = "application/json, text/plain;q=0.9, */*;q=0.5"
FORM = {"style": "form", "explode": True}


@dataclass(frozen=True, kw_only=True)
class Made:
    """A request without credentials; `line` is what people are shown of it."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def line(self) -> str:
        """Method and address."""
        return f"{self.method} {self.url}"


def request_of(how: Mapping[str, Any], base: str, arguments: Mapping[str, Any]) -> Made:
    """Return the request of a tool with arguments that fit its schema; or raise Invalid where they can't be sent."""
    path, query, headers, cookies = how["path"], list[styles.Pair](), {"Accept": ACCEPTED}, list[str]()
    written: dict[str, str] = {}
    for parameter in how["parameters"]:
        if parameter["argument"] not in arguments:
            continue
        name, value = parameter["name"], arguments[parameter["argument"]]
        match parameter["in"]:
            case "path":
                written[name] = styles.in_path(name, parameter, value)
            case "query":
                query += styles.in_query(name, parameter, value)
            case "header":
                header(headers, name, styles.in_header(name, parameter, value))
            case "cookie":
                cookies += styles.in_cookie(name, parameter, value)
    # All at once: what is written for one is not looked through for others.
    path = TEMPLATE.sub(lambda found: written[found[1]], path)
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    body: bytes | None = None
    if how["body"] is not None and how["body"]["argument"] in arguments:
        body, media = body_of(how["body"], arguments[how["body"]["argument"]])
        headers["Content-Type"] = media
    elif how["method"] in ("POST", "PUT", "PATCH"):
        body = b""
    asked = "&".join(f"{key}={value}" for key, value in query)
    url = f"{base.rstrip('/')}{path}"
    return Made(method=how["method"], url=f"{url}?{asked}" if asked else url, headers=headers, body=body)


def header(headers: dict[str, str], name: str, value: str) -> None:
    """Set a header, or raise Invalid where there can be none of this name."""
    try:
        check_header(name, value)
    except ValueError as error:
        raise styles.refused(name, str(error)) from None
    headers[name] = value


def body_of(how: Mapping[str, Any], value: Any) -> tuple[bytes, str]:
    """Return a body, and its media type."""
    media = plain_type(how["media"])
    if media == "application/x-www-form-urlencoded":
        return urlencode(list(form(how["encoding"], value))).encode(), media
    if media == "multipart/form-data":
        return multipart(how, value)
    if media.startswith("text/"):
        return styles.text_of(value).encode(), f"{media}; charset=utf-8"
    return orjson.dumps(value), "application/json" if "*" in media else media


def form(encoding: Mapping[str, Any], value: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields of a form: a list is the same field again and again, an object JSON unless it has a style."""
    if not isinstance(value, Mapping):
        raise styles.refused("body", "a form is an object")
    for name, item in value.items():
        how = encoding.get(name, {})
        if isinstance(item, Mapping) and ("style" in how or "explode" in how):
            yield from ((unquote(key), unquote(text)) for key, text in styles.in_query(name, {**FORM, **how}, item))
        elif isinstance(item, list) and how.get("explode") is False:
            yield name, ",".join(map(styles.text_of, item))
        else:
            for each in item if isinstance(item, list) else [item]:
                yield name, styles.text_of(each)


def multipart(how: Mapping[str, Any], value: Any) -> tuple[bytes, str]:
    """Return a form of parts; files have the name of their field."""
    if not isinstance(value, Mapping):
        raise styles.refused("body", "a form is an object")
    boundary = f"magnet-{token_hex(16)}"
    pieces: list[bytes] = []
    for name, item in value.items():
        for each in item if isinstance(item, list) else [item]:
            content, media = part_of(name, each, how)
            label = quote(name, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{label}"'
            head += f'; filename="{label}"' if name in how["files"] else ""
            head += f"\r\nContent-Type: {media}\r\n\r\n" if media else "\r\n\r\n"
            pieces += [head.encode(), content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def part_of(name: str, value: Any, how: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return a part of a form, and its media type; a file is text, or base64 after `data:...;base64,`."""
    given = how["encoding"].get(name, {}).get("contentType")
    media = plain_type(given.partition(",")[0]) if isinstance(given, str) and "*" not in given else ""
    if name in how["files"]:
        text = styles.text_of(value)
        head, comma, data = text.partition(",")
        if comma and head.startswith("data:") and head.endswith(";base64"):
            try:
                return base64.b64decode(data, validate=True), media or "application/octet-stream"
            except binascii.Error:
                raise styles.refused(name, "what follows base64, is none") from None
        return text.encode(), media or "text/plain; charset=utf-8"
    if isinstance(value, Mapping | list):
        return orjson.dumps(value), media or "application/json"
    return styles.text_of(value).encode(), media
