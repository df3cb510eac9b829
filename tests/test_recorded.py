"""Scores that the real default model once gave, judged by the rules of the day: what must never be claimed, and what must be.

`python tests/benchmarks/verdicts.py --write` trains and compares anew and keeps the scores of each row in tests/recorded.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune.evidence.judging.scores import read_scores
from finetune.evidence.judging.verdict import decide

RECORDED = Path(__file__).parent / "recorded"


@pytest.mark.parametrize("seed", range(3))
def test_labels_without_meaning_never_end_in_a_fine_tune(seed):
    scores = read_scores(RECORDED / f"shuffled-{seed}.jsonl")
    assert scores["test"].keys() == {"majority", "tfidf", "base", "prompted", "few_shot", "retrieval", "fine_tuned"}
    verdict, paired = decide(scores)
    assert verdict.decision != "use_fine_tuned"
    assert paired.wins + paired.losses + paired.ties > 90


@pytest.mark.parametrize("without", [None, "retrieval"])
def test_what_the_base_does_from_examples_ends_in_prompting(without):
    scores = read_scores(RECORDED / "solved.jsonl")
    for part in scores.values():
        part.pop(without, None)
    verdict, paired = decide(scores)
    assert verdict.decision == "prompting_enough"
    assert paired.against == "few_shot" and "few-shot" in verdict.reason
