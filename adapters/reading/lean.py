"""Loading single modules without all that their packages load: a sixth of the time and half of the memory.

The `__init__` modules of LlamaIndex import every part of the library, and with it SQLAlchemy, agents and engines for
chats; that of our domain imports every aggregate. A reading process needs the sentence splitter and the domain's
errors, and lives alone: nothing else there ever asks for the rest.
"""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import llama_index

from adapters.child_processes import ROOT

PACKAGES = ("core", "core.node_parser", "core.node_parser.text")


def load_leanly() -> None:
    """Let modules of these packages be imported without the packages' own code; only where none was loaded before."""
    library = Path(next(iter(llama_index.__path__)))
    _register("domain", ROOT / "domain")
    for package in PACKAGES:
        _register(f"{llama_index.__name__}.{package}", library.joinpath(*package.split(".")))


def _register(name: str, place: Path) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = [str(place)]
    sys.modules.setdefault(name, module)
