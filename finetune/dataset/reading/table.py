"""A table of text with numbered rows, and the files that its rows came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from finetune.dataset.reading.conversation import spoken
from finetune.dataset.reading.records import BadRow


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the table.

    Attributes:
        first, last: its source rows, bad ones too; last < first when it has none.
        format: "csv", "jsonl", "json", "parquet" or "hub".
        test: whether it is a test file of the user's own.
    """

    name: str
    first: int
    last: int
    sha256: str
    format: str
    encoding: str
    delimiter: str | None
    test: bool = False


@dataclass(frozen=True)
class Table:
    """One file, or several after each other, as they were read.

    Attributes:
        name: name of the file, without its folder; of several, the first and how many more.
        frame: the readable rows. Index: source row numbers, named "row"; columns and cells are str, except a cell with
            a conversation, which is a list of turns (dict).
        bad_rows: the records that could not be read, in order. They have numbers too: len(frame) + len(bad_rows) is
            the number of records.
        format: "csv", "jsonl", "json", "parquet" or "hub"; "mixed" where files differ.
        encoding: as Python names it.
        delimiter: of a CSV, else None.
        sha256: of the bytes of the file; of several, over their digests.
        blank_lines: lines with nothing on them, outside of cells; they are no records.
        notes: sentences on what was guessed or changed while reading.
        sources: the files, in the order of their rows; a test file of the user's own is the last.
    """

    name: str
    frame: pd.DataFrame
    bad_rows: tuple[BadRow, ...]
    format: str
    encoding: str
    delimiter: str | None
    sha256: str
    blank_lines: int
    notes: tuple[str, ...]
    sources: tuple[Source, ...] = ()

    @property
    def test_rows(self) -> range:
        """Source rows of the user's own test file; empty when there is none."""
        own = [source for source in self.sources if source.test]
        return range(own[0].first, own[-1].last + 1) if own else range(0)

    def place(self, row: int) -> str:
        """Where a source row stands: "row 5", of several files "row 5 of b.csv"."""
        if len(self.sources) > 1:
            for source in self.sources:
                if source.first <= row <= source.last:
                    return f"row {row - source.first + 1:,} of {source.name}"
        return f"row {row:,}"


def preview(table: Table, rows: int = 200) -> pd.DataFrame:
    """The first rows for showing: the row number as column "#", line ends kept, long cells cut with “…”."""
    frame = table.frame.head(rows)
    shown = pd.DataFrame({name: [_shown(cell) for cell in frame[name]] for name in frame.columns}, dtype=object)
    shown.insert(0, "#", frame.index.to_list(), allow_duplicates=True)
    return shown


def _shown(cell: Any, length: int = 300) -> str:
    if not isinstance(cell, str):
        cell = "\n".join(": ".join(turn) for turn in spoken(cell))
    return cell if len(cell) <= length else cell[: length - 1] + "…"
