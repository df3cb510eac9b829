"""Readiness: what somebody who knows the trade would say, and claims that hold when they are tried."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import Situation, changed, claimed, free

from finetune.dataset.finding import APPLIED, Finding
from finetune.dataset.readiness.changes import CAUTION
from finetune.dataset.readiness.profile import profile
from finetune.dataset.readiness.questions import Questions
from finetune.dataset.readiness.readiness import RULES, Baseline, assess, detectable_difference, rows_to_detect
from finetune.dataset.readiness.rules import PRECEDENCE, THUMB
from finetune.dataset.splitting.split import Split


def asked(**answers) -> dict:
    return {"questions": Questions(**answers)}


def easy(score: float, low: float, high: float, majority: float = 0.5) -> dict:
    return {"baseline": Baseline("TF-IDF with logistic regression", score, (low, high), majority)}


# Each: name, situation, decision, topic of the reason that leads, words in it.
SITUATIONS = [
    ("a handful", Situation((15, 15)), "collect_data", "rows", "30 rows: a fine-tune needs 50 to 100"),
    ("under a hundred", Situation((35, 35)), "prompt_first", "rows", "under 100, a good prompt often wins"),
    ("a few hundred", Situation((100, 100)), "pilot_first", "rows", "500 or more are recommended"),
    ("the law firm: 800 contracts of three kinds", Situation((280, 260, 260), questions=Questions(10_000)),
     "fine_tune", "rows", "800 rows"),
    ("Banking77", Situation((130,) * 77, **easy(0.885, 0.879, 0.891, 0.02)), "fine_tune", "rows", "10,010 rows"),
    ("prices of today", free(2000, **asked(knowledge_changes="daily")), "retrieval", "knowledge", "every day"),
    ("prices of today and hardly a row", free(30, **asked(knowledge_changes="weekly")), "retrieval", "knowledge",
     "however many rows"),
    ("rules that change monthly, told in sentences", free(2000, **asked(knowledge_changes="monthly")), "pilot_first",
     "knowledge", "every month"),
    ("rules that change monthly, as labels", Situation(**asked(knowledge_changes="monthly")), "fine_tune", "rows", ""),
    ("facts for ever", Situation(**asked(knowledge_changes="never")), "fine_tune", "rows", ""),
    ("twenty letters a day, sorted", Situation(**asked(requests_a_day=20)), "prompt_first", "volume", "20 requests a day"),
    ("twenty long letters a day, written", free(800, words=80, **asked(requests_a_day=20)), "pilot_first", "volume",
     "longer answers"),
    ("twenty diagnoses a day", Situation((3000, 3000), **asked(requests_a_day=20, wrong_costs="much")), "pilot_first",
     "volume", "each mistake costs much"),
    ("some hundreds a day", Situation(**asked(requests_a_day=400)), "pilot_first", "volume", "it takes thousands"),
    ("words alone do it", Situation(**easy(0.97, 0.96, 0.98)), "pilot_first", "baseline", "likely to be enough"),
    ("words alone leave less than is wanted", Situation(**easy(0.93, 0.91, 0.955), **asked(want=0.05)), "pilot_first",
     "baseline", "left to gain"),
    ("words alone do half of it", Situation(**easy(0.78, 0.75, 0.81)), "fine_tune", "rows", ""),
    ("nothing to be learned from words", Situation(**easy(0.51, 0.48, 0.54)), "pilot_first", "baseline", "noise"),
    ("a mistake costs much, few test rows", Situation(**asked(wrong_costs="much")), "pilot_first", "sensitivity",
     "783 would"),
    ("a mistake costs much, many test rows", Situation((3000, 3000), **asked(wrong_costs="much")), "fine_tune", "rows", ""),
    ("a comparison of very few", Situation((3000, 3000), compared=30), "pilot_first", "test_size", "30 of the 900"),
    ("a comparison of a pilot's size", Situation((3000, 3000), compared=150), "fine_tune", "rows", ""),
    ("answers from a fixed list", free(1000, answers=0.05), "retrieval", "narrowness", "looking the answer up"),
    ("yes and no written out", free(1000, answers=0.002, words=1), "fine_tune", "rows", ""),
    ("essays", free(1000, words=400), "pilot_first", "narrowness", "broad"),
    ("one class has nearly all", Situation((1140, 60)), "pilot_first", "balance", "over-predicted"),
    ("one class has nearly all, the rest nothing", Situation((970, 30)), "collect_data", "balance", "over-predicted"),
    ("a label for everyone", Situation((5,) * 150), "collect_data", "balance", "too few to learn from"),
    ("a tail of rare labels", Situation((300, 300, 300, 4, 3)), "pilot_first", "balance", "guessed badly"),
    ("one rare label of many", Situation((*(60,) * 20, 5)), "fine_tune", "rows", ""),
    ("half of it contradicts itself", Situation(faults=(("conflicting_output", 0.5),)), "collect_data", "quality",
     "contradict another"),
    ("a fifth contradicts itself", Situation(faults=(("conflicting_output", 0.2),)), "pilot_first", "quality",
     "Message of conflicting_output"),
    ("a few contradictions", Situation(faults=(("conflicting_output", 0.05),)), "fine_tune", "rows", ""),
    ("several answers are right", Situation(faults=(("conflicting_output", 0.5),), severity="note"), "fine_tune",
     "rows", ""),
    ("one label in seven is doubtful", Situation(faults=(("suspect_label", 0.14),)), "pilot_first", "quality",
     "doubtful label"),
    ("labels in two spellings", Situation(faults=(("label_spelling", 0.4),)), "pilot_first", "quality", "spell"),
    ("half of it is copies", Situation(faults=(("exact_duplicate", 0.5),)), "pilot_first", "rows", "400 of them different"),
    ("copies of a few", Situation((60, 40), faults=(("exact_duplicate", 0.45),)), "prompt_first", "rows", "55 of them"),
    ("words alone do it, and every point counts", Situation(**easy(0.96, 0.95, 0.97), **asked(want=0.01)), "pilot_first",
     "baseline", "likely to be enough"),
    ("letters with names", Situation(faults=(("personal_data", 0.6),)), "pilot_first", "privacy", "Mask it before"),
    ("one letter with a name", Situation(faults=(("personal_data", 0.01),)), "fine_tune", "rows", ""),
    ("a third of the file is broken", Situation(faults=(("bad_row", 0.5),)), "pilot_first", "quality", "not be read"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "decision", "topic", "words"), [case[1:] for case in SITUATIONS], ids=[case[0] for case in SITUATIONS]
)
def test_the_decision_of_somebody_who_knows(one: Situation, decision, topic, words):
    readiness = one.assess()
    assert readiness.decision == decision, readiness.reasons
    leads = readiness.reasons[0]
    assert words in leads
    assert [point.topic for point in readiness.points if point.reason == leads] == [topic]
    # Every claim of what would change it is true when it is done; nothing is claimed that changes nothing.
    for sentence in readiness.would_change:
        if not sentence.startswith("No one change"):
            then = changed(one, sentence).assess().decision
            assert then == claimed(sentence) != decision, sentence
    if any(sentence.startswith("No one change") for sentence in readiness.would_change):
        assert not any("would make it a fine-tune" in sentence for sentence in readiness.would_change)
    assert len(set(readiness.would_change)) == len(readiness.would_change)


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (Situation((190, 188)), "122 more rows of the same kind, to 500, would make it a fine-tune."),
        (Situation((15, 15)), "20 more rows of the same kind, to 50, would make it prompting first."),
        (Situation((15, 15)), "470 more rows of the same kind, to 500, would make it a fine-tune."),
        (free(900, **asked(knowledge_changes="daily")),
         "Right answers that change once a year or so instead of every day would make it a fine-tune."),
        (Situation(**asked(requests_a_day=20)), "1,000 requests a day instead of 20 would make it a fine-tune."),
        (Situation(), "50 requests a day instead of 1,000 would make it prompting first."),
        (Situation(**asked(wrong_costs="much")), "Mistakes that cost some instead of much would make it a fine-tune."),
        (Situation((3000, 3000), compared=30), "Comparing all 900 test rows would make it a fine-tune."),
        (Situation((3000, 3000), test=0.1, **asked(wrong_costs="much")),
         "783 test rows instead of 600, out of the same 6,000, all compared, would make it a fine-tune."),
        (Situation((970, 30)), "78 more rows of the label that is second in number would make it a fine-tune."),
        (Situation((300, 300, 300, 4, 3)),
         "10 rows or more of every label (13 more, of 2 labels) would make it a fine-tune."),
        (Situation(faults=(("suspect_label", 0.14),)),
         "Putting right the 112 rows with the finding “suspect label” would make it a fine-tune."),
        (Situation(**easy(0.93, 0.91, 0.955)),
         "A gain of 2 points as the smallest that counts, instead of 5 points, would make it a fine-tune."),
    ],
)  # fmt: skip
def test_what_would_change_it(one, sentence):
    assert sentence in one.assess().would_change


def test_the_rows_that_are_asked_for_are_the_fewest():
    for rows in (30, 70, 200, 378):
        one = Situation((rows // 2, rows // 2))
        for sentence in one.assess().would_change:
            if "more rows of the same kind" in sentence:
                enough = changed(one, sentence)
                assert one.scaled(enough.rows - 1).assess().decision != claimed(sentence)


def test_two_things_against_it_are_named_together():
    sentence = free(400, **asked(knowledge_changes="daily")).assess().would_change[-1]
    assert sentence.startswith("No one change makes it a fine-tune: the number of rows and changing knowledge")


def test_every_rule_of_thumb_is_told_where_it_applies():
    told = {
        "50 to 100 at the very least": Situation((15, 15)),
        "under 100, a good prompt often wins": Situation((35, 35)),
        "500 or more are recommended": Situation((100, 100)),
        "quality comes before quantity": Situation(),
        "narrow, well-defined task": Situation(),
        "over-predicted": Situation((1140, 60)),
        "thousands of requests": Situation(),
        "belongs in retrieval": Situation(**asked(knowledge_changes="daily")),
        "Start with a pilot of 50 to 100 rows": Situation(),
        "95% right in training against 80% in validation": Situation((100, 100)),
        "Early stopping, dropout and weight decay": Situation((100, 100)),
        "train again when the score falls": Situation(),
        "the data first, then at its quality, then at the base, then at the task": Situation(),
    }
    for words, one in told.items():
        assert any(words in reason for reason in one.assess().reasons), words
    prompting = Situation((35, 35)).assess()
    assert not any("Start with a pilot" in reason for reason in prompting.reasons)


def test_unknown_words_speak_for_a_fine_tune():
    one = Situation()
    made = one.examples()
    seen = profile(made, "classification", pieces=lambda words: [5 if word == "number" else 1 for word in words])
    readiness = assess_of(one, profile=seen)
    point = next(point for point in readiness.points if point.topic == "terminology")
    assert point.leans == "fine_tune" and "“number”" in point.reason and "rule of thumb" in point.reason
    assert not any(point.topic == "terminology" for point in one.assess().points)


def assess_of(one: Situation, findings=(), **options):
    made = one.examples()
    held = len(made) // 7
    parts = Split(tuple(made[2 * held :]), tuple(made[:held]), tuple(made[held : 2 * held]), ("label 0", "label 1"))
    return assess(parts, one.task, findings, **options)


def test_findings_count_by_the_rows_that_are_still_there():
    rows = tuple(range(1, 201))
    pairs = tuple((row, row + 1000) for row in rows)  # of each pair one row was left out: nothing repeats any more
    both = tuple(sorted(row for pair in pairs for row in pair))
    gone = Finding("exact_duplicate", "warning", both, "", "", pairs, ("keep_one",), check="exact_duplicate")
    assert assess_of(Situation(), [gone]).decision == "fine_tune"
    pairs = tuple((row, row + 1000) for row in rows)  # one of each contradiction was left out: none is left
    settled = Finding("conflicting_output", "warning", both, "", "", pairs, check="same_input")
    assert assess_of(Situation(), [settled]).decision == "fine_tune"
    removed = Finding("conflicting_output", "warning", tuple(range(900, 1300)), "", "")
    assert assess_of(Situation(), [removed]).decision == "fine_tune"
    here = Finding("conflicting_output", "warning", rows, "", "", mends=("drop_conflicts",))
    assert assess_of(Situation(), [here]).decision == "pilot_first"
    assert assess_of(Situation(), [here], mended=("drop_conflicts",)).decision == "fine_tune"
    applied = Finding("empty", "warning", tuple(range(801, 1001)), "", "", mends=(APPLIED,), check="empty")
    reasons = assess_of(Situation(), [applied]).reasons
    assert any(reason.startswith("200 rows (20%)") for reason in reasons)  # of the 1,000 that there were


def test_a_sample_counts_by_what_was_looked_at():
    found = Finding("suspect_label", "warning", tuple(range(1, 31)), "", "", examined=200)
    readiness = assess_of(Situation(), [found])
    assert readiness.decision == "pilot_first"
    assert readiness.reasons[0].startswith("30 rows of 200 that were looked at (15%) have a doubtful label")


def test_a_profile_of_other_rows_is_refused():
    with pytest.raises(ValueError, match="800"):
        assess_of(Situation(), profile=profile(Situation().examples()[:-1], "classification"))


def test_the_object_of_the_contract():
    readiness = Situation(compared=50, **asked(want=0.1)).assess()
    data = json.loads(json.dumps(readiness.as_json()))
    assert {"decision", "reasons", "detectable_difference"} <= set(data)
    assert data["questions"]["want"] == 0.1 and data["compared_rows"] == 50
    assert data["detectable_difference"] == detectable_difference(50)
    for point in data["points"]:
        assert set(point) == {"topic", "leans", "value", "reason", "rule"} and point["reason"] in data["reasons"]


def test_the_rules_that_are_printed_are_those_that_decide():
    lines = RULES.splitlines()
    assert len(lines) == len(PRECEDENCE) + 1
    for line, (decision, topics, _) in zip(lines[1:], PRECEDENCE, strict=True):
        assert decision.replace("_", " ") in line and set(topics) <= set(THUMB)


_SHAPES = st.sampled_from(
    [Situation((1, 1)), Situation((19, 1)), Situation((1,) * 30), free(1), free(1, answers=0.1), free(1, words=300)]
)
_ANSWERS = st.builds(
    Questions,
    requests_a_day=st.sampled_from([1, 99, 100, 999, 1000, 10**6]),
    knowledge_changes=st.sampled_from(["never", "yearly", "monthly", "weekly", "daily"]),
    wrong_costs=st.sampled_from(["little", "some", "much"]),
    want=st.sampled_from([0.01, 0.05, 0.2]),
)
_FAULTS = st.sampled_from(["conflicting_output", "suspect_label", "encoding", "personal_data", "exact_duplicate"])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=_SHAPES,
    answers=_ANSWERS,
    fault=_FAULTS,
    share=st.sampled_from([0.0, 0.05, 0.2, 0.5]),
    steps=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    compared=st.sampled_from([None, 30, 150]),
)
def test_more_rows_of_the_same_kind_never_make_it_more_cautious(shape, answers, fault, share, steps, compared):
    # Whole multiples, so that the shares stay exactly what they were.
    whole = math.lcm(20, sum(shape.counts)) // sum(shape.counts)
    one = replace(shape, questions=answers, compared=compared, faults=((fault, share),) if share else ())
    first, second = (
        replace(one, counts=tuple(count * whole * times for count in shape.counts)).assess()
        for times in (steps[0], sum(steps))
    )
    assert CAUTION.index(second.decision) <= CAUTION.index(first.decision)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(answers=_ANSWERS, fault=_FAULTS, shares=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)))
def test_more_faults_never_make_it_more_willing(answers, fault, shares):
    low, high = sorted(shares)
    one = Situation((300, 300), questions=answers)
    clean, faulty = (replace(one, faults=((fault, share),)).assess() for share in (low, high))
    assert CAUTION.index(faulty.decision) >= CAUTION.index(clean.decision)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from([Situation((60, 40)), Situation((970, 30)), Situation((400, 390, 8)), free(300), free(900)]),
    answers=_ANSWERS,
    faults=st.lists(st.tuples(_FAULTS, st.sampled_from([0.05, 0.2, 0.5])), max_size=2, unique_by=lambda one: one[0]),
    compared=st.sampled_from([None, 30]),
)
def test_every_claim_holds_when_it_is_tried(shape, answers, faults, compared):
    one = replace(shape, questions=answers, faults=tuple(faults), compared=compared)
    for sentence in one.assess().would_change:
        if not sentence.startswith("No one change"):
            assert changed(one, sentence).assess().decision == claimed(sentence), sentence


def test_detectable_difference_solves_connors_formula():
    d, p = detectable_difference(200), 0.25
    rows = ((1.959964 * math.sqrt(p) + 0.841621 * math.sqrt(p - d**2)) / d) ** 2
    assert rows == pytest.approx(200, rel=1e-4)
    values = [detectable_difference(n) for n in (4, 10, 30, 92, 500, 5000)]
    assert values == sorted(values, reverse=True) and 0 < values[-1] < values[0] <= 1
    assert detectable_difference(0) == detectable_difference(3) == 1.0


@pytest.mark.parametrize("difference", [0.01, 0.05, 0.2, 0.6])
def test_the_rows_that_a_difference_needs_show_it_and_one_less_does_not(difference):
    rows = rows_to_detect(difference)
    assert detectable_difference(rows) <= difference < detectable_difference(rows - 1)


def test_detectable_difference_has_the_power_it_says():
    # Simulated McNemar tests (normal approximation, as in the formula) at the difference that 150 rows should show.
    rows, discordant = 150, 0.25
    d = detectable_difference(rows, discordant)
    random = np.random.default_rng(0)
    chances = [(discordant + d) / 2, (discordant - d) / 2, 1 - discordant]
    wins, losses, _ = random.multinomial(rows, chances, 20_000).T
    z = (wins - losses) / np.sqrt(np.maximum(wins + losses, 1))
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.03)
