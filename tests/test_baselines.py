"""The alternatives: right on plain cases, the same for the same seed, never from anything but the training rows."""

import random

import pytest

from finetune.dataset.example import Example
from finetune.errors import FinetuneError
from finetune.evidence.alternatives.baselines import Tfidf, few_shot, majority

TEXTS = {
    "billing": [
        "I was charged twice",
        "refund my invoice please",
        "the invoice has the wrong amount",
        "cancel my plan",
    ],
    "technical": ["the app crashes at start", "login page shows an error", "error 500 on export", "screen stays black"],
    "feedback": ["love the new design", "please add a dark mode", "it would be nice to sort", "great update"],
}


@pytest.fixture
def train():
    rows = [(text, label) for label, texts in TEXTS.items() for text in texts]
    return [Example(row, text, label) for row, (text, label) in enumerate(rows, start=1)]


def test_majority_and_its_ties(train):
    assert majority([*train, Example(13, "another invoice", "technical")]) == "technical"
    assert majority(train) == majority(train[::-1]) == "billing"


def test_tfidf_learns(train):
    assert Tfidf(train).answer(["wrong invoice", "crashes with an eror", "a dark design"])[0] == [
        "billing",
        "technical",
        "feedback",
    ]


def test_tfidf_without_spaces_one_label_no_inputs():
    chinese = [Example(1, "退款什么时候到账", "退款"), Example(2, "应用无法打开", "故障")]
    assert Tfidf(chinese).answer(["我的退款呢"])[0] == ["退款"]
    assert Tfidf(chinese[:1]).answer(["x", "y"])[0] == ["退款", "退款"]
    assert Tfidf(chinese).answer([])[0] == []
    signs = [Example(1, "?", "question"), Example(2, "!", "shout")]
    assert Tfidf(signs).answer(["?"])[0] == ["question"]


def test_shots_are_balanced_short_and_repeatable(train):
    shots = few_shot(train, count=6, seed=0, labels=list(TEXTS))
    assert [shot.output for shot in shots[:3]] == [shot.output for shot in shots[3:]]
    assert {shot.output for shot in shots} == set(TEXTS)
    for shot in shots:
        assert len(shot.input) <= sorted(map(len, TEXTS[shot.output]))[1]
    shuffled = random.Random(1).sample(train, len(train))
    assert few_shot(shuffled, count=6, seed=0, labels=list(TEXTS)) == shots
    assert any(few_shot(train, count=3, seed=seed, labels=list(TEXTS)) != shots[:3] for seed in range(1, 9))


def test_shots_are_different_and_at_most_what_there_is(train):
    twice = [*train, Example(13, "CANCEL my  plan", "technical")]
    shots = few_shot(twice, count=100, seed=0, labels=list(TEXTS))
    assert sorted(shot.row for shot in shots) == list(range(1, 13))
    assert few_shot(train, count=0, seed=0) == few_shot([], count=3, seed=0) == []


def test_shots_for_a_task_without_labels(train):
    shots = few_shot(train, count=4, seed=0)
    assert len(shots) == len(set(shots)) == 4
    assert max(len(shot.input) + len(shot.output) for shot in shots) < 30


def test_no_training_rows():
    for call in (lambda: majority([]), lambda: Tfidf([])):
        with pytest.raises(FinetuneError, match="no training rows"):
            call()
