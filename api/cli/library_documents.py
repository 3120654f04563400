"""Real text that is on every machine: the documentation strings of the running Python's standard library.

The source files are parsed, never imported: some modules do something when they are.
"""

import ast
import platform
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LEFT_OUT = frozenset({"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "pydoc_data", "ensurepip"})
"""Directories that document nothing that a reader would ask for."""

SHORTEST = 60
"""Characters of a documentation string that tells something."""

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def library_documents() -> Iterator[dict[str, Any]]:
    """Yield a document for each module, class and function with documentation, in the form of the API."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if not LEFT_OUT & set(relative.parts):
            yield from documents_of(path, ".".join(relative.with_suffix("").parts).removesuffix(".__init__"))


def documents_of(path: Path, module: str) -> Iterator[dict[str, Any]]:
    """Yield the documents of one source file."""
    try:
        with tokenize.open(path) as file:  # in the encoding that the file declares
            tree = ast.parse(file.read())
    except (SyntaxError, ValueError, UnicodeDecodeError):
        return  # the library has files that are wrong on purpose
    said = ast.get_docstring(tree)
    if said and len(said) >= SHORTEST:
        yield document(module, module, "module", module, said)
    yield from _inside(tree, module, module)


def _inside(node: ast.AST, module: str, prefix: str) -> Iterator[dict[str, Any]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Documented) and not child.name.startswith("_"):
            name = f"{prefix}.{child.name}"
            said = ast.get_docstring(child)
            if said and len(said) >= SHORTEST:
                kind = "class" if isinstance(child, ast.ClassDef) else "function"
                yield document(name, module, kind, f"{name}{signature(child)}", said)
            if isinstance(child, ast.ClassDef):
                yield from _inside(child, module, name)


def signature(node: Documented) -> str:
    """Return a function's parameters as they are written; a class has none."""
    return "" if isinstance(node, ast.ClassDef) else f"({ast.unparse(node.args)})"


def document(name: str, module: str, kind: str, heading: str, said: str) -> dict[str, Any]:
    """Return a document in the form of the API."""
    return {
        "external_id": f"python/{name}",
        "title": name,
        "text": f"{heading}\n\n{said}\n",
        "media_type": "text/plain",
        "metadata": {"module": module.partition(".")[0], "kind": kind, "python": platform.python_version()},
    }
