"""The plan of an `apply`: what has to be done so that an installation is as the documents say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from api.cli.documents import KINDS, Document, WrongDocuments, normal
from api.cli.failure import CommandFailed
from api.cli.order import Circle, by_use, used_ids
from api.cli.present import Present
from commands.secret_fields import HINTED
from domain.configuration import Configuration, is_draft, references
from domain.configuration_events import LIVE
from domain.definition import merge_patch, same
from domain.prompt import Prompt, includes
from domain.references import escaped, identify

Definition = Mapping[str, Any]
There = Mapping[UUID, Present]


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One value that will differ; path is a JSON pointer."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One command on a thing; `publish` points a label at the version that is then the newest."""

    do: Literal["restore", "create", "change", "publish", "archive"]
    body: Definition = field(default_factory=dict)
    label: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Secret field -> its value; never printed."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens to one thing, in order; nothing where there is no operation."""

    kind: type[Configuration]
    name: str
    present: Present | None
    operations: Sequence[Operation]
    changes: Sequence[FieldChange] = ()

    @property
    def verb(self) -> str:
        """What the plan calls it."""
        done = {operation.do for operation in self.operations}
        return next((verb for verb in ("create", "archive", "restore", "change", "publish") if verb in done), "nothing")

    @property
    def labels(self) -> list[str]:
        """The labels that are pointed at another version."""
        return [operation.label for operation in self.operations if operation.do == "publish"]

    @property
    def secrets(self) -> list[str]:
        """The secret fields that are written."""
        return sorted(name for operation in self.operations for name in operation.secrets)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How the documents are taken."""

    draft: bool = False
    prune: bool = False
    rotate_secrets: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def plan(documents: Sequence[Document], present: Sequence[Present], wishes: Wishes) -> list[Step]:
    """Return a step for each document, and for what is pruned; or raise WrongDocuments."""
    there = {UUID(thing.id): thing for thing in present}
    errors = [*_unknown_references(documents, there, wishes), *_missing_secrets(documents, there, wishes)]
    steps = []
    for document in _in_order(documents, there):
        try:
            steps.append(_Becoming(document, there.get(id_of(document)), wishes).step())
        except Unreachable as unreachable:
            errors.append(str(unreachable))
    if errors:
        raise WrongDocuments(errors)
    return [*steps, *_pruned(documents, present)] if wishes.prune else steps


def id_of(document: Document) -> UUID:
    """Return the id of the thing that a document is about."""
    return identify(document.kind.TOPIC, document.name)


def differences(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    """Yield each value that differs; a list is one value."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{path}/{escaped(key)}")
    elif not same(before, after):
        yield FieldChange(path=path, before=before, after=after)


def patch_between(before: Definition, after: Definition) -> dict[str, Any]:
    """Return the JSON merge patch that makes one definition the other."""
    patch: dict[str, Any] = dict.fromkeys(key for key in before if key not in after)
    for key, value in after.items():
        if key in before and isinstance(value, dict) and isinstance(before[key], dict):
            if deeper := patch_between(before[key], value):
                patch[key] = deeper
        elif key not in before or not same(before[key], value):
            patch[key] = value
    return patch


class Unreachable(CommandFailed):
    """No merge patch makes a thing what a document says."""


class _Becoming:
    """Finds the operations that make one thing what its document says."""

    def __init__(self, document: Document, thing: Present | None, wishes: Wishes) -> None:
        self._document = document
        self._thing = thing
        self._wishes = wishes
        self._operations: list[Operation] = []
        self._newest: Definition | None = thing.definition if thing else None
        self._pointed = {label: each for label, (_, each) in thing.labels.items()} if thing else {}
        self._secrets = _secrets_to_write(document, thing, wishes)

    def step(self) -> Step:
        document = self._document
        if self._thing and self._thing.archived:
            self._operations.append(Operation(do="restore"))
        labels = self._labels()
        if self._newest is None and LIVE in labels:
            self._become(labels[LIVE])  # what a new thing begins with is what runs
        for label, wanted in labels.items():
            if label not in self._pointed or self._differs(wanted, self._pointed[label]):
                if not self._differs(wanted, document.definition):
                    self._become(document.definition)
                elif self._newest is None or self._differs(wanted, self._newest):
                    self._become(wanted)
                self._operations.append(Operation(do="publish", label=label))
        self._become(document.definition)
        before = self._thing.definition if self._thing else {}
        return Step(
            kind=document.kind,
            name=document.name,
            present=self._thing,
            operations=self._operations,
            changes=list(differences(before, document.definition)) if self._thing else (),
        )

    def _labels(self) -> dict[str, Definition]:
        """Return label -> definition, `live` last: until then what runs stays what it was."""
        if self._wishes.draft or not self._document.kind.LABELLED:
            return {}
        labels: dict[str, Definition] = dict(self._document.labels)
        live = labels.pop(LIVE, self._document.definition)
        return {**labels, LIVE: live}

    def _differs(self, one: Definition, other: Definition) -> bool:
        """Whether two definitions do something else, rather than only look different."""
        return is_draft(self._document.kind.DEFINITION, one, other)

    def _become(self, wanted: Definition) -> None:
        if self._newest is None:
            self._operations.append(Operation(do="create", body=wanted, secrets=self._secrets))
            if self._document.kind.LABELLED:
                self._pointed[LIVE] = dict(wanted)
        elif self._secrets or not same(self._newest, wanted):
            patch = patch_between(self._newest, wanted)
            if not same(normal(self._document.kind, merge_patch(self._newest, patch)), wanted):
                raise Unreachable(
                    f"{self._document.at()}: a thing that exists can't get a null inside an object: leave the null out"
                )
            self._operations.append(Operation(do="change", body=patch, secrets=self._secrets))
        self._newest, self._secrets = wanted, {}


def _in_order(documents: Sequence[Document], there: There) -> list[Document]:
    """Return the documents so that each comes after what it refers to and what is not there yet."""
    kinds = list(KINDS.values())
    named = {
        id_of(document): document
        for document in sorted(
            documents,
            # What stops being the default comes before what becomes it.
            key=lambda each: (kinds.index(each.kind), bool(each.definition.get("default")), each.name),
        )
    }
    made = {id for id in named if id not in there or there[id].archived}
    try:
        order = by_use(
            {
                id: [used for each in _definitions(document) for used in used_ids(document.kind, each) if used in made]
                for id, document in named.items()
            }
        )
    except Circle as circle:
        names = " -> ".join(named[id].at() for id in circle.members)
        raise CommandFailed(
            f"These refer to each other in a circle, so that none can be made first: {names}."
        ) from None
    return [named[id] for id in order]


def _pruned(documents: Sequence[Document], present: Sequence[Present]) -> list[Step]:
    """Return the steps that archive what no document is about, users before what they use."""
    kept = {id_of(document) for document in documents}
    gone = {UUID(thing.id): thing for thing in present if not thing.archived and UUID(thing.id) not in kept}
    used = {
        id: [
            target
            for each in (thing.definition, *(d for _, d in thing.labels.values()))
            for target in used_ids(thing.kind, each)
        ]
        for id, thing in gone.items()
    }
    try:
        order = by_use(used)
    except Circle as circle:
        names = ", ".join(f"{gone[id].kind.TOPIC} '{gone[id].name}'" for id in circle.members)
        raise CommandFailed(f"These can't be archived while they refer to each other: {names}.") from None
    return [
        Step(kind=gone[id].kind, name=gone[id].name, present=gone[id], operations=[Operation(do="archive")])
        for id in reversed(order)
    ]


def _secrets_to_write(document: Document, thing: Present | None, wishes: Wishes) -> dict[str, str]:
    """Return the secrets that aren't set yet, would be cleared, or end otherwise than the present one."""
    written = {}
    for name, variable in document.secrets.items():
        value = wishes.environment.get(variable)
        hint = _kept_hint(document, thing, name)
        if value and (wishes.rotate_secrets or hint != (value[-4:] if len(value) >= HINTED else "")):
            written[name] = value
    return written


def _kept_hint(document: Document, thing: Present | None, name: str) -> str | None:
    """Return the hint of a secret that is set and stays set; a move to another origin clears it."""
    if thing is None:
        return None
    before, after = (
        document.kind.create(name=document.name, definition=each).origin
        for each in (thing.definition, document.definition)
    )
    if before != after:
        return None
    return thing.secrets.get(name)


def _missing_secrets(documents: Sequence[Document], there: There, wishes: Wishes) -> Iterator[str]:
    for document in documents:
        for name, variable in document.secrets.items():
            kept = _kept_hint(document, there.get(id_of(document)), name)
            if kept is None and not wishes.environment.get(variable):
                yield f"{document.at(f'/{name}')}: set the environment variable {variable}, or leave the field out"


def _unknown_references(documents: Sequence[Document], there: There, wishes: Wishes) -> Iterator[str]:
    """Say what is referred to that is neither in the documents nor stays in the installation."""
    known = {id_of(document) for document in documents}
    if not wishes.prune:
        known |= {id for id, thing in there.items() if not thing.archived}
    for document in documents:
        for definition in _definitions(document):
            for pointer, kind, id in references(document.kind.DEFINITION, definition):
                if id not in known:
                    yield f"{document.at(pointer)}: there is no {kind} of this name or id, or it is archived"
        if document.kind is Prompt:
            for name in sorted({name for each in _definitions(document) for name, _ in includes(each)}):
                if identify(Prompt.TOPIC, name) not in known:
                    yield f"{document.at()}: it includes the prompt '{name}', which does not exist or is archived"


def _definitions(document: Document) -> list[Definition]:
    return [document.definition, *document.labels.values()]
