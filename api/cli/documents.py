"""The documents of a directory: what things shall be, one YAML document each."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from api.cli.failure import CommandFailed
from api.cli.yaml_text import WrongYAML, YAMLDocument, read
from commands.configuration import resolved
from domain import CONFIGURATIONS
from domain.api_key import ApiKey
from domain.configuration import Configuration, check_label
from domain.configuration_events import LIVE
from domain.errors import FieldError, Invalid
from domain.references import check_name, escaped
from domain.webhook import Webhook

KINDS: Mapping[str, type[Configuration]] = {
    kind.TOPIC: kind for kind in CONFIGURATIONS if kind not in (ApiKey, Webhook)
}
"""What can stand in a file, each before what refers to it. API keys and webhooks can't: their secrets are never written down."""

ENDINGS = (".yaml", ".yml")
LARGEST_FILE = 20_000_000
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
OF_DOCUMENT = ("kind", "name", "labels")


@dataclass(frozen=True, kw_only=True)
class Document:
    """What one thing shall be; definitions are whole and hold ids where they refer."""

    source: str
    yaml: YAMLDocument
    kind: type[Configuration]
    name: str
    definition: dict[str, Any]
    labels: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Label -> the definition of the version it shall point at; other labels are left alone."""

    secrets: Mapping[str, str] = field(default_factory=dict)
    """Secret field -> the environment variable that holds it."""

    def at(self, pointer: str = "") -> str:
        """Return where in the files a field of it stands."""
        return f"{self.source}:{self.yaml.line(pointer)} ({self.kind.TOPIC} '{self.name}'){pointer and ' ' + pointer}"


class WrongDocuments(CommandFailed):
    """Documents are wrong; each error names file, line and field."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join([*errors, f"{len(errors)} wrong; nothing was changed."]))
        self.errors = errors


class _Wrong(Exception):
    """One document is wrong; pointer -> message."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__()
        self.errors = errors


def load(directory: Path) -> list[Document]:
    """Return the documents of all YAML files of a directory, or raise CommandFailed with all that is wrong."""
    if not directory.is_dir():
        raise CommandFailed(f"{directory} is no directory.")
    files = sorted(path for path in directory.rglob("*") if path.suffix in ENDINGS and path.is_file())
    if not files:
        raise CommandFailed(f"{directory} holds no file that ends in .yaml or .yml.")
    documents: list[Document] = []
    errors: list[str] = []
    for path in files:
        for found in _documents(path, path.relative_to(directory).as_posix()):
            if isinstance(found, Document):
                documents.append(found)
            else:
                errors.append(found)
    errors += _twice(documents)
    if errors:
        raise WrongDocuments(errors)
    if not documents:  # with --prune, a file that was cut off would archive everything
        raise CommandFailed(f"There is nothing in the files of {directory} that end in .yaml or .yml.")
    return documents


def _documents(path: Path, source: str) -> Iterator[Document | str]:
    """Yield each document of a file, or what is wrong with it."""
    if path.stat().st_size > LARGEST_FILE:
        yield f"{source}: this file is larger than {LARGEST_FILE:,} bytes"
        return
    try:
        for number, document in enumerate(read(path.read_text("utf-8")), 1):
            try:
                yield _document(source, document)
            except _Wrong as wrong:
                for error in wrong.errors:
                    line = document.line(error.pointer)
                    yield f"{source}:{line} (document {number}) {error.pointer or '/'}: {error.message}"
    except UnicodeDecodeError:
        yield f"{source}: this is no UTF-8 text"
    except WrongYAML as wrong_yaml:
        yield f"{source}:{wrong_yaml.line}: {wrong_yaml}"


def _document(source: str, document: YAMLDocument) -> Document:
    body = document.value
    if not isinstance(body, dict):
        raise _wrong("", "a document is an object with 'kind', 'name' and the fields of the definition")
    kind = KINDS.get(body.get("kind", "")) if isinstance(body.get("kind"), str) else None
    if kind is None:
        raise _wrong("/kind", f"the kind is one of {', '.join(KINDS)}")
    try:
        if not isinstance(body.get("name"), str):
            raise _wrong("/name", "a name is text; put it in quotes if it is a number")
        name = check_name(body["name"])
        own = {in_definition(kind, key): value for key, value in body.items() if key not in OF_DOCUMENT}
        fields, secrets = _without_secrets(kind, own)
        definition = normal(kind, fields)
        labels = _labels(kind, body.get("labels"), fields)
    except Invalid as invalid:
        raise _Wrong([_as_written(kind, error) for error in invalid.errors]) from None
    return Document(
        source=source, yaml=document, kind=kind, name=name, definition=definition, labels=labels, secrets=secrets
    )


def in_file(kind: type[Configuration], field: str) -> str:
    """Return the key of a definition's field in a document: a model's `kind` is `model_kind` there."""
    return f"{kind.TOPIC}_{field}" if field in OF_DOCUMENT else field


def in_definition(kind: type[Configuration], key: str) -> str:
    """Return the field that a document's key stands for."""
    field = key.removeprefix(f"{kind.TOPIC}_")
    return field if field in OF_DOCUMENT and field in kind.DEFINITION.model_fields else key


def _as_written(kind: type[Configuration], error: FieldError) -> FieldError:
    first, slash, rest = error.pointer.removeprefix("/").partition("/")
    if first == "name" or not error.pointer:
        return error
    return FieldError(pointer=f"/{in_file(kind, first)}{slash}{rest}", message=error.message, code=error.code)


def normal(kind: type[Configuration], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole definition, with ids where it refers, or raise Invalid; null means the default."""
    copied = orjson.loads(orjson.dumps({name: value for name, value in fields.items() if value is not None}))
    return kind.normal(resolved(kind, copied))


def _labels(kind: type[Configuration], labels: Any, fields: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return label -> definition; a file gives the fields that differ from the document's."""
    if labels is None:
        return {}
    if not kind.LABELLED:
        raise _wrong("/labels", f"a {kind.TOPIC} has no labels: each change of it is live")
    if not isinstance(labels, dict):
        raise _wrong("/labels", "labels are an object: label -> the fields that differ, {} where none does")
    definitions = {}
    for label, differing in labels.items():
        pointer = f"/labels/{escaped(label)}"
        if not isinstance(differing, dict):
            raise _wrong(pointer, "a label holds the fields that differ from the document's, {} where none does")
        try:
            check_label(label)
            definitions[label] = normal(kind, {**fields, **differing})
        except Invalid as invalid:
            raise _Wrong(
                [FieldError(pointer=pointer + e.pointer, message=e.message, code=e.code) for e in invalid.errors]
            ) from None
    # `live` last: until then what runs stays what it was.
    return dict(sorted(definitions.items(), key=lambda item: (item[0] == LIVE, item[0])))


def _without_secrets(kind: type[Configuration], body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the fields that are no secrets, and secret field -> environment variable."""
    secrets: dict[str, str] = {}
    for declared in kind.DEFINITION.SECRETS:
        name, _, many = declared.partition("/")
        given = body.pop(name, None)
        if given is None:
            continue
        if not many:
            secrets[name] = _variable(given, f"/{name}")
        elif isinstance(given, dict):
            for key, value in given.items():
                secrets[f"{name}/{key}"] = _variable(value, f"/{name}/{escaped(key)}")
        else:
            raise _wrong(f"/{name}", "this is an object of names and {env: NAME}")
    return body, secrets


def _variable(given: Any, pointer: str) -> str:
    match given:
        case {"env": str(variable), **rest} if not rest and ENVIRONMENT_NAME.match(variable):
            return variable
    raise _wrong(pointer, "a secret is never written in a file: give {env: NAME} of an environment variable")


def _twice(documents: Sequence[Document]) -> Iterator[str]:
    first: dict[tuple[str, str], Document] = {}
    defaults: dict[str, Document] = {}
    for document in documents:
        earlier = first.setdefault((document.kind.TOPIC, document.name), document)
        if earlier is not document:
            yield f"{document.at('/name')}: this stands already in {earlier.source}:{earlier.yaml.line()}"
        if document.kind.TOPIC == "model" and document.definition["default"]:
            other = defaults.setdefault(document.definition["kind"], document)
            if other is not document:
                yield f"{document.at('/default')}: the default of its kind is already '{other.name}'"


def _wrong(pointer: str, message: str) -> _Wrong:
    return _Wrong([FieldError(pointer=pointer, message=message, code="invalid")])
