"""A column of dates becomes points in time; how they are written is found from the values themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from finetune.dataset.mapping.template import cell_text
from finetune.dataset.reading.table import Table

_SAMPLE = 2000
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S")
# How dates are written, as (in words, formats of pandas). Earlier ones win where several read as many values.
_FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("year first, such as 2024-12-31 (ISO 8601)", ("ISO8601",)),
    ("month first, such as 12/31/2024", ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y")),
    ("day first, such as 31/12/2024", ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y")),
    ("day first, such as 31.12.2024", ("%d.%m.%Y", "%d.%m.%y")),
    ("with the name of the month, such as Dec 31, 2024", ("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y")),
    ("with the name of the month, such as 31 Dec 2024", ("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d. %B %Y")),
    ("as in e-mail, such as Tue, 31 Dec 2024 10:00:00 +0000", ("%a, %d %b %Y %H:%M:%S %z", "%d %b %Y %H:%M:%S %z")),
)
_NAMES = frozenset(("date", "time", "timestamp", "datetime", "created", "updated", "day", "when", "ts", "at", "on"))


@dataclass(frozen=True)
class Times:
    """Points in time of some values.

    Attributes:
        seconds: since 1970 in UTC, of each value; NaN where it cannot be read. Without a zone UTC is taken.
        form: how they are written, in words; "" when they are no dates.
        unreadable: values that are not empty and cannot be read.
    """

    seconds: np.ndarray
    form: str
    unreadable: int


def parse_times(table: Table, column: str) -> np.ndarray:
    """Seconds since 1970 of every row of the table, in order, shape (rows,); NaN where none can be read."""
    return table_times(table, column).seconds


def table_times(table: Table, column: str) -> Times:
    """`parse_times`, with how the dates are written and how many cannot be read."""
    return read_times([cell if type(cell) is str else cell_text(cell) for cell in table.frame[column]])


def read_times(values: Sequence[str]) -> Times:
    """Points in time, written in the one form that fits most of the values; those in another form stay unread."""
    texts = pd.Series([value.strip() for value in values], dtype=object)
    filled = texts[texts != ""]
    nothing = np.full(len(texts), np.nan)
    if not len(filled):
        return Times(nothing, "", 0)
    sample = filled.iloc[np.linspace(0, len(filled) - 1, min(len(filled), _SAMPLE)).astype(int)]
    if unit := _unix_unit(sample):
        numbers = pd.to_numeric(filled, errors="coerce").to_numpy(dtype=float) / unit
        form = "seconds since 1970" if unit == 1 else "milliseconds since 1970"
    else:
        read = [(_read(sample, formats), form, formats) for form, formats in _FORMS]
        # max takes the first of equals; where day and month cannot be told apart, order in time decides.
        _, form, formats = max(read, key=lambda one: (np.isfinite(one[0]).sum(), _is_sorted(one[0])))
        numbers = _read(filled, formats)
    readable = np.isfinite(numbers)
    if readable.mean() < 0.5:
        return Times(nothing, "", len(filled))
    nothing[(texts != "").to_numpy()] = numbers
    return Times(nothing, form, int((~readable).sum()))


def suggest_time(table: Table) -> tuple[str, ...]:
    """Columns that hold dates by their look; numbers only where the name says so too."""
    frame = table.frame
    places = np.linspace(0, len(frame) - 1, min(len(frame), 100)).astype(int)
    found = []
    for name in frame.columns:
        values = [cell.strip() if type(cell) is str else "" for cell in frame[name].iloc[places]]
        filled = [value for value in values if value]
        if len(filled) < max(2, len(values) // 2) or max(map(len, filled)) > 40 or len(set(filled)) < 2:
            continue
        numbers = sum(value.replace(".", "", 1).isdigit() for value in filled) > len(filled) / 2
        times = read_times(filled)
        if times.form and times.unreadable <= len(filled) // 10 and (not numbers or _names_time(name)):
            found.append(name)
    return tuple(found)


def _names_time(name: str) -> bool:
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return not _NAMES.isdisjoint(words) or any("date" in word or "time" in word for word in words)


def _unix_unit(sample: pd.Series) -> int:
    """1 for seconds since 1970, 1000 for milliseconds, 0 for no such numbers: between 1990 and 2100."""
    numbers = pd.to_numeric(sample, errors="coerce").to_numpy(dtype=float)
    for unit in (1, 1000):
        if ((numbers >= 631_152_000 * unit) & (numbers < 4_102_444_800 * unit)).mean() > 0.9:
            return unit
    return 0


def _read(texts: pd.Series, formats: Sequence[str]) -> np.ndarray:
    """Seconds under any of the formats, with or without a time of day."""
    seconds = np.full(len(texts), np.nan)
    for format_ in formats:
        for clock in ("",) if "%H" in format_ or format_ == "ISO8601" else _CLOCKS:
            left = ~np.isfinite(seconds)
            if not left.any():
                return seconds
            read = pd.to_datetime(texts[left], format=format_ + clock, errors="coerce", utc=True)
            known = read.notna().to_numpy()
            if known.any():
                times = read.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype("int64") / 1e6
                seconds[np.flatnonzero(left)[known]] = times[known]
            elif len(texts) > 10 * _SAMPLE and np.isfinite(seconds).mean() > 0.99:
                return seconds  # what is left is in no form of these; each try costs a second on a million rows
    return seconds


def _is_sorted(seconds: np.ndarray) -> bool:
    """Whether the points in time go one way but for a few: their steps add up to little more than the whole."""
    known = seconds[np.isfinite(seconds)]
    way = np.abs(np.diff(known)).sum()
    return len(known) >= 20 and bool(np.ptp(known) > 0.8 * way)
