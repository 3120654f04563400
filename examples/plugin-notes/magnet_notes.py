"""Notes in one text file, each below a line `# its title`, as a knowledge source of Magnet."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, Field

from adapters.plugins.document import Document


class NotesConfig(BaseModel, extra="forbid"):
    """Notes that stand in one file, each below a line with its title."""

    file: Path = Field(description="A text file in UTF-8.")
    group: str | None = Field(None, description="Who alone may find the notes; null = as the source says.")


class Notes:
    """Notes in one text file."""

    name = "notes"
    Config = NotesConfig

    def load(self, config: NotesConfig, secrets: Mapping[str, str]) -> Iterator[Document]:
        """Yield each note; a file that can't be read is an error, which fails the sync and deletes nothing."""
        for note in config.file.read_text("utf-8").split("\n# "):
            title, _, text = note.removeprefix("# ").partition("\n")
            if text.strip():
                acl = None if config.group is None else [config.group]
                yield Document(
                    id=title.strip(),
                    title=title.strip(),
                    text=text.strip(),
                    metadata={"words": len(text.split())},
                    acl=acl,
                )
