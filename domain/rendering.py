"""What can be wrong with a template or with the values it is given."""

from typing import Any

from domain.errors import DomainError, Invalid


class RenderingError(Invalid):
    """A template can't be rendered; told by template, line and name, never by its text or a value."""

    def __init__(self, *, template: str = "", line: int | None = None, pointer: str = "", message: str = "") -> None:
        self.template = template
        self.line = line
        places = [f"template '{template}'"] if template else []
        places += [f"line {line}"] if line else []
        said = message or (self.__doc__ or "").strip().splitlines()[0]
        details: dict[str, Any] = {}
        if template:
            details["template"] = template
        if line:
            details["line"] = line
        super().__init__(
            f"{said} ({', '.join(places)})" if places else said,
            # A template that is named by its JSON pointer is pointed at.
            pointer=pointer or (template if template.startswith("/") else ""),
            details=details,
        )


class TemplateSyntax(RenderingError):
    """The template's syntax is wrong."""

    code = "template_syntax"


class TemplateForbidden(RenderingError):
    """The template reaches for something that templates may not use."""

    code = "template_forbidden"


class TemplateTooLarge(RenderingError):
    """The templates are too large: 1 MiB each and 4 MiB together are the limits."""

    code = "template_too_large"


class RenderingLimit(RenderingError):
    """Rendering took too much time, memory or nesting, or gave more than 1 MiB of text."""

    code = "rendering_limit"


class RenderingFailed(RenderingError):
    """An expression can't be worked out with these values, or gives no valid text."""

    code = "rendering_failed"


class MissingInclude(RenderingError):
    """An included prompt or label does not exist."""

    code = "missing_include"


class RecursiveInclude(RenderingError):
    """A prompt includes itself, directly or through another."""

    code = "recursive_include"


class MissingVariable(RenderingError):
    """A variable has no value: give it one."""

    code = "missing_variable"


class InvalidVariables(RenderingError):
    """The variables are no JSON object: numbers must fit 64 bits and text must be valid Unicode."""

    code = "invalid_variables"


class RendererDown(DomainError):
    """The rendering process can't be started or was ended: try again."""

    code = "renderer_unavailable"


RENDERING_ERRORS: dict[str, type[RenderingError]] = {
    error.code: error
    for error in (
        TemplateSyntax, TemplateForbidden, TemplateTooLarge, RenderingLimit, RenderingFailed,
        MissingInclude, RecursiveInclude, MissingVariable, InvalidVariables,
    )
}  # fmt: skip
