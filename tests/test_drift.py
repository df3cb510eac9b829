"""Whether a score has fallen: known values, and what the rules come to when it is tried many times."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from finetune.evidence.later import drift
from finetune.evidence.later.drift import (
    exact,
    holm,
    label_moves,
    limit_rows,
    score_of_mix,
    shift,
    unseen_words,
    word_moves,
)

TRIES = 400
# One-sided 99.9% margins of so many tries around 5% and 80%.
FALSE, FOUND = 0.05, 0.8
MARGIN = 3.1 * (0.8 * 0.2 / TRIES) ** 0.5


def bits(hits: int, rows: int) -> np.ndarray:
    return np.repeat([1.0, 0.0], [hits, rows - hits])


def draw(rng: np.random.Generator, share: float, rows: int) -> np.ndarray:
    return (rng.random(rows) < share).astype(float)


def test_the_interval_is_newcombes_and_the_p_value_campbells():
    found = shift(bits(48, 80), bits(56, 70))
    assert found.difference == pytest.approx(0.2)
    assert found.difference_interval == pytest.approx((0.0524, 0.3339), abs=1e-4)  # Newcombe (1998), table II, (a), 10
    plain = stats.chi2_contingency([[48, 32], [56, 14]], correction=False).statistic
    assert found.p_value == pytest.approx(stats.chi2.sf(plain * 149 / 150, 1))


@pytest.mark.parametrize(
    ("own", "rows", "fresh"), [(0.91, 120, 60), (0.75, 300, 300), (0.98, 60, 20), (0.6, 120, 1000)]
)
def test_chance_is_no_drift_and_an_announced_fall_is_found(own, rows, fresh):
    rng = np.random.default_rng(11)
    false, found, announced, covered = 0, 0, 0, 0
    for _ in range(TRIES):
        before = draw(rng, own, rows)
        same = shift(before, draw(rng, own, fresh))
        false += same.decision == "drifted"
        covered += same.difference_interval[0] <= 0 <= same.difference_interval[1]
        if same.detectable is not None and same.detectable <= own:
            announced += 1
            found += shift(before, draw(rng, own - same.detectable, fresh)).decision == "drifted"
    assert false / TRIES <= FALSE
    assert covered / TRIES >= 0.92
    assert announced > 0.9 * TRIES
    assert found / announced >= FOUND - MARGIN


def test_graded_scores_keep_the_same_promises(monkeypatch):
    # The bootstrap of each mean with fewer resamples: a test takes hundreds of them.
    plain = drift.interval
    monkeypatch.setattr(drift, "interval", lambda scores, seed: plain(scores, seed=seed, resamples=400))
    rng = np.random.default_rng(3)

    def graded(rows: int) -> np.ndarray:
        """As ROUGE-L comes out: some answers at 0, some at 1, the others between."""
        kind = rng.random(rows)
        return np.select([kind < 0.1, kind < 0.3], [0.0, 1.0], rng.beta(2, 2, rows))

    false = found = 0
    tries = 150
    for _ in range(tries):
        before = graded(80)
        shown = shift(before, graded(60))
        false += shown.decision == "drifted"
        lost = rng.random(60) < shown.detectable / 0.55  # the mean is 0.55, and a lost row comes to 0
        found += shift(before, np.where(lost, 0.0, graded(60))).decision == "drifted"
    assert false / tries <= FALSE + 0.03
    assert found / tries >= FOUND - 0.1


def test_a_fall_of_five_points_is_ruled_out_or_rows_are_asked_for_that_settle_it():
    own = bits(1800, 2000)
    assert shift(own, bits(1800, 2000)).decision == "holds"
    assert shift(own, bits(1400, 2000)).decision == "drifted"
    small = shift(own, bits(1740, 2000))
    assert small.decision == "drifted" and small.small
    few = shift(own, bits(54, 60))
    assert few.decision == "unclear"
    rng = np.random.default_rng(5)
    needed = few.rows_needed
    ruled_out = np.mean([shift(own, draw(rng, 0.9, needed)).decision == "holds" for _ in range(TRIES)])
    shown = np.mean([shift(own, draw(rng, 0.85, needed)).decision == "drifted" for _ in range(TRIES)])
    fewer = np.mean([shift(own, draw(rng, 0.9, needed // 2)).decision == "holds" for _ in range(TRIES)])
    assert min(ruled_out, shown) >= FOUND - MARGIN > fewer


def test_where_the_own_score_is_the_weak_side_no_number_of_rows_is_promised():
    found = shift(bits(36, 40), bits(35, 40))
    assert found.decision == "unclear" and found.rows_needed is None
    assert found.floor > drift.TOLERANCE
    assert shift(bits(36, 40), bits(90_000, 100_000)).decision == "unclear"


def test_samples_without_any_spread_are_no_certainty():
    assert shift(bits(5, 5), bits(5, 5)).difference_interval[0] < -0.3
    assert shift([0.5] * 5, [0.4] * 5).decision == "unclear"
    assert shift([0.5], [0.5]).p_value == 1.0
    assert shift(bits(0, 30), bits(0, 30)).detectable is None


def test_exact_and_holm():
    # The lady tasting tea with 3 of 4: one tail 17/70, doubled.
    assert exact([1], 4, [3], 4)[0] == pytest.approx(2 * 17 / 70)
    assert exact([2, 0], [4, 4], [2, 0], [4, 4]).tolist() == [1.0, 1.0]
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_labels_that_only_chance_moves_are_not_told_and_a_shift_is():
    rng = np.random.default_rng(2)
    labels = [f"label {number}" for number in range(12)]
    told = 0
    for _ in range(200):
        before, now = (dict(zip(labels, rng.multinomial(rows, [1 / 12] * 12), strict=True)) for rows in (800, 150))
        told += any(move["p_value"] < 0.05 for move in label_moves(labels, before, now, {}, {}))
    assert told / 200 <= FALSE
    moves = label_moves(
        ["a", "b"], {"a": 300, "b": 300}, {"a": 20, "b": 90, "c": 10}, {"a": [1] * 30, "b": [1] * 30},
        {"a": [1] * 20, "b": [1] * 45 + [0] * 45, "c": [0] * 10},
    )  # fmt: skip
    a, b, c = moves
    assert a["p_value"] < 0.001 and a["score_p_value"] == 1.0
    assert b["score_p_value"] < 0.001 and (b["score_before"], b["score_now"]) == (1.0, 0.5)
    assert not c["known"] and c["share_before"] == 0 and c["score_p_value"] is None and c["p_value"] < 0.001
    assert score_of_mix(moves) == pytest.approx(110 / 120)


def test_words_that_only_chance_moves_are_not_told_and_a_new_one_is():
    rng = np.random.default_rng(4)
    vocabulary = [f"word{number}" for number in range(300)]
    told = 0
    for _ in range(40):
        before, now = ([" ".join(rng.choice(vocabulary, 12)) for _ in range(rows)] for rows in (400, 80))
        told += bool(word_moves(before, now))
    assert told <= 4  # 40 × 5%, doubled
    found = word_moves(before, [f"{text} passkey" if place % 4 == 0 else text for place, text in enumerate(now)])
    assert found[0] == {"word": "passkey", "before": 0.0, "now": 0.25, "p_value": found[0]["p_value"]}
    # One row that says it a hundred times is one row.
    assert not word_moves(["a b"] * 50, ["a b"] * 49 + ["spam " * 100])
    assert unseen_words(["where is my parcel"], ["Where is my passkey", "parcel"]) == pytest.approx(1 / 5)


def test_rows_that_tell_on_which_side_of_a_limit_a_score_lies():
    needed = limit_rows(bits(90, 100), 0.85)
    assert 200 < needed < 400
    assert limit_rows(bits(85, 100), 0.85) is None
