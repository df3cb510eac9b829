"""What every reader of a file gives: numbered rows of cells, and the rows that could not be read."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from finetune.errors import FinetuneError

MAX_BYTES = 500_000_000
MAX_ROWS = 2_000_000
MAX_CELL = 1_000_000
# They keep a hostile file from filling the memory: with empty cells, or with one line that never ends.
MAX_COLUMNS = 1_000
MAX_CELLS = 20_000_000
MAX_LINE = 16_000_000
# After so many rows, of which less than one in a hundred can be read, the rest is not tried.
_HOPELESS = 20_000
# Rows of which every cell is looked at again: how far values repeat is told from that many.
_REMEMBERED = 100_000


def limits_text() -> str:
    """What is read at most, as a part of a sentence."""
    return (
        f"up to {MAX_BYTES / 1e6:,.0f} MB, {MAX_ROWS:,} rows and {MAX_COLUMNS:,} columns ({MAX_CELLS:,} cells), "
        f"{MAX_CELL:,} characters a cell"
    )


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that could not be read. `row`: 1 = the first data row; every record counts, bad ones too."""

    row: int
    reason: str


@dataclass
class Records:
    """A file as it is read. `columns[j][i]` is the cell of source row `rows[i]` under `names[j]`.

    Columns rather than rows of cells: a list for each of a million rows takes 200 MB and the collector's time.
    """

    names: list[str] = field(default_factory=list)
    rows: array = field(default_factory=lambda: array("q"))
    columns: list[list[Any]] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)
    blank_lines: int = 0
    notes: list[str] = field(default_factory=list)
    delimiter: str | None = None
    _known: list[dict[str, str]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Records so far, bad ones too."""
        return len(self.rows) + len(self.bad_rows)

    def add(self, row: int, cells: Sequence[Any]) -> None:
        """One row, as wide as there are columns."""
        self.rows.append(row)
        for column, cell in zip(self.columns, cells, strict=True):
            column.append(cell)

    def add_many(self, first: int, columns: Sequence[Sequence[str]]) -> None:
        """Rows numbered on from `first`, as columns of text. Short values that repeat are kept once."""
        if not self._known:
            self._known = [{} for _ in columns]
        self.rows.extend(range(first, first + len(columns[0])))
        for column, cells, known in zip(self.columns, columns, self._known, strict=True):
            if len(cells[0]) <= 80 and len(known) < _REMEMBERED and len(set(cells)) * 4 <= len(cells):
                cells = list(map(known.setdefault, cells, cells))
            column.extend(cells)

    def check_size(self, columns: int) -> None:
        """Raises FinetuneError once the rows read so far are more than this program holds."""
        if columns > MAX_COLUMNS:
            raise FinetuneError(
                f"The file has more than {MAX_COLUMNS:,} columns.",
                hint="Keep the columns to train on and load it again.",
            )
        if self.count >= _HOPELESS and len(self.rows) < self.count // 100:
            bad = self.bad_rows[0]
            raise FinetuneError(
                f"Of the first {self.count:,} rows only {len(self.rows):,} can be read; the first that cannot: {bad.reason}.",
                hint="Mend the file, or write one JSON object a line.",
                row=bad.row,
            )
        if self.count > MAX_ROWS or len(self.rows) * columns > MAX_CELLS:
            raise FinetuneError(
                f"The file has more rows than fit here ({MAX_ROWS:,} rows and {MAX_CELLS:,} cells at most).",
                hint="Take a part of it: a few thousand rows are enough to fine-tune.",
            )

    def frame(self) -> pd.DataFrame:
        """The rows as Table.frame; the columns are handed over, and this object is empty after it."""
        columns, self.columns, self._known = self.columns, [], []
        frame = pd.DataFrame({place: pd.Series(cells, dtype=object) for place, cells in enumerate(columns)}, copy=False)
        frame.columns = pd.Index(self.names, dtype=object)
        frame.index = row_index(self.rows)
        return frame


def row_index(rows: Sequence[int]) -> pd.Index:
    """Source row numbers as an index named "row"; a range where none is missing, which takes no memory."""
    count = len(rows)
    if count and rows[-1] - rows[0] + 1 == count:
        return pd.RangeIndex(rows[0], rows[0] + count, name="row")
    return pd.Index(rows, dtype="int64", name="row")


def fault(cells: Sequence[Any]) -> str:
    """Why the cells of a row cannot be used as text; empty when they can."""
    for position, cell in enumerate(cells, start=1):
        if isinstance(cell, str):
            if len(cell) > MAX_CELL:
                return f"cell {position} has {len(cell):,} characters ({MAX_CELL:,} at most)"
            if "\0" in cell:
                return f"cell {position} holds NUL bytes, as in a damaged file"
    return ""


def faultless(cells: Sequence[str]) -> bool:
    """Whether `fault` has nothing to say on any of the cells; quick over many of them."""
    return max(map(len, cells), default=0) <= MAX_CELL and "\0" not in "".join(cells)


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
