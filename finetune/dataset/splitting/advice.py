"""How many test rows the smallest difference asks for that the user wants to see, and the shares that follow."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from finetune.dataset.readiness.power import detectable_difference, rows_to_detect
from finetune.errors import FinetuneError

# Training keeps this share of the rows or this many of them, whichever is less.
TRAIN_SHARE, TRAIN_ROWS = 0.6, 500
# Percent, as the recipe allows them.
_VALIDATION, _TEST = (2, 45), (2, 60)
_USUAL = 15  # percent for validation at most, unless labels ask for more: the rest is needed in training
_CHOOSING = 50  # rows without which validation chooses by luck


@dataclass(frozen=True)
class Advice:
    """The sizes for a difference that should be seen with 80% power.

    Attributes:
        want: the difference, 0..1.
        test_rows: rows that it asks for.
        possible: whether there are as many, with enough left to train on.
        validation, test: shares to apply; for what cannot be had, those that show most. 0 where there are too few rows.
        train_rows: what these shares leave.
        shown: the smallest difference that these shares show.
        rows_needed: rows in all that `want` asks for.
        sentence: all this in words.
    """

    want: float
    test_rows: int
    possible: bool
    validation: float
    test: float
    train_rows: int
    shown: float
    rows_needed: int
    sentence: str

    def as_json(self) -> dict:
        return asdict(self)


def advise(rows: int, want: float, discordant: float = 0.25, labels: int = 1) -> Advice:
    """The shares of `rows` with which a difference of `want` between two systems would be seen with 80% power.

    Shares are whole percents. Validation gets as many rows as the test, at least 50 and at most 15%, and both have a row
    for each label at least.

    Args:
        rows: usable rows.
        want: difference of accuracies, 0 < want < 1.
        discordant: share of rows on which exactly one of the two systems is right (`rows_to_detect`).
        labels: how many there are; 1 for free text.

    Raises:
        FinetuneError: `want` is not between 0 and 1.
    """
    if not 0 < want < 1:
        raise FinetuneError(
            f"A difference of {want:g} cannot be asked for.", hint="Take one above 0 and below 1: 0.05 is 5 points."
        )
    needed = rows_to_detect(want, discordant)
    asked = f"A difference of {_points(want)} takes {needed:,} test rows"
    if labels > needed:
        needed = labels
        asked += f", and one for each of the {labels:,} labels takes {labels:,}"
    in_all = _rows_needed(needed, labels)
    share = max(_TEST[0], math.ceil(100 * needed / rows)) if rows else 101
    possible = _leaves_enough(rows, share, labels)
    if not possible:
        # With many labels and few rows not each can be in each part: the best then is the best without that.
        shares = [(lower, least) for least in (labels, 1) for lower in range(_TEST[1], _TEST[0] - 1, -1)]
        share, labels = next((choice for choice in shares if _leaves_enough(rows, *choice)), (0, 1))
    validation = _validation(rows, share, labels) if share else 0
    test_rows = rows * share // 100
    train = rows - test_rows - rows * validation // 100
    shown = detectable_difference(test_rows, discordant) if share else 1.0
    if possible:
        sentence = (
            f"{asked}; {share}% of the {rows:,} rows are {test_rows:,}. "
            f"{validation}% for validation leave {train:,} to train on, {_enough(train, rows)}."
        )
    else:
        best = (
            f"these {rows:,} show {_points(shown)} at best, with {share}% for the test and {validation}% for validation"
            if shown < 1
            else f"with {rows:,} no difference can be shown"
        )
        if shown <= want:
            best += ", but not every label would be in every part"
        sentence = f"{asked}, and {in_all:,} rows in all; {best}."
    return Advice(want, needed, possible, validation / 100, share / 100, train, shown, in_all, sentence)


def _validation(rows: int, share: int, labels: int) -> int:
    """Percent for validation beside so many percent for the test."""
    usual = min(_USUAL, max(share, math.ceil(100 * _CHOOSING / rows)))
    return max(_VALIDATION[0], usual, math.ceil(100 * labels / rows))


def _leaves_enough(rows: int, share: int, labels: int) -> bool:
    if not rows or share > _TEST[1] or rows * share // 100 < labels:
        return False
    validation = _validation(rows, share, labels)
    train = rows - rows * share // 100 - rows * validation // 100
    return validation <= _VALIDATION[1] and share + validation <= 90 and train >= min(TRAIN_ROWS, TRAIN_SHARE * rows)


def _rows_needed(test_rows: int, labels: int) -> int:
    """The fewest rows of which a share in whole percents gives these test rows and leaves enough."""

    def enough(rows: int) -> bool:
        return _leaves_enough(rows, max(_TEST[0], math.ceil(100 * test_rows / rows)), labels)

    low, high = test_rows, 2 * test_rows
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _points(difference: float) -> str:
    points = 100 * difference
    # Rounded up: a smaller one would not be seen.
    whole = math.ceil(points - 1e-9) if points >= 1 else math.ceil(10 * points - 1e-9) / 10
    return "1 point" if whole == 1 else f"{whole:g} points"


def _enough(train: int, rows: int) -> str:
    if train >= TRAIN_SHARE * rows:
        return f"{train / rows:.0%} of all"
    return f"more than the {TRAIN_ROWS} that are recommended" if train > TRAIN_ROWS else "as many as are recommended"
