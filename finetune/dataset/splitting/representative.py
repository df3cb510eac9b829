"""Whether the parts of a split are like the rest of the rows: their labels, lengths and words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from operator import attrgetter

import numpy as np

from finetune.dataset.example import Example, Task
from finetune.dataset.splitting.chance import chi_square_tail, kolmogorov_tail, student_tail
from finetune.dataset.splitting.split import Split

# What is told has to be large and beyond chance, both. Three things are compared, so chance has a third of 1%.
SIGNIFICANT = 0.01 / 3
LABEL_DISTANCE = LENGTH_DISTANCE = 0.1
MORE_UNSEEN = 0.05
_CHARACTERS = 8_000_000  # read at most, however long the texts are
_DEALS = 20  # random splits that say how many unseen words there are by chance
_LABELS = 1000  # labels that are compared one by one
# Scripts without spaces between words count by the character.
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
# Small letters for capitals, and a space for whatever is no letter, digit or underscore.
_ASCII = bytes(ord(sign.lower()) if sign.isalnum() or sign == "_" else 32 for sign in map(chr, range(128))) + bytes(128)


@dataclass(frozen=True, slots=True)
class Shape:
    """One part (or the whole, which is compared with nothing: None).

    A part is compared with the rows outside it, for it would be compared with itself in the whole.

    Attributes:
        label_distance: total variation, 0..1: the share of the rows that another label would have to be given.
        words_median, words_p90: words of the input, all turns in chat.
        length_distance: Kolmogorov-Smirnov: the largest difference, over all lengths, in the share of longer rows.
        unseen: share of the words of the part that are not in training.
        unseen_by_chance: the same in random splits of the same rows into two parts of the same sizes.
        label_p, length_p, unseen_p: the chance of so large a distance if rows had been drawn at random.
    """

    rows: int
    words_median: int
    words_p90: int
    label_distance: float | None = None
    label_p: float | None = None
    length_distance: float | None = None
    length_p: float | None = None
    unseen: float | None = None
    unseen_by_chance: float | None = None
    unseen_p: float | None = None

    def as_json(self) -> dict[str, float | int]:
        values = asdict(self).items()
        return {name: round(value, 6) for name, value in values if value is not None}


@dataclass(frozen=True)
class Representative:
    """The parts of a split compared.

    Attributes:
        examined: rows whose texts were read, when they were a sample; None when it was all of them.
        warnings: what is different about the test rows, each a sentence.
    """

    examined: int | None
    whole: Shape
    parts: dict[str, Shape]
    warnings: tuple[str, ...]

    def as_json(self) -> dict:
        parts = {name: shape.as_json() for name, shape in self.parts.items()}
        data = {"whole": self.whole.as_json(), "parts": parts, "warnings": list(self.warnings)}
        return data if self.examined is None else data | {"examined": self.examined}


def compare_parts(split: Split, task: Task, *, seed: int = 0, sample: int = 20_000) -> Representative:
    """The parts compared by labels (all rows), lengths and words (a seeded sample of rows, when there are more).

    Labels: chi-square, of simulated draws where labels are too rare for its distribution. Lengths: two-sample
    Kolmogorov-Smirnov with its asymptotic distribution, cautious where many rows have the same length. Words: against
    random splits, by Student's t. A warning takes p under 0.01 over the three together, and a distance that matters.
    """
    rng = np.random.default_rng(seed)
    parts = split.parts()
    texts = _texts(parts, rng, sample)
    words = {name: [_words(text) for text in part] for name, part in texts.items()}
    lengths = {name: np.fromiter(map(len, part), np.int64, len(part)) for name, part in words.items()}
    labels = _label_counts(split) if task == "classification" and len(split.labels) > 1 else {}
    shares, weights = _length_shares(parts, lengths)
    vocabulary = {
        word: number for number, word in enumerate(dict.fromkeys(chain.from_iterable(chain(*words.values()))))
    }
    ids = {name: _numbers(part, vocabulary) for name, part in words.items()}
    shapes = {}
    for name, part in parts.items():
        told = {}
        if labels:
            told |= dict(zip(("label_distance", "label_p"), _compare_labels(labels, name, rng), strict=True))
        told |= dict(zip(("length_distance", "length_p"), _compare_lengths(shares, weights, name), strict=True))
        if name != "train":
            train, own = (ids["train"], lengths["train"]), (ids[name], lengths[name])
            unseen = _unseen(train, own, len(vocabulary), rng)
            told |= dict(zip(("unseen", "unseen_by_chance", "unseen_p"), unseen, strict=True))
        shapes[name] = Shape(len(part), *_middle(shares[name]), **told)
    rows = sum(map(len, parts.values()))
    whole = Shape(rows, *_middle(sum(shares[name] * len(part) / rows for name, part in parts.items())))
    read = sum(map(len, texts.values()))
    rest = _middle(_others(shares, weights, "test")[0])
    warnings = [
        _label_warning(shapes["test"], labels, split.labels),
        _length_warning(shapes["test"], rest),
        _word_warning(shapes["test"]),
    ]
    return Representative(read if read < rows else None, whole, shapes, tuple(filter(None, warnings)))


def _texts(parts: dict[str, tuple[Example, ...]], rng: np.random.Generator, sample: int) -> dict[str, list[str]]:
    """Texts of each part in a random order: all, or a quarter of the sample of each held-out part and the rest train."""
    most = {name: len(part) for name, part in parts.items()}
    if sum(most.values()) > sample:
        most = {name: min(rows, sample // 4) for name, rows in most.items()}
        most["train"] = min(len(parts["train"]), sample - most["validation"] - most["test"])
    texts = {}
    for name, part in parts.items():
        texts[name] = [_text(part[place]) for place in rng.permutation(len(part))[: most[name]].tolist()]
    characters = sum(map(len, chain(*texts.values())))
    if characters > _CHARACTERS:
        texts = {name: part[: max(50, int(len(part) * _CHARACTERS / characters))] for name, part in texts.items()}
    return texts


def _text(example: Example) -> str:
    return "\n".join(content for _, content in example.context) if example.context else example.input


def _words(text: str) -> list[str]:
    if text.isascii():  # the same words, three times as fast
        return text.encode().translate(_ASCII).decode().split()
    return _WORD.findall(text.lower())


def _label_counts(split: Split) -> dict[str, np.ndarray]:
    """Rows of each label by part, in the order of `Split.labels`; beyond the commonest, all others together."""
    counts = {}
    for name, part in split.parts().items():
        counted = Counter(map(attrgetter("output"), part))
        column = np.array([counted[label] for label in split.labels], np.int64)
        counts[name] = np.append(column[:_LABELS], column[_LABELS:].sum()) if len(column) > _LABELS else column
    return counts


def _compare_labels(counts: dict[str, np.ndarray], name: str, rng: np.random.Generator) -> tuple[float, float]:
    """Total variation distance of a part from the rest, and p of a chi-square test of the two."""
    own, total = counts[name], sum(counts.values())
    there = total > 0
    own, total = own[there], total[there]
    rest = total - own
    if not own.sum() or not rest.sum():
        return 0.0, 1.0
    distance = float(np.abs(own / own.sum() - rest / rest.sum()).sum() / 2)
    expected = total * (own.sum() / total.sum())
    cells = np.concatenate([expected, total - expected])
    of = ((own - expected) ** 2 / expected).sum() / (1 - own.sum() / total.sum())
    # Cochran's rule for the asymptotic distribution.
    if (cells >= 5).mean() >= 0.8 and cells.min() >= 1:
        return distance, chi_square_tail(float(of), max(1, len(own) - 1))
    draws = max(400, min(2000, 200_000 // len(own)))
    drawn = rng.multivariate_hypergeometric(total, int(own.sum()), size=draws, method="marginals")
    by_chance = ((drawn - expected) ** 2 / expected).sum(1) / (1 - own.sum() / total.sum())
    return distance, float((1 + (by_chance >= of - 1e-9).sum()) / (draws + 1))


def _length_shares(
    parts: dict[str, tuple[Example, ...]], lengths: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, int]]]:
    """Share of rows of each length 0, 1, … by part; and its rows and those of them that were read."""
    longest = max(int(part.max(initial=0)) for part in lengths.values())
    shares = {name: np.bincount(part, minlength=longest + 1) / max(1, len(part)) for name, part in lengths.items()}
    return shares, {name: (len(parts[name]), len(part)) for name, part in lengths.items()}


def _others(shares: dict[str, np.ndarray], weights: dict[str, tuple[int, int]], name: str) -> tuple[np.ndarray, float]:
    """Share of rows of each length outside a part, and how many equally weighted rows (Kish) that is worth."""
    others = [other for other in shares if other != name and weights[other][1]]
    rows = sum(weights[other][0] for other in others)
    mixed = sum(shares[other] * weights[other][0] / rows for other in others)
    return mixed, rows**2 / sum(weights[other][0] ** 2 / weights[other][1] for other in others)


def _compare_lengths(
    shares: dict[str, np.ndarray], weights: dict[str, tuple[int, int]], name: str
) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance of a part from the rest, and its p."""
    rest, worth = _others(shares, weights, name)
    distance = float(np.abs(np.cumsum(shares[name]) - np.cumsum(rest)).max())
    return distance, kolmogorov_tail(distance, weights[name][1], worth)


def _middle(shares: np.ndarray) -> tuple[int, int]:
    """Median and 90th percentile of lengths given as shares."""
    reached = np.cumsum(shares)
    return tuple(int(np.searchsorted(reached, share * reached[-1] - 1e-12)) for share in (0.5, 0.9))


def _numbers(words: list[list[str]], vocabulary: dict[str, int]) -> np.ndarray:
    return np.fromiter(map(vocabulary.__getitem__, chain.from_iterable(words)), np.int32)


def _unseen(
    train: tuple[np.ndarray, np.ndarray], own: tuple[np.ndarray, np.ndarray], words: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Share of a part's words that training lacks, the same by chance, and the chance of so many or more.

    Args:
        train, own: numbers of the words of all rows one after another, and words of each row.
        words: of the vocabulary.
    """
    if not len(own[0]) or not len(train[0]):
        return 0.0, 0.0, 1.0
    seen = np.zeros(words, bool)
    seen[train[0]] = True
    found = float((~seen[own[0]]).mean())
    ids, lengths = np.concatenate([train[0], own[0]]), np.concatenate([train[1], own[1]])
    rows, row_of = len(lengths), np.repeat(np.arange(len(lengths)), lengths)
    # A word of many rows is never unseen by chance: those of few rows decide, and they are a small part of all.
    few = np.bincount(ids, minlength=words)[ids] <= 200
    ids, row_of = ids[few], row_of[few]
    pairs = np.sort(ids.astype(np.int64) * rows + row_of)
    rows_with = np.bincount(pairs[np.flatnonzero(np.diff(pairs, prepend=-1))] // rows, minlength=words)
    few = rows_with[ids] <= max(3, math.log(1e-5) / math.log(len(own[1]) / rows))
    ids, row_of = ids[few], row_of[few]
    by_chance = []
    for _ in range(_DEALS):
        held = np.zeros(rows, bool)
        held[rng.permutation(rows)[: len(own[1])]] = True
        inside = held[row_of]
        seen[:] = False
        seen[ids[~inside]] = True
        by_chance.append((~seen[ids[inside]]).sum() / max(1, lengths[held].sum()))
    mean, spread = float(np.mean(by_chance)), float(np.std(by_chance, ddof=1))
    if found <= mean:
        return found, mean, 1.0
    if spread == 0:
        return found, mean, 1 / (_DEALS + 1)
    above = (found - mean) / (spread * math.sqrt(1 + 1 / _DEALS))
    return found, mean, student_tail(above, _DEALS - 1)


def _label_warning(test: Shape, counts: dict[str, np.ndarray], labels: Sequence[str]) -> str:
    if not counts or test.label_distance < LABEL_DISTANCE or test.label_p >= SIGNIFICANT:
        return ""
    rest = counts["train"] + counts["validation"]
    of_test, of_rest = counts["test"] / counts["test"].sum(), rest / rest.sum()
    shown = [place for place in np.argsort(-np.abs(of_test - of_rest), kind="stable")[:3] if place < len(labels)]
    digits = 0 if max(of_test.max(), of_rest.max()) >= 0.1 else 1
    names = [
        f"“{labels[place][:60]}” {of_test[place]:.{digits}%} against {of_rest[place]:.{digits}%}" for place in shown
    ]
    return (
        f"The labels have other shares in the test rows than in the rest ({', '.join(names)}): "
        "the score weighs them as the test does."
    )


def _length_warning(test: Shape, rest: tuple[int, int]) -> str:
    if test.length_distance < LENGTH_DISTANCE or test.length_p >= SIGNIFICANT:
        return ""
    if test.words_median != rest[0]:
        way, word = ("longer", "long") if test.words_median > rest[0] else ("shorter", "short")
        told = f"half above {test.words_median:,} words against {rest[0]:,}"
        return f"The test rows are {way} than the rest ({told}): the verdict will speak for {word} texts."
    told = f"one in ten above {test.words_p90:,} words against {rest[1]:,}"
    return f"The test rows have other lengths than the rest ({told}): the verdict will speak for texts like them."


def _word_warning(test: Shape) -> str:
    more = test.unseen - test.unseen_by_chance
    if more < max(MORE_UNSEEN, test.unseen_by_chance / 2) or test.unseen_p >= SIGNIFICANT:
        return ""
    return (
        f"{test.unseen:.0%} of the words in the test rows do not occur in training, and by chance it would be "
        f"{test.unseen_by_chance:.0%}: the verdict will speak for other subjects than those that were learned."
    )
