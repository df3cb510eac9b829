"""What every reader of a file gives: numbered rows of cells, and the rows that could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from finetune.errors import FinetuneError

MAX_BYTES = 500_000_000
MAX_ROWS = 2_000_000
MAX_CELL = 1_000_000
# They keep a hostile file from filling the memory with empty cells.
MAX_COLUMNS = 1_000
MAX_CELLS = 20_000_000


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that could not be read. `row`: 1 = the first data row; every record counts, bad ones too."""

    row: int
    reason: str


@dataclass
class Records:
    """A file as it is read. `cells[i]` are the cells of source row `rows[i]`, one for each of `names`."""

    names: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    cells: list[list[Any]] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)
    blank_lines: int = 0
    notes: list[str] = field(default_factory=list)
    delimiter: str | None = None

    def check_size(self, columns: int) -> None:
        """Raises FinetuneError once the rows read so far are more than this program holds."""
        records = len(self.rows) + len(self.bad_rows)
        if columns > MAX_COLUMNS:
            raise FinetuneError(
                f"The file has more than {MAX_COLUMNS:,} columns.",
                hint="Keep the columns to train on and load it again.",
            )
        if records > MAX_ROWS or len(self.rows) * columns > MAX_CELLS:
            raise FinetuneError(
                f"The file has more rows than fit here ({MAX_ROWS:,} rows and {MAX_CELLS:,} cells at most).",
                hint="Take a part of it: a few thousand rows are enough to fine-tune.",
            )


def fault(cells: Sequence[Any]) -> str:
    """Why the cells of a row cannot be used as text; empty when they can."""
    for position, cell in enumerate(cells, start=1):
        if isinstance(cell, str):
            if len(cell) > MAX_CELL:
                return f"cell {position} has {len(cell):,} characters ({MAX_CELL:,} at most)"
            if "\0" in cell:
                return f"cell {position} holds NUL bytes, as in a damaged file"
    return ""


def name_columns(raw: Sequence[str]) -> tuple[list[str], list[str]]:
    """Unique, non-empty names for the columns, and a note for each that had to be changed."""
    names: list[str] = []
    notes: list[str] = []
    taken = {name.strip() for name in raw}
    used: set[str] = set()
    for position, name in enumerate(raw, start=1):
        wanted = name.strip()
        if not wanted:
            wanted = f"column {position}"
            notes.append(f"Column {position} has no name and is called “{wanted}”.")
        unique, number = wanted, 2
        while unique in used or (unique != name.strip() and unique in taken):
            unique, number = f"{wanted} ({number})", number + 1
        if unique != wanted:
            notes.append(f"Another column is called “{wanted}” too: this one is “{unique}”.")
        used.add(unique)
        names.append(unique)
    return names, notes
