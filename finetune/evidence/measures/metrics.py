"""Scores of single answers (0..1), the interval of a system's mean score, and the paired comparison of two systems."""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from finetune.errors import FinetuneError

RESAMPLES = 10_000
FEWEST_FOR_BOOTSTRAP = 10
EXACT_FLIPS = 14  # 2^14 sign patterns are enumerated in a few milliseconds
RANDOM_FLIPS = 20_000

# Scripts written without spaces (Thai, Lao, Khmer, kana, Han) are cut into characters, all others into words.
SPACELESS = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{SPACELESS}]|[^\W_{SPACELESS}]+")


def exact_match(output: str, expected: str) -> float:
    """1.0 where both are the same text, capitals and the amount of white space aside; otherwise 0.0."""
    return float(_plain(output) == _plain(expected))


def rouge_l(output: str, expected: str) -> float:
    """ROUGE-L F1 over the whole text (Lin 2004), 0..1, by the package rouge-score without stemming.

    Words are those of every script: rouge-score's own tokens are a-z and 0-9 alone, which gives 0 to two equal
    Chinese answers. For English text the result is that of rouge-score. Texts without a word are matched exactly.
    """
    if not _TOKEN.search(output) or not _TOKEN.search(expected):
        return exact_match(output, expected)
    return float(_rouge_scorer().score(expected, output)["rougeL"].fmeasure)


def words(text: str) -> list[str]:
    """The words of a text without capitals; of scripts without spaces, its characters."""
    return _TOKEN.findall(text.casefold())


def as_scores(values: Sequence[float] | np.ndarray, *, name: str) -> np.ndarray:
    """The scores of one system as an array (n,) of floats in 0..1.

    Raises:
        FinetuneError: no scores, or one that is missing (NaN) or outside 0..1, with its place (1 = the first).
    """
    scores = np.asarray(values, dtype=float)
    if scores.ndim != 1 or not scores.size:
        raise FinetuneError(f"There are no scores for {name}.", hint="Give one score from 0 to 1 for each row.")
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    if wrong.size:
        value = scores[wrong[0]]
        what = "is missing (NaN)" if math.isnan(value) else f"is {value:g}"
        raise FinetuneError(
            f"A score of {name} {what}.", hint="Every score must be from 0 to 1.", row=int(wrong[0]) + 1
        )
    return scores


def interval(
    scores: Sequence[float] | np.ndarray, *, seed: int, resamples: int = RESAMPLES, level: float = 0.95
) -> tuple[float, float]:
    """The interval of the mean of scores (n,) in 0..1.

    0/1 scores: Wilson's score interval (Wilson 1927; recommended by Brown, Cai and DasGupta 2001).
    Other scores: the BCa bootstrap (Efron 1987). With under 10 of them, or where all are equal, a bootstrap has
    nothing to draw from and comes out too narrow; then Wilson's interval around the mean, which is on the safe side:
    scores within 0..1 never vary more than 0/1 scores of the same mean.

    Raises:
        FinetuneError: as `as_scores`.
    """
    scores = as_scores(scores, name="the system")
    bounds = None if _is_binary(scores) else _bootstrap(scores, seed, resamples, level)
    if bounds is None:
        z, n, mean = stats.norm.ppf((1 + level) / 2), scores.size, scores.mean()
        centre = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * math.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2))
        bounds = centre - half, centre + half
    return max(0.0, float(bounds[0])), min(1.0, float(bounds[1]))


@dataclass(frozen=True)
class Paired:
    """The fine-tuned model against one alternative on the same rows.

    Attributes:
        against: name of the alternative.
        difference: mean score of the fine-tuned model minus that of the alternative, -1..1.
        interval: lower and upper end of the difference.
        p_value: two-sided, in (0, 1]; how often luck alone would give a difference at least this large.
        wins: rows on which the fine-tuned model scores higher; `losses` lower, `ties` the same.
    """

    against: str
    difference: float
    interval: tuple[float, float]
    p_value: float
    wins: int
    losses: int
    ties: int

    def as_json(self) -> dict:
        return {
            "against": self.against,
            "difference": self.difference,
            "interval": list(self.interval),
            "p_value": self.p_value,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
        }


def paired(
    tuned: Sequence[float] | np.ndarray,
    other: Sequence[float] | np.ndarray,
    *,
    name: str,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Paired:
    """Compare the scores (n,) of the fine-tuned model with those of the alternative `name` on the same n rows.

    p-value. 0/1 scores: exact McNemar, the two-sided binomial test of wins among wins + losses. Other scores: paired
    sign-flip permutation test of the mean difference (Fisher 1935, §21; for language systems: Yeh 2000, Dror et al.
    2018), over all sign patterns up to 14 rows that differ, otherwise over 20,000 random ones with p = (hits + 1) /
    (20,000 + 1), never 0 (Phipson and Smyth 2010). On 0/1 scores the two tests are the same.

    Interval. 0/1 scores: Bonett and Price (2012), one of those recommended by Fagerland, Lydersen and Laake (2014). A
    bootstrap would say "0 to 0" where no row differs, however few rows there are. Other scores: the BCa bootstrap of
    the differences, with the same fallback as `interval`.

    Raises:
        FinetuneError: scores of different length, or as `as_scores`.
    """
    tuned, other = as_scores(tuned, name="the fine-tuned model"), as_scores(other, name=name)
    if tuned.size != other.size:
        raise FinetuneError(
            f"The fine-tuned model has {tuned.size} scores and {name} has {other.size}.",
            hint="Score both on the same rows, in the same order.",
        )
    differences = tuned - other
    differences[np.abs(differences) < 1e-12] = 0.0  # the same score reached by another order of sums is a tie
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    if _is_binary(tuned) and _is_binary(other):
        bounds = None
        p_value = _mcnemar(wins, losses)
    else:
        bounds = _bootstrap(differences, seed, resamples, level)
        p_value = _sign_flip(differences, seed)
    return Paired(
        against=name,
        difference=float(differences.mean()),
        interval=bounds or _bonett_price(differences, level),
        p_value=p_value,
        wins=wins,
        losses=losses,
        ties=differences.size - wins - losses,
    )


def paired_means(
    tuned: np.ndarray, other: np.ndarray, *, seed: int, level: float = 0.95
) -> tuple[float, tuple[float, float], float]:
    """Difference of the means of two paired measurements (n,) of any size, its interval, and the p-value.

    Interval: the BCa bootstrap; with too few or too equal values Student's t. p-value: the sign-flip test of `paired`.
    """
    differences = np.asarray(tuned, dtype=float) - np.asarray(other, dtype=float)
    mean = float(differences.mean())
    bounds = _bootstrap(differences, seed, RESAMPLES, level)
    if bounds is None:
        spread = float(stats.sem(differences)) if differences.size > 1 else math.inf
        half = stats.t.ppf((1 + level) / 2, max(1, differences.size - 1)) * spread if spread else 0.0
        bounds = mean - half, mean + half
    return mean, bounds, _sign_flip(differences, seed)


def _mcnemar(wins: int, losses: int) -> float:
    """Exact and two-sided: twice the chance that the side with fewer rows gets so few, when both are as likely."""
    p_value = 2 * float(stats.binom.cdf(min(wins, losses), wins + losses, 0.5))
    return min(1.0, max(p_value, sys.float_info.min))  # 1,100 to 0 is less than a float can hold, and yet not 0


def _bonett_price(differences: np.ndarray, level: float) -> tuple[float, float]:
    """Wald interval after one win and one loss are added; exact counts for differences of -1, 0 and 1.

    For other differences the sums of gains and of losses take the place of the counts, which is on the safe side:
    a difference d within -1..1 has d² ≤ |d|.
    """
    n = differences.size + 2
    gain = (differences[differences > 0].sum() + 1) / n
    loss = (1 - differences[differences < 0].sum()) / n
    half = stats.norm.ppf((1 + level) / 2) * math.sqrt((gain + loss - (gain - loss) ** 2) / n)
    return float(max(-1.0, gain - loss - half)), float(min(1.0, gain - loss + half))


def _bootstrap(values: np.ndarray, seed: int, resamples: int, level: float) -> tuple[float, float] | None:
    """BCa interval of the mean, or None where the values are too few or too equal for a bootstrap."""
    if values.size < FEWEST_FOR_BOOTSTRAP or np.ptp(values) < 1e-12:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # answered by the None below
        found = stats.bootstrap(
            (values,),
            np.mean,
            n_resamples=resamples,
            batch=max(1, 2_000_000 // values.size),
            confidence_level=level,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return (float(found.low), float(found.high)) if np.isfinite([found.low, found.high]).all() else None


def _sign_flip(differences: np.ndarray, seed: int) -> float:
    moved = differences[differences != 0]
    seen = abs(moved.sum()) * (1 - 1e-9)  # the same sum in another order may end some bits lower
    if moved.size <= EXACT_FLIPS:
        bits = (np.arange(2**moved.size)[:, None] >> np.arange(moved.size)) & 1
        return float(np.mean(np.abs((2 * bits - 1) @ moved) >= seen))
    rng, hits, chunk = np.random.default_rng(seed), 0, 1_000  # in chunks, or 10,000 rows would take gigabytes
    for _ in range(RANDOM_FLIPS // chunk):
        bits = rng.integers(0, 2, (chunk, moved.size), dtype=np.int8)
        hits += int((np.abs(2 * (bits @ moved) - moved.sum()) >= seen).sum())
    return (hits + 1) / (RANDOM_FLIPS + 1)


def _is_binary(scores: np.ndarray) -> bool:
    return bool(np.isin(scores, (0.0, 1.0)).all())


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


@cache
def _rouge_scorer():
    # Imported here because it brings nltk: two seconds that the page's start does not need.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Words())


class _Words:
    def tokenize(self, text: str) -> list[str]:
        return words(text)
