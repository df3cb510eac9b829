"""The verdict on made-up scores whose truth is known: false gains, power at the announced difference, coverage.

The seeds are fixed. `-m slow` runs 1,000 of each, as the README says; without it 200.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from finetune.__main__ import main
from finetune.evidence.judging.verdict import decide
from finetune.evidence.systems import FINE_TUNED

ROWS = (50, 100, 200, 500, 1000)
VALIDATION = 100
NAMES = ("tfidf", "few_shot", "retrieval")
MANY = pytest.param(1000, marks=pytest.mark.slow)


def draw(rng, rows: int, means: dict[str, float], correlation: float, graded: bool = False) -> dict[str, np.ndarray]:
    """Scores of systems with these true means; `correlation` of the normal variables behind them (a Gaussian copula)."""
    shared = rng.standard_normal(rows)
    scores = {}
    for name, mean in means.items():
        hidden = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.standard_normal(rows)
        share = stats.norm.cdf(hidden)
        # Graded: a Beta with this mean; otherwise right or wrong.
        scores[name] = stats.beta.ppf(share, 4 * mean, 4 * (1 - mean)) if graded else (share < mean).astype(float)
    return scores


def simulate(runs: int, gain, correlation: float, *, others=(0.7, 0.7, 0.7), graded=False, models=1, seed=1):
    """(share that says use the fine-tuned, share of intervals that hold the true difference)."""
    rng = np.random.default_rng(seed)
    used = covered = 0
    for number in range(runs):
        rows = ROWS[number % len(ROWS)]
        truth = dict(zip(NAMES, others, strict=True))
        true_gain = gain(rng, rows, truth, correlation) if callable(gain) else gain
        means = truth | {FINE_TUNED: min(0.999, max(others) + true_gain)}
        best = None
        for _ in range(models):
            parts = {
                "validation": draw(rng, VALIDATION, means, correlation, graded),
                "test": draw(rng, rows, means, correlation, graded),
            }
            verdict, pair = decide(parts, models=models, seed=number)
            if best is None or pair.difference > best[1].difference:
                best = verdict, pair
        verdict, pair = best
        used += verdict.decision == "use_fine_tuned"
        low, high = pair.interval
        covered += low - 1e-9 <= means[FINE_TUNED] - truth[pair.against] <= high + 1e-9
    return used / runs, covered / runs


def announced(rng, rows, truth, correlation):
    """The difference that a look at rows like these announces, with a gain of about its size in them."""
    means = truth | {FINE_TUNED: min(0.97, max(truth.values()) + 0.1)}
    parts = {part: draw(rng, n, means, correlation) for part, n in (("validation", VALIDATION), ("test", rows))}
    return min(0.29, decide(parts)[0].detectable_difference)


@pytest.mark.parametrize("runs", [200, MANY])
@pytest.mark.parametrize("correlation", [0.0, 0.7])
@pytest.mark.parametrize("others", [(0.7, 0.7, 0.7), (0.5, 0.55, 0.7)])
def test_a_null_is_rarely_called_a_gain_and_the_interval_covers(runs, correlation, others):
    used, covered = simulate(runs, 0.0, correlation, others=others)
    assert used <= 0.05
    noise = 2.6 * np.sqrt(0.95 * 0.05 / runs)
    assert 0.93 - noise * (runs < 1000) <= covered <= 0.97 + noise * (runs < 1000)


@pytest.mark.parametrize("runs", [100, MANY])
@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_the_best_of_three_nulls_is_rarely_called_a_gain(runs, correlation):
    used, _ = simulate(runs, 0.0, correlation, models=3)
    assert used <= 0.05


@pytest.mark.parametrize("runs", [200, MANY])
@pytest.mark.parametrize("correlation", [0.0, 0.7])
@pytest.mark.parametrize("others", [(0.7, 0.7, 0.7), (0.5, 0.55, 0.7)])
def test_a_gain_as_large_as_announced_is_found_four_times_in_five(runs, correlation, others):
    used, _ = simulate(runs, announced, correlation, others=others)
    assert used >= 0.8 - 1.65 * np.sqrt(0.8 * 0.2 / runs)


@pytest.mark.parametrize("runs", [40, MANY])
def test_graded_scores_too(runs):
    used, covered = simulate(runs, 0.0, 0.5, graded=True, others=(0.5, 0.5, 0.5))
    assert used <= 0.05
    assert covered >= 0.93 - 1.65 * np.sqrt(0.93 * 0.07 / runs)


def test_the_command_line_says_the_same(tmp_path, capsys):
    rng = np.random.default_rng(5)
    means = dict.fromkeys(NAMES, 0.7) | {FINE_TUNED: 0.85}
    parts = {part: draw(rng, rows, means, 0.3) for part, rows in (("validation", 60), ("test", 200))}
    path = tmp_path / "scores.jsonl"
    with path.open("w") as file:
        for part, scores in parts.items():
            for place in range(len(scores[FINE_TUNED])):
                row = {name: values[place] for name, values in scores.items()}
                file.write(json.dumps({"id": place, "part": part, "scores": row}) + "\n")
    assert main(["verdict", str(path), "--json", "--models", "3"]) == 0
    said = json.loads(capsys.readouterr().out)["verdict"]
    expected = decide(parts, models=3)[0].as_json()
    assert said == expected and said["level"] == pytest.approx(0.05 / 3)
