"""The values of one object become cells; what is nested is reached by its path, such as “data.text”."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from finetune.dataset.reading.records import MAX_CELLS, BadRow, Records, fault, name_columns
from finetune.dataset.reading.values import as_text, is_conversation, mended

# Paths into nested objects: so deep, and so many columns of them. Beyond, the JSON text of the whole is all there is.
_DEPTH = 5
MAX_PATHS = 100
_REMEMBERED = 100_000


class Objects:
    """Objects (dicts) become the columns of `Records`, whatever keys each of them has.

    Numbers and booleans become text as JSON writes them, null and missing keys become "". A conversation (a list of
    objects with a role) stays a Python list. Any other nested value becomes JSON text, and the values inside of it
    have columns of their own, called by their path.
    """

    def __init__(self) -> None:
        self.result = Records()
        self._columns: dict[str, list[Any]] = {}
        self._nested: dict[str, None] = {}
        self._paths: set[str] = set()
        self._dropped: set[str] = set()
        self._too_many_paths = False
        self._known: dict[str, str] = {}

    def add(self, item: dict[str, Any], plain: bool = False) -> None:
        """The next record. `plain`: no key and no text in it needs mending or can have a fault."""
        row = self.result.count + 1
        if not (plain and set(map(type, item.values())) <= {str}):
            item = self._cells(item)
            if reason := fault(list(item.values())):
                self.result.bad_rows.append(BadRow(row, reason))
                return
        columns, known = self._columns, self._known
        rows = len(self.result.rows)
        for key, value in item.items():
            column = columns.get(key)
            if column is None:
                if (column := self._new_column(key)) is None:
                    continue
            elif len(column) < rows:  # rows before this one did not have the key
                column.extend([""] * (rows - len(column)))
            if len(value) <= 80 and len(known) < _REMEMBERED and isinstance(value, str):
                value = known.setdefault(value, value)
            column.append(value)
        self.result.rows.append(row)
        if not row & 0xFFF:
            self.check_size()

    def bad(self, reason: str) -> None:
        """The next record, which cannot be read."""
        self.result.bad_rows.append(BadRow(self.result.count + 1, reason))
        if not self.result.count & 0xFFF:
            self.check_size()

    def check_size(self) -> None:
        """Raises FinetuneError when more was read than is held; the paths go first."""
        if self._paths and len(self._columns) * len(self.result.rows) > MAX_CELLS:
            for path in self._paths:
                self._columns.pop(path, None)
            self._dropped, self._paths, self._too_many_paths = self._paths, set(), True
        self.result.check_size(len(self._columns))

    def finish(self) -> Records:
        """All of it, with names and notes."""
        self.check_size()
        for column in self._columns.values():
            column.extend([""] * (len(self.result.rows) - len(column)))
        self.result.columns = list(self._columns.values())
        self.result.names, self.result.notes = name_columns(list(self._columns))
        if self._nested:
            names = ", ".join(list(self._nested)[:10])
            inside = ", and their values have columns of their own" if self._paths else ""
            self.result.notes.append(f"Nested values are kept as JSON text in: {names}{inside}.")
        if self._too_many_paths:
            self.result.notes.append("There are too many different values inside of objects: some have no column.")
        return self.result

    def _new_column(self, key: str) -> list[Any] | None:
        """A column for a key that no row before had; None for a path that has no column any more."""
        if key in self._dropped:
            return None
        column = self._columns[key] = [""] * len(self.result.rows)
        self.check_size()
        return column if key not in self._dropped else None

    def _cells(self, item: dict[str, Any]) -> dict[str, Any]:
        cells: dict[str, Any] = {}
        nested: list[tuple[str, Any]] = []
        for raw, value in item.items():
            key = mended(raw)
            if is_conversation(value):
                cells.setdefault(key, value)
                continue
            if value and isinstance(value, dict | list):
                self._nested[key] = None
                nested.append((key, value))
            cells.setdefault(key, as_text(value))
        for key, value in nested:
            for path, inner in _inside(key, value, _DEPTH):
                if path in cells:
                    continue
                if path not in self._paths and path not in self._columns:
                    if len(self._paths) >= MAX_PATHS or self._too_many_paths:
                        self._too_many_paths = True
                        continue
                    self._paths.add(path)
                cells[path] = inner
        return cells


def _inside(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """(path, cell) of the values in an object; a list of one item is taken as that item, other lists as JSON text."""
    if isinstance(value, list):
        if len(value) != 1 or not isinstance(value[0], dict):
            return
        value = value[0]
    for key, inner in value.items():
        name = f"{path}.{mended(key)}"
        if is_conversation(inner):
            yield name, inner
            continue
        if isinstance(inner, list) and len(inner) == 1 and not isinstance(inner[0], dict | list):
            inner = inner[0]
        if isinstance(inner, dict | list) and inner:
            if depth > 1:
                yield from _inside(name, inner, depth - 1)
            if isinstance(inner, list) and not any(isinstance(part, dict | list) for part in inner):
                yield name, as_text(inner)
        elif inner is not None and not isinstance(inner, dict | list):
            yield name, as_text(inner)
