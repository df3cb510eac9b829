"""Labels that look wrong: what a plain text classifier, trained without a row, thinks of the label of that row."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.dataset.checks.likeness import normalised
from finetune.dataset.checks.logistic import fit
from finetune.dataset.checks.spellings import spellings
from finetune.dataset.checks.tfidf import tfidf
from finetune.dataset.finding import Finding, rows_text
from finetune.dataset.tell import Tell

MENDS = ("drop_suspects", "relabel_suspects")
# Fewer rows than this say nothing about their labels, nor do labels with fewer different texts than that.
FEWEST_ROWS = 50
FEWEST_TEXTS = 5
# Of more labels than this the commonest are judged.
MOST_LABELS = 200
# How much of a text is read, in characters: some 170 words, and 40 where there are many of them and many labels.
CHARACTERS, FEWEST_CHARACTERS = 1_000, 250
# What a fit costs: characters read times labels (the texts alone cost as much as some 12 labels). Above the first no
# pieces of words, above the second less is read. Terms times labels bound the memory.
_PIECES_UP_TO, _COST_UP_TO, _COST_OF_TEXT = 8_000_000, 150_000_000, 12
_WEIGHTS_UP_TO = 2_000_000
# Other labels this many times as likely are flagged as far as the scaled number allows, others as far as the counted one
# does. The scaled number is right where the classifier is good and doubles it where it is weak; the counted one leaves
# a quarter of the wrong labels out where it is good. Chosen with 5% flipped in sets of 700 to 10,000 rows.
_BEYOND_DOUBT = 16
# Suggestions that are less likely are often wrong themselves: of these rows the label is doubtful, and no other is
# written in its place.
_SURE = 0.5
# The classifier must agree with the labels beyond chance by this much (Cohen's kappa, the lower end of its interval).
_LEAST_KAPPA = 0.1


@dataclass(frozen=True)
class Suspects:
    """What the classifier says of the labels. Rows are given as indices into the texts that were looked at.

    Attributes:
        examined: rows that were judged, ascending, shape (n,).
        doubt: ln(p of the likeliest other label / p of the given one) of each examined row; higher is more doubtful.
        flagged: rows whose label is called wrong, ascending, shape (m,).
        suggested: the likeliest other label of each flagged row, in its commonest spelling.
        probability: of the suggested label, shape (m,); `given` is that of the label which the row has.
        total: rows that there were; more than are examined where it was a sample or labels are too rare to judge.
        accuracy: share of the examined rows whose label the classifier gives, trained without them.
        interval: the 95% interval of the accuracy (Wilson).
        majority: share of the commonest label among the examined rows: what always answering it would score.
    """

    examined: np.ndarray
    doubt: np.ndarray
    flagged: np.ndarray
    suggested: tuple[str, ...]
    probability: np.ndarray
    given: np.ndarray
    total: int
    accuracy: float
    interval: tuple[float, float]
    majority: float


def find_suspects(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int = 0,
    limit: int = 20_000,
    groups: Sequence[int] | np.ndarray | None = None,
    tell: Tell | None = None,
) -> Suspects | None:
    """Rows whose label is doubtful, by confident learning on the probabilities of a cross-validated classifier.

    Confident learning is Northcutt, Jiang & Chuang 2021, Confident learning: estimating uncertainty in dataset labels,
    Journal of Artificial Intelligence Research 70, 1373-1411. The confident joint says how many labels are wrong, and
    that many of the most doubtful rows are flagged: pruning by rank over all labels, which at the same number finds
    more of the wrong ones than pruning by label or by pair of labels does.

    The classifier is logistic regression on TF-IDF of words and word pairs, with pieces of words where the rows are
    few; 10 folds under 1,000 short rows, 5 under 5,000, else 3. The weights of TF-IDF come from all texts, labels
    unseen. Spellings of one label count as one. Labels with fewer than 5 different texts are not judged, nor texts
    without a word that another text has. A text is read up to its 1,000th character, or less far, down to the 250th,
    where there are many.

    The same result for the same seed, whatever the order of the rows, unless there are more than `limit`.

    Args:
        texts: the inputs; labels: as many.
        limit: at most so many rows, drawn at random; fewer where texts are long and labels many.
        groups: an integer a row; rows with the same one are never trained on to judge each other. None groups texts
            that are equal apart from case and white space.
        tell: told how far it is; may raise to end the work.

    Returns:
        None where it cannot be judged: fewer than 50 rows, fewer than 2 labels with 5 different texts, or a
        classifier that agrees with the labels hardly more than chance.
    """
    drawn = _drawn(texts, labels, groups, seed, limit)
    if drawn is None:
        return None
    rows, number, names = drawn.rows, drawn.number, drawn.names
    if tell:
        tell("Looking for labels that may be wrong", 0.0)
    read = [texts[row][: drawn.characters] for row in rows]
    pieces = sum(map(len, read)) * len(names) <= _PIECES_UP_TO
    vectors = tfidf(read, pieces=pieces, most=min(30_000, _WEIGHTS_UP_TO // len(names)), characters=drawn.characters)
    short = sum(map(len, read)) < 150_000
    del read
    fold = _folds(number, drawn.group, 10 if len(rows) < 1_000 and short else 5 if len(rows) < 5_000 else 3)
    probability = np.zeros((len(rows), len(names)), np.float32)
    for held_out in range(fold.max() + 1):
        train, test = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
        share = _fold_share(tell, held_out, fold.max() + 1)
        model = fit(vectors[train], number[train], len(names), tell=share)
        probability[test] = model.probabilities(vectors[test])

    known = np.diff(vectors.indptr) > 0
    if known.sum() < FEWEST_ROWS:
        return None
    rows, number, probability = rows[known], number[known], probability[known]
    guess = probability.argmax(1)
    agrees, shares = float((guess == number).mean()), np.bincount(number, minlength=len(names)) / len(rows)
    if _kappa(agrees, float(shares @ np.bincount(guess, minlength=len(names)) / len(rows)), len(rows)) < _LEAST_KAPPA:
        return None
    doubt, other = _doubt(probability, number)
    counted, scaled = wrong_labels(probability, number)
    most_doubtful = np.argsort(-doubt, kind="stable")
    likely = most_doubtful[: min(max(counted, int((doubt >= math.log(_BEYOND_DOUBT)).sum())), max(counted, scaled))]
    likely = likely[doubt[likely] > 0]
    likely = likely[np.argsort(rows[likely])]
    order = np.argsort(rows)
    return Suspects(
        examined=rows[order],
        doubt=doubt[order],
        flagged=rows[likely],
        suggested=tuple(names[label] for label in other[likely]),
        probability=probability[likely, other[likely]],
        given=probability[likely, number[likely]],
        total=len(texts),
        accuracy=agrees,
        interval=_wilson(agrees, len(rows)),
        majority=float(shares.max()),
    )


def wrong_labels(probability: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """How many labels are wrong by the confident joint: as counted, and scaled up to all rows as the paper does.

    A row counts for the likeliest of those labels whose probability reaches their mean over the rows that have them;
    a row that reaches no mean is not counted. What is off the diagonal of given and counted labels is wrong.

    Args:
        probability: out of sample, shape (rows, labels); labels: numbers, shape (rows,).
    """
    count = probability.shape[1]
    members = np.bincount(labels, minlength=count)
    own = probability[np.arange(len(labels)), labels]
    threshold = np.bincount(labels, weights=own, minlength=count) / np.maximum(members, 1)
    threshold[members == 0] = math.inf
    reached = np.where(probability >= threshold - 1e-6, probability, 0)
    counted = reached.max(1) > 0
    joint = np.zeros((count, count))
    np.add.at(joint, (labels[counted], reached[counted].argmax(1)), 1)
    scaled = joint * (members / np.maximum(joint.sum(1), 1))[:, None]
    return int(joint.sum() - np.trace(joint)), round(float(scaled.sum() - np.trace(scaled)))


def suspect_finding(suspects: Suspects | None, rows: Sequence[int], labels: Sequence[str]) -> Finding | None:
    """The flagged rows as a finding, or None where there is none.

    Args:
        rows: the source row of each text that was given to `find_suspects`; labels: its label.
    """
    if suspects is None or not len(suspects.flagged):
        return None
    reasons = {}
    for index, label, likely, given in zip(
        suspects.flagged, suspects.suggested, suspects.probability, suspects.given, strict=True
    ):
        surer = f"{likely:.0%}" if likely >= _SURE else f"{likely:.0%} against {given:.0%}"
        reasons[rows[index]] = f"labelled “{labels[index][:60]}”, reads like “{label[:60]}” ({surer})"
    outputs = {
        rows[index]: label
        for index, label, likely in zip(suspects.flagged, suspects.suggested, suspects.probability, strict=True)
        if likely >= _SURE
    }
    examined, flagged = len(suspects.examined), len(reasons)
    whole = examined == suspects.total
    message = (
        f"{rows_text(flagged)}{'' if whole else f' of {examined:,} looked at'} ({flagged / examined:.1%}) may have the "
        f"wrong label: a plain text classifier, trained without them, is surer of another one. It agrees with "
        f"{suspects.accuracy:.0%} of all labels."
    )
    fix = (
        "Look at them before anything else, the most doubtful first: it is a suspicion from the words alone, and some "
        "of these labels will be right. Then correct them or leave them out."
    )
    return Finding(
        "suspect_label",
        "warning",
        tuple(sorted(reasons)),
        message,
        fix,
        mends=MENDS if outputs else MENDS[:1],
        check="suspect_label",
        reasons=dict(sorted(reasons.items())),
        outputs=outputs,
        examined=None if whole else examined,
    )


@dataclass(frozen=True)
class _Drawn:
    """The rows to judge, in an order of their content; the number of each one's label, and its group; the labels."""

    rows: np.ndarray
    number: np.ndarray
    group: np.ndarray
    names: list[str]
    characters: int


def _drawn(
    texts: Sequence[str], labels: Sequence[str], groups: Sequence[int] | np.ndarray | None, seed: int, limit: int
) -> _Drawn | None:
    random = np.random.default_rng(seed)
    rows = np.arange(len(texts))
    if len(rows) > limit:
        rows = np.sort(random.choice(len(rows), limit, replace=False))
    group = {row: _group(texts[row]) if groups is None else int(groups[row]) for row in rows.tolist()}
    commonest = spellings(Counter(labels[row] for row in group), likely=False)
    label = {row: commonest.get(labels[row], labels[row]) for row in group}
    different: dict[str, set[int]] = {}
    for row, name in label.items():
        different.setdefault(name, set()).add(group[row])
    by_size = sorted(different, key=lambda name: (-len(different[name]), name))[:MOST_LABELS]
    judged = sorted(name for name in by_size if len(different[name]) >= FEWEST_TEXTS)
    number = {name: place for place, name in enumerate(judged)}
    kept = [row for row in group if label[row] in number]
    if len(kept) < FEWEST_ROWS or len(judged) < 2:
        return None
    # Too much to read in a second or two: first less of each text, then fewer texts.
    allowed = _COST_UP_TO // (len(judged) + _COST_OF_TEXT)
    lengths, characters = np.array([len(texts[row]) for row in kept]), CHARACTERS
    if np.minimum(lengths, characters).sum() > allowed:
        characters = min(max(allowed // len(kept), FEWEST_CHARACTERS), CHARACTERS)
        fewer = len(kept) * allowed // int(np.minimum(lengths, characters).sum())
        if fewer < len(kept):
            kept = random.choice(kept, max(fewer, FEWEST_ROWS), replace=False).tolist()
    # By content, so that neither folds nor sums depend on the order of the file; the seed turns it.
    salt = f"{seed} ".encode()
    kept.sort(key=lambda row: (zlib.crc32(salt + texts[row].encode("utf-8", "replace")), texts[row], label[row]))
    return _Drawn(
        rows=np.array(kept),
        number=np.array([number[label[row]] for row in kept]),
        group=np.array([group[row] for row in kept]),
        names=judged,
        characters=characters,
    )


def _group(text: str) -> int:
    return hash(normalised(text))


def _folds(labels: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """The fold of each row: groups stay whole, and those of a label are dealt out in turn."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    dealt = np.empty(len(first), np.int64)
    dealt[np.lexsort((first, labels[first]))] = np.arange(len(first)) % count
    return dealt[group]


def _doubt(probability: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ln(p of the likeliest other label / p of the given one), and that other label."""
    at = np.arange(len(labels))
    others = probability.copy()
    others[at, labels] = -1
    other = others.argmax(1)
    tiny = 1e-6
    return np.log(others[at, other].astype(float) + tiny) - np.log(probability[at, labels].astype(float) + tiny), other


def _kappa(agreement: float, by_chance: float, rows: int) -> float:
    """The lower end of the 95% interval of Cohen's kappa (its simple standard error, Cohen 1960)."""
    room = max(1 - by_chance, 1e-9)
    return (agreement - by_chance) / room - 1.96 * math.sqrt(agreement * (1 - agreement) / rows) / room


def _wilson(share: float, rows: int) -> tuple[float, float]:
    """The 95% interval of a share of so many rows (Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _fold_share(tell: Tell | None, fold: int, folds: int) -> Callable[[float], None] | None:
    return tell and (lambda done: tell("Looking for labels that may be wrong", (fold + done) / folds))
