"""Scores, intervals and tests against published values, scipy, and counting by brute force."""

import itertools
import json
import math

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from scipy import stats

from finetune.errors import FinetuneError
from finetune.evidence.measures.metrics import exact_match, interval, paired, rouge_l


def binary(wins, losses, ties, share_right=0.5):
    """Scores of the fine-tuned model and of the alternative with these counts."""
    right = round(ties * share_right)
    same = [1.0] * right + [0.0] * (ties - right)
    return np.array([1.0] * wins + [0.0] * losses + same), np.array([0.0] * wins + [1.0] * losses + same)


def graded(n, shift, seed=0):
    rng = np.random.default_rng(seed)
    other = rng.beta(2, 2, n)
    return np.clip(other + rng.normal(shift, 0.15, n), 0, 1), other


def test_exact_match_forgives_case_and_white_space_only():
    assert exact_match("  Vendor\n agreement ", "vendor Agreement") == 1.0
    assert exact_match("NDA.", "NDA") == 0.0
    assert exact_match("", "NDA") == 0.0


def test_rouge_l_is_that_of_the_package_for_english():
    scorer = RougeScorer(["rougeL"])
    pairs = [
        ("the cat sat on the mat", "a cat was on the mat"),
        ("Don't restart it, e-mail us!", "Restart it and email us."),
        ("nothing shared", "completely different words"),
    ]
    for output, expected in pairs:
        assert rouge_l(output, expected) == pytest.approx(scorer.score(expected, output)["rougeL"].fmeasure)


def test_rouge_l_by_hand():
    # longest common subsequence "a b d" = 3; precision 3/4, recall 3/5
    assert rouge_l("a b c d", "a b x d y") == pytest.approx(2 * 0.75 * 0.6 / 1.35)


def test_rouge_l_of_other_scripts_and_of_texts_without_words():
    assert rouge_l("退款需要五天", "退款需要五天") == 1.0
    assert 0 < rouge_l("退款需要三天", "退款需要五天") < 1
    assert rouge_l("Über die Straße", "über die STRASSE") == 1.0
    assert rouge_l("", "an answer") == rouge_l("an answer", "") == 0.0
    assert rouge_l("?!", "?!") == 1.0


@pytest.mark.parametrize(("right", "n"), [(8, 10), (0, 10), (10, 10), (1, 1), (0, 1), (263, 300)])
def test_wilson_interval_is_that_of_scipy(right, n):
    expected = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert interval([1] * right + [0] * (n - right), seed=0) == pytest.approx((expected.low, expected.high))


def test_wilson_interval_of_statsmodels():
    # statsmodels.stats.proportion.proportion_confint(8, 10, method="wilson")
    assert interval([1] * 8 + [0] * 2, seed=0) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


def test_graded_interval_agrees_with_the_t_interval_and_with_the_seed():
    scores, _ = graded(400, 0.0)
    expected = stats.t.interval(0.95, 399, loc=scores.mean(), scale=stats.sem(scores))
    assert interval(scores, seed=0) == pytest.approx(expected, abs=0.003)
    assert interval(scores, seed=1) == interval(scores, seed=1)
    assert interval(scores, seed=0, level=0.99)[0] < interval(scores, seed=0)[0]


def test_graded_interval_of_equal_or_few_scores_is_not_a_point():
    low, high = interval([0.5] * 30, seed=0)
    assert low < 0.4 and high > 0.6
    low, high = interval([0.5], seed=0)
    assert low < 0.1 and high > 0.9


@pytest.mark.parametrize(("wins", "losses"), list(itertools.product(range(6), range(6))))
def test_mcnemar_by_counting_every_way_the_discordant_rows_could_fall(wins, losses):
    ways = list(itertools.product((1, -1), repeat=wins + losses))
    expected = sum(abs(sum(way)) >= abs(wins - losses) for way in ways) / len(ways)
    result = paired(*binary(wins, losses, 20), name="base", seed=0)
    assert result.p_value == pytest.approx(expected)
    assert result.p_value == pytest.approx(stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0)
    assert (result.wins, result.losses, result.ties) == (wins, losses, 20)
    assert result.difference == pytest.approx((wins - losses) / (wins + losses + 20))


def test_mcnemar_of_the_textbook():
    # 14 against 2 of 16: 2 * (1 + 16 + 120) / 2^16
    assert paired(*binary(14, 2, 76), name="few_shot", seed=0).p_value == pytest.approx(274 / 65536)


@pytest.mark.parametrize(("wins", "losses", "n"), [(1, 7, 21), (6, 16, 161), (0, 0, 100), (14, 2, 92)])
def test_binary_interval_is_bonett_price(wins, losses, n):
    # The first two tables are the examples of Fagerland et al. 2014 (Bentur 2009, Cavo 2012).
    a, b = (wins + 1) / (n + 2), (losses + 1) / (n + 2)
    half = 1.959964 * math.sqrt((a + b - (a - b) ** 2) / (n + 2))
    result = paired(*binary(wins, losses, n - wins - losses), name="base", seed=0)
    assert result.interval == pytest.approx((a - b - half, a - b + half), abs=1e-6)


def test_binary_interval_is_close_to_the_bootstrap_where_that_works():
    tuned, other = binary(40, 15, 145)
    expected = stats.bootstrap((tuned - other,), np.mean, method="BCa", rng=0).confidence_interval
    assert paired(tuned, other, name="base", seed=0).interval == pytest.approx((expected.low, expected.high), abs=0.01)


@pytest.mark.parametrize(("n", "discordant", "gain"), [(50, 0.06, 0.0), (50, 0.3, 0.1), (200, 0.04, 0.02)])
def test_binary_interval_covers_the_true_difference(n, discordant, gain):
    rng = np.random.default_rng(0)
    win, lose = (discordant + gain) / 2, (discordant - gain) / 2
    covered = 0
    for wins, losses, ties in rng.multinomial(n, [win, lose, 1 - win - lose], size=1000):
        low, high = paired(*binary(wins, losses, ties), name="base", seed=0).interval
        covered += low <= gain <= high
    assert covered / 1000 >= 0.94


def test_graded_p_value_by_counting_every_sign_pattern():
    tuned, other = graded(9, 0.1, seed=3)
    differences = tuned - other
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=9)]
    expected = np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12)
    assert paired(tuned, other, name="base", seed=0).p_value == pytest.approx(expected)


def test_graded_p_value_of_many_rows_is_that_of_scipy():
    tuned, other = graded(120, 0.02, seed=1)
    expected = stats.permutation_test(
        (tuned, other),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=0,
    ).pvalue
    assert paired(tuned, other, name="base", seed=0).p_value == pytest.approx(expected, abs=0.015)


def test_graded_and_binary_tests_are_the_same_test():
    tuned, other = binary(9, 3, 30)
    exact = paired(tuned, other, name="base", seed=0).p_value
    assert paired(tuned * 0.5, other * 0.5, name="base", seed=0).p_value == pytest.approx(exact)


def test_p_value_is_never_zero_and_the_seed_decides():
    assert 0 < paired(*binary(2000, 0, 10), name="base", seed=0).p_value < 1e-300
    tuned, other = graded(200, 0.3)
    result = paired(tuned, other, name="base", seed=0)
    assert 0 < result.p_value <= 1 / 20_001
    assert result == paired(tuned, other, name="base", seed=0)


def test_graded_interval_is_that_of_scipy():
    tuned, other = graded(80, 0.05)
    expected = stats.bootstrap((tuned - other,), np.mean, n_resamples=10_000, method="BCa", rng=5).confidence_interval
    found = paired(tuned, other, name="base", seed=0).interval
    assert found == pytest.approx((expected.low, expected.high), abs=0.005)


@pytest.mark.parametrize("scores", [[0.4] * 30, [1.0] * 30, [0.3], [0.0]])
def test_all_ties_prove_nothing(scores):
    result = paired(scores, scores, name="base", seed=0)
    assert result.p_value == 1.0 and result.difference == 0.0
    assert (result.wins, result.losses, result.ties) == (0, 0, len(scores))
    assert result.interval[0] < -0.05 and result.interval[1] > 0.05


def test_one_row():
    result = paired([1.0], [0.0], name="base", seed=0)
    assert result.p_value == 1.0 and result.interval[0] < 0
    assert json.loads(json.dumps(result.as_json()))["wins"] == 1


def test_many_rows_are_quick_and_need_little_memory():
    tuned, other = graded(10_000, 0.01)
    assert paired(tuned, other, name="base", seed=0, resamples=1_000).wins > 5_000


@pytest.mark.parametrize("wrong", [float("nan"), None, -0.1, 1.5, float("inf")])
def test_scores_that_are_none_are_refused_with_their_row(wrong):
    with pytest.raises(FinetuneError) as refused:
        interval([0.5, wrong, 1.0], seed=0)
    assert refused.value.row == 2


def test_scores_that_do_not_pair_are_refused():
    with pytest.raises(FinetuneError, match=r"2 scores and base has 3"):
        paired([1, 0], [1, 0, 1], name="base", seed=0)
    with pytest.raises(FinetuneError, match="no scores"):
        interval([], seed=0)
