"""What more rows would probably bring: a power law through the scores that parts of the rows reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

DRAWS = 2000
LEVEL = 0.95
FEWEST_POINTS = 3
# A gain of less than this is not worth the work of doubling the rows.
WORTHWHILE = 0.02
# What the score of a look is a share of, in words that go after a number.
MEASURES = {"accuracy": "of the labels right", "token_accuracy": "of the answers' tokens right"}


@dataclass(frozen=True, slots=True)
class Point:
    """What a training on some of the rows came to.

    Attributes:
        rows: trained on.
        score: share that is right of what was looked at, 0..1.
        loss: validation loss, nats a token.
        looked_at: validation rows.
        metric: what the score is, see `MEASURES`.
    """

    rows: int
    score: float
    loss: float
    looked_at: int
    metric: str = ""

    def as_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What twice the rows would bring if the curve goes on as it went.

    Attributes:
        rows: twice the most that were trained on.
        score: expected there, 0..1.
        gain: expected on top of what all rows reach by the curve; never below 0, since a power law does not fall.
        interval: of the gain, 95%, from the chance in which validation rows there are.
        metric: what the score is, see `MEASURES`.
    """

    rows: int
    score: float
    gain: float
    interval: tuple[float, float]
    metric: str = ""

    def as_json(self) -> dict:
        return asdict(self) | {"interval": list(self.interval)}

    @property
    def sentence(self) -> str:
        """In words, with what to do."""
        low, high = (100 * end for end in self.interval)
        of = " of the answers' tokens" if self.metric == "token_accuracy" else ""
        said = (
            f"Twice the rows ({self.rows:,}) would probably bring {100 * self.gain:+z.0f} points{of} on the validation rows "
            f"(95% interval {low:+z.0f} to {high:+z.0f}), if the curve goes on as it went"
        )
        if self.interval[0] >= WORTHWHILE:
            return f"{said}: more rows are worth the work."
        if self.interval[1] < WORTHWHILE:
            return f"{said}: more rows of this kind hardly help; look at their quality, or take a larger base."
        return f"{said}: it cannot be told yet whether more rows are worth the work."


def forecast(points: Sequence[Point], seed: int = 0) -> Forecast | None:
    """The forecast from `points`, or None for fewer than three different numbers of rows.

    The error falls as a · rows^-b with b ≥ 0 (Hestness et al. 2017, “Deep Learning Scaling is Predictable, Empirically”;
    for small classifiers Figueroa et al. 2012), fitted to the logarithms, each weighted by how well it is known. Half a
    row more is counted wrong everywhere, so that a score of 100% has a logarithm. The interval draws the rows that are wrong
    anew by the binomial law of each fitted error; it takes the scores of two sizes as independent, which they
    are less than that, so it is rather too wide. A floor under which the error cannot fall is not part of the law: where
    labels contradict each other it promises too much.
    """
    points = sorted(points, key=lambda point: point.rows)
    if len({point.rows for point in points}) < FEWEST_POINTS:
        return None
    rows = np.array([point.rows for point in points], dtype=float)
    counts = np.array([point.looked_at for point in points], dtype=float)
    wrong = counts - np.array([point.score for point in points]) * counts
    here, there = rows[-1], 2 * rows[-1]
    slope, level = _fit(rows, wrong[None], counts)
    fitted = _error(level, slope, rows)[0]
    draws = np.random.default_rng(seed).binomial(counts.astype(int), np.clip(fitted, 0, 1), (DRAWS, len(rows)))
    slopes, levels = _fit(rows, draws.astype(float), counts)
    gains = _error(levels, slopes, np.array([here]))[:, 0] - _error(levels, slopes, np.array([there]))[:, 0]
    low, high = np.quantile(gains, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    now, then = (float(_error(level, slope, np.array([at]))[0, 0]) for at in (here, there))
    return Forecast(int(there), 1 - then, now - then, (float(low), float(high)), points[-1].metric)


def _fit(rows: np.ndarray, wrong: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes b ≥ 0 and logarithms of a, of draws of numbers of wrong rows (draws, points), by weighted least squares."""
    error = (wrong + 0.5) / (counts + 1)
    weight = error * counts / np.maximum(1 - error, 0.5 / counts)  # one over the variance of the logarithm
    x, y = np.log(rows)[None], np.log(error)
    total = weight.sum(1, keepdims=True)
    x_mean, y_mean = (weight * x).sum(1, keepdims=True) / total, (weight * y).sum(1, keepdims=True) / total
    slope = (weight * (x - x_mean) * (y - y_mean)).sum(1) / (weight * (x - x_mean) ** 2).sum(1)
    slope = np.maximum(-slope, 0.0)
    return slope, y_mean[:, 0] + slope * x_mean[:, 0]


def _error(level: np.ndarray, slope: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Errors (draws, rows) of the law, at most 1."""
    return np.minimum(np.exp(level[:, None] - slope[:, None] * np.log(rows)[None]), 1.0)


def curve_words(event: Mapping) -> str:
    """An event `curve` in one sentence."""
    if event.get("forecast"):
        return event["forecast"]["text"]
    newest = event["points"][-1]
    right = f"{newest['score']:.1%} {MEASURES.get(newest.get('metric'), 'right')}"
    return f"learning curve: {right} on the validation rows after {newest['rows']:,} training rows"


def point_of(events: Sequence[Mapping], rows: int, looked_at: int) -> Point | None:
    """The look with the lowest validation loss after the first step, of a training on `rows`; None where none has a score."""
    looks: list[tuple[float, float, str]] = []
    for event in events:
        if event["kind"] == "evaluated" and event.get("score") is not None and event.get("step"):
            looks.append((event["loss"], event["score"], event.get("metric") or ""))
    if not looks:
        return None
    loss, score, metric = min(looks)
    return Point(rows, score, loss, looked_at, metric)
