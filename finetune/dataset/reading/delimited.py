"""Text with delimiters becomes rows of cells; what cannot be read is listed with its row and the reason."""

from __future__ import annotations

import io
import re

from finetune.dataset.reading.decode import Text
from finetune.dataset.reading.header import name
from finetune.dataset.reading.quoting import Dialect, Patience, Trouble, records, repair
from finetune.dataset.reading.records import BadRow, Records, fault, faultless
from finetune.dataset.tell import Tell
from finetune.errors import FinetuneError

DELIMITERS = (",", "\t", ";", "|")
# Taken only where none of the usual ones separates anything: they stand in ordinary text too.
RARE_DELIMITERS = ("^", "~", ":")
_SAMPLE = 65_536
_TITLE_LINES = 5


def read_delimited(text: Text, tell: Tell | None = None) -> Records:
    """The rows of a CSV (or tab, semicolon, pipe …) text.

    The first line that is not blank is the header, unless it looks like data. A row has as many fields as the header;
    empty fields beyond it are dropped. A quote that is opened and never closed costs its own row, not the rest.

    Raises:
        FinetuneError: no row at all, or more than is held here.
    """
    text.check_lines()
    with text.open() as file:
        delimiter = _declared_delimiter(file.readline(1000))
    with text.open() as file:
        if delimiter:
            file.readline()
        sample = file.read(_SAMPLE)
    if len(sample) == _SAMPLE and (end := sample.rfind("\n")) > 0:
        sample = sample[: end + 1]
    dialect, titles = find_dialect(sample, delimiter)
    with text.open() as file:
        for _ in range(titles + bool(delimiter)):
            file.readline()
        table = _Table(dialect)
        patience = Patience(1_000_000 + 2 * text.content.size)
        table.read(file, patience, tell, text.content.size)
    result = table.result
    if table.header is None:
        raise FinetuneError("The file is empty.", hint="It needs a header and at least a few dozen rows.")
    if titles:
        lines = "The first line is" if titles == 1 else f"The first {titles} lines are"
        result.notes.append(f"{lines} above the header and no part of the table.")
    if table.loose:
        result.notes.append(f"{table.loose:,} rows have quotes that are not doubled; they were read as they stand.")
    if dialect.backslash:
        result.notes.append("Quotes inside cells are escaped with a backslash; read that way.")
    if patience.ended:
        result.notes.append("So many quotes are never closed that each line was read as a row of its own.")
    name(result, table.header)
    return result


class _Table:
    """The rows as they come; the header is the first of them."""

    def __init__(self, dialect: Dialect) -> None:
        self.result = Records(delimiter=dialect.delimiter)
        self.header: list[str] | None = None
        self.loose = 0
        self._dialect = dialect
        self._row = 0

    def read(self, file: io.TextIOWrapper, patience: Patience, tell: Tell | None, size: int) -> None:
        for batch in records(file, self._dialect, patience):
            if isinstance(batch, Trouble):
                self._troubled(batch)
                continue
            if self.header is None:
                batch = self._take_header(batch)
            filled = list(filter(None, batch))
            self.result.blank_lines += len(batch) - len(filled)
            batch = filled
            if batch and not self._take_all(batch):
                for cells in batch:
                    self._take(cells)
            if self.header is not None:
                self.result.check_size(len(self.header))
            if tell:
                tell("Reading the rows", min(0.99, file.buffer.tell() / size))

    def _take_header(self, batch: list[list[str]]) -> list[list[str]]:
        """What is left of the batch behind the header."""
        for place, cells in enumerate(batch):
            if _is_blank(cells):
                self.result.blank_lines += 1
            else:
                self._set_header(cells)
                return batch[place + 1 :]
        return []

    def _set_header(self, header: list[str]) -> None:
        self.result.check_size(len(header))
        self.header = header
        self.result.columns = [[] for _ in header]

    def _take_all(self, batch: list[list[str]]) -> bool:
        """Takes many rows at once where all are as wide as the header and none has a fault; else takes none."""
        width = len(self.header or ())
        if width < 2 or set(map(len, batch)) != {width}:
            return False
        columns = list(zip(*batch, strict=True))
        if not all(map(faultless, columns)):
            return False
        self.result.add_many(self._row + 1, columns)
        self._row += len(batch)
        return True

    def _take(self, cells: list[str] | None, reason: str = "") -> None:
        if not reason and (cells is None or _is_blank(cells)):
            self.result.blank_lines += 1
            return
        self._row += 1
        if cells is not None:
            cells, reason = _fit(cells, self.header or [])
        if cells is not None:
            reason = fault(cells)
        if cells is None or reason:
            self.result.bad_rows.append(BadRow(self._row, reason))
        else:
            self.result.add(self._row, cells)
        if not self._row & 0xFFF:
            self.result.check_size(len(self.header or ()))

    def _troubled(self, trouble: Trouble) -> None:
        cells = repair(trouble.line, self._dialect, len(self.header or ())) if trouble.line else None
        if self.header is None:
            if cells is None:
                raise FinetuneError(
                    f"The header cannot be read: {trouble.reason}.", hint="Mend the first line of the file."
                )
            self._set_header(cells)
            return
        self.loose += cells is not None
        self._take(cells, trouble.reason)


def find_dialect(sample: str, delimiter: str = "") -> tuple[Dialect, int]:
    """The delimiter, and how quotes are written, under which most records of a sample are as wide as the header.

    Also the number of lines above the header: where no delimiter fits the first line, it may be a title.
    """
    # max takes the first of equals: a comma before the others, plain quoting before its variants.
    share, best = _best(sample, [delimiter] if delimiter else DELIMITERS)
    titles = 0
    if share < 0.5 and not delimiter:
        rare_share, rare = _best(sample, RARE_DELIMITERS)
        # “Note: something” is prose.
        first = sample.lstrip().partition("\n")[0]
        if rare_share >= 0.95 and sample.count("\n") >= 5 and f"{rare.delimiter} " not in first:
            share, best = rare_share, rare
    if share == 0 and not delimiter:
        rest = sample
        for lines in range(1, _TITLE_LINES + 1):
            rest = re.sub(r"\A[^\r\n]*(\r\n|\r|\n)", "", rest)
            found, mark = _best(rest, DELIMITERS)
            if found >= 0.9 and rest.count("\n") >= 3:
                sample, best, titles = rest, mark, lines
                break
    variants = [Dialect(best.delimiter, skip, slash) for slash in (False, True) for skip in (False, True)]
    return max(variants, key=lambda dialect: _share(sample, dialect)), titles


def _best(sample: str, delimiters: tuple[str, ...] | list[str]) -> tuple[float, Dialect]:
    shares = [(_share(sample, Dialect(mark)), Dialect(mark)) for mark in delimiters]
    return max(shares, key=lambda pair: pair[0])


def _share(sample: str, dialect: Dialect) -> float:
    """The share of the records that are as wide as the first; 0 where the delimiter does not separate it."""
    width, good, all_ = 0, 0, 0
    for batch in records(io.StringIO(sample, newline=""), dialect, Patience(4 * _SAMPLE)):
        if isinstance(batch, Trouble):
            all_ += 1
            continue
        for cells in filter(None, batch):
            width = width or len(cells)
            good += len(cells) == width
            all_ += 1
        if width == 1:
            return 0.0
    return good / all_ if width > 1 else 0.0


def _is_blank(cells: list[str]) -> bool:
    return not cells or (len(cells) == 1 and not cells[0].strip())


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


def _declared_delimiter(line: str) -> str:
    """Excel writes `sep=;` as a first line: the delimiter, "" when there is no such line."""
    match = re.match(r'"?sep=([^\r\n"])"?(?:\r\n|\r|\n)', line, re.IGNORECASE)
    return match.group(1) if match and match.group(1) not in ("\\", " ") else ""
