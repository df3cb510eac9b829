"""The learning curve: the fit on made-up curves whose truth is known, and the trainings on parts of the rows."""

from __future__ import annotations

import numpy as np
import pytest

from finetune.training.forecast import Forecast, Point, curve_words, forecast, point_of
from finetune.ui.learning import table


def points(law, rows=(50, 100, 200, 400), looked_at=200, draw=None):
    scores = [1 - law(count) for count in rows]
    if draw is not None:
        scores = [draw.binomial(looked_at, score) / looked_at for score in scores]
    return [Point(count, score, 0.0, looked_at) for count, score in zip(rows, scores, strict=True)]


def test_a_power_law_is_found_again():
    found = forecast(points(lambda rows: 3 * rows**-0.5, looked_at=100_000))
    assert found.rows == 800
    assert found.score == pytest.approx(1 - 3 * 800**-0.5, abs=0.002)
    assert found.gain == pytest.approx(3 * (400**-0.5 - 800**-0.5), abs=0.002)
    assert found.interval[0] < found.gain < found.interval[1]


@pytest.mark.parametrize("slope", [0.1, 0.4, 0.8])
def test_the_interval_holds_the_truth(slope):
    draw, held, runs = np.random.default_rng(7), 0, 300
    scale = 0.5 * 50**slope
    truth = scale * (400.0**-slope - 800.0**-slope)
    for seed in range(runs):
        low, high = forecast(points(lambda rows: scale * rows**-slope, draw=draw), seed).interval
        held += low <= truth <= high
    assert held / runs > 0.92


def test_a_level_curve_promises_little_and_a_perfect_one_nothing():
    level = forecast(points(lambda rows: 0.2, looked_at=2000))
    assert level.gain < 0.005 and level.interval[1] < 0.02 and "hardly help" in level.sentence
    perfect = forecast(points(lambda rows: 0.0))
    assert perfect.score > 0.99 and perfect.gain == pytest.approx(0.0, abs=0.005)
    falling = forecast(points(lambda rows: 0.1 + rows / 4000, looked_at=2000))
    assert falling.gain == 0.0


def test_too_few_points_are_no_curve_and_the_seed_decides():
    two = points(lambda rows: rows**-0.3, rows=(50, 100))
    assert forecast(two) is None and forecast([*two, *two]) is None
    four = points(lambda rows: rows**-0.3)
    assert forecast(four, 1) == forecast(list(reversed(four)), 1) != forecast(four, 2)


def test_the_sentence_says_what_to_do():
    assert "worth the work" in Forecast(800, 0.9, 0.06, (0.03, 0.09)).sentence
    assert "cannot be told" in Forecast(800, 0.9, 0.03, (0.0, 0.09)).sentence
    assert "interval +0 to +9" in Forecast(800, 0.9, 0.03, (-0.002, 0.09)).sentence
    assert "+6 points" in Forecast(800, 0.9, 0.06, (0.03, 0.09)).sentence


def test_the_best_look_is_that_with_the_lowest_loss_after_the_first_step():
    looks = [(0, 0.1, 0.9), (4, 0.5, 0.6), (8, 0.4, 0.7), (12, 0.6, 0.8)]
    events = [
        {"kind": "evaluated", "step": step, "loss": loss, "score": score, "metric": "token_accuracy"}
        for step, loss, score in looks
    ]
    point = point_of(events, 100, 12)
    assert point == Point(100, 0.7, 0.4, 12, "token_accuracy")
    assert point_of(events[:1], 100, 12) is None
    # A share of tokens is not told as one of rows.
    assert "70.0% of the answers' tokens right" in curve_words({"points": [point.as_json()]})
    assert "answers&#x27; tokens right" in table([point.as_json()], None).replace("'", "&#x27;")
    assert "points of the answers' tokens" in Forecast(800, 0.9, 0.06, (0.03, 0.09), "token_accuracy").sentence


def test_the_table_shows_each_part_and_what_is_expected():
    found = [point.as_json() for point in points(lambda rows: rows**-0.3)]
    made = forecast([Point(**point) for point in found])
    html = table(found, made.as_json() | {"text": "<b>more</b>"})
    assert html.count("<tr") == 6 and "800 (expected)" in html and "&lt;b&gt;" in html
    assert "still to come" in table(found[:1], None)
    assert table([], None) == ""
