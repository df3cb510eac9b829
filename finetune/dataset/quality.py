"""What is wrong with a set of examples, each finding with its rows, and how it is mended."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from finetune.dataset.example import Example, Task
from finetune.errors import FinetuneError

Severity = Literal["error", "warning", "note"]

MENDS: dict[str, str] = {
    "keep_one": "keep one of each duplicate",
    "drop_conflicts": "leave out inputs with different outputs",
    "merge_labels": "write each label in its commonest spelling",
    "drop_rare": "leave out labels with fewer than 3 rows",
    "drop_long": "leave out rows that would be cut",
    "drop_broken": "leave out rows with broken characters",
}
DEFAULT_MENDS: tuple[str, ...] = ("keep_one",)
# Fewer different inputs than this cannot be in all of train, validation and test.
RARE = 3


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: as in the contract of `inspect --json`.
        rows: source rows, ascending; empty when it concerns the whole.
        clusters: for duplicates and conflicts, the rows that belong together.
        mend: "" nothing to tick, "applied" always applied, else a name of MENDS.
    """

    kind: str
    severity: Severity
    rows: tuple[int, ...]
    message: str
    fix: str
    clusters: tuple[tuple[int, ...], ...] = ()
    mend: str = ""

    def as_json(self) -> dict:
        data = {
            "kind": self.kind,
            "severity": self.severity,
            "rows": list(self.rows),
            "message": self.message,
            "fix": self.fix,
        }
        if self.clusters:
            data["clusters"] = [list(cluster) for cluster in self.clusters]
        return data


@dataclass(frozen=True)
class Removed:
    """A row that is left out, and why."""

    row: int
    reason: str


def normalised(text: str) -> str:
    """The text without differences of case and white space: two texts with the same one count as equal."""
    return " ".join(text.casefold().split())


def input_key(example: Example) -> str:
    """What makes two inputs equal: the normalised input, for chat with all turns before it."""
    if example.context:
        return "\n".join(f"{role}: {normalised(content)}" for role, content in example.context)
    return normalised(example.input)


def label_key(label: str) -> str:
    """Labels that differ by case, space, underscore or hyphen alone have the same one."""
    return " ".join(re.sub(r"_|(?<=\w)-(?=\w)", " ", label.casefold()).split())


def examine(
    examples: Sequence[Example], task: Task, *, token_counts: Sequence[int] | None = None, max_tokens: int = 512
) -> list[Finding]:
    """All findings: those of single rows (`faults`), then those of the whole (`balance`)."""
    return faults(examples, task, token_counts=token_counts, max_tokens=max_tokens) + balance(examples, task)


def faults(
    examples: Sequence[Example], task: Task, *, token_counts: Sequence[int] | None = None, max_tokens: int = 512
) -> list[Finding]:
    """Duplicates, conflicts, spellings of labels, and rows too long.

    Args:
        token_counts: tokens of each example with its prompt, in the same order; None estimates 4 characters a token.
        max_tokens: what a row may have before it is cut.
    """
    found = [*_repeats(examples, task)]
    if task == "classification":
        found += _spellings(examples)
    return found + _long(examples, token_counts, max_tokens)


def balance(examples: Sequence[Example], task: Task) -> list[Finding]:
    """Too few rows, and for classification labels that are too common or too rare."""
    found = _few(len(examples))
    if task != "classification" or not examples:
        return found
    groups: dict[str, set[str]] = defaultdict(set)
    rows: dict[str, list[int]] = defaultdict(list)
    for example in examples:
        if len(groups[example.output]) < RARE:
            groups[example.output].add(input_key(example))
        rows[example.output].append(example.row)
    label, most = max(((label, len(members)) for label, members in rows.items()), key=lambda item: item[1])
    share = most / len(examples)
    if share > 0.9:
        message = f"“{label}” has {share:.0%} of the rows: it will be over-predicted."
        fix = "Add rows of the other labels, or leave out some of this one."
        found.append(Finding("class_imbalance", "warning", (), message, fix))
    elif share > 0.6:
        message = f"“{label}” has {share:.0%} of the rows: always answering that would score as much."
        found.append(Finding("class_imbalance", "note", (), message, "Add rows of the other labels if you can."))
    rare = [label for label in rows if len(groups[label]) < RARE]
    if rare:
        members = tuple(sorted(row for label in rare for row in rows[label]))
        names = ", ".join(f"“{label[:60]}”" for label in rare[:5]) + (", …" if len(rare) > 5 else "")
        have = _plural("label has", "labels have", len(rare))
        message = f"{len(rare):,} {have} fewer than {RARE} different inputs: {names}."
        fix = (
            "They cannot be in all three parts of the split. Add rows, merge them with other labels, or leave them out."
        )
        found.append(Finding("rare_class", "warning", members, message, fix, mend="drop_rare"))
    return found


def mend(
    examples: Sequence[Example], findings: Sequence[Finding], mends: Iterable[str]
) -> tuple[list[Example], list[Removed]]:
    """The examples with the ticked mends applied, and the rows that went, with the reason.

    Raises:
        FinetuneError: a name that is not in MENDS.
    """
    ticked = set(mends)
    if unknown := sorted(ticked - set(MENDS)):
        raise FinetuneError(f"There is no mend “{unknown[0]}”.", hint=f"Take one of: {', '.join(MENDS)}.")
    gone: dict[int, str] = {}
    for finding in findings:
        if finding.mend not in ticked:
            continue
        if finding.mend == "keep_one":
            for cluster in finding.clusters:
                first, *rest = [row for row in cluster if row not in gone] or [0]
                gone.update((row, f"same as row {first}") for row in rest)
        elif finding.mend in _REASONS:
            gone.update((row, _REASONS[finding.mend]) for row in finding.rows if row not in gone)
    kept = [example for example in examples if example.row not in gone]
    if "merge_labels" in ticked:
        spelling = _commonest(kept)
        kept = [replace(example, output=spelling.get(example.output, example.output)) for example in kept]
    if "drop_rare" in ticked:
        # Not the rows of the finding: merged spellings may have made a label common, other mends may have made it rare.
        rare = {
            row for finding in balance(kept, "classification") if finding.kind == "rare_class" for row in finding.rows
        }
        gone.update((row, "its label has too few rows") for row in rare)
        kept = [example for example in kept if example.row not in rare]
    return kept, [Removed(row, reason) for row, reason in sorted(gone.items())]


_REASONS = {
    "drop_conflicts": "the same input has another output elsewhere",
    "drop_long": "longer than the model reads",
    "drop_broken": "broken characters",
}


def _repeats(examples: Sequence[Example], task: Task) -> list[Finding]:
    together: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        together[input_key(example)].append(example)
    same_output = label_key if task == "classification" else normalised
    clusters: list[dict[str, list[int]]] = []
    for members in together.values():
        if len(members) > 1:
            by_output: dict[str, list[int]] = defaultdict(list)
            for example in members:
                by_output[same_output(example.output)].append(example.row)
            clusters.append(by_output)
    found = []
    copies = tuple(tuple(rows) for by_output in clusters for rows in by_output.values() if len(rows) > 1)
    if copies:
        extra = sum(map(len, copies)) - len(copies)
        message = f"{extra:,} {_plural('row repeats', 'rows repeat', extra)} another, apart from case and spaces."
        fix = "One of each is kept; equal inputs never stand on both sides of the split."
        found.append(Finding("exact_duplicate", "warning", _flat(copies), message, fix, copies, "keep_one"))
    conflicts = tuple(
        tuple(sorted(row for rows in by_output.values() for row in rows))
        for by_output in clusters
        if len(by_output) > 1
    )
    if conflicts:
        what = "label" if task == "classification" else "answer"
        number = len(conflicts)
        message = f"{number:,} {_plural('input has', 'inputs have', number)} more than one {what}."
        fix = (
            f"Decide on one {what} for each; a model cannot learn both."
            if task == "classification"
            else ("Keep the better answer of each, unless several are right.")
        )
        severity: Severity = "warning" if task == "classification" else "note"
        found.append(
            Finding("conflicting_output", severity, _flat(conflicts), message, fix, conflicts, "drop_conflicts")
        )
    return found


def _spellings(examples: Sequence[Example]) -> list[Finding]:
    commonest = _commonest(examples)
    if not commonest:
        return []
    rows = tuple(example.row for example in examples if example.output in commonest)
    pairs = [f"“{variant[:60]}” for “{label[:60]}”" for variant, label in commonest.items()]
    message = (
        f"{len(pairs):,} {_plural('label is', 'labels are', len(pairs))} another spelling: {', '.join(pairs[:5])}."
    )
    fix = "Write each label in one way; as they stand they count as different ones."
    return [Finding("suspect_label", "warning", rows, message, fix, mend="merge_labels")]


def _commonest(examples: Sequence[Example]) -> dict[str, str]:
    """Each label that is a variant → the commonest spelling of the same (the first in the alphabet when as common)."""
    counts = Counter(example.output for example in examples)
    variants: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        variants[label_key(label)].append(label)
    return {label: first for first, *others in variants.values() for label in others}


def _long(examples: Sequence[Example], token_counts: Sequence[int] | None, max_tokens: int) -> list[Finding]:
    if token_counts is None:
        counts: Sequence[int] = [_characters(example) // 4 for example in examples]
        how = " (estimated: 4 characters a token)"
    else:
        counts, how = token_counts, ""
    long = [(count, example.row) for count, example in zip(counts, examples, strict=True) if count > max_tokens]
    if not long:
        return []
    most, row = max(long)
    message = (
        f"{len(long):,} {_plural('row is', 'rows are', len(long))} longer than {max_tokens:,} tokens; "
        f"the longest, row {row}, has {most:,}{how}. The end of the input would be cut."
    )
    fix = "Raise max_tokens, shorten the texts, or leave these rows out."
    return [Finding("too_long", "warning", tuple(sorted(row for _, row in long)), message, fix, mend="drop_long")]


def _characters(example: Example) -> int:
    before = sum(len(content) for _, content in example.context) if example.context else len(example.input)
    return before + len(example.output)


def _few(rows: int) -> list[Finding]:
    if rows < 50:
        text = "fewer than the 50-100 that a fine-tune needs at least; prompting often wins"
        return [
            Finding("too_few_rows", "error", (), f"{rows:,} rows are {text}.", "Collect more rows, 500 if you can.")
        ]
    if rows < 100:
        text = "enough for a pilot; under 100, prompting often wins"
        return [
            Finding("too_few_rows", "warning", (), f"{rows:,} rows are {text}.", "Collect more rows, 500 if you can.")
        ]
    if rows < 500:
        return [
            Finding("too_few_rows", "note", (), f"{rows:,} rows; 500 or more are recommended.", "More rows help most.")
        ]
    return []


def _flat(clusters: Iterable[Iterable[int]]) -> tuple[int, ...]:
    return tuple(sorted({row for cluster in clusters for row in cluster}))


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many
