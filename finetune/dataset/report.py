"""A file, looked at: everything that is known of it before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from finetune.dataset.checks.balance import balance_findings, rare_labels
from finetune.dataset.checks.duplicates import leakage_finding
from finetune.dataset.checks.lengths import Lengths, length_findings, measure
from finetune.dataset.checks.likeness import THRESHOLD, likeness, text_of
from finetune.dataset.examine import Examined
from finetune.dataset.example import Example, Task
from finetune.dataset.finding import APPLIED, Finding, Removed
from finetune.dataset.mapping.columns import Mapping, parse_times
from finetune.dataset.mending import DEFAULT_MENDS, Mended, counts, drop_rare, mend
from finetune.dataset.readiness.facts import Baseline
from finetune.dataset.readiness.profile import CountPieces, Profile, profile
from finetune.dataset.readiness.questions import Questions
from finetune.dataset.readiness.readiness import Readiness, assess
from finetune.dataset.reading.collector import paused
from finetune.dataset.reading.load import Table
from finetune.dataset.splitting.representative import Representative, compare_parts
from finetune.dataset.splitting.split import Split, split
from finetune.dataset.tell import Tell, silent

# (examples) → tokens of each if nothing is cut, and what of it can never be cut; made for a task and its labels.
Count = Callable[[Sequence[Example]], tuple[Sequence[int], Sequence[int]]]
Counting = Callable[[Task, list[str]], Count]


@dataclass(frozen=True)
class Choices:
    """What the user decides about the data.

    Attributes:
        mends: names of MENDS to apply.
        near: the share of words in common from which two inputs count as nearly the same, 0.5 to 1.
        validation, test: shares of the rows.
        seed: of the split.
        max_tokens: what a row may have, prompt and answer together, before it is cut.
        compared_rows: test rows that the comparison will take at most; 0 takes all.
        questions: what the data cannot answer.
    """

    mends: tuple[str, ...] = DEFAULT_MENDS
    near: float = THRESHOLD
    validation: float = 0.15
    test: float = 0.15
    seed: int = 0
    max_tokens: int = 1024
    compared_rows: int = 0
    questions: Questions = Questions()


@dataclass(frozen=True)
class Report:
    """What `inspect` says.

    Attributes:
        table, mapping: the file as it was read, and which columns are what.
        rows: rows that are used; rows + len(removed) is the number of records of the file.
        labels: label → rows, commonest first; {} unless the task is classification.
        lengths: tokens of the rows, or None when nobody counted.
        findings: faults are told of the file as it came, balance and size of the rows that are used.
        removed: every row that is left out, by row, with the reason.
        mended: what the ticked mends made of the rows.
    """

    table: Table
    mapping: Mapping
    choices: Choices
    rows: int
    labels: dict[str, int]
    split: Split
    representative: Representative
    lengths: Lengths | None
    findings: tuple[Finding, ...]
    profile: Profile
    readiness: Readiness
    removed: tuple[Removed, ...]
    mended: Mended
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def sha256(self) -> str:
        return self.table.sha256

    @property
    def task(self) -> Task:
        return self.mapping.task

    @property
    def seed(self) -> int:
        return self.choices.seed

    @property
    def tokens(self) -> dict[str, int] | None:
        """{"p50", "p95", "max", "truncated_rows"}, or None when nobody counted."""
        return None if self.lengths is None else self.lengths.as_json()

    def as_json(self) -> dict[str, Any]:
        """The object of `inspect --json`."""
        table = self.table
        return {
            "rows": self.rows,
            "task": self.task,
            "columns": self.mapping.as_json(),
            # One by one: a name may hold the “ + ” that joins them above.
            "inputs": list(self.mapping.input or filter(None, (self.mapping.messages,))),
            "labels": dict(self.labels),
            "split": self.split.as_json(),
            "split_made": {"how": self.split.how, "notes": list(self.split.notes)},
            "representative": self.representative.as_json(),
            "tokens": self.tokens,
            "findings": [finding.as_json() for finding in self.findings],
            "readiness": self.readiness.as_json(),
            "profile": self.profile.as_json(),
            "mends": list(self.choices.mends),
            "near": self.choices.near,
            "mended": counts(self.mended),
            "left_out": [{"row": removed.row, "reason": removed.reason} for removed in self.removed],
            "file": {
                "name": table.name,
                "sha256": table.sha256,
                "encoding": table.encoding,
                "format": table.format,
                "delimiter": table.delimiter,
                "blank_lines": table.blank_lines,
                "notes": [*table.notes, *self.notes],
                "sources": [asdict(source) for source in table.sources],
            },
            "seed": self.seed,
        }


def lengths_of(examined: Examined, max_tokens: int, counter: Counting, tell: Tell = silent) -> Lengths:
    """The tokens of the rows as they came."""
    labels = list(_labels(examined.examples, examined.mapping.task))
    return measure(examined.examples, counter(examined.mapping.task, labels), max_tokens=max_tokens, tell=tell)


@paused()
def conclude(
    examined: Examined, choices: Choices, lengths: Lengths | None = None, *, pieces: CountPieces | None = None
) -> Report:
    """The ticked mends, the split and what follows, from rows that were looked at.

    Args:
        pieces: how many tokens of the base each of some words takes; None leaves open how much of the vocabulary the
            base hardly knows.

    Raises:
        FinetuneError: the rows cannot be split.
    """
    table, mapping, task = examined.table, examined.mapping, examined.mapping.task
    told = lengths or measure(examined.examples, None, max_tokens=choices.max_tokens)
    findings = [*examined.findings, *length_findings(told, choices.max_tokens)]
    mended = mend(examined.examples, findings, choices.mends, keep=table.test_rows)
    clusters = _clusters(examined, mended)
    if "drop_rare" in choices.mends and task == "classification":
        # Not the rows of the finding: merged labels may have become common, other mends may have made one rare.
        rare = rare_labels(mended.examples, clusters)
        kept = np.array([example.output not in rare for example in mended.examples], dtype=bool)
        mended = drop_rare(mended, (example.row for example in mended.examples if example.output in rare))
        clusters = clusters[kept]
    parts = split(
        mended.examples,
        task,
        validation=choices.validation,
        test=choices.test,
        seed=choices.seed,
        clusters=clusters,
        groups=_groups(table, mapping, mended.examples),
        times=_times(table, mapping, mended.examples),
        test_rows=table.test_rows,
    )
    leakage = leakage_finding(mended.examples, clusters, frozenset(parts.leaked), table.test_rows, choices.near)
    used = mended.examples
    if leakage is not None:
        findings.append(leakage)
        used = [example for example in used if example.row not in leakage.reasons]
        clusters = clusters[[example.row not in leakage.reasons for example in mended.examples]]
    findings += balance_findings(used, task, clusters)
    representative = compare_parts(parts, task)
    labels = _labels(used, task)
    shape = profile(used, task, labels, pieces=pieces)
    readiness = assess(
        parts,
        task,
        findings,
        questions=choices.questions,
        profile=shape,
        baseline=_baseline(examined),
        compared_rows=choices.compared_rows or None,
        mended=choices.mends,
    )
    leaked = [] if leakage is None else [Removed(row, leakage.reasons[row]) for row in leakage.rows]
    removed = sorted([*_unusable(table, findings), *mended.removed, *leaked], key=lambda item: item.row)
    return Report(
        table=table,
        mapping=mapping,
        choices=choices,
        rows=len(used),
        labels=labels,
        split=parts,
        representative=representative,
        lengths=lengths,
        findings=tuple(findings),
        profile=shape,
        readiness=readiness,
        removed=tuple(removed),
        mended=mended,
    )


def _clusters(examined: Examined, mended: Mended) -> np.ndarray:
    """The near-duplicate cluster of each example that is left; anew where a mend changed the texts."""
    if mended.texts:
        return likeness([text_of(example) for example in mended.examples], threshold=examined.like.threshold).cluster
    if len(mended.examples) == len(examined.examples):
        return examined.like.cluster
    kept = {example.row for example in mended.examples}
    return examined.like.cluster[[example.row in kept for example in examined.examples]]


def _groups(table: Table, mapping: Mapping, used: Sequence[Example]) -> list[str] | None:
    if mapping.group is None:
        return None
    rows = [example.row for example in used]
    return [str(cell).strip() for cell in table.frame[mapping.group].loc[rows]]


def _times(table: Table, mapping: Mapping, used: Sequence[Example]) -> np.ndarray | None:
    if mapping.time is None:
        return None
    times = parse_times(table, mapping.time)
    places = table.frame.index.get_indexer([example.row for example in used])
    return times[places]


def _baseline(examined: Examined) -> Baseline | None:
    found = examined.suspects
    if found is None:
        return None
    return Baseline("TF-IDF with logistic regression", found.accuracy, found.interval, found.majority)


def _labels(rows: Iterable[Example], task: Task) -> dict[str, int]:
    if task != "classification":
        return {}
    counted = Counter(example.output for example in rows)
    return {label: counted[label] for label in sorted(counted, key=lambda label: (-counted[label], label))}


def _unusable(table: Table, findings: Sequence[Finding]) -> list[Removed]:
    """The rows that went before any mend: unreadable or empty."""
    unread = [Removed(bad.row, bad.reason) for bad in table.bad_rows]
    empty = {
        row: finding.reasons.get(row, "the input or the output is empty")
        for finding in findings
        if finding.kind == "empty" and finding.mends == (APPLIED,)
        for row in finding.rows
    }
    return unread + [Removed(row, reason) for row, reason in empty.items()]
