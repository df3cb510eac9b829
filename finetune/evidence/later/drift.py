"""Has a finished model got worse on fresh rows? Its scores on two sets of different rows compared, and what moved."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from finetune.evidence.measures.metrics import as_scores, interval, words

Decision = Literal["drifted", "holds", "unclear"]
Bounds = tuple[float, float]

LEVEL = 0.95
POWER = 0.8
# A fall that is smaller matters to few; ruling it out would take thousands of rows.
TOLERANCE = 0.05
# A word is tested where so many rows have it: with fewer, no difference could be told from chance among so many words.
ROWS_OF_A_WORD = 5

_Z, _Z_POWER = float(stats.norm.ppf((1 + LEVEL) / 2)), float(stats.norm.ppf(POWER))


@dataclass(frozen=True)
class Shift:
    """The mean score on fresh rows against that on the run's own test rows.

    Attributes:
        own, now: mean scores, 0..1, each with its 95% interval.
        difference: now minus own; below 0 is a fall.
        p_value: two-sided, for the table; the decision is made by the interval.
        decision: "drifted" where the interval of the difference lies below 0, "holds" where it rules out a fall of
            `TOLERANCE`, else "unclear".
        detectable: smallest fall that rows as many as these show four times in five; None where none would be shown.
        rows_needed: fresh rows that settle it four times in five; None where it is settled, or no number of them does.
        floor: the fall that even endless fresh rows could not show, for the own score is itself an estimate.
    """

    own: float
    own_interval: Bounds
    now: float
    interval: Bounds
    difference: float
    difference_interval: Bounds
    p_value: float
    decision: Decision
    detectable: float | None
    rows_needed: int | None
    floor: float

    @property
    def small(self) -> bool:
        """Whether a fall of `TOLERANCE` is ruled out, be there a smaller one or not."""
        return self.difference_interval[0] > -TOLERANCE


def shift(own: Sequence[float] | np.ndarray, now: Sequence[float] | np.ndarray, *, seed: int = 0) -> Shift:
    """Compare the scores (n,) of the run's own test rows with those (m,) of fresh rows, all in 0..1.

    Interval of the difference: the limits of the two means put together by squares (MOVER; Zou and Donner 2008,
    Statistics in Medicine 27). For 0/1 scores, where they are Wilson's, that is Newcombe's hybrid score interval (1998,
    Statistics in Medicine 17, method 10), which holds its level with few rows and with scores near 1; for other scores
    they are those of `metrics.interval`. p-value: the "N - 1" chi-square test for 0/1 scores (Campbell 2007), Welch's t
    for others.

    Raises:
        FinetuneError: scores that are missing or outside 0..1.
    """
    own, now = as_scores(own, name="the test rows"), as_scores(now, name="the new rows")
    around_own, around_now = interval(own, seed=seed), interval(now, seed=seed)
    before, after = float(own.mean()), float(now.mean())
    bounds = _together(before, around_own, after, around_now)
    if bounds[1] < 0:
        decision: Decision = "drifted"
    elif bounds[0] > -TOLERANCE:
        decision = "holds"
    else:
        decision = "unclear"
    needed, floor = _rows_needed(own, now, max(before - after, TOLERANCE))
    return Shift(
        before, around_own, after, around_now, after - before, bounds, _p_value(own, now), decision,
        _detectable(own, now, around_own), needed if decision == "unclear" else None, floor,
    )  # fmt: skip


def _together(a: float, around_a: Bounds, b: float, around_b: Bounds) -> Bounds:
    """Interval of b - a from those of both, of independent samples."""
    low = b - a - math.hypot(b - around_b[0], around_a[1] - a)
    high = b - a + math.hypot(around_b[1] - b, a - around_a[0])
    return max(-1.0, low), min(1.0, high)


def _p_value(own: np.ndarray, now: np.ndarray) -> float:
    if np.ptp(np.concatenate([own, now])) < 1e-12:
        return 1.0
    if _binary(own) and _binary(now):
        a, b, n, m = own.sum(), now.sum(), own.size, now.size
        square = (n + m - 1) * (a * (m - b) - b * (n - a)) ** 2 / ((a + b) * (n + m - a - b) * n * m)
        return float(stats.chi2.sf(square, 1))
    if own.size < 2 or now.size < 2 or np.ptp(own) + np.ptp(now) < 1e-12:
        return 1.0  # nothing to measure the noise by
    return float(stats.ttest_ind(own, now, equal_var=False).pvalue)


def _detectable(own: np.ndarray, now: np.ndarray, around_own: Bounds) -> float | None:
    """The smallest fall whose interval would lie below 0 four times in five, were as many rows drawn anew.

    A fall is taken to be one where a share of the rows comes to 0, which widens the spread the most; for 0/1 scores
    there is no other.
    """
    before, square, n, m = float(own.mean()), float((own**2).mean()), own.size, now.size
    binary, least = _binary(own) and _binary(now), 0.0 if _binary(now) else float(now.var())

    def short(fall: float) -> float:
        """How far a fall of this size stays behind the one that is wanted."""
        after = before - fall
        spread = max(square * (1 - fall / before) - after**2, least, 0.0)
        upper = _wilson_high(after, m) - after if binary else _Z * math.sqrt(spread / m)
        half = math.hypot(before - around_own[0], upper)
        noise = math.sqrt(max(square - before**2, 0.0) / n + spread / m)
        # Shares go in steps of one row: half a step of each is lost.
        return half + _Z_POWER * noise + 0.5 / n + 0.5 / m - fall

    if before <= 0 or short(before) > 0:
        return None
    low, high = 1e-9, before
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if short(middle) > 0 else (low, middle)
    return high


def _rows_needed(own: np.ndarray, now: np.ndarray, effect: float) -> tuple[int | None, float]:
    """Fresh rows that show a fall of this size, or rule it out, with `POWER`; and the fall that no number shows.

    n = v / (e² / (z_α/2 + z_β)² - v0 / n0), from the variance of a difference of two independent means.
    """
    of_own, of_now = _variance(own), _variance(now)
    floor = (_Z + _Z_POWER) * math.sqrt(of_own / own.size)
    left = (effect / (_Z + _Z_POWER)) ** 2 - of_own / own.size
    return (_two_digits(of_now / left), floor) if left > 0 else (None, floor)


def limit_rows(scores: np.ndarray, below: float) -> int | None:
    """Fresh rows that would tell on which side of a limit the score lies, if it stays; None where it is on the limit."""
    gap = abs(float(scores.mean()) - below)
    return _two_digits(((_Z + _Z_POWER) / gap) ** 2 * _variance(scores)) if gap >= 0.005 else None


def _variance(scores: np.ndarray) -> float:
    """Of one score; 0/1 scores that are all alike are still taken to vary a little (Agresti and Coull's two and two)."""
    if _binary(scores):
        share = (float(scores.sum()) + 2) / (scores.size + 4)
        return share * (1 - share)
    return float(scores.var(ddof=1)) if scores.size > 1 else 0.25


def _wilson_high(share: float, n: int) -> float:
    """Upper end of Wilson's interval for a share of n rows."""
    square = _Z**2 / n
    return (share + square / 2 + _Z * math.sqrt(share * (1 - share) / n + square / (4 * n))) / (1 + square)


def _binary(scores: np.ndarray) -> bool:
    return bool(np.isin(scores, (0.0, 1.0)).all())


def _two_digits(number: float) -> int:
    """Rounded up to two significant digits: an estimate should not look more exact than it is."""
    step = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return math.ceil(number / step) * step


def exact(a: np.ndarray, n: np.ndarray | int, b: np.ndarray, m: np.ndarray | int) -> np.ndarray:
    """Fisher's exact test of a of n against b of m, for many pairs at once: twice the smaller tail, at most 1."""
    a, b = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    n, m = np.broadcast_to(n, a.shape), np.broadcast_to(m, b.shape)
    drawn = stats.hypergeom(n + m, a + b, m)
    return np.minimum(1.0, 2 * np.minimum(drawn.cdf(b), drawn.sf(b - 1)))


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjusted for their number (Holm 1979): one below 0.05 is wrong in at most one family of twenty."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def label_moves(
    labels: Sequence[str], before: Mapping[str, int], now: Mapping[str, int], own: Mapping[str, Sequence[float]],
    fresh: Mapping[str, Sequence[float]],
) -> list[dict]:  # fmt: skip
    """The share and the score of each label, before and now.

    Args:
        labels: those of the run; the others that occur now follow.
        before, now: rows of each label among the run's rows and the fresh ones.
        own, fresh: 0/1 scores of the rows of each label.

    Returns:
        A line a label. "p_value" is of its share, "score_p_value" of its score (None where one side has no rows), both
        Fisher's exact test with Holm's correction over the labels.
    """
    names = [*labels, *sorted(set(now) - set(labels))]
    n, m = sum(before.values()), sum(now.values())
    counts = np.array([[before.get(name, 0), now.get(name, 0)] for name in names])
    of_shares = holm(exact(counts[:, 0], max(n, 1), counts[:, 1], max(m, 1))) if n and m else np.ones(len(names))
    judged = [name for name in names if own.get(name) and fresh.get(name)]
    of_scores: dict[str, float] = {}
    if judged:
        hits = np.array([[sum(own[name]), len(own[name]), sum(fresh[name]), len(fresh[name])] for name in judged])
        of_scores = dict(zip(judged, holm(exact(*hits.astype(np.int64).T)).tolist(), strict=True))
    return [
        {
            "label": name,
            "known": name in labels,
            "rows_before": int(counts[place, 0]),
            "rows_now": int(counts[place, 1]),
            "share_before": counts[place, 0] / n if n else 0.0,
            "share_now": counts[place, 1] / m if m else 0.0,
            "score_before": float(np.mean(own[name])) if own.get(name) else None,
            "score_now": float(np.mean(fresh[name])) if fresh.get(name) else None,
            "p_value": float(of_shares[place]),
            "score_p_value": of_scores.get(name),
        }
        for place, name in enumerate(names)
    ]


def score_of_mix(moves: Sequence[dict]) -> float | None:
    """The score if each label were answered as well as before and only their shares had changed.

    None where a label of the fresh rows had no test row. A label that the run does not know counts as wrong.
    """
    present = [move for move in moves if move["rows_now"]]
    if any(move["known"] and move["score_before"] is None for move in present):
        return None
    return sum(move["share_now"] * (move["score_before"] or 0.0) for move in present)


def word_moves(before: Sequence[str], now: Sequence[str]) -> list[dict]:
    """The words that are in clearly more or fewer of the fresh texts than of the run's, the surest first.

    Rows that have the word are counted, not how often it stands in them: a long row would otherwise speak for many.
    Fisher's exact test, Holm's correction over all words that are tested.
    """
    if not before or not now:
        return []
    counted = [Counter(word for text in texts for word in set(words(text))) for texts in (before, now)]
    names = sorted(word for word, rows in (counted[0] + counted[1]).items() if rows >= ROWS_OF_A_WORD)
    if not names:
        return []
    a, b = (np.array([rows[word] for word in names]) for rows in counted)
    p_values = holm(exact(a, len(before), b, len(now)))
    return [
        {
            "word": names[place],
            "before": a[place] / len(before),
            "now": b[place] / len(now),
            "p_value": float(p_values[place]),
        }
        for place in np.argsort(p_values, kind="stable")
        if p_values[place] < 1 - LEVEL
    ]


def unseen_words(trained_on: Sequence[str], texts: Sequence[str]) -> float:
    """The share of the words of some texts that no training text has."""
    known = {word for text in trained_on for word in words(text)}
    found = [word not in known for text in texts for word in words(text)]
    return sum(found) / len(found) if found else 0.0
