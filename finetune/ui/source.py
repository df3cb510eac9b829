"""Any row of the file by its number: as an example, or as it came where none could be made of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from finetune.dataset.examine import Examined
from finetune.dataset.example import Example

_by_row = attrgetter("row")
CELL = 200  # characters of a cell that are looked at


def at(ascending: Sequence[Any], row: int) -> Any:
    """What has this source row, among what has rows that ascend; None where nothing has."""
    place = bisect_left(ascending, row, key=_by_row)
    return ascending[place] if place < len(ascending) and ascending[place].row == row else None


def from_row(ascending: Sequence[Any], row: int) -> list[Any]:
    """All that has this source row: a row may have several changes."""
    first = bisect_left(ascending, row, key=_by_row)
    last = bisect_left(ascending, row + 1, key=_by_row)
    return list(ascending[first:last])


@dataclass(frozen=True)
class Rows:
    """The rows of a file that was looked at."""

    examined: Examined

    def __len__(self) -> int:
        return len(self.examined.examples)

    def example(self, row: int) -> Example | None:
        return at(self.examined.examples, row)

    def raw(self, row: int) -> tuple[str, str]:
        """The cells of a row in one line, and why it could not be read; each may be ""."""
        table = self.examined.table
        if (bad := at(table.bad_rows, row)) is not None:
            return "", bad.reason
        if row not in table.frame.index:
            return "", ""
        cells = table.frame.loc[row].items()
        return " · ".join(f"{name}: {str(cell)[:CELL].strip() or '(empty)'}" for name, cell in cells), ""
