"""Requests that are made of arguments: every style of parameters, every kind of bodies, and no way out of a path."""

from typing import Any

import pytest

from adapters.tool_servers.openapi.operations import offer_of
from adapters.tool_servers.openapi.requests import Made, request_of
from domain.errors import Invalid
from tests.adapters.test_openapi_specifications import NO_AUTH, a_spec, parameter

LIST, OBJECT = ["blue", "black"], {"R": 100, "G": 200}


def made(operation: dict[str, Any], arguments: dict[str, Any], method: str = "get", path: str = "/p") -> Made:
    [tool] = offer_of(a_spec({path: {method: operation}}), NO_AUTH).tools
    return request_of(tool["request"], "https://api.example/v1/", arguments)


def path_of(value: Any, **style: Any) -> str:
    given = made({"parameters": [parameter("c", "path", schema={}, **style)]}, {"c": value}, path="/p/{c}/end")
    return given.url.removeprefix("https://api.example/v1/p/").removesuffix("/end")


def query_of(value: Any, **style: Any) -> str:
    return made({"parameters": [parameter("c", schema={}, **style)]}, {"c": value}).url.partition("?")[2]


@pytest.mark.parametrize(
    ("style", "explode", "value", "written"),
    [
        ("simple", False, "blue", "blue"),
        ("simple", False, LIST, "blue,black"),
        ("simple", False, OBJECT, "R,100,G,200"),
        ("simple", True, OBJECT, "R=100,G=200"),
        ("label", False, "blue", ".blue"),
        ("label", False, LIST, ".blue,black"),
        ("label", True, LIST, ".blue.black"),
        ("label", False, OBJECT, ".R,100,G,200"),
        ("label", True, OBJECT, ".R=100.G=200"),
        ("matrix", False, "blue", ";c=blue"),
        ("matrix", False, "", ";c"),
        ("matrix", False, LIST, ";c=blue,black"),
        ("matrix", True, LIST, ";c=blue;c=black"),
        ("matrix", False, OBJECT, ";c=R,100,G,200"),
        ("matrix", True, OBJECT, ";R=100;G=200"),
    ],
)
def test_parameters_of_paths_are_written_in_every_style(style: str, explode: bool, value: Any, written: str):
    assert path_of(value, style=style, explode=explode) == written


@pytest.mark.parametrize(
    ("style", "explode", "value", "written"),
    [
        ("form", True, "blue", "c=blue"),
        ("form", True, LIST, "c=blue&c=black"),
        ("form", False, LIST, "c=blue,black"),
        ("form", True, OBJECT, "R=100&G=200"),
        ("form", False, OBJECT, "c=R,100,G,200"),
        ("form", True, True, "c=true"),
        ("form", True, 1.5, "c=1.5"),
        ("spaceDelimited", False, LIST, "c=blue%20black"),
        ("spaceDelimited", True, LIST, "c=blue&c=black"),
        ("pipeDelimited", False, LIST, "c=blue%7Cblack"),
        ("deepObject", True, OBJECT, "c[R]=100&c[G]=200"),
        ("deepObject", True, {"a": {"b": ["x", "y"]}}, "c[a][b]=x&c[a][b]=y"),
    ],
)
def test_parameters_of_queries_are_written_in_every_style(style: str, explode: bool, value: Any, written: str):
    assert query_of(value, style=style, explode=explode) == written


def test_what_divides_a_query_is_data_in_a_value():
    assert query_of("a&b=c#d e,f/ä") == "c=a%26b%3Dc%23d%20e%2Cf%2F%C3%A4"
    assert query_of("a/b:c&d", allowReserved=True) == "c=a/b:c%26d"
    assert query_of(["a,b", "c"], explode=False) == "c=a%2Cb,c"


def test_a_parameter_may_be_json():
    content = {"name": "c", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}}
    assert made({"parameters": [content]}, {"c": {"a": 1}}).url.endswith("?c=%7B%22a%22%3A1%7D")


@pytest.mark.parametrize(
    "value", ["..", ".", "../admin", "..\\admin", "a/../../b", "%2e%2e", "%2e%2e/admin", "", "a\x00b", "a\r\nb"]
)
def test_no_value_leads_out_of_its_place_in_a_path(value: str):
    if value.startswith("%"):  # a percent sign is data: it is no dot after being decoded once
        assert path_of(value).startswith("%252e%252e")
        return
    with pytest.raises(Invalid) as refusal:
        path_of(value)
    assert refusal.value.error_code == "invalid_arguments"


def test_a_value_in_a_path_is_encoded_and_looked_through_for_no_other():
    assert path_of("a/b?c#d {e}") == "a%2Fb%3Fc%23d%20%7Be%7D"
    listed = [parameter("a", "path"), parameter("b", "path")]
    assert made({"parameters": listed}, {"a": "{b}", "b": "x"}, path="/p/{a}/{b}").url.endswith("/p/%7Bb%7D/x")


def test_headers_and_cookies_are_written_and_no_line_ends_in_them():
    listed = [parameter("X-Ids", "header", schema={}), parameter("s", "cookie"), parameter("t", "cookie")]
    given = made({"parameters": listed}, {"X-Ids": [1, 2], "s": "a;b", "t": "c"})
    assert given.headers["X-Ids"] == "1,2"
    assert given.headers["Cookie"] == "s=a%3Bb; t=c"
    with pytest.raises(Invalid):
        made({"parameters": listed}, {"X-Ids": "a\r\nX-Admin: 1"})


def body_of(media: str, value: Any, schema: Any = None, **more: Any) -> Made:
    content = {media: {"schema": schema or {}, **more}}
    return made({"requestBody": {"content": content}}, {"body": value}, "post")


def test_bodies_are_json_forms_or_text():
    assert (body_of("application/json", {"a": [1]}).body, body_of("application/json", None).body) == (
        b'{"a":[1]}',
        b"null",
    )
    assert body_of("application/merge-patch+json", {}).headers["Content-Type"] == "application/merge-patch+json"
    form = body_of("application/x-www-form-urlencoded", {"a b": "c&d", "l": [1, 2], "o": {"x": 1}})
    assert form.body == b"a+b=c%26d&l=1&l=2&o=%7B%22x%22%3A1%7D"
    deep = {"o": {"style": "deepObject", "explode": True}}
    assert body_of("application/x-www-form-urlencoded", {"o": {"x": 1}}, encoding=deep).body == b"o%5Bx%5D=1"
    assert body_of("text/plain", "hé").body == "hé".encode()


def test_a_multipart_body_has_parts_and_files_and_no_part_ends_early():
    files = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
    value = {"note": "a\r\n--x", "meta": {"k": 1}, "file": "data:image/png;base64,AAEC", 'n"\r\nx': "1"}
    given = body_of("multipart/form-data", value, files)
    media = given.headers["Content-Type"]
    boundary = media.partition("boundary=")[2]
    assert media.startswith("multipart/form-data; boundary=magnet-")
    assert given.body is not None
    parts = given.body.split(f"--{boundary}".encode())
    assert len(parts) == 6
    assert b'name="note"\r\n\r\na\r\n--x\r\n' in parts[1]
    assert b'name="meta"\r\nContent-Type: application/json\r\n\r\n{"k":1}\r\n' in parts[2]
    assert b'name="file"; filename="file"\r\nContent-Type: application/octet-stream\r\n\r\n\x00\x01\x02' in parts[3]
    assert b'name="n%22%0D%0Ax"' in parts[4]
