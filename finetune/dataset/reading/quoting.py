"""Lines with delimiters and quotes become records; a quote that breaks costs its own row, not the rest of the file.

csv.reader does the work over many lines at a time. Where it fails the line is handed out alone, and reading goes on
behind it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TextIO

from finetune.dataset.reading.lines import Lines
from finetune.dataset.reading.records import MAX_LINE

# Lines of one record, of which a cell with line breaks has many: so many that no cell is.
_MAX_LINES = 200_000

_LINE_ENDS = frozenset(("\n", "\r\n", "\r"))
_STEP = 1 << 20  # characters read at a time
_FEW, _MANY = 4, 4096  # lines parsed at a time, after trouble and without it


@dataclass(frozen=True)
class Dialect:
    """How a file separates and quotes."""

    delimiter: str
    skip_spaces: bool = False
    backslash: bool = False

    def reader(self, lines: Iterable[str], strict: bool = True):
        escape = "\\" if self.backslash else None
        return csv.reader(
            lines, delimiter=self.delimiter, skipinitialspace=self.skip_spaces, escapechar=escape, strict=strict
        )


@dataclass(frozen=True, slots=True)
class Trouble:
    """A record whose quotes break. `line` is what stands there when it is a line of its own, else ""."""

    line: str
    reason: str


@dataclass
class Patience:
    """How many characters may still be read again behind stray quotes, before each line counts as a row."""

    left: int

    @property
    def ended(self) -> bool:
        return self.left < 0


def records(file: TextIO, dialect: Dialect, patience: Patience) -> Iterator[list[list[str]] | Trouble]:
    """Records in the order of the file: lists of many, [] for a blank line among them, and troubles one by one.

    Work is linear in the file: a record that never ends is given up at MAX_LINE characters, and what stray quotes
    swallow is read again only as far as `patience` goes.
    """
    csv.field_size_limit(2 * MAX_LINE)  # the module's own limit would refuse a long cell; ours is checked row by row
    source = Lines(file)
    lines: list[str] = []
    start, step, width = 0, _MANY, 0
    at_end = False
    while True:
        if start >= len(lines):
            lines, start = source.take(_STEP), 0
            if not lines:
                return
        window = lines[start : start + step]
        rows, taken, read, open_ = _parse(window, dialect)
        if rows:
            width = width or next(map(len, filter(None, rows)), 0)
            start += taken
            yield rows
        if taken == len(window):
            step = 1 if patience.ended else min(2 * step, _MANY)
            continue
        record = window[taken:read]
        if open_ and not patience.ended and len(record) < _MAX_LINES and sum(map(len, record)) < MAX_LINE:
            # The record goes on behind the window; twice as much each time, so that it is not read too often.
            if start + len(record) < len(lines):
                step = max(2 * len(record), _FEW)
                continue
            if not at_end:
                more = source.take(max(_STEP, 2 * sum(map(len, record))))
                at_end = not more
                lines, start, step = record + more, 0, max(2 * len(record), _FEW)
                continue
        trouble, lost = _trouble(record, open_, dialect, width, patience)
        start += lost
        step = 1 if patience.ended else _FEW
        yield trouble


def _parse(lines: list[str], dialect: Dialect) -> tuple[list[list[str]], int, int, bool]:
    """Whole records, the lines they took, the lines that were read, and whether the end came inside of a record."""
    quoted = [place for place, line in enumerate(lines) if '"' in line]
    if dialect.backslash or dialect.skip_spaces or 4 * len(quoted) > len(lines):
        return _parse_quoted(lines, 0, len(lines), dialect)
    delimiter = dialect.delimiter
    rows: list[list[str]] = []
    taken = 0
    for place in chain(quoted, [len(lines)]):
        if place < taken:  # inside of a record that began above
            continue
        rows += [line.rstrip("\r\n").split(delimiter) if line not in _LINE_ENDS else [] for line in lines[taken:place]]
        taken = place
        if place < len(lines):
            found, behind, read, open_ = _parse_quoted(lines, place, 1, dialect)
            if not found:
                return rows, taken, read, open_
            rows += found
            taken = behind
    return rows, taken, taken, False


def _parse_quoted(lines: list[str], start: int, most: int, dialect: Dialect) -> tuple[list[list[str]], int, int, bool]:
    """`_parse` by csv.reader, of at most so many records from a line on."""
    ended: list[bool] = []

    def end() -> Iterator[str]:
        ended.append(True)
        yield from ()

    # Most records end within a few lines; islice alone would step over all lines before them each time.
    near = lines[start : start + 8] if most == 1 else lines
    reader = dialect.reader(chain(near, islice(lines, start + len(near), None), end()))
    rows: list[list[str]] = []
    taken = 0
    try:
        for cells in islice(reader, most):
            rows.append(cells)
            taken = reader.line_num
    except csv.Error:
        return rows, start + taken, start + reader.line_num, bool(ended)
    return rows, start + taken, start + taken, False


def _trouble(record: list[str], open_: bool, dialect: Dialect, width: int, patience: Patience) -> tuple[Trouble, int]:
    """What is wrong with the lines of a record, and how many of them are lost with it."""
    first, rest = record[0], record[1:]
    if not rest and not open_:
        return Trouble(first, "a quote inside a quoted cell is not doubled, or text follows a closing quote"), 1
    reason = "a quote opens here and is never closed" if open_ else "a quote opens here and closes wrongly"
    # A stray quote swallows good rows, which are read again; the rest of a cut-off cell is no row at all.
    looked = rest[:200]
    if patience.ended or sum(_is_row(line, dialect, width) for line in looked) * 2 >= len(looked):
        patience.left -= sum(map(len, rest))
        return Trouble(first, reason), 1
    return Trouble("", f"{reason} ({len(rest):,} more lines belong to it)"), len(record)


def _is_row(line: str, dialect: Dialect, width: int) -> bool:
    """Whether the line alone has as many fields as the header, its quotes heeded or not."""
    if line.count(dialect.delimiter) + 1 == width:
        return True
    return len(next(dialect.reader(iter([line]), strict=False), [])) == width


def repair(line: str, dialect: Dialect, width: int) -> list[str] | None:
    """The cells of a line with loose quotes where nothing has to be guessed or lost, else None. Width 0 takes any."""
    mark = f'"{dialect.delimiter}"'
    body = line.strip("\r\n")
    cells: list[str] = next(dialect.reader(iter([body]), strict=False), [])
    if not any('"' in cell for cell in cells) and len(cells) == (width or len(cells)):
        return cells if body.count('"') % 2 == 0 else None
    # Written by hand as f'"{a}","{b}"': every cell quoted, quotes inside not doubled.
    if len(body) > 2 and body[0] == body[-1] == '"':
        cells = [cell.replace('""', '"') for cell in body[1:-1].split(mark)]
        if len(cells) == width:
            return cells
    return None
