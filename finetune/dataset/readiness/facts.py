"""What readiness is judged on: the figures of the rows that are used, and what is still wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from finetune.dataset.example import Example, Task
from finetune.dataset.finding import APPLIED, Finding
from finetune.dataset.readiness.power import detectable_difference
from finetune.dataset.readiness.profile import Profile
from finetune.dataset.readiness.questions import Questions

# Told by figures of the whole, not by rows.
_OF_THE_WHOLE = {"class_imbalance", "rare_class", "too_few_rows"}
# All but one row of a cluster are too many.
_COPIES = {"exact_duplicate", "near_duplicate"}


@dataclass(frozen=True)
class Baseline:
    """What a classical model reaches without any language model, cross-validated.

    Attributes:
        name: what it is, such as "TF-IDF with logistic regression".
        score: share of right answers, 0..1, with its 95% `interval`.
        majority: share that always answering the commonest label would get right.
    """

    name: str
    score: float
    interval: tuple[float, float]
    majority: float


@dataclass(frozen=True)
class Fault:
    """What a finding says of the rows that are used.

    Attributes:
        rows: used rows that have it; for lost rows, those that could not be used.
        share: of all rows, or of those that were examined, 0..1.
        lost: the rows are not among those that are used.
        examined: rows that were looked at, when it was a sample.
    """

    kind: str
    check: str
    rows: int
    share: float
    note: bool
    message: str
    lost: bool = False
    examined: int | None = None


@dataclass(frozen=True)
class Facts:
    """Everything the rules look at.

    Attributes:
        rows, test_rows: of the split.
        compared_rows: test rows that the comparison will take at most; None takes all.
        labels: (rows, number of labels with so many rows), most rows first; () for free text. As pairs, because the
            rules run many times over and a column may have a label for every row.
        distinct: different outputs as a share of the rows.
        faults: what the findings say of the rows that are used.
    """

    task: Task
    rows: int
    test_rows: int
    compared_rows: int | None
    labels: tuple[tuple[int, int], ...]
    distinct: float
    faults: tuple[Fault, ...]
    profile: Profile
    questions: Questions
    baseline: Baseline | None

    @property
    def compared(self) -> int:
        return self.test_rows if self.compared_rows is None else min(self.test_rows, self.compared_rows)

    @property
    def detectable(self) -> float:
        return detectable_difference(self.compared)

    @property
    def different_rows(self) -> int:
        """Rows without those that repeat another to the letter: a repeated row teaches nothing new."""
        return self.rows - sum(fault.rows for fault in self.faults if fault.kind == "exact_duplicate")

    def grown(self, rows: int) -> Facts:
        """The same with more rows of the same kind: every share stays as it is."""
        grown = Counter[int]()
        for size, labels in self.labels:
            grown[size * rows // self.rows] += labels
        return replace(
            self,
            rows=rows,
            test_rows=self.test_rows * rows // self.rows,
            labels=by_size(grown),
            # Rounded up, so that what is promised of more rows is not one row short.
            faults=tuple(replace(fault, rows=-(-fault.rows * rows // self.rows)) for fault in self.faults),
        )


def by_size(sizes: Counter[int]) -> tuple[tuple[int, int], ...]:
    """Rows of a label → labels with so many, as `Facts.labels` has them."""
    return tuple(sorted(sizes.items(), reverse=True))


def faults(
    parts: Iterable[Sequence[Example]], findings: Sequence[Finding], mended: Collection[str] = ()
) -> tuple[Fault, ...]:
    """The findings as shares of the rows that are used. One that a mend has dealt with, or without rows left, is none.

    Args:
        parts: the rows that are used.
        mended: names of the mends that were applied.
    """
    done = set(mended)
    findings = [one for one in findings if one.rows and one.kind not in _OF_THE_WHOLE and not set(one.mends) & done]
    if not findings:
        return ()
    used = np.fromiter((example.row for example in chain(*parts)), dtype=np.int64)
    highest = max(int(used.max(initial=0)), max(max(one.rows) for one in findings))
    there = np.zeros(highest + 1, dtype=bool)
    there[used] = True
    told = (_fault(one, there, len(used)) for one in findings)
    return tuple(fault for fault in told if fault.rows)


def _fault(finding: Finding, there: np.ndarray, used: int) -> Fault:
    inside = there[np.array(finding.rows, dtype=np.int64)]
    lost = finding.kind in ("bad_row", "empty") and (finding.mends == (APPLIED,) or not inside.any())
    if lost:
        rows, of = int((~inside).sum()), used + int((~inside).sum())
    else:
        rows, of = int(inside.sum()), used
        if finding.clusters:
            rows = _together(finding, there)
        if finding.examined is not None:
            of = min(finding.examined, used)
    return Fault(
        kind=finding.kind,
        check=finding.check,
        rows=rows,
        share=min(1.0, rows / of) if of else 0.0,
        note=finding.severity == "note",
        message=finding.message,
        lost=lost,
        examined=None if lost else finding.examined,
    )


def _together(finding: Finding, there: np.ndarray) -> int:
    """Used rows that still stand with another of their cluster; of copies all but one of each."""
    sizes = np.fromiter(map(len, finding.clusters), dtype=np.int64, count=len(finding.clusters))
    rows = np.fromiter(chain.from_iterable(finding.clusters), dtype=np.int64, count=int(sizes.sum()))
    left = np.add.reduceat(there[rows].astype(np.int64), np.cumsum(sizes) - sizes)
    left = left[left > 1]
    return int(left.sum()) - (len(left) if finding.kind in _COPIES else 0)
