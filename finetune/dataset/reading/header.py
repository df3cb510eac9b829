"""The first line of a table names its columns, or is data itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from finetune.dataset.reading.records import BadRow, Records, name_columns

_SAMPLE = 2000


def name(result: Records, header: list[str]) -> None:
    """Names the columns; a header that is data becomes row 1, and empty columns at the end are dropped."""
    if not is_header(header, result.columns):
        # The rows below were numbered from the second line on.
        result.rows = type(result.rows)("q", [1, *(row + 1 for row in result.rows)])
        for column, cell in zip(result.columns, header, strict=True):
            column.insert(0, cell)
        result.bad_rows = [BadRow(bad.row + 1, bad.reason) for bad in result.bad_rows]
        result.names = [f"column {position}" for position in range(1, len(header) + 1)]
        result.notes.append(
            "The first line looks like data, so it is row 1 and the columns are called "
            f"{', '.join(result.names[:6])}{', …' if len(header) > 6 else ''}."
        )
        return
    width = len(header)
    while width > 1 and not header[width - 1].strip() and not any(map(str.strip, result.columns[width - 1])):
        width -= 1
    if width < len(header):
        dropped = len(header) - width
        result.notes.append(
            "1 empty column at the end was dropped."
            if dropped == 1
            else f"{dropped} empty columns at the end were dropped."
        )
        result.columns = result.columns[:width]
    _drop_repeated(result, header[:width])
    result.names, notes = name_columns(header[:width])
    result.notes += notes


def _drop_repeated(result: Records, header: list[str]) -> None:
    """Rows that are the header once more, as where files were joined, are no rows."""
    if not any(header) or header[0] not in result.columns[0]:
        return
    again = [
        place
        for place, first in enumerate(result.columns[0])
        if first == header[0]
        and all(column[place] == cell for column, cell in zip(result.columns, header, strict=True))
    ]
    for place in again:
        result.bad_rows.append(BadRow(result.rows[place], "the header again, as where files were joined"))
    if again:
        gone = set(again)
        kept = [place for place in range(len(result.rows)) if place not in gone]
        result.rows = type(result.rows)("q", [result.rows[place] for place in kept])
        result.columns = [[column[place] for place in kept] for column in result.columns]
        result.bad_rows.sort(key=lambda bad: bad.row)


def is_header(header: Sequence[str], columns: Sequence[Sequence[Any]]) -> bool:
    """Whether the first line names columns: data is a value that recurs below it, or reads like a sentence."""
    names = [name.strip() for name in header]
    given = list(filter(None, names))
    if not columns or not columns[0] or given == [str(position) for position in range(len(given))]:
        return True  # pandas names columns 0, 1, 2 … when nobody else does
    recurs = any(list(cells) == list(header) for cells in zip(*(column[:_SAMPLE] for column in columns), strict=True))
    for position, name in enumerate(names):
        if not name:
            continue
        values = [str(value).strip() for value in columns[position][:_SAMPLE]]
        if _is_number(name) and sum(map(_is_number, values)) > 0.9 * len(values):
            return False
        # A name that is also a value: once may be a header repeated by joined files, so the whole line must not recur.
        if Counter(values)[name] > (1 if len(name) < 40 else 0) and not recurs:
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
