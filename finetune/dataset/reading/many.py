"""Several files become one table: the union of their columns, rows numbered on, the test file last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from finetune.dataset.reading.records import MAX_BYTES, MAX_CELLS, MAX_COLUMNS, MAX_ROWS, BadRow, row_index
from finetune.dataset.reading.table import Source, Table
from finetune.dataset.tell import Tell
from finetune.errors import FinetuneError

LoadOne = Callable[[Path, Tell | None], Table]
# Names listed in a note before the rest is counted.
_LISTED = 8


def joined(paths: Sequence[Path], test: Path | None, load_one: LoadOne, tell: Tell | None) -> Table:
    """The table of several files, each read by `load_one`.

    Raises:
        FinetuneError: a file cannot be used, they are too much together, or the test file is one of the others.
    """
    notes: list[str] = []
    tables: list[Table] = []
    by_digest: dict[str, str] = {}
    _check_size([*paths, *([test] if test else [])])
    for number, path in enumerate(paths):
        table = _named_in_errors(path, load_one, _part(tell, path, number, len(paths) + bool(test)))
        if table.sha256 in by_digest:
            notes.append(f"{path.name} is the same as {by_digest[table.sha256]}, byte for byte; it was read once.")
            continue
        by_digest[table.sha256] = path.name
        tables.append(table)
    if test:
        part = _part(tell, test, len(paths), len(paths) + 1)
        tables.append(_tested(_named_in_errors(test, load_one, part), test.name, by_digest))
    return join(tables, notes)


def beside(table: Table, test: Path, load_one: LoadOne, tell: Tell | None) -> Table:
    """A table that is there already, and after it a test file. Raises as `joined`."""
    tested = _tested(_named_in_errors(test, load_one, tell), test.name, {table.sha256: table.name})
    return join([table, tested], [])


def _tested(table: Table, name: str, others: Mapping[str, str]) -> Table:
    """The table of a test file; `others` are the names of those that are learned from, by their hash."""
    if table.sha256 in others:
        raise FinetuneError(
            f"The test file {name} is the same as {others[table.sha256]}, byte for byte.",
            hint="A score on rows that were learned says nothing: name another, or none, and rows are set aside.",
        )
    return replace(table, sources=tuple(replace(source, test=True) for source in table.sources))


def join(tables: Sequence[Table], notes: list[str]) -> Table:
    """One table of several, numbered on; notes come before those of the tables. Raises FinetuneError when too large."""
    names = list(dict.fromkeys(name for table in tables for name in table.frame.columns))
    rows = sum(len(table.frame) + len(table.bad_rows) for table in tables)
    if rows > MAX_ROWS or rows * len(names) > MAX_CELLS or len(names) > MAX_COLUMNS:
        raise FinetuneError(
            f"The files have {rows:,} rows and {len(names):,} columns together, more than fit here "
            f"({MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} cells at most).",
            hint="Take fewer files, or a part of each.",
        )
    sources: list[Source] = []
    bad_rows: list[BadRow] = []
    numbers: list[int] = []
    columns: dict[str, list[Any]] = {name: [] for name in names}
    before = 0
    for table in tables:
        for name, column in columns.items():
            column.extend(table.frame[name].array if name in table.frame else [""] * len(table.frame))
        numbers.extend(before + row for row in table.frame.index)
        bad_rows.extend(BadRow(before + bad.row, bad.reason) for bad in table.bad_rows)
        sources.extend(replace(one, first=one.first + before, last=one.last + before) for one in table.sources)
        before += len(table.frame) + len(table.bad_rows)
    sources = _told_apart(sources)
    if len(tables) > 1:
        notes = [*notes, *_differences(tables, sources, names)]
    for source, table in zip(sources, tables, strict=True):
        notes.extend(f"{source.name}: {note}" if len(tables) > 1 else note for note in table.notes)
    frame = pd.DataFrame({place: pd.Series(cells, dtype=object) for place, cells in enumerate(columns.values())})
    frame.columns = pd.Index(names, dtype=object)
    frame.index = row_index(numbers)
    first = tables[0]
    more = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
    digest = hashlib.sha256("".join(table.sha256 for table in tables).encode()).hexdigest()
    return Table(
        name=f"{first.name}{more}",
        frame=frame,
        bad_rows=tuple(bad_rows),
        format=first.format if len({table.format for table in tables}) == 1 else "mixed",
        encoding=", ".join(dict.fromkeys(table.encoding for table in tables)),
        delimiter=first.delimiter if len({table.delimiter for table in tables}) == 1 else None,
        sha256=digest if len(tables) > 1 else first.sha256,
        blank_lines=sum(table.blank_lines for table in tables),
        notes=tuple(notes),
        sources=tuple(sources),
    )


def _check_size(paths: Sequence[Path]) -> None:
    """Before anything is read. What is missing is told by whoever opens it."""
    size = 0
    for path in paths:
        try:
            size += path.stat().st_size
        except (OSError, ValueError):
            return
    if size > MAX_BYTES:
        raise FinetuneError(
            f"The files have {size / 1e6:,.0f} MB together; {MAX_BYTES / 1e6:,.0f} MB at most are read.",
            hint="Take fewer files, or a part of each.",
        )


def _named_in_errors(path: Path, load_one: LoadOne, tell: Tell | None) -> Table:
    """The table of a file; what is wrong with it is told with its name, as there are several."""
    try:
        return load_one(path, tell)
    except FinetuneError as error:
        message = error.message if path.name in error.message else f"{path.name}: {error.message}"
        raise FinetuneError(message, hint=error.hint, row=error.row, column=error.column) from None


def _part(tell: Tell | None, path: Path, number: int, of: int) -> Tell | None:
    """`tell` for one file of several."""
    if tell is None:
        return None
    return lambda what, share: tell(f"{what} of {path.name}", (number + share) / of)


def _told_apart(sources: list[Source]) -> list[Source]:
    """Files of the same name from different folders get a number."""
    seen: dict[str, int] = {}
    result = []
    for source in sources:
        seen[source.name] = number = seen.get(source.name, 0) + 1
        result.append(source if number == 1 else replace(source, name=f"{source.name} ({number})"))
    return result


def _differences(tables: Sequence[Table], sources: Sequence[Source], names: Sequence[str]) -> list[str]:
    """Notes on the columns that not all files have, and on names that differ by case or space alone."""
    notes: list[str] = []
    partly = [name for name in names if any(name not in table.frame for table in tables)]
    for name in partly[:_LISTED]:
        lacking = [source.name for source, table in zip(sources, tables, strict=True) if name not in table.frame]
        notes.append(f"Not all files have the column “{name}”: it is empty in {', '.join(lacking[:_LISTED])}.")
    if len(partly) > _LISTED:
        notes.append(f"{len(partly) - _LISTED} more columns are not in all files.")
    plain: dict[str, str] = {}
    for name in partly:
        other = plain.setdefault("".join(filter(str.isalnum, name.lower())), name)
        if other != name:
            notes.append(f"“{other}” and “{name}” are two columns here: call them the same if they are one.")
    return notes
