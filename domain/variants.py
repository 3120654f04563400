"""Variants: alternatives of a definition that share its traffic by weight."""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from domain.definition import parse
from domain.errors import NotFound
from domain.references import escaped

DEFAULT = "default"
"""The variant that the top-level fields are; its weight is 1 unless `variants.default` says else."""


def check(variants: Mapping[str, Mapping[str, Any]], names: frozenset[str]) -> None:
    """Raise ValueError unless each variant has a weight >= 0 and only fields that may differ."""
    for name, variant in variants.items():
        if not name or len(name) > 63:
            raise ValueError("a variant's name has 1 to 63 characters")
        weight = variant.get("weight", 1)
        if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= 1_000_000:
            raise ValueError("a variant's weight is an integer from 0 to 1,000,000")
        allowed = names if name != DEFAULT else frozenset[str]()
        if set(variant) - allowed - {"weight"}:
            raise ValueError("a variant holds its weight and fields of the definition that may differ")
    if weights(variants) and not sum(weights(variants).values()):
        raise ValueError("at least one variant needs a weight above 0")


def fit(
    definition: BaseModel,
    variants: Mapping[str, Mapping[str, Any]],
    settings: type[BaseModel],
    *,
    instead: Mapping[str, frozenset[str]] | None = None,
) -> None:
    """Raise ValueError or Invalid unless the definition is sound as each variant has it.

    `settings` are the fields that may differ; a variant that has one of `instead`'s keys does without
    the definition's own values of the fields named there.
    """
    names = frozenset(settings.model_fields)
    check(variants, names)
    whole = definition.model_dump(mode="json", by_alias=True, include=set(names))
    for name, variant in variants.items():
        differing = {key: value for key, value in variant.items() if key != "weight"}
        left_out = {field for key, fields in (instead or {}).items() if key in differing for field in fields}
        parse(settings, whole | dict.fromkeys(left_out) | differing, prefix=f"/variants/{escaped(name)}")


def weights(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return variant -> weight, `default` included."""
    return {DEFAULT: 1} | {name: variant.get("weight", 1) for name, variant in variants.items()}


def choose(thing_id: UUID, variants: Mapping[str, Mapping[str, Any]], subject: str) -> str:
    """Return the variant for a subject: by weight, and always the same one for the same subject."""
    digest = hashlib.sha256(thing_id.bytes + subject.encode()).digest()
    shares = weights(variants)
    ticket = int.from_bytes(digest[:8]) % sum(shares.values())
    for name in sorted(shares):
        ticket -= shares[name]
        if ticket < 0:
            return name
    return DEFAULT


def apply(definition: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the definition as the variant has it, or raise NotFound."""
    plain = {key: value for key, value in definition.items() if key != "variants"}
    variants = definition.get("variants", {})
    if name != DEFAULT and name not in variants:
        raise NotFound("There is no variant of this name.", code="unknown_variant")
    differing = {key: value for key, value in variants.get(name, {}).items() if key != "weight"}
    return plain | differing
