"""The examples in three parts: training, validation (which chooses) and test (which judges, once)."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finetune.dataset.example import Example, Task
from finetune.dataset.quality import input_key
from finetune.errors import FinetuneError


@dataclass(frozen=True)
class Split:
    """The three parts, each in the order of the source rows; all labels, commonest first, or () for free text."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...] = ()

    def parts(self) -> dict[str, tuple[Example, ...]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def as_json(self) -> dict:
        """{"train": {"rows": n, "labels": {label: n}}, …}; every label is there, with 0 where a part lacks it."""
        data = {}
        for name, part in self.parts().items():
            counts = Counter(example.output for example in part) if self.labels else {}
            data[name] = {"rows": len(part), "labels": {label: counts[label] for label in self.labels}}
        return data


@dataclass(slots=True)
class _Group:
    """Examples with equal inputs, which stay together."""

    label: str
    order: bytes
    members: list[Example]


def split(examples: Sequence[Example], task: Task, *, validation: float, test: float, seed: int) -> Split:
    """A seeded split: by label for classification, equal inputs on one side, independent of the order of the rows.

    The order in which groups of equal inputs are dealt comes from a hash of seed and input, so a row that is added
    moves few others. Every label with 3 different inputs or more is in all parts; one with 2 is in training and one
    other part, one with 1 is in training. Shares hold over all labels together (largest remainder).

    Args:
        validation, test: shares of the rows, 0 < share, together at most 0.9.

    Raises:
        FinetuneError: the shares leave too little, one row, one label, or a part would be empty.
    """
    if not (validation > 0 and test > 0 and validation + test <= 0.9):
        raise FinetuneError(
            f"Shares of {validation:.0%} for validation and {test:.0%} for test cannot be split.",
            hint="Both must be above 0, and together 90% at most.",
        )
    if len(examples) < 2:
        raise FinetuneError(
            f"There {'is one usable row' if examples else 'are no usable rows'}; a split needs many.",
            hint="50 to 100 rows are the least that a fine-tune needs, 500 are recommended.",
        )
    labels: tuple[str, ...] = ()
    if task == "classification":
        counts = Counter(example.output for example in examples)
        labels = tuple(sorted(counts, key=lambda label: (-counts[label], label)))
        if len(labels) < 2:
            raise FinetuneError(
                f"Every row has the same label, “{labels[0][:60]}”; there is nothing to tell apart.",
                hint="Add rows with other labels, or choose another output column.",
            )
    parts = _deal(_groups(examples, task, seed), validation, test)
    if not all(parts.values()):
        empty = next(name for name, part in parts.items() if not part)
        over = f" over {len(labels):,} labels" if labels else ""
        raise FinetuneError(
            f"{len(examples):,} rows{over} are too few: the {empty} part would be empty.",
            hint="It takes 3 different inputs (of each label) to fill three parts. Collect more rows"
            + (", or choose another output column or task." if labels else "."),
        )
    ordered = {name: tuple(sorted(part, key=lambda example: example.row)) for name, part in parts.items()}
    return Split(**ordered, labels=labels)


def _groups(examples: Sequence[Example], task: Task, seed: int) -> dict[str, list[_Group]]:
    """Groups of equal inputs by their (commonest) label, each in the order in which they are dealt."""
    together: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        together[input_key(example)].append(example)
    by_label: dict[str, list[_Group]] = defaultdict(list)
    for key, members in together.items():
        label = ""
        if task == "classification":
            counts = Counter(example.output for example in members)
            label = min(counts, key=lambda label: (-counts[label], label))
        order = hashlib.blake2b(f"{seed}\n{key}".encode(), digest_size=16).digest()
        by_label[label].append(_Group(label, order, members))
    for groups in by_label.values():
        groups.sort(key=lambda group: group.order)
    return {label: by_label[label] for label in sorted(by_label)}


def _deal(by_label: Mapping[str, list[_Group]], validation: float, test: float) -> dict[str, list[Example]]:
    sizes = {
        label: sum(len(group.members) for group in groups) for label, groups in by_label.items() if len(groups) >= 3
    }
    quotas = {"test": _quotas(sizes, test), "validation": _quotas(sizes, validation)}
    dealt: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    small: list[_Group] = []
    for label, groups in by_label.items():
        if len(groups) < 3:
            dealt["train"] += groups[0].members
            small += groups[1:]
            continue
        parts: dict[str, list[_Group]] = {"train": [], "validation": [], "test": []}
        for group in groups:
            part = next((name for name, quota in quotas.items() if quota[label] >= len(group.members)), "train")
            if part != "train":
                quotas[part][label] -= len(group.members)
            parts[part].append(group)
        _fill(parts)
        for name, members in parts.items():
            dealt[name] += [example for group in members for example in group.members]
    for group in small:
        emptier = "test" if len(dealt["test"]) * validation <= len(dealt["validation"]) * test else "validation"
        dealt[emptier] += group.members
    return dealt


def _quotas(sizes: Mapping[str, int], share: float) -> dict[str, int]:
    """Rows of each label for a part: the floor of its share, the rest by largest remainder, at least 1 each."""
    ideal = {label: size * share for label, size in sizes.items()}
    quota = {label: math.floor(value) for label, value in ideal.items()}
    rest = round(sum(ideal.values())) - sum(quota.values())
    for label in sorted(ideal, key=lambda label: (quota[label] - ideal[label], label))[:rest]:
        quota[label] += 1
    return {label: max(1, rows) for label, rows in quota.items()}


def _fill(parts: dict[str, list[_Group]]) -> None:
    """Gives each empty part the smallest group of the part with most groups; there are 3 groups at least."""
    for part in parts.values():
        if not part:
            donor = max(parts.values(), key=len)
            smallest = min(donor, key=lambda group: (len(group.members), group.order))
            donor.remove(smallest)
            part.append(smallest)
