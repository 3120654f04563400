"""OpenAPI specifications as tools: what is taken from them, what is left out with a reason, and what is refused."""

import json
from typing import Any

import jsonschema_rs
import pytest

from adapters.tool_servers.openapi import document
from adapters.tool_servers.openapi.operations import offer_of
from commands.agents.tools import Offer, WrongSpecification

NO_AUTH = {"kind": "none", "in": "header", "name": None}


def a_spec(paths: dict[str, Any], **more: Any) -> str:
    head = {
        "openapi": "3.0.3",
        "info": {"title": "Shop", "version": "1"},
        "servers": [{"url": "https://api.example/v1"}],
    }
    return json.dumps({**head, "paths": paths, **more})


def read(text: str, auth: dict[str, Any] | None = None, url: str | None = None) -> Offer:
    return offer_of(text, NO_AUTH if auth is None else auth, url)


def tool_of(operation: dict[str, Any], method: str = "get", path: str = "/pets", **more: Any) -> Any:
    [tool] = read(a_spec({path: {method: operation}}, **more)).tools
    return tool


def parameter(name: str, place: str = "query", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "schema": {"type": "string"}, **more}


YAML = """
openapi: 3.1.0
info: {title: Shop, version: 2026-01-01}
paths:
  /pets/{pet-id}:
    parameters:
      - {name: pet-id, in: path, required: true, schema: {type: integer}}
      - {name: lang, in: query, schema: {type: string, default: en}}
    get:
      summary: Find a pet
      description: By its number.
      responses: {200: {description: ok}}
    delete:
      operationId: delete.pet
      parameters:
        - {name: lang, in: query, required: true, schema: {type: string, enum: [de]}}
      responses: {204: {description: gone}}
"""


def test_yaml_is_read_and_parameters_of_a_path_belong_to_each_of_its_operations():
    offer = read(YAML)
    find, delete = offer.tools
    assert (find["name"], find["description"]) == ("get_pets_pet-id", "Find a pet\nBy its number.")
    assert find["input_schema"]["required"] == ["pet-id"]
    assert find["input_schema"]["properties"]["lang"] == {"type": "string", "default": "en"}
    assert (delete["name"], delete["side_effects"], find["side_effects"]) == ("delete_pet", True, False)
    assert delete["input_schema"]["properties"]["lang"] == {"type": "string", "enum": ["de"]}
    assert (offer.title, offer.server) == ("Shop", None)


def test_references_are_followed_into_definitions_and_circles_end():
    pet = {
        "type": "object",
        "required": ["id", "name"],
        "properties": {
            "id": {"type": "integer", "readOnly": True},
            "name": {"type": "string"},
            "parent": {"$ref": "#/components/schemas/Pet"},
        },
    }
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}
    components = {"schemas": {"Pet": pet}, "requestBodies": {"New": body}}
    tool = tool_of({"requestBody": {"$ref": "#/components/requestBodies/New"}}, "post", components=components)
    schema = tool["input_schema"]
    assert schema["properties"]["body"] == {"$ref": "#/$defs/Pet"}
    assert schema["$defs"]["Pet"]["properties"]["parent"] == {"$ref": "#/$defs/Pet"}
    assert schema["$defs"]["Pet"]["required"] == ["name"]
    assert jsonschema_rs.is_valid(schema, {"body": {"name": "Rex", "parent": {"name": "Max"}}})
    assert not jsonschema_rs.is_valid(schema, {"body": {"name": "Rex", "parent": {}}})


def test_a_long_way_of_references_is_followed_to_its_end():
    schemas: dict[str, Any] = {
        f"S{n}": {"properties": {"a": {"$ref": f"#/components/schemas/S{n + 1}"}}} for n in range(2_000)
    }
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}
    components = {"schemas": {**schemas, "S2000": {"type": "integer"}}}
    tool = tool_of({"requestBody": body}, "post", components=components)
    assert len(tool["input_schema"]["$defs"]) == 2_001


def test_a_large_part_that_every_operation_repeats_is_no_way_to_make_more_than_is_read(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(document, "MOST_VALUES", 20_000)
    wide = {"type": "object", "properties": {f"p{n}": {} for n in range(1_000)}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wide"}}}}
    paths = {f"/p{n}": {"post": {"requestBody": body}} for n in range(100)}
    with pytest.raises(WrongSpecification, match="with what they refer to"):
        read(a_spec(paths, components={"schemas": {"Wide": wide}}))


def test_what_3_0_says_in_its_own_words_is_said_in_those_of_json_schema():
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "nullable": True, "enum": ["x"]},
            "b": {"type": "integer", "minimum": 3, "exclusiveMinimum": True},
            "c": {"allOf": [{"type": "string"}], "nullable": True},
        },
    }
    tool = tool_of({"requestBody": {"content": {"application/json": {"schema": schema}}}}, "post")
    for good in ({"a": None}, {"a": "x"}, {"b": 4}, {"c": None}):
        assert jsonschema_rs.is_valid(tool["input_schema"], {"body": good})
    for bad in ({"a": "y"}, {"b": 3}, {"c": 1}):
        assert not jsonschema_rs.is_valid(tool["input_schema"], {"body": bad})


def test_names_that_clash_stay_apart_and_hyphens_stay():
    listed = [parameter("id"), parameter("id", "header"), parameter("X-Trace-Id", "header"), parameter("body")]
    body = {"content": {"application/json": {"schema": {"type": "object"}}}}
    tool = tool_of({"parameters": listed, "requestBody": body}, "put")
    assert list(tool["input_schema"]["properties"]) == ["id", "id_header", "X-Trace-Id", "body", "request_body"]


def test_operations_of_the_same_name_stay_apart():
    offer = read(a_spec({"/a": {"get": {"operationId": "look"}}, "/b": {"get": {"operationId": "look"}}}))
    assert [tool["name"] for tool in offer.tools] == ["look", "look_2"]


def test_the_credential_and_headers_of_the_connection_are_not_the_models_to_give():
    listed = [parameter(name, "header") for name in ("X-Key", "Authorization", "Host", "Content-Length", "X-Other")]
    listed.append(parameter("session", "cookie"))
    auth = {"kind": "api_key", "in": "header", "name": "x-key"}
    [tool] = read(a_spec({"/pets": {"get": {"parameters": listed}}}), auth).tools
    assert list(tool["input_schema"]["properties"]) == ["X-Other", "session"]


def test_a_server_is_found_with_its_variables_and_beside_the_specification():
    servers = [
        {"url": "https://{region}.example/{v}", "variables": {"region": {"default": "eu"}, "v": {"default": "2"}}}
    ]
    assert read(a_spec({"/a": {"get": {}}}, servers=servers)).server == "https://eu.example/2"
    beside = read(a_spec({"/a": {"get": {}}}, servers=[{"url": "/v3"}]), url="https://api.example/docs/openapi.json")
    assert beside.server == "https://api.example/v3"
    own = {"/a": {"servers": [{"url": "https://other.example"}], "get": {}}}
    assert read(a_spec(own)).tools[0]["request"]["server"] == "https://other.example"


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({"requestBody": {"content": {"application/xml": {}}}}, "application/xml"),
        ({"parameters": [parameter("a", schema={"type": "string", "pattern": "(["})]}, "no JSON schema"),
        ({"parameters": [parameter("a", schema={"type": "nothing"})]}, "no JSON schema"),
        ({"parameters": [parameter("a", schema={"enum": ["x" * 300_000]})]}, "200,000 bytes"),
    ],
)
def test_an_operation_that_can_not_be_called_is_left_out_with_a_reason(operation: dict[str, Any], reason: str):
    offer = read(a_spec({"/good": {"get": {}}, "/bad": {"post": {"operationId": "bad", **operation}}}))
    assert [tool["name"] for tool in offer.tools] == ["get_good"]
    [left_out] = offer.left_out
    assert left_out["tool"] == "bad"
    assert reason in left_out["reason"]


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an object"),
        ("[]", "an object"),
        ('{"openapi": "3.0.0", "paths": ', "no JSON"),
        ("a: [", "no YAML"),
        ("a: !!python/object/apply:os.system ['id']", "no YAML"),
        (json.dumps({"swagger": "2.0"}), "Swagger 2"),
        (json.dumps({"openapi": "4.0.0"}), "/openapi"),
        (json.dumps({"openapi": "3.0.0"}), "/paths"),
        (a_spec({}), "no operation"),
        (a_spec({"pets": {}}), "/paths/pets"),
        (a_spec({"/p": {"get": []}}), "/paths/~1p/get"),
        (a_spec({"/p/{id}": {"get": {}}}), "{id}"),
        (a_spec({"/p": {"get": {"parameters": [{"name": "a", "in": "elsewhere"}]}}}), "/parameters/0/in"),
        (a_spec({"/p": {"get": {"parameters": [parameter("a", style="matrix")]}}}), "/parameters/0/style"),
        (a_spec({"/p": {"get": {"parameters": [{"$ref": "#/components/parameters/x"}]}}}), "leads nowhere"),
        (a_spec({"/p": {"get": {"parameters": [{"$ref": "https://evil.example/p.json"}]}}}), "inside the spec"),
        (a_spec({"/p": {"get": {"parameters": [parameter("a", schema={"$ref": "file:///etc/passwd"})]}}}), "inside"),
        (a_spec({"/p": {"$ref": "#/paths/~1q"}, "/q": {"$ref": "#/paths/~1p"}}), "without end"),
        ("{" * 100_000, "no JSON"),
        ("a: " + "[" * 100_000, "nested deeper"),
        ("- " * 200_000 + "a", "nested deeper"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested deeper"),
        (BOMB, "more than 1,000,000 values"),
        ("a: &a\n  b: *a", "nested deeper"),
        ("openapi: 3.0.0\npaths: .nan", "no number"),
        ("openapi: 3.0.0\npaths: {? [a] : b}", "no YAML"),
    ],
)
def test_a_specification_that_is_none_is_refused_with_its_place(text: str, said: str):
    with pytest.raises(WrongSpecification, match=r"^The specification at ") as refusal:
        read(text)
    assert said in str(refusal.value)
    assert [error.pointer for error in refusal.value.errors] == ["/spec"]


def test_what_is_no_text_is_replaced_before_anything_is_recorded():
    [tool] = read('{"openapi": "3.1.0", "paths": {"/p": {"get": {"summary": "a\\u0000b"}}}}').tools
    assert tool["description"] == "a\ufffdb"


MERGES = "\n".join(
    ["m: {m0: &m0 {a: 1, b: 2}}", *(f"x{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, 9))]
)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param(MERGES, "with what '<<' merges", id="merges-of-merges"),
        pytest.param('x: !!int ""', "no YAML", id="a-number-without-digits"),
        pytest.param('x: !!bool "perhaps"', "no YAML", id="neither-true-nor-false"),
        pytest.param('x: !!timestamp "once"', "no YAML", id="a-time-that-is-none"),
    ],
)
def test_yaml_that_grows_without_end_or_is_not_what_it_says_is_refused(more: str, said: str):
    with pytest.raises(WrongSpecification, match=said):
        read(f"{YAML}{more}\n")


def test_merges_of_yaml_are_read_and_what_looks_like_base_60_is_text():
    paths = """
one: &one {summary: One, operationId: first}
two: &two {summary: Two, deprecated: true}
paths:
  /a: {get: {<<: [*one, *two], description: "", x-time: 1:30, x-number: 1%s}}
"""
    [tool] = read(f"openapi: 3.0.0\n{paths % (':1' * 100_000)}").tools
    assert (tool["name"], tool["description"]) == ("first", "(Deprecated.) One")


def test_a_server_whose_variables_multiply_is_refused():
    servers = [{"url": "https://x.example/" + "{a}" * 600, "variables": {"a": {"default": "y" * 1_000_000}}}]
    with pytest.raises(WrongSpecification, match="2,000 characters"):
        read(a_spec({"/a": {"get": {}}}, servers=servers))


def test_an_operation_with_too_many_parameters_is_left_out():
    many = [parameter(chr(0x400 + number)) for number in range(1_001)]
    offer = read(a_spec({"/a": {"get": {"parameters": many}}, "/b": {"get": {}}}))
    assert [tool["name"] for tool in offer.tools] == ["get_b"]
    assert offer.left_out == [{"tool": "get_a", "reason": "it takes more than 1,000 parameters"}]


def test_definitions_of_the_same_name_stay_apart():
    parts = [{"a": {"title": str(number)}} for number in range(3)]
    schema = {"allOf": [{"$ref": f"#/x/{number}/a"} for number in range(3)]}
    tool = tool_of({"requestBody": {"content": {"application/json": {"schema": schema}}}}, "post", x=parts)
    found = tool["input_schema"]["$defs"]
    named = [each["$ref"].rpartition("/")[2] for each in tool["input_schema"]["properties"]["body"]["allOf"]]
    assert [found[name]["title"] for name in named] == ["0", "1", "2"]
