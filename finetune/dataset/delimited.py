"""Text with delimiters becomes rows of cells; what cannot be read is listed with its row and the reason."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from finetune.dataset.records import MAX_BYTES, BadRow, Records, fault, name_columns
from finetune.errors import FinetuneError

DELIMITERS = (",", "\t", ";", "|")
_SAMPLE = 65_536


@dataclass(frozen=True)
class _Dialect:
    delimiter: str
    skip_spaces: bool = False
    backslash: bool = False

    def reader(self, lines: Iterator[str], strict: bool = True):
        escape = "\\" if self.backslash else None
        return csv.reader(
            lines, delimiter=self.delimiter, skipinitialspace=self.skip_spaces, escapechar=escape, strict=strict
        )


class _Lines:
    """The physical lines that csv.reader takes for one record, which can be handed back."""

    def __init__(self, text: str) -> None:
        self._file = io.StringIO(text, newline="")
        self._again: deque[str] = deque()
        self.taken: list[str] = []
        self.at_end = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._file.readline()
        if not line:
            self.at_end = True
            raise StopIteration
        self.taken.append(line)
        return line

    def hand_back(self, lines: list[str]) -> None:
        self._again.extendleft(reversed(lines))
        self.at_end = False


def read_delimited(text: str) -> Records:
    """The rows of a CSV (or tab, semicolon, pipe) text.

    The first line that is not blank is the header, unless it looks like data. A row has as many fields as the header;
    empty fields beyond it are dropped. A quote that is opened and never closed costs its own row, not the rest.

    Raises:
        FinetuneError: no row at all, or more than is held here.
    """
    csv.field_size_limit(MAX_BYTES)  # the module's own limit would refuse a long cell; ours is checked row by row
    text, delimiter = _declared_delimiter(text)
    dialect = _find_dialect(text, delimiter)
    result = Records(delimiter=dialect.delimiter)
    header: list[str] | None = None
    row = loose = 0
    for cells, line, reason in _records(text, dialect):
        if not reason and (not cells or (len(cells) == 1 and not cells[0].strip())):
            result.blank_lines += 1
            continue
        if header is None:
            header = _repair(line, dialect, 0) if line else cells
            if header is None:
                raise FinetuneError(f"The header cannot be read: {reason}.", hint="Mend the first line of the file.")
            continue
        row += 1
        if line and (cells := _repair(line, dialect, len(header))) is not None:
            loose += 1
        if cells is not None:
            cells, reason = _fit(cells, header)
        if cells is not None:
            reason = fault(cells)
        if cells is None or reason:
            result.bad_rows.append(BadRow(row, reason))
        else:
            result.rows.append(row)
            result.cells.append(cells)
        if not row & 0xFFF:
            result.check_size(len(header))
    if header is None:
        raise FinetuneError("The file is empty.", hint="It needs a header and at least a few dozen rows.")
    result.check_size(len(header))
    if loose:
        result.notes.append(f"{loose:,} rows have quotes that are not doubled; they were read as they stand.")
    if dialect.backslash:
        result.notes.append("Quotes inside cells are escaped with a backslash; read that way.")
    _name(result, header)
    return result


def _records(text: str, dialect: _Dialect) -> Iterator[tuple[list[str] | None, str, str]]:
    """(cells, "", "") of each record, [] for a blank line; (None, line, reason) where the quoting breaks.

    `line` is what stands there when it is a line of its own, else "".
    """
    lines = _Lines(text)
    reader = dialect.reader(lines)
    width = 0
    while True:
        lines.taken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            first, rest = lines.taken[0], lines.taken[1:]
            if not rest and not lines.at_end:
                yield None, first, "a quote inside a quoted cell is not doubled, or text follows a closing quote"
                continue
            reason = (
                "a quote opens here and is never closed" if lines.at_end else "a quote opens here and closes wrongly"
            )
            # A stray quote swallows good rows, which are read again; the rest of a cut-off cell is no row at all.
            if sum(_is_row(line, dialect, width) for line in rest) * 2 >= len(rest):
                lines.hand_back(rest)
                yield None, first, reason
            else:
                yield None, "", f"{reason} ({len(rest):,} more lines belong to it)"
        else:
            width = width or len(cells)
            yield cells, "", ""


def _is_row(line: str, dialect: _Dialect, width: int) -> bool:
    """Whether the line alone has as many fields as the header, its quotes heeded or not."""
    if line.count(dialect.delimiter) + 1 == width:
        return True
    return len(next(dialect.reader(iter([line]), strict=False), [])) == width


def _repair(line: str, dialect: _Dialect, width: int) -> list[str] | None:
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


def _fit(cells: list[str], header: list[str]) -> tuple[list[str] | None, str]:
    """The cells brought to the width of the header where that loses nothing, or None and the reason."""
    width, count = len(header), len(cells)
    if count > width and not any(cell.strip() for cell in cells[width:]):
        return cells[:width], ""
    if count < width and not any(name.strip() for name in header[count:]):
        return cells + [""] * (width - count), ""
    if count != width:
        return None, f"{count} {'field' if count == 1 else 'fields'} where the header has {width}"
    return cells, ""


def _declared_delimiter(text: str) -> tuple[str, str]:
    """Excel writes `sep=;` as a first line: the text without it, and the delimiter ("" when there is none)."""
    if match := re.match(r'"?sep=([^\r\n"])"?(?:\r\n|\r|\n)', text, re.IGNORECASE):
        return text[match.end() :], match.group(1)
    return text, ""


def _find_dialect(text: str, delimiter: str) -> _Dialect:
    """The delimiter, and how quotes are written, under which most records of a sample are as wide as the header."""
    sample = text[:_SAMPLE]
    if len(text) > len(sample) and (end := sample.rfind("\n")) > 0:
        sample = sample[: end + 1]
    # max takes the first of equals: a comma before the others, plain quoting before its variants.
    best = max((_Dialect(mark) for mark in ([delimiter] if delimiter else DELIMITERS)), key=lambda d: _share(sample, d))
    variants = [_Dialect(best.delimiter, skip, slash) for slash in (False, True) for skip in (False, True)]
    return max(variants, key=lambda d: _share(sample, d))


def _share(sample: str, dialect: _Dialect) -> float:
    width, good, all_ = 0, 0, 0
    for cells, _, _ in _records(sample, dialect):
        if cells == []:
            continue
        width = width or len(cells or ())
        good += cells is not None and len(cells) == width
        all_ += 1
    return good / all_ if width > 1 else 0.0


def _name(result: Records, header: list[str]) -> None:
    """Names the columns; a header that is data becomes row 1, and empty columns at the end are dropped."""
    if not _is_header(header, result.cells):
        # The rows below were numbered from the second line on.
        result.rows = [1] + [row + 1 for row in result.rows]
        result.cells.insert(0, header)
        result.bad_rows = [BadRow(bad.row + 1, bad.reason) for bad in result.bad_rows]
        result.names = [f"column {position}" for position in range(1, len(header) + 1)]
        result.notes.append(
            "The first line looks like data, so it is row 1 and the columns are called "
            f"{', '.join(result.names[:6])}{', …' if len(header) > 6 else ''}."
        )
        return
    width = len(header)
    while width > 1 and not header[width - 1].strip() and not any(cells[width - 1].strip() for cells in result.cells):
        width -= 1
    if width < len(header):
        result.notes.append(f"{len(header) - width} empty columns at the end were dropped.")
        result.cells = [cells[:width] for cells in result.cells]
    again = {row for row, cells in zip(result.rows, result.cells, strict=True) if cells == header[:width]}
    if again and any(header):
        kept = [(row, cells) for row, cells in zip(result.rows, result.cells, strict=True) if row not in again]
        result.rows, result.cells = [row for row, _ in kept], [cells for _, cells in kept]
        result.bad_rows += [BadRow(row, "the header again, as where files were joined") for row in again]
        result.bad_rows.sort(key=lambda bad: bad.row)
    result.names, notes = name_columns(header[:width])
    result.notes += notes


def _is_header(header: list[str], cells: list[list[str]]) -> bool:
    """Whether the first line names columns: data is a value that recurs below it, or reads like a sentence."""
    sample = cells[:2000]
    numbers = [name.strip() for name in header]
    if not sample or list(filter(None, numbers)) == [
        str(position) for position in range(len(list(filter(None, numbers))))
    ]:
        return True  # pandas names columns 0, 1, 2 … when nobody else does
    for position, name in enumerate(numbers):
        if not name:
            continue
        values = [row[position].strip() for row in sample]
        if _is_number(name) and sum(map(_is_number, values)) > 0.9 * len(values):
            return False
        # A name that is also a value: once may be a header repeated by joined files, so the whole line must not recur.
        if Counter(values)[name] > (1 if len(name) < 40 else 0) and header not in sample:
            return False
        if len(name) > 120 or (name[-1] in ".!" and len(name.split()) > 3):
            return False
        if name[-1] == "?" and sum(value.endswith("?") for value in values) > 0.5 * len(values):
            return False
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
