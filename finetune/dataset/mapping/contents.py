"""What the values of a column say about its part in training: labels repeat, identifiers do not."""

from __future__ import annotations

import re
from collections import Counter

import pandas as pd

from finetune.dataset.example import Task
from finetune.dataset.mapping.names import LABELS, plain, words
from finetune.dataset.mapping.template import cell_text

# A label is short: longer repeated answers are answers all the same.
_LABEL_CHARACTERS, _LABEL_WORDS = 50, 6


def guess_task(name: str, sample: pd.Series, column: pd.Series) -> tuple[Task, str]:
    """Classification when the column repeats a few short values; its name lowers or raises the bar.

    Args:
        sample: the cells that decide; `column` has all of them, for the numbers in the reason.
    """
    values = list(filter(None, map(cell_text, sample)))
    if not values:
        return "instruction", f"“{name}” is empty throughout."
    counts = Counter(values)
    short = _short(counts)
    looked = f"{len(values):,} rows" + (" that were looked at" if len(sample) < len(column) else "")
    if short >= 0.95 * len(values) and _repeat_enough(name, counts):
        if len(sample) < len(column):
            everything = Counter(filter(None, map(cell_text, column)))
            counts, looked = everything, f"{everything.total():,} rows"
        values_text = "1 short value" if len(counts) == 1 else f"{len(counts):,} short values"
        return "classification", f"The task is classification: {values_text} over {looked} in “{name}”."
    different = f"{len(counts):,} different values in {looked}"
    reason = different if short >= 0.95 * len(values) else "its texts are longer than labels"
    return "instruction", f"The task is instruction: “{name}” is free text ({reason})."


def repeats(column: pd.Series) -> bool:
    """Whether a column without a telling name holds a few short values again and again."""
    counts = Counter(filter(None, map(cell_text, column)))
    return len(counts) > 1 and _short(counts) >= 0.95 * counts.total() and _repeat_enough("", counts)


def is_identifier(column: pd.Series) -> bool:
    """Numbers, dates, codes: short, without a space, and hardly one twice; or the same everywhere."""
    values = list(map(cell_text, column.head(2000)))
    distinct = len(set(values))
    single = sum(" " not in value or bool(re.fullmatch(r"[\d\s:./+TZ-]+", value)) for value in values)
    numeric = sum(bool(re.fullmatch(r"[\d\s:.,/+TZ-]*\d[\d\s:.,/+TZ-]*", value)) for value in values)
    return distinct <= 1 or (
        distinct > 0.9 * len(values)
        and single > 0.95 * len(values)
        and (numeric > 0.95 * len(values) or len(values) > 20)
    )


def length(column: pd.Series) -> float:
    """Characters of a cell, on average."""
    return float(column.head(2000).map(cell_text).str.len().mean())


def _short(counts: Counter[str]) -> int:
    return sum(
        n for value, n in counts.items() if len(value) <= _LABEL_CHARACTERS and len(value.split()) <= _LABEL_WORDS
    )


def _repeat_enough(name: str, counts: Counter[str]) -> bool:
    rows, labels = counts.total(), len(counts)
    each = rows / labels
    if plain(name) in LABELS or not LABELS.isdisjoint(words(name)):
        return each >= 1.5
    again = sum(n for n in counts.values() if n > 1)
    return each >= (3 if labels <= 20 else 10) and again >= 0.9 * rows
