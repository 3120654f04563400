"""Readers of LlamaIndex as knowledge sources: what they are made with and load by is their `Config`."""

import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, create_model
from pydantic.errors import PydanticUserError

from adapters.plugins.document import Document
from adapters.plugins.lasting_id import lasting_id

READERS = "llama_index.core.readers.base"
LOADING = ("load_data", "lazy_load_data", "aload_data")
SECRET_PARTS = {"token", "password", "passwd", "secret", "apikey", "credential", "credentials"}
SECRET_ENDS = ("api_key", "access_key", "private_key")


@dataclass(frozen=True, kw_only=True)
class Argument:
    """An argument of a reader: where it is given, and how it is called in `Config`."""

    name: str
    type: Any
    default: Any
    making: bool
    loading: bool

    @property
    def is_secret(self) -> bool:
        """Whether it is text that goes by a name that secrets have, or is a secret by its type."""
        if self.type in (SecretStr, SecretStr | None):
            return True
        parts = set(self.name.lower().split("_"))
        secret = bool(parts & SECRET_PARTS) or self.name.lower().endswith(SECRET_ENDS)
        return secret and self.type in (str, str | None, Any)


def is_reader(found: Any) -> bool:
    """Return whether an object is a reader of LlamaIndex, or the class of one."""
    module = sys.modules.get(READERS)  # what is not imported has no readers
    return module is not None and (
        isinstance(found, module.BaseReader) or (inspect.isclass(found) and issubclass(found, module.BaseReader))
    )


class ReaderSource:
    """Loads what a reader loads; each of its documents that has a text is one of the source."""

    def __init__(self, reader: Any, name: str) -> None:
        self.name = name
        self._reader = reader
        kind = reader if inspect.isclass(reader) else type(reader)
        self.description = next((line.strip() for line in (kind.__doc__ or "").splitlines() if line.strip()), "")
        self._loading = loading_of(kind)
        self._arguments = arguments_of(kind, self._loading, made=not inspect.isclass(reader))
        self.secrets = {
            each.name: f"What the reader calls `{each.name}`." for each in self._arguments if each.is_secret
        }
        self._shown = [each for each in self._arguments if not each.is_secret]
        self.Config = config_of(self._shown, kind.__name__)

    def load(self, config: BaseModel, secrets: Mapping[str, str]) -> Any:
        """Return the reader's documents, or what yields them."""
        given = {
            each.name: getattr(config, field_of(number))
            for number, each in enumerate(self._shown)
            if field_of(number) in config.model_fields_set
        }
        for each in self._arguments:
            if each.is_secret and each.name in secrets:
                secret = secrets[each.name]
                given[each.name] = SecretStr(secret) if each.type in (SecretStr, SecretStr | None) else secret
            elif each.is_secret and each.default is inspect.Parameter.empty:
                raise ValueError(f"the secret `{each.name}` is not set")
        making = {each.name: given[each.name] for each in self._arguments if each.making and each.name in given}
        loading = {each.name: given[each.name] for each in self._arguments if each.loading and each.name in given}
        reader = self._reader(**making) if inspect.isclass(self._reader) else self._reader
        loaded = getattr(reader, self._loading)(**loading)
        return later(loaded) if inspect.isawaitable(loaded) else documents_of(loaded)


async def later(loading: Any) -> Iterator[Document | None]:
    """Return the documents that a coroutine returns."""
    return documents_of(await loading)


def documents_of(loaded: Any) -> Iterator[Document | None]:
    """Yield what a reader loaded as documents, None for what has no text."""
    seen: Counter[str] = Counter()
    for each in loaded:
        text, metadata = each.get_content(), dict(each.metadata)
        if not text:
            yield None
            continue
        yield Document(
            id=lasting_id(each.id_, text, metadata, seen),
            title=str(metadata.get("title") or metadata.get("file_name") or ""),
            text=text,
            media_type="text/plain",
            url=next((str(metadata[name]) for name in ("url", "URL", "link") if is_address(metadata.get(name))), None),
            metadata=metadata,
        )


def is_address(value: Any) -> bool:
    """Return whether a value is an address that people may open."""
    return isinstance(value, str) and re.fullmatch(r"https?://\S{1,1900}", value) is not None


def source_of(reader: Any, named: str | None) -> ReaderSource:
    """Return the source that a reader is; without a name it is called as its class, in small letters."""
    kind = reader if inspect.isclass(reader) else type(reader)
    return ReaderSource(reader, named or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower())


def loading_of(kind: type[Any]) -> str:
    """Return the method that a reader overrides, and so loads by."""
    base = sys.modules[READERS].BaseReader
    for name in LOADING:
        if getattr(kind, name) is not getattr(base, name):
            return name
    raise ValueError(f"the reader {kind.__name__} has none of the methods {', '.join(LOADING)}")


def arguments_of(kind: type[Any], loading: str, *, made: bool) -> list[Argument]:
    """Return the arguments of a reader that JSON can tell; raise ValueError where it can't do without another one."""
    found: dict[str, Argument] = {}
    for name, each in ({} if made else named_arguments(kind, kind.__init__)).items():
        found[name] = Argument(name=name, type=each[0], default=each[1], making=True, loading=False)
    for name, each in named_arguments(getattr(kind, loading), getattr(kind, loading)).items():
        making = name in found
        found[name] = Argument(name=name, type=each[0], default=each[1], making=making, loading=True)
    return list(found.values())


def named_arguments(asked: Callable[..., Any], function: Any) -> dict[str, tuple[Any, Any]]:
    """Return name -> type and default of the arguments that JSON can tell."""
    names = getattr(inspect.unwrap(function), "__globals__", {})
    found = {}
    for name, each in inspect.signature(asked).parameters.items():
        if name == "self" or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            continue
        if each.kind is each.POSITIONAL_ONLY:
            raise ValueError(f"its argument `{name}` can't be given by name")
        type = type_of(name, each.annotation, names)
        if type is not None:
            found[name] = (type, each.default)
        elif each.default is each.empty:
            raise ValueError(
                f"JSON can't tell its argument `{name}`: make a reader that needs none such, and name that"
            )
    return found


def type_of(name: str, annotation: Any, names: Mapping[str, Any]) -> Any:
    """Return the type of an argument, None where it is none that JSON can tell."""
    if annotation is inspect.Parameter.empty:
        return Any
    try:
        holder = type("Holder", (), {"__annotations__": {name: annotation}})
        found = get_type_hints(holder, globalns=dict(names))[name]
        TypeAdapter(found).json_schema()
    except (PydanticUserError, NameError, AttributeError, TypeError):
        return None
    return found


def config_of(arguments: list[Argument], title: str) -> type[BaseModel]:
    """Return a model that has the arguments; what is not given is left to the reader."""
    fields: Any = {
        field_of(number): (each.type, Field(default_of(each), alias=each.name)) for number, each in enumerate(arguments)
    }
    settings = ConfigDict(extra="forbid", title=title)
    model: type[BaseModel] = create_model("Config", __config__=settings, **fields)
    return model


def field_of(number: int) -> str:
    """Return what a model calls an argument: its own name may be one that pydantic has a use for."""
    return f"argument_{number}"


def default_of(argument: Argument) -> Any:
    """Return what the schema shows as default, None where that is no JSON."""
    if argument.default is inspect.Parameter.empty:
        return ...
    try:
        orjson.dumps(argument.default)
    except TypeError:
        return None
    return argument.default
