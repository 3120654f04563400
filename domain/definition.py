"""Definitions: what a configuration thing is set to, as strict, frozen pydantic models."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from domain.errors import FieldError, Invalid
from domain.references import escaped

JSON: TypeAlias = Any
"""Any JSON value: null, bool, int, float, str, list, or object with str keys."""

Reference = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""The id (UUID text) of another thing; which kind, the definition's REFERENCES say."""

Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Strict(BaseModel):
    """A value of a definition: no coercion, no unknown field, never changed in place."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Definition(Strict):
    """What every configuration thing carries besides its name."""

    title: str = Field("", max_length=200, description="What people see instead of the name.")
    description: str = Field("", max_length=10_000, description="What it is for.")
    tags: list[Tag] = Field(default_factory=list, max_length=50, description="Words to find it by.")

    PRESENTATION: ClassVar[frozenset[str]] = frozenset({"title", "description", "tags"})
    """Fields that say how a thing is shown, not what it does: they never make a draft."""

    REFERENCES: ClassVar[Mapping[str, str]] = {}
    """Path (`*` for every item) -> kind of the thing referred to there; `@x`: the kind that the field x names."""

    SECRETS: ClassVar[tuple[str, ...]] = ()
    """Write-only fields, kept beside the log; `x/*` for an object of them."""

    LATER: ClassVar[frozenset[str]] = frozenset()
    """Those of them that came when things of the kind were stored already: only shown where there are some, so that
    what was stored before comes out of the log as it did."""

    @field_validator("tags")
    @classmethod
    def _tags_are_distinct(cls, tags: list[str]) -> list[str]:
        if len(set(tags)) != len(tags):
            raise ValueError("a tag may stand only once")
        return tags


D = TypeVar("D", bound=BaseModel)


def parse(kind: type[D], value: JSON, prefix: str = "") -> D:
    """Validate a JSON value strictly, or raise Invalid that points at each wrong field.

    Going through JSON text is what makes pydantic treat lists, dates and decimals as JSON's.
    """
    try:
        return kind.model_validate_json(orjson.dumps(value))
    except ValidationError as error:
        raise Invalid("One or more fields are wrong: see errors.", errors=field_errors(error, prefix)) from None


def field_errors(error: ValidationError, prefix: str = "") -> list[FieldError]:
    """Turn pydantic's errors into pointers and messages; the values given are never repeated."""
    return [
        FieldError(
            pointer=prefix + "".join(f"/{escaped(part)}" for part in item["loc"]),
            message=item["msg"].removeprefix("Value error, "),
            code=item["type"],
        )
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def merge_patch(target: JSON, patch: JSON) -> JSON:
    """Apply a JSON merge patch (RFC 7396); neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def same(one: JSON, other: JSON) -> bool:
    """Return whether two JSON values are equal, with 1, 1.0 and true kept apart."""
    if one is other:
        return True
    # Python calls 1, 1.0 and True equal: what it calls different is, the rest is compared as text.
    return one == other and orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        other, option=orjson.OPT_SORT_KEYS
    )
