"""Files, or pasted text, become a table of text with numbered rows; nothing is swallowed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from finetune.dataset.reading.collector import paused
from finetune.dataset.reading.content import Content, opened, pasted
from finetune.dataset.reading.conversation import as_conversation
from finetune.dataset.reading.decode import Text, decode
from finetune.dataset.reading.delimited import read_delimited
from finetune.dataset.reading.hub import load_hub
from finetune.dataset.reading.jsonl import read_json
from finetune.dataset.reading.many import beside, joined
from finetune.dataset.reading.parquet import SIGNATURE, read_parquet
from finetune.dataset.reading.records import MAX_BYTES, MAX_CELL, MAX_ROWS, BadRow, Records, limits_text
from finetune.dataset.reading.table import Source, Table, preview
from finetune.dataset.reading.values import parse
from finetune.dataset.tell import Tell
from finetune.errors import FinetuneError

__all__ = [
    "MAX_BYTES", "MAX_CELL", "MAX_ROWS", "BadRow", "Source", "Table", "Tell", "limits_text", "load", "load_hub",
    "load_text", "preview", "with_test",
]  # fmt: skip


def load(path: Path | str | Iterable[Path | str], *, test: Path | str | None = None, tell: Tell | None = None) -> Table:
    """Reads CSV (any delimiter), JSON lines, JSON or Parquet, packed with gzip or zstd or not; the content decides.

    Several files become one table: the union of their columns, rows numbered on.

    Args:
        path: one file or several.
        test: a test file of the user's own; its rows come last, and Table.test_rows are theirs.
        tell: called with what is being read and the share that is done; it may raise Cancelled.

    Raises:
        FinetuneError: a file is missing, empty, binary, of another kind, too large, damaged, or the columns of all
            files together are fewer than two.
    """
    paths = [Path(path)] if isinstance(path, Path | str) else [Path(one) for one in path]
    if not paths:
        raise FinetuneError("No file is named.", hint="Name a CSV, JSONL or Parquet file.")
    if test is None and len(paths) == 1:
        return _checked(_load_one(paths[0], tell))
    return _checked(joined(paths, None if test is None else Path(test), _load_one, tell))


def load_text(text: str, name: str = "pasted text", *, tell: Tell | None = None) -> Table:
    """Reads text as a file of the same content, as somebody pastes it. Raises as `load`."""
    return _checked(_table(pasted(text, name), tell))


def with_test(table: Table, test: Path | str, *, tell: Tell | None = None) -> Table:
    """A table that was read before, and a test file of the user's own after it. Raises as `load`."""
    return _checked(beside(table, Path(test), _load_one, tell))


def _load_one(path: Path, tell: Tell | None) -> Table:
    with opened(path) as content, paused():
        return _table(content, tell)


def _checked(table: Table) -> Table:
    """Raises FinetuneError where there are too few columns to learn from."""
    frame = table.frame
    if len(frame.columns) < 2 and not any(as_conversation(cell) for name in frame for cell in frame[name].head(20)):
        what = f"one column, “{frame.columns[0][:60]}”" if len(frame.columns) else "no columns"
        raise FinetuneError(
            f"The file has {what}; training needs an input and an output.",
            hint="Separate the two with commas, tabs, semicolons or “|”, or write one JSON object a line.",
        )
    return table


def _table(content: Content, tell: Tell | None) -> Table:
    notes: list[str] = []
    with content.open() as file:
        is_parquet = content.path is not None and file.read(4) == SIGNATURE
    if is_parquet:
        records, format_, encoding = read_parquet(content, tell), "parquet", "utf-8"
    else:
        text = decode(content)
        notes += text.notes
        encoding = text.encoding
        records, format_ = _read(text, notes, tell)
    _account_for_archive(content, records, notes)
    notes += records.notes
    if not records.rows:
        if records.bad_rows:
            bad = records.bad_rows[0]
            raise FinetuneError(f"No row can be read; the first: {bad.reason}.", row=bad.row)
        what = "a header but no rows" if records.names else "no rows"
        raise FinetuneError(f"The file has {what}.", hint="Add the rows to learn from.")
    source = Source(content.name, 1, records.count, content.sha256, format_, encoding, records.delimiter)
    bad_rows, blank_lines = tuple(records.bad_rows), records.blank_lines
    return Table(
        content.name, records.frame(), bad_rows, format_, encoding, records.delimiter, content.sha256, blank_lines,
        tuple(notes), (source,),
    )  # fmt: skip


def _read(text: Text, notes: list[str], tell: Tell | None) -> tuple[Records, str]:
    """By content: JSON starts with a bracket, and a CSV whose header does so is not seen in practice."""
    head = text.head(20_000)
    starts = [line.lstrip()[:1] for line in head.splitlines()[:20]]
    suffix = text.content.suffix
    named_json = suffix in (".jsonl", ".ndjson", ".json")
    # Under a JSON name the first lines may be broken; under another name the first one has to be JSON.
    if ("{" in starts or "[" in starts) if named_json else _reads_as_json(text):
        if not named_json and suffix:
            notes.append("The file holds JSON, whatever its name says; read as such.")
        return read_json(text, tell)
    if named_json:
        notes.append("The file holds no JSON, whatever its name says; read as a table with delimiters.")
    return read_delimited(text, tell), "csv"


def _reads_as_json(text: Text) -> bool:
    """Whether a text is JSON although its name does not say so."""
    start = text.head(100_000).lstrip()
    if not start.startswith(("{", "[")):
        return False
    try:
        parse(start.partition("\n")[0])
    except ValueError:
        return "".join(start[:200].split()).startswith(('[{"', '{"', '[["'))
    return True


def _account_for_archive(content: Content, records: Records, notes: list[str]) -> None:
    """The end of an archive that is cut off or damaged is lost: told, and its last row is not trusted."""
    if not content.broken:
        return
    lost = f"{content.broken}: what follows is missing, and this row may be"
    if records.rows and not (records.bad_rows and records.bad_rows[-1].row > records.rows[-1]):
        last = records.rows.pop()
        for column in records.columns:
            column.pop()
        records.bad_rows.append(BadRow(last, lost))
    notes.append(f"Only the beginning of the file could be unpacked ({content.broken}): {records.count:,} rows.")
