"""Rows that repeat one another, rows that contradict one another, and rows of the test file that training would see."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from finetune.dataset.checks.likeness import Likeness, normalised
from finetune.dataset.checks.spellings import label_key
from finetune.dataset.example import Example, Task
from finetune.dataset.finding import APPLIED, Finding, flat, plural, rows_text

Key = Callable[[int], str]


def duplicate_findings(examples: Sequence[Example], task: Task, like: Likeness) -> list[Finding]:
    """Exact and near duplicates, and equal or nearly equal inputs with different outputs.

    A duplicate has the same output too: for classification the same label, whatever its spelling. Of free answers,
    inputs that are nearly the same count as near-duplicates whatever is answered.

    Args:
        like: of the inputs, in the order of the examples.
    """
    key = _output_key(examples, task)
    same = _groups(like.exact)
    found = [*_exact(examples, same, key), *_same_input(examples, task, same, key)]
    edges = list(_edges(like, key))
    agreeing = [(a, b) for a, b in edges if key(a) == key(b)] if task == "classification" else edges
    found += _near(examples, task, like, agreeing)
    return found + _near_input(examples, task, like, [(a, b) for a, b in edges if key(a) != key(b)])


def leakage_finding(
    examples: Sequence[Example], clusters: np.ndarray, leaked: Collection[int], test_rows: Collection[int], near: float
) -> Finding | None:
    """The rows left out because the user's own test file holds them too, or nearly, or another row of their group.

    Args:
        clusters: of each example, as `Likeness.cluster`.
        leaked: source rows that the split left out.
        test_rows: source rows of the test file.
        near: the share of words in common from which two inputs count as nearly the same.
    """
    if not leaked:
        return None
    rows, reasons, seen = [], {}, []
    for places in _groups(clusters).values():
        members = [examples[place].row for place in places]
        ours = [row for row in members if row in leaked]
        if ours and (theirs := [row for row in members if row in test_rows]):
            seen.append(tuple(sorted(members)))
            reasons |= dict.fromkeys(ours, f"in the test file too, as row {theirs[0]}")
    rows = tuple(sorted(leaked))
    reasons |= {row: "connected with a row of the test file" for row in rows if row not in reasons}
    message = (
        f"{rows_text(len(rows))} {plural('stands', 'stand', len(rows))} in the test file too, word for word or nearly "
        f"({near:.0%} of the words or more in common), or {plural('belongs', 'belong', len(rows))} to a group that does."
    )
    fix = "They are left out of training: a test on what was trained on says nothing."
    return Finding("leakage", "warning", rows, message, fix, tuple(seen), (APPLIED,), check="leakage", reasons=reasons)


def _output_key(examples: Sequence[Example], task: Task) -> Key:
    """What makes the outputs of two places equal, worked out once for each that is asked for."""
    known: dict[int, str] = {}
    make = label_key if task == "classification" else normalised

    def key(place: int) -> str:
        if place not in known:
            known[place] = make(examples[place].output)
        return known[place]

    return key


def _groups(numbers: np.ndarray) -> dict[int, list[int]]:
    """The places that have a number in common, where they are two or more; ascending."""
    if not len(numbers):
        return {}
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.concatenate([begins, [len(ordered)]]))
    groups = {int(ordered[b]): order[b : b + size].tolist() for b, size in zip(begins, sizes, strict=True) if size > 1}
    return dict(sorted(groups.items(), key=lambda item: item[1][0]))


def _by_key(places: Iterable[int], key: Key) -> dict[str, list[int]]:
    grouped: dict[str, list[int]] = defaultdict(list)
    for place in places:
        grouped[key(place)].append(place)
    return grouped


def _exact(examples: Sequence[Example], same: dict[int, list[int]], key: Key) -> list[Finding]:
    copies = [
        tuple(examples[place].row for place in members)
        for places in same.values()
        for members in _by_key(places, key).values()
        if len(members) > 1
    ]
    if not copies:
        return []
    extra = sum(map(len, copies)) - len(copies)
    message = f"{rows_text(extra)} {plural('repeats', 'repeat', extra)} another, apart from case and spaces."
    fix = "Keep one of each; equal inputs never stand on both sides of the split."
    return [
        Finding(
            "exact_duplicate", "warning", flat(copies), message, fix, tuple(copies), ("keep_one",),
            check="exact_duplicate",
        )
    ]  # fmt: skip


def _same_input(examples: Sequence[Example], task: Task, same: dict[int, list[int]], key: Key) -> list[Finding]:
    clusters, lost, outputs = [], 0, {}
    for places in same.values():
        by_key = _by_key(places, key)
        if len(by_key) < 2:
            continue
        clusters.append(tuple(examples[place].row for place in places))
        most = max(map(len, by_key.values()))
        lost += len(places) - most
        winners = [members for members in by_key.values() if len(members) == most]
        if len(winners) == 1:  # of equals none is written over the other
            spelling = Counter(examples[place].output for place in winners[0]).most_common(1)[0][0]
            outputs |= {examples[place].row: spelling for place in places if place not in winners[0]}
    if not clusters:
        return []
    number = len(clusters)
    what = "label" if task == "classification" else "answer"
    message = f"{number:,} {plural('input has', 'inputs have', number)} more than one {what}."
    if task == "classification":
        ceiling = 1 - lost / len(examples)
        message += (
            f" Whatever is trained can be right on {_floor(ceiling)} of these rows at most: one {what} an input is all "
            "that a model can learn."
        )
        fix = "Decide on one label for each; a model cannot learn both."
    else:
        fix = "Keep the better answer of each, unless several are right."
    mends = ("drop_conflicts", "majority_output") if outputs else ("drop_conflicts",)
    severity = "warning" if task == "classification" else "note"
    return [
        Finding(
            "conflicting_output", severity, flat(clusters), message, fix, tuple(clusters), mends, check="same_input",
            outputs=outputs,
        )
    ]  # fmt: skip


def _edges(like: Likeness, key: Key) -> Iterable[tuple[int, int]]:
    """Places that are nearly the same and not equal, enough of them to connect all that are, output by output."""
    bags = _groups(like.bag)
    single = np.zeros(int(like.bag.max()) + 1 if len(like.bag) else 0, dtype=np.int64)
    single[like.bag] = np.arange(len(like.bag))  # its only place, for a bag of one
    heads: dict[int, dict[str, int]] = {}

    def head(bag: int) -> dict[str, int]:
        """The first place of the bag for each output."""
        if bag not in heads:
            places = bags.get(bag) or [int(single[bag])]
            heads[bag] = {output: members[0] for output, members in _by_key(places, key).items()}
        return heads[bag]

    for bag, places in bags.items():
        firsts = head(bag)
        for place in places:
            yield from ((other, place) for other in firsts.values() if like.exact[other] != like.exact[place])
    for one, other in like.pairs.tolist():
        yield from ((a, b) for a in head(one).values() for b in head(other).values())


def _joined(edges: Iterable[tuple[int, int]], equals: np.ndarray) -> list[list[int]]:
    """Connected places, those that are equal to one of them included, each group ascending."""
    leader: dict[int, int] = {}

    def find(place: int) -> int:
        while leader.setdefault(place, place) != place:
            leader[place] = place = leader[leader[place]]
        return place

    for one, other in edges:
        leader[find(one)] = find(other)
    grouped: dict[int, list[int]] = defaultdict(list)
    same = _groups(equals)
    for place in sorted(leader):
        grouped[find(place)] += same.get(int(equals[place]), [place])
    return sorted(sorted(set(places)) for places in grouped.values())


def _near(examples: Sequence[Example], task: Task, like: Likeness, edges: list[tuple[int, int]]) -> list[Finding]:
    equals = _equal_rows(examples, like, task)
    clusters = [tuple(examples[place].row for place in places) for places in _joined(edges, equals)]
    if not clusters:
        return []
    number, rows = len(clusters), flat(clusters)
    message = (
        f"{rows_text(len(rows))} in {number:,} {plural('group', 'groups', number)} are nearly the same: "
        f"{like.threshold:.0%} of their words or more in common."
    )
    fix = "They stay on one side of the split. Keep one of each group if they are copies rather than real variety."
    return [
        Finding(
            "near_duplicate", "warning" if len(rows) > 0.05 * len(examples) else "note", rows, message, fix,
            tuple(clusters), ("keep_one_near",), check="near_duplicate",
        )
    ]  # fmt: skip


def _equal_rows(examples: Sequence[Example], like: Likeness, task: Task) -> np.ndarray:
    """Equal where the input is the same, and for classification the label as well."""
    if task != "classification":
        return like.exact
    labels: dict[str, int] = {}
    numbers = np.fromiter((labels.setdefault(one.output, len(labels)) for one in examples), np.int64, len(examples))
    keys: dict[str, int] = {}
    merged = np.array([keys.setdefault(label_key(label), len(keys)) for label in labels], dtype=np.int64)
    return like.exact.astype(np.int64) * (len(keys) + 1) + merged[numbers]


def _near_input(examples: Sequence[Example], task: Task, like: Likeness, edges: list[tuple[int, int]]) -> list[Finding]:
    clusters = [tuple(examples[place].row for place in places) for places in _joined(edges, like.bag)]
    if not clusters:
        return []
    classes = task == "classification"
    number, what = len(clusters), "labels" if classes else "answers"
    message = (
        f"{number:,} {plural('group', 'groups', number)} of inputs that are nearly the same "
        f"({like.threshold:.0%} of the words or more in common) {plural('has', 'have', number)} different {what}."
    )
    fix = (
        "Look at them: a word may make the difference, or one of the labels is wrong."
        if classes
        else "Look at them: often the one word that differs is what the answer turns on."
    )
    mends = ("drop_near_conflicts",) if classes else ()
    severity = "warning" if classes else "note"
    rows = flat(clusters)
    return [Finding("conflicting_output", severity, rows, message, fix, tuple(clusters), mends, check="near_input")]


def _floor(share: float) -> str:
    """A share as a percentage, never rounded up: a ceiling of 99.96% is not 100%."""
    return f"{int(share * 1000) / 10:g}%"
