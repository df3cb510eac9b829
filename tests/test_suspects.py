"""Suspect labels: the vectors, the classifier, what is flagged, and what is not judged."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from benchmarks.labels import area, flipped, planted_flips, read

from finetune.dataset.checks.logistic import fit
from finetune.dataset.checks.suspects import Suspects, _folds, find_suspects, suspect_finding, wrong_labels
from finetune.dataset.checks.tfidf import tfidf
from finetune.dataset.finding import KINDS
from finetune.errors import Cancelled

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TOPICS = {
    "card": "card plastic chip wallet envelope arrive courier letterbox activate replacement",
    "rate": "exchange rate euro dollar currency convert abroad markup spread weekend",
    "login": "password login locked reset code account email verify phone screen",
    "loan": "loan mortgage interest repay instalment lender house monthly term arrears",
}


def made(rows: int, seed: int = 0, topics: tuple[str, ...] = tuple(TOPICS)) -> tuple[list[str], list[str]]:
    """Texts of 5 words of their topic and 4 that say nothing, all different."""
    draw = random.Random(seed)
    labels = [topics[row % len(topics)] for row in range(rows)]
    filler = "please my the is not why how can when help".split()  # noqa: SIM905
    texts = []
    for row, label in enumerate(labels):
        words = draw.sample(TOPICS[label].split(), 5) + draw.sample(filler, 4) + [f"x{row}"]
        draw.shuffle(words)
        texts.append(" ".join(words))
    return texts, labels


@pytest.fixture(scope="module")
def contracts() -> tuple[list[str], list[str]]:
    return read(EXAMPLES / "contracts.jsonl", "text", "label")


# The vectors


def test_vectors_are_those_of_scikit_learn(contracts):
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = contracts[0][:300]
    options = {"ngram_range": (1, 2), "sublinear_tf": True, "token_pattern": r"(?u)\w+", "min_df": 2}
    reference = TfidfVectorizer(**options).fit_transform(texts)
    own = tfidf(texts)
    assert own.shape == reference.shape and own.nnz == reference.nnz
    assert abs(own @ own.T - reference @ reference.T).max() < 1e-5


@pytest.mark.parametrize("pieces", [False, True])
def test_vectors_do_not_depend_on_the_order_of_the_rows(contracts, pieces):
    texts = contracts[0][:200]
    order = np.random.default_rng(0).permutation(200)
    alike = (tfidf(texts, pieces=pieces) @ tfidf(texts, pieces=pieces).T).toarray()
    turned = tfidf([texts[row] for row in order], pieces=pieces)
    assert np.allclose((turned @ turned.T).toarray(), alike[np.ix_(order, order)], atol=1e-5)


def test_vectors_of_other_scripts():
    texts = ["我要退款", "我要换卡", "请退款", "ขอคืนเงิน", "คืนเงินด่วน", "हिन्दी में", "हिन्दी है", "é clair", "e\u0301 noir"]
    vectors = tfidf(texts)
    alike = (vectors @ vectors.T).toarray()
    assert alike[0, 2] > 0 and alike[3, 4] > 0 and alike[5, 6] > 0 and alike[7, 8] > 0
    assert alike[0, 3] == 0 and alike[2, 5] == 0


def test_vectors_of_nothing():
    assert tfidf(["", "?", "once"]).nnz == 0
    assert tfidf([""], pieces=True).shape == (1, 0)
    assert tfidf(["a a"] * 3, least=1).shape == (3, 2)
    long = "one two " + "x" * 10_000 + " three"
    assert tfidf([long] * 2).shape == tfidf([long[:1_000]] * 2).shape
    assert tfidf([f"{word} {word}" for word in "abcd"] * 2, most=3).shape == (8, 3)


# The classifier


def test_probabilities_are_those_of_scikit_learn(contracts):
    from sklearn.linear_model import LogisticRegression

    names, number = np.unique(contracts[1], return_inverse=True)
    vectors = tfidf(contracts[0])
    train, test = np.arange(500), np.arange(500, 800)
    reference = LogisticRegression(C=3, tol=1e-6, max_iter=1_000).fit(vectors[train], number[train])
    expected = reference.predict_proba(vectors[test])
    exact = fit(vectors[train], number[train], len(names), steps=60, stop=0).probabilities(vectors[test])
    assert np.abs(exact - expected).max() < 0.005
    quick = fit(vectors[train], number[train], len(names)).probabilities(vectors[test])
    assert np.abs(quick - expected).max() < 0.05 and np.allclose(quick.sum(1), 1, atol=1e-5)
    place = quick.argsort(0).argsort(0), expected.argsort(0).argsort(0)
    assert all(np.corrcoef(place[0][:, label], place[1][:, label])[0, 1] > 0.995 for label in range(3))


def test_confident_joint_by_hand():
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.45, 0.55]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # Thresholds 0.6 and 0.683: the third row is off the diagonal, the last reaches neither.
    assert wrong_labels(probability, labels) == (1, 1)


# What is flagged


def test_flipped_labels_are_flagged_and_named(contracts):
    figures = planted_flips(contracts, 2)
    assert figures["precision"] > 0.8 and figures["recall"] > 0.5 and figures["area"] > 0.97


def test_the_suggestion_is_the_label_that_was_there():
    texts, labels = made(400)
    changed, which = flipped(labels, 0.05, 3)
    found = find_suspects(texts, changed)
    assert found is not None and area(found.doubt, which[found.examined]) > 0.99
    assert set(found.flagged) <= set(np.flatnonzero(which)) and len(found.flagged) >= 15
    assert all(label == labels[row] for row, label in zip(found.flagged, found.suggested, strict=True))
    assert (found.probability > found.given).all()
    low, high = found.interval
    assert low < found.accuracy < high and 0.9 < found.accuracy < 0.96 and 0.24 < found.majority < 0.27


def test_same_for_any_order_and_the_same_seed():
    texts, labels = made(240)
    labels, _ = flipped(labels, 0.05, 1)
    order = np.random.default_rng(5).permutation(240)
    one, other = find_suspects(texts, labels), find_suspects([texts[i] for i in order], [labels[i] for i in order])
    assert one is not None and other is not None
    assert sorted(order[other.flagged]) == list(one.flagged) and one.accuracy == other.accuracy
    back = np.empty(240)
    back[order[other.examined]] = other.doubt
    assert np.allclose(back, one.doubt, atol=1e-3)
    again = find_suspects(texts, labels)
    assert again is not None and np.array_equal(again.doubt, one.doubt)


def test_equal_texts_do_not_judge_each_other():
    groups = np.array([7, 7, 7, 3, 4, 5, 6, 9, 9, -1])
    fold = _folds(np.array([0, 0, 1, 0, 0, 0, 1, 1, 1, 1]), groups, 3)
    assert len(set(fold[:3])) == 1 and fold[7] == fold[8] and set(fold) == {0, 1, 2}
    assert np.array_equal(fold, _folds(np.array([0, 0, 1, 0, 0, 0, 1, 1, 1, 1]), -groups, 3))
    # Labels that only copies speak for: known by heart when the copies are on both sides, chance when they are not.
    draw = random.Random(0)
    words = [" ".join("".join(draw.choices("abcdefghij", k=7)) for _ in range(3)) for _ in range(60)]
    texts = [text for text in words for _ in range(3)]
    labels = [label for label in draw.choices("ab", k=60) for _ in range(3)]
    assert find_suspects(texts, labels) is None
    assert find_suspects(texts, labels, groups=np.arange(180)) is not None


def test_not_judged():
    texts, labels = made(200)
    assert find_suspects(texts[:48], labels[:48]) is None
    assert find_suspects(texts, ["same"] * 200) is None
    assert find_suspects(texts, [f"label {row}" for row in range(200)]) is None
    assert find_suspects(texts, random.Random(0).sample(labels, 200)) is None
    assert find_suspects([""] * 200, labels) is None and find_suspects([], []) is None
    assert find_suspects([chr(0x4E00 + row) for row in range(200)], labels) is None


def test_one_label_at_ninety_percent():
    texts, labels = made(600, topics=("card", "rate"))
    kept = [row for row in range(600) if labels[row] == "card" or row % 20 == 1]
    texts, labels = [texts[row] for row in kept], [labels[row] for row in kept]
    wrong = labels.index("rate"), labels.index("card")
    for row in wrong:
        labels[row] = "card" if labels[row] == "rate" else "rate"
    found = find_suspects(texts, labels)
    assert found is not None and found.majority > 0.9 and set(wrong) <= set(found.flagged) and len(found.flagged) < 6


def test_rare_labels_empty_texts_and_spellings_are_left_alone():
    texts, labels = made(200)
    labels[0:200:8] = ["Card "] * 25
    texts += ["", "?!"] + ["one of a kind"] * 4
    labels += ["rate", "card"] + ["rare"] * 4
    found = find_suspects(texts, labels)
    assert found is not None and list(found.examined) == list(range(200)) and found.total == 206
    assert not len(found.flagged) and found.accuracy > 0.98


def test_labels_in_the_text_long_texts_and_other_scripts():
    texts, labels = made(120)
    found = find_suspects([f"{label}: {text}" for text, label in zip(texts, labels, strict=True)], labels)
    assert found is not None and found.accuracy == 1.0
    found = find_suspects([text + " filler" * 50_000 for text in texts], labels)
    assert found is not None and found.accuracy > 0.95
    draw = random.Random(0)
    chinese = {"退": "退款返还金额申请", "卡": "银行卡片寄送激活", "ถ": "ถอนเงินสดตู้"}
    labels = [list(chinese)[row % 3] for row in range(150)]
    found = find_suspects(["".join(draw.choices(chinese[label], k=6)) for label in labels], labels)
    assert found is not None and found.accuracy > 0.95


def test_a_sample_is_drawn_and_told():
    texts, labels = made(400)
    changed, _ = flipped(labels, 0.05, 3)
    found = find_suspects(texts, changed, limit=200)
    assert found is not None and len(found.examined) == 200 and found.total == 400
    assert (np.diff(found.examined) > 0).all() and np.isin(found.flagged, found.examined).all()
    finding = suspect_finding(found, range(1, 401), changed)
    assert finding is not None and finding.examined == 200 and "of 200 looked at" in finding.message
    other = find_suspects(texts, changed, limit=200, seed=1)
    assert other is not None and not np.array_equal(other.examined, found.examined)


def test_progress_and_cancelling():
    texts, labels = made(200)
    told: list[float] = []
    find_suspects(texts, labels, tell=lambda what, share: told.append(share))
    assert told == sorted(told) and told[0] == 0 and 0.8 < told[-1] <= 1 and len(told) > 10

    def stop(what: str, share: float) -> None:
        raise Cancelled(what)

    with pytest.raises(Cancelled):
        find_suspects(texts, labels, tell=stop)


def test_the_finding():
    found = Suspects(
        examined=np.arange(4),
        doubt=np.array([-1.0, 3.0, -2.0, 1.0]),
        flagged=np.array([1, 3]),
        suggested=("b", "c"),
        probability=np.array([0.87, 0.31]),
        given=np.array([0.04, 0.11]),
        total=4,
        accuracy=0.5,
        interval=(0.1, 0.9),
        majority=0.25,
    )
    finding = suspect_finding(found, [2, 5, 6, 9], ["a", "a", "b", "c"])
    assert finding is not None and finding.kind in KINDS and finding.severity == "warning"
    assert finding.rows == (5, 9) and finding.mends == ("drop_suspects", "relabel_suspects")
    assert finding.check == "suspect_label" and finding.examined is None
    assert finding.reasons[5] == "labelled “a”, reads like “b” (87%)"
    assert finding.reasons[9] == "labelled “c”, reads like “c” (31% against 11%)"
    assert "2 rows (50.0%)" in finding.message and "agrees with 50%" in finding.message and "suspicion" in finding.fix
    assert suspect_finding(None, [], []) is None
