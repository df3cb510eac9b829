"""What can be done about findings, and what each mend changed: the upload itself is never touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from finetune.dataset.checks import encoding, personal
from finetune.dataset.checks.spellings import label_key
from finetune.dataset.example import Example
from finetune.dataset.finding import APPLIED, Finding, Removed
from finetune.errors import FinetuneError

How = Literal["keep_one", "drop", "write", "text"]


@dataclass(frozen=True)
class Mend:
    """One thing that can be ticked.

    Attributes:
        label: what the page calls it.
        how: "drop" leaves the rows of the finding out; "keep_one" all but the first of each cluster; "write" puts the
            finding's outputs in their place; "text" changes the texts of the rows.
        reason: why a row was left out or changed, in a few words.
        change: for "text", from the old text to the new one.
    """

    label: str
    how: How
    reason: str
    change: Callable[[str], str] | None = None


# Texts are put right before outputs are written, and rows are left out last; within a kind, in this order.
MENDS: dict[str, Mend] = {
    "repair_encoding": Mend("repair broken characters", "text", "broken characters repaired", encoding.repair),
    "strip_hidden": Mend("take out hidden characters", "text", "hidden characters taken out", encoding.strip_hidden),
    "strip_markup": Mend("turn HTML into plain text", "text", "HTML turned into plain text", encoding.strip_markup),
    "mask_personal": Mend("mask personal data", "text", "personal data masked", personal.mask),
    "merge_labels": Mend("write each label in its commonest spelling", "write", "label in its commonest spelling"),
    "majority_output": Mend("take the commonest output of equal inputs", "write", "the commonest output of this input"),
    "relabel_suspects": Mend("take the suggested labels", "write", "the label that the text reads like"),
    "keep_one": Mend("keep one of each", "keep_one", "same as row {first}"),
    "keep_one_near": Mend("keep one of each group", "keep_one", "nearly the same as row {first}"),
    "drop_conflicts": Mend("leave these rows out", "drop", "the same input has another output elsewhere"),
    "drop_near_conflicts": Mend("leave these rows out", "drop", "nearly the same input has another output elsewhere"),
    "drop_suspects": Mend("leave these rows out", "drop", "its label is doubtful"),
    "drop_long": Mend("leave these rows out", "drop", "longer than the model reads"),
    "drop_broken": Mend("leave these rows out", "drop", "broken characters"),
    "drop_personal": Mend("leave these rows out", "drop", "personal data"),
    "drop_foreign": Mend("leave these rows out", "drop", "another language or script than the rest"),
    "drop_poor_answers": Mend("leave these rows out", "drop", "an answer that teaches nothing"),
    "drop_rare": Mend("leave these labels out", "drop", "its label has too few rows"),
}
DEFAULT_MENDS: tuple[str, ...] = ("keep_one",)


@dataclass(frozen=True, slots=True)
class Change:
    """A text or an output that a mend changed. `column`: "input" or "output"."""

    row: int
    column: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class Mended:
    """The examples after the ticked mends.

    Attributes:
        examples: those that are left, in order.
        removed: the rows that went, by row.
        changes: what was changed of the others.
        texts: source row → the mends of the kind "text" that changed it.
    """

    examples: list[Example]
    removed: tuple[Removed, ...]
    changes: tuple[Change, ...]
    texts: Mapping[int, tuple[str, ...]]


def check_mends(mends: Iterable[str]) -> tuple[str, ...]:
    """The names, in the order in which they are applied.

    Raises:
        FinetuneError: a name that is not in MENDS.
    """
    ticked = set(mends)
    if unknown := sorted(ticked - set(MENDS)):
        raise FinetuneError(f"There is no mend “{unknown[0]}”.", hint=f"Take one of: {', '.join(MENDS)}.")
    return tuple(name for name in MENDS if name in ticked)


def mend(
    examples: Sequence[Example], findings: Sequence[Finding], mends: Iterable[str], keep: Container[int] = ()
) -> Mended:
    """Applies the ticked mends to the rows of the findings that offer them.

    A row that is ticked to be left out is left out, whatever else is ticked for it.

    Args:
        keep: rows of the user's own test file, which stay even where they repeat others.

    Raises:
        FinetuneError: a name that is not in MENDS.
    """
    gone: dict[int, str] = {}
    written: dict[int, tuple[str, str]] = {}
    texts: dict[int, list[str]] = {}
    outputs: dict[int, str] | None = None
    for finding in findings:
        if finding.mends == (APPLIED,):
            gone.update((row, finding.reasons.get(row, finding.kind.replace("_", " "))) for row in finding.rows)
    for name in check_mends(mends):
        one = MENDS[name]
        for finding in (finding for finding in findings if name in finding.mends):
            match one.how:
                case "text":
                    for row in finding.rows:
                        texts.setdefault(row, []).append(name)
                case "write":
                    written |= {row: (output, one.reason) for row, output in finding.outputs.items()}
                case "drop":
                    gone.update((row, one.reason) for row in finding.rows if row not in gone)
                case "keep_one":
                    outputs = outputs or {example.row: example.output for example in examples}
                    gone |= _copies(
                        finding, one.reason, {*gone, *(row for row in finding.rows if row in keep)}, outputs
                    )
    kept, changes, changed = [], [], {}
    for example in examples:
        if example.row in gone:
            continue
        if example.row in texts:
            example, done = _with_texts(example, texts[example.row], changes)
            if done:
                changed[example.row] = done
        if example.row in written and written[example.row][0] != example.output:
            output, reason = written[example.row]
            changes.append(Change(example.row, "output", example.output, output, reason))
            example = replace(example, output=output)
        kept.append(example)
    known = {example.row for example in examples}
    removed = tuple(Removed(row, reason) for row, reason in sorted(gone.items()) if row in known)
    return Mended(kept, removed, tuple(changes), changed)


def drop_rare(mended: Mended, rare: Iterable[int]) -> Mended:
    """Leaves out the rows of rare labels, which are known only after the other mends."""
    rows = set(rare)
    if not rows:
        return mended
    removed = [*mended.removed, *(Removed(row, MENDS["drop_rare"].reason) for row in rows)]
    return replace(
        mended,
        examples=[example for example in mended.examples if example.row not in rows],
        removed=tuple(sorted(removed, key=lambda item: item.row)),
        changes=tuple(change for change in mended.changes if change.row not in rows),
        texts={row: names for row, names in mended.texts.items() if row not in rows},
    )


def _copies(finding: Finding, reason: str, passed: set[int], outputs: Mapping[int, str]) -> dict[int, str]:
    """All but the first of each cluster with the same output; of free answers, each different one is kept."""
    dropped: dict[int, str] = {}
    for cluster in finding.clusters:
        first: dict[str, int] = {}
        for row in cluster:
            if row in passed or row in dropped or row not in outputs:
                continue
            kept = first.setdefault(label_key(outputs[row]), row)
            if kept != row:
                dropped[row] = reason.format(first=kept)
    return dropped


def _with_texts(example: Example, names: Sequence[str], changes: list[Change]) -> tuple[Example, tuple[str, ...]]:
    """The example with its texts changed, and the mends that changed any."""
    done = []
    for name in names:
        one = MENDS[name]
        assert one.change is not None
        after = replace(
            example,
            input=one.change(example.input),
            output=one.change(example.output),
            context=tuple((role, one.change(content)) for role, content in example.context),
        )
        if after == example:
            continue
        done.append(name)
        before_input, after_input = example.input, after.input
        if before_input == after_input and example.context != after.context:  # an earlier turn of a conversation
            before_input, after_input = (
                "\n".join(f"{role}: {content}" for role, content in one.context) for one in (example, after)
            )
        for column, old, new in (("input", before_input, after_input), ("output", example.output, after.output)):
            if old != new:
                changes.append(Change(example.row, column, old, new, MENDS[name].reason))
        example = after
    return example, tuple(done)


def counts(mended: Mended) -> dict[str, int]:
    """Reason → rows, of all that was changed or left out; commonest first."""
    left_out = Counter(_short(removed.reason) for removed in mended.removed)
    changed = Counter(change.reason for change in {(c.row, c.reason): c for c in mended.changes}.values())
    return dict((left_out + changed).most_common())


def _short(reason: str) -> str:
    """“same as row 12” and “same as row 40” are one reason."""
    head, _, tail = reason.rpartition(" row ")
    return f"{head} another row" if head and tail.isdigit() else reason
