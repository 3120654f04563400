"""Ways the domain says no. The api maps each family to one HTTP status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

DEFECT = "internal_error"
"""The code of what went wrong here, and is nobody else's fault."""


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """One wrong field: where (JSON pointer), what was expected, and a stable code."""

    pointer: str
    message: str
    code: str


class DomainError(Exception):
    """The request was understood and refused."""

    code: ClassVar[str] = "refused"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])
        self.error_code = code or self.code
        self.details: Mapping[str, Any] = details or {}


class NotFound(DomainError):
    """No such thing."""

    code = "not_found"


class Conflict(DomainError):
    """Its current state forbids this."""

    code = "conflict"


class NameTaken(Conflict):
    """A thing of this kind with this name exists already; names are never reused."""

    code = "name_taken"


class Archived(Conflict):
    """It is archived: restore it first."""

    code = "archived"


class InUse(Conflict):
    """Other things refer to it: change or archive them first."""

    code = "in_use"


class Busy(Conflict):
    """Too many commands at once on this thing: try again."""

    code = "busy"


class Forbidden(DomainError):
    """Whoever asks may not do this."""

    code = "forbidden"


class StaleVersion(DomainError):
    """The thing has changed since the version named in If-Match."""

    code = "stale_version"


class Unavailable(DomainError):
    """The database can't be used right now: try again in a moment."""

    code = "database_unavailable"


class DiskFull(Unavailable):
    """The database has no room left: nothing was stored."""

    code = "storage_full"


class Invalid(DomainError):
    """One or more fields are wrong."""

    code = "invalid"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        pointer: str = "",
        errors: Sequence[FieldError] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.errors: Sequence[FieldError] = errors or (
            FieldError(pointer=pointer, message=str(self), code=self.error_code),
        )
