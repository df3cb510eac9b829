"""A file becomes a table of text with numbered rows; nothing is swallowed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from finetune.dataset.conversation import as_conversation, spoken
from finetune.dataset.decode import decode
from finetune.dataset.delimited import read_delimited
from finetune.dataset.jsonl import parse, read_json
from finetune.dataset.records import MAX_BYTES, MAX_CELL, MAX_ROWS, BadRow, Records
from finetune.errors import FinetuneError

__all__ = ["MAX_BYTES", "MAX_CELL", "MAX_ROWS", "BadRow", "Table", "load", "preview"]

Format = Literal["csv", "jsonl", "json"]


@dataclass(frozen=True)
class Table:
    """A file as it was read.

    Attributes:
        name: name of the file, without its folder.
        frame: the readable rows. Index: source row numbers, named "row"; columns and cells are str, except a cell with
            a conversation, which is a list of turns (dict).
        bad_rows: the records that could not be read, in order. They have numbers too: len(frame) + len(bad_rows) is
            the number of records of the file.
        encoding: as Python names it.
        delimiter: of a CSV, else None.
        sha256: of the bytes of the file.
        blank_lines: lines with nothing on them, outside of cells; they are no records.
        notes: sentences on what was guessed or changed while reading.
    """

    name: str
    frame: pd.DataFrame
    bad_rows: tuple[BadRow, ...]
    format: Format
    encoding: str
    delimiter: str | None
    sha256: str
    blank_lines: int
    notes: tuple[str, ...]


def load(path: Path | str) -> Table:
    """Reads a CSV (any delimiter), JSON lines or a JSON array; the content decides, not the name.

    Raises:
        FinetuneError: the file is missing, empty, binary, of another kind, too large, or has fewer than two columns.
    """
    path = Path(path)
    data = _bytes(path)
    text, encoding, notes = decode(data)
    records, format_ = _read(text, path.suffix.lower(), notes)
    notes += records.notes
    if not records.rows:
        if records.bad_rows:
            bad = records.bad_rows[0]
            raise FinetuneError(f"No row can be read; the first: {bad.reason}.", row=bad.row)
        raise FinetuneError("The file has a header but no rows.", hint="Add the rows to learn from.")
    frame = pd.DataFrame(records.cells, columns=records.names, dtype=object)
    frame.index = pd.Index(records.rows, name="row")
    if len(records.names) < 2 and not any(as_conversation(cell) for name in frame for cell in frame[name].head(20)):
        what = f"one column, “{records.names[0][:60]}”" if records.names else "no columns"
        raise FinetuneError(
            f"The file has {what}; training needs an input and an output.",
            hint="Separate the two with commas, tabs, semicolons or “|”, or write one JSON object a line.",
        )
    digest = hashlib.sha256(data).hexdigest()
    bad_rows = tuple(records.bad_rows)
    return Table(
        path.name, frame, bad_rows, format_, encoding, records.delimiter, digest, records.blank_lines, tuple(notes)
    )


def preview(table: Table, rows: int = 200) -> pd.DataFrame:
    """The first rows for showing: the row number as column "#", line ends kept, long cells cut with “…”."""
    frame = table.frame.head(rows)
    shown = pd.DataFrame({name: [_shown(cell) for cell in frame[name]] for name in frame.columns}, dtype=object)
    shown.insert(0, "#", frame.index.to_list(), allow_duplicates=True)
    return shown


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            what = "is a folder or no ordinary file" if path.exists() else "does not exist"
            raise FinetuneError(f"The file “{path}” {what}.", hint="Name a CSV or JSONL file.")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise FinetuneError(
                f"The file has {size / 1e6:,.0f} MB; {MAX_BYTES / 1e6:,.0f} MB at most are read.",
                hint="Take a part of it: a few thousand rows are enough to fine-tune.",
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise FinetuneError(f"The file “{path.name}” cannot be read: {reason}.") from None


def _read(text: str, suffix: str, notes: list[str]) -> tuple[Records, Format]:
    """By content: JSON starts with a bracket, and a CSV whose header does so is not seen in practice."""
    text = text.removeprefix("\ufeff")
    starts = [line.lstrip()[:1] for line in text[:20_000].splitlines()[:20]]
    named_json = suffix in (".jsonl", ".ndjson", ".json")
    # Under a JSON name the first lines may be broken; under another name the first one has to be JSON.
    if ("{" in starts or "[" in starts) if named_json else _reads_as_json(text):
        if not named_json:
            notes.append("The file holds JSON, whatever its name says; read as such.")
        records, format_ = read_json(text)
        return records, format_  # type: ignore[return-value]
    if named_json:
        notes.append("The file holds no JSON, whatever its name says; read as a table with delimiters.")
    return read_delimited(text), "csv"


def _reads_as_json(text: str) -> bool:
    """Whether a text is JSON although its name does not say so."""
    start = text[:10_000].lstrip()
    if not start.startswith(("{", "[")):
        return False
    try:
        parse(text.lstrip().partition("\n")[0])
    except ValueError:
        return "".join(start[:200].split()).startswith(('[{"', '{"'))
    return True


def _shown(cell: Any, length: int = 300) -> str:
    if not isinstance(cell, str):
        cell = "\n".join(": ".join(turn) for turn in spoken(cell))
    return cell if len(cell) <= length else cell[: length - 1] + "…"
