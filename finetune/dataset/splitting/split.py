"""The examples in three parts: training, validation (which chooses) and test (which judges, once)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from operator import attrgetter

import numpy as np
import pandas

from finetune.dataset.example import Example, Task
from finetune.dataset.finding import plural, rows_text
from finetune.dataset.splitting.chronology import by_time
from finetune.dataset.splitting.deal import TEST, TRAIN, VALIDATION, Sets, by_label, sets_of
from finetune.dataset.splitting.together import components, deal_order
from finetune.errors import FinetuneError

NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
# A share that is missed by more than this, relative to what it should be, is told.
TOLERANCE = 0.2
_LEFT_OUT = -1


@dataclass(frozen=True)
class Split:
    """The three parts, each in the order of the source rows.

    Attributes:
        labels: all labels, commonest first, or () for free text.
        notes: what there is to know of this split, each a sentence.
        leaked: source rows that are in no part, because they belong together with a row of the user's own test file.
        how: how the parts were made, a sentence.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    leaked: tuple[int, ...] = ()
    how: str = ""

    def parts(self) -> dict[str, tuple[Example, ...]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def as_json(self) -> dict:
        """{"train": {"rows": n, "labels": {label: n}}, …}; every label is there, with 0 where a part lacks it."""
        data = {}
        for name, part in self.parts().items():
            counts = Counter(map(attrgetter("output"), part)) if self.labels else {}
            data[name] = {"rows": len(part), "labels": {label: counts[label] for label in self.labels}}
        return data


def split(
    examples: Sequence[Example],
    task: Task,
    *,
    validation: float,
    test: float,
    seed: int,
    clusters: Sequence[int] | np.ndarray | None = None,
    groups: Sequence[str] | None = None,
    times: Sequence[float] | np.ndarray | None = None,
    test_rows: range = range(0),
) -> Split:
    """A seeded split: by label for classification, what belongs together on one side, whatever the order of the rows.

    Clusters and groups that share an example are one set (connected components), and no set crosses. The order in
    which sets are dealt comes from a hash of seed and input (of a set the smallest), so a row that is added moves few
    others. Every label with 3 sets or more is in all parts; one with 2 is in training and one other part, one with 1
    is in training. Shares hold over all labels together (largest remainder). A set larger than a whole part should be
    is in training: no label and no share is worth a test part that is one customer.

    With `times`, a set goes to the part of its latest row. So no training row is later than a row by whose time
    the held-out parts begin; the price is that the test part also has earlier rows of its sets. Sets more than twice as
    large as a part should be, and rows without a time, are in training; notes count both.

    With `test_rows`, exactly these are the test part, and what belongs together with them is in no part (`leaked`).

    Args:
        validation, test: shares of the rows, 0 < share, together at most 0.9. With `test_rows` that of test is not
            used, and that of validation is of the rows that are left.
        clusters: (n,) near-duplicate cluster of each example; equal inputs share one. None: equal inputs alone.
        groups: (n,) customer, document or the like; "" for none.
        times: (n,) seconds; NaN where it is not known.
        test_rows: source rows of the user's own test file.

    Raises:
        FinetuneError: the shares leave too little, one row, one label, no time, or a part would be empty.
    """
    shares = {VALIDATION: validation} if test_rows else {TEST: test, VALIDATION: validation}
    _check(shares, len(examples))
    rows = np.fromiter(map(attrgetter("row"), examples), np.int64, len(examples))
    if (np.diff(rows) < 0).any():
        place = np.argsort(rows, kind="stable")
        examples, rows = [examples[index] for index in place.tolist()], rows[place]
        clusters = None if clusters is None else np.asarray(clusters)[place]
        groups = None if groups is None else [groups[index] for index in place.tolist()]
        times = None if times is None else np.asarray(times, float)[place]
    labels, codes = _labels(examples, task)
    order = deal_order(examples, seed)
    of = components(examples, order, clusters, groups)
    own = _in(rows, test_rows)
    part = np.full(len(rows), TEST if test_rows else TRAIN, np.int8)
    rest = np.arange(len(rows))
    if test_rows:
        held = np.zeros(int(of.max()) + 1, bool)
        held[of[own]] = True
        part[held[of] & ~own] = _LEFT_OUT
        rest = np.flatnonzero(~held[of])
        _check_own(own, len(rest), len(rows))
    sets_index = pandas.factorize(of[rest])[0]
    sets = sets_of(sets_index, order[rest], codes[rest])
    notes: list[str] = []
    if times is None:
        dealt = by_label(sets, shares)
    else:
        dealt, notes = by_time(sets, sets_index, np.asarray(times, float)[rest], shares)
    part[rest] = dealt[sets_index]
    sizes = {number: int((part == number).sum()) for number in NAMES}
    _check_full(sizes, len(rows), len(labels))
    notes += _shares_missed(sizes, shares, len(rest), sets, times is not None)
    if labels:
        notes += _labels_missed(part, codes, sorted(set(labels)), bool(test_rows))
    made = {name: tuple(compress(examples, (part == number).tolist())) for number, name in NAMES.items()}
    leaked = tuple(rows[part == _LEFT_OUT].tolist())
    how = _how(labels, groups is not None, clusters is not None, times is not None, bool(test_rows))
    return Split(**made, labels=labels, notes=tuple(notes), leaked=leaked, how=how)


def _check(shares: dict[int, float], rows: int) -> None:
    if not (all(share > 0 for share in shares.values()) and sum(shares.values()) <= 0.9):
        said = " and ".join(f"{shares[part]:.0%} for {NAMES[part]}" for part in sorted(shares))
        raise FinetuneError(
            f"Shares of {said} cannot be split." if len(shares) > 1 else f"A share of {said} cannot be split.",
            hint="Both must be above 0, and together 90% at most."
            if len(shares) > 1
            else "It must be above 0, and 90% at most.",
        )
    if rows < 2:
        raise FinetuneError(
            f"There {'is one usable row' if rows else 'are no usable rows'}; a split needs many.",
            hint="50 to 100 rows are the least that a fine-tune needs, 500 are recommended.",
        )


def _check_own(own: np.ndarray, rest: int, rows: int) -> None:
    if not own.any():
        raise FinetuneError(
            "The test file has no usable row.", hint="Take another test file, or let one be split off from the data."
        )
    if rest < 2:
        outside = rows - int(own.sum())
        told = (
            f"of {rows_text(outside)} outside it, {outside - rest:,} are in it too"
            if outside
            else "there are no others"
        )
        raise FinetuneError(
            f"Beside the test file too few rows are left to train on: {told}.",
            hint="Take a test file with rows of its own.",
        )


def _check_full(sizes: dict[int, int], rows: int, labels: int) -> None:
    empty = next((NAMES[number] for number, size in sizes.items() if not size), None)
    if empty:
        over = f" over {labels:,} labels" if labels else ""
        raise FinetuneError(
            f"{rows:,} rows{over} are too few: the {empty} part would be empty.",
            hint="It takes 3 different inputs (of each label) to fill three parts. Collect more rows"
            + (", or choose another output column or task." if labels else "."),
        )


def _labels(examples: Sequence[Example], task: Task) -> tuple[tuple[str, ...], np.ndarray]:
    """All labels, commonest first, and the number of each example's label in the order of the alphabet."""
    if task != "classification":
        return (), np.zeros(len(examples), np.int32)
    outputs = np.array(list(map(attrgetter("output"), examples)), dtype=object)
    codes, names = pandas.factorize(outputs)
    alphabet = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int32)
    place[alphabet] = np.arange(len(names), dtype=np.int32)
    counts = np.bincount(codes)
    labels = tuple(names[number] for number in sorted(alphabet, key=lambda number: -counts[number]))
    if len(labels) < 2:
        raise FinetuneError(
            f"Every row has the same label, “{labels[0][:60]}”; there is nothing to tell apart.",
            hint="Add rows with other labels, or choose another output column.",
        )
    return labels, place[codes]


def _in(rows: np.ndarray, wanted: range) -> np.ndarray:
    inside = (rows >= wanted.start) & (rows < wanted.stop)
    return inside & ((rows - wanted.start) % wanted.step == 0) if wanted.step != 1 else inside


def _shares_missed(sizes: dict[int, int], shares: dict[int, float], rows: int, sets: Sets, timed: bool) -> list[str]:
    """One sentence where a share is missed by more than a fifth and by more than a row."""
    wish = {part: share * rows for part, share in shares.items()}
    missed = [part for part in sorted(shares) if abs(sizes[part] - wish[part]) > max(1.0, TOLERANCE * wish[part])]
    if not missed:
        return []
    said = " and ".join(
        f"{NAMES[part]} has {sizes[part] / rows:.1%} of the rows instead of {shares[part]:.1%}" for part in missed
    )
    largest = int(sets.sizes.max())
    if largest > TOLERANCE * min(wish.values()):
        why = f"rows that belong together stay together, and the largest such set has {largest:,}"
    elif timed:
        why = "rows without a time can only be trained on"
    else:
        why = "a label with few rows takes one in each part, or is in training alone"
    return [f"{said[0].upper()}{said[1:]}: {why}."]


def _labels_missed(part: np.ndarray, codes: np.ndarray, alphabet: list[str], own: bool) -> list[str]:
    """Labels that a part lacks; those that training lacks come first, for they cannot be learned."""
    inside = part != _LEFT_OUT
    counts = np.bincount(codes[inside].astype(np.int64) * 3 + part[inside], minlength=len(alphabet) * 3).reshape(-1, 3)
    there = counts.sum(1) > 0
    notes = []
    for number, name in NAMES.items():
        missing = np.flatnonzero(there & (counts[:, number] == 0))
        if not len(missing):
            continue
        few = ", ".join(f"“{alphabet[code][:60]}”" for code in missing[:5]) + (", …" if len(missing) > 5 else "")
        what = f"{len(missing):,} {plural('label', 'labels', len(missing))}"
        verb, they = plural("does", "do", len(missing)), plural("it", "they", len(missing))
        if number == TRAIN:
            whose = " of the test file" if own and (counts[missing, TEST] > 0).all() else ""
            notes.append(f"{what}{whose} {verb} not occur in training, so {they} cannot be learned: {few}.")
        else:
            notes.append(f"{what} {verb} not occur in the {name} part: {few}.")
    return notes


def _how(labels: tuple[str, ...], grouped: bool, clustered: bool, timed: bool, own: bool) -> str:
    together = "equal and nearly equal inputs" if clustered else "equal inputs"
    together += " and rows of one group stay together" if grouped else " stay together"
    if timed:
        order = "validation after training" if own else "training first, then validation, then test"
        way = f"in time order, {order}"
    else:
        way = "by label, each in all parts as far as its rows go" if labels else "by chance"
    if own:
        return f"The test part is your test file, row for row; the other rows are dealt {way}. {together.capitalize()}."
    return f"Dealt {way}; {together}."
