"""Hostile values in all fields of a thing at once: each field is named by the refusal, or holds what was sent."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from api.app import operations
from api.body import parse
from api.openapi import openapi_document
from domain.definition import same
from domain.errors import DomainError
from tests.support.hostile import CALLS_OUT, CANARY, REQUIRED, VALUES, Path, a_thing_of_each_kind, json_body, slots
from tests.support.server import Running

ROUNDS = 3
"""Requests of one value at most where it is not known what is needed: after each, what was refused is left out."""

GIVEN = ("name",)
"""Not hostile here: it is said once for each thing, and in each request another."""


def readable() -> Iterator[Any]:
    """Yield the values that are JSON to us: the others are refused as bodies, whatever the field."""
    for value in VALUES:
        try:
            yield parse(b'{"a":%s}' % value)["a"]
        except DomainError:
            continue


def layers(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield those that can be in one body: the innermost first, then what they were in."""
    left = list(dict.fromkeys(path for path in paths if path[0] not in GIVEN))
    while left:
        outer = {path[:length] for path in left for length in range(1, len(path))}
        yield [path for path in left if path not in outer]
        left = [path for path in left if path in outer]


def filled(layer: Iterable[Path], value: Any) -> dict[str, Any]:
    """Return a body with the value in each of these places."""
    body: dict[str, Any] = {}
    for path in layer:
        place: Any = body
        for key, following in itertools.pairwise(path):
            inner: Any = [] if following == 0 else {}
            if key == 0:
                place[:] = place or [inner]
                place = place[0]
            else:
                place = place.setdefault(key, inner)
        if path[-1] == 0:
            place[:] = [value]
        else:
            place[path[-1]] = value
    return body


def kept(sent: Any, found: Any) -> bool:
    """Return whether what is found holds what was sent; null is as if it were not there, of a secret it is told that it is."""
    if isinstance(found, dict) and found.keys() == {"set", "hint"}:
        return bool(found["set"])
    if isinstance(sent, dict) and isinstance(found, dict):
        return all(each is None or kept(each, found.get(key)) for key, each in sent.items())
    if isinstance(sent, list) and isinstance(found, list):
        return len(sent) == len(found) and all(map(kept, sent, found))
    return sent is None or same(sent, found) or (sent == "" and found is None)  # an empty secret


def refused_fields(answer: httpx.Response) -> set[str]:
    """Return the fields of the body that a refusal points at."""
    if answer.is_success:
        return set()
    return {each["pointer"].split("/")[1] for each in answer.json().get("errors", ()) if each["pointer"]}


async def tried(magnet: Running, method: str, path: str, body: dict[str, Any], needed: Mapping[str, Any]) -> set[str]:
    """Send a body, without what was refused of it, until it is taken; return the fields that were met."""
    left, met = dict(body), set[str]()
    while True:
        answer = await magnet.client.request(method, f"/v1/{path}", json={**needed, **left})
        where = (method, path, str(left)[:300], answer.status_code, answer.text[:500])
        if answer.status_code == 413:  # too much at once
            fields = list(left)
            halves = [dict.fromkeys(fields[::2]), dict.fromkeys(fields[1::2])]
            for number, half in enumerate(halves):
                again = {**needed, "name": f"{needed['name']}.{number}"} if needed else needed
                met |= await tried(magnet, method, path, {field: left[field] for field in half}, again)
            return met
        assert answer.status_code in (200, 201, 409, 422), where
        if answer.is_success:
            made = answer.json()
            past = f"/v1/{path.split('/', maxsplit=1)[0]}/{made['id']}?version={made['version']}"
            found = (await magnet.client.get(past)).json()
            for field, value in left.items():
                assert field not in found or kept(value, found[field]), (where, field)
            return met | left.keys()
        assert CANARY not in answer.text, where
        refused = refused_fields(answer)
        if not refused & left.keys():  # a rule for all of them together, which is asked once each is right
            return met | left.keys()
        met |= refused & left.keys()
        left = {field: value for field, value in left.items() if field not in refused}


async def test_each_field_of_each_kind_meets_a_third_of_all_values(magnet: Running, pytestconfig: pytest.Config):
    await a_thing_of_each_kind(magnet)
    document = openapi_document(operations())
    values = list(readable())
    every = len(values) if pytestconfig.getoption("long") else len(VALUES) // 3
    turns, names = itertools.cycle(values), itertools.count()
    met: Counter[tuple[str, Path]] = Counter()
    for collection, definition in REQUIRED.items():
        schema = json_body(document["paths"][f"/v1/{collection}"]["post"])
        assert schema is not None
        for layer in layers(slots(document, schema)):
            for number, value in enumerate(itertools.islice(turns, every)):
                body = filled(layer, value)
                if number % 2:
                    fields = await tried(magnet, "POST", collection, body, {"name": f"n{next(names)}", **definition})
                else:
                    fields = await tried(magnet, "PATCH", f"{collection}/thing", body, {})
                met.update({(collection, slot): slot[0] in fields for slot in layer})
    assert {slot: count for slot, count in met.items() if count < every} == {}


async def test_all_fields_at_once_of_whatever_else_takes_a_body(magnet: Running, pytestconfig: pytest.Config):
    await a_thing_of_each_kind(magnet)
    document = openapi_document(operations())
    values = list(readable())
    every = len(values) if pytestconfig.getoption("long") else len(VALUES) // 3
    turns, seen = itertools.cycle(values), set[Any]()
    for path, methods in document["paths"].items():
        if CALLS_OUT.search(path) or path.removeprefix("/v1/").removesuffix("/{ref}") in REQUIRED:
            continue
        address = re.sub(r"\{[a-z]+\}", "thing", path)
        for method, operation in methods.items():
            found = tuple(slots(document, json_body(operation) or {}))
            alike = (method, path.rpartition("/")[2], found)
            if alike in seen:  # the same of another kind
                continue
            seen.add(alike)
            for layer in layers(found):
                for value in itertools.islice(turns, every):
                    left = filled(layer, value)
                    for _ in range(ROUNDS):
                        answer = await magnet.client.request(method, address, json=left)
                        where = (method, path, str(left)[:300], answer.status_code, answer.text[:500])
                        assert answer.status_code < 500, where
                        assert answer.is_success or CANARY not in answer.text, where
                        refused = refused_fields(answer) & left.keys()
                        left = {field: each for field, each in left.items() if field not in refused}
                        if not refused or not left:
                            break
