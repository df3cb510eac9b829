"""Measures of answers: by label, by confidence, by text and JSON field, and by the user's own rules."""

from __future__ import annotations

import numpy as np
import pytest

from finetune.errors import FinetuneError
from finetune.evidence.measures.calibration import calibration, human
from finetune.evidence.measures.classes import moved, per_class
from finetune.evidence.measures.must import Rules
from finetune.evidence.measures.texts import fields, is_json_task, measure, summary


def test_scores_of_each_label_by_hand():
    found = per_class(["a", "a", "a", "b"], ["a", "a", "b", "nothing"], ["a", "b", "c"])
    a, b, c = found["classes"]
    assert (a["precision"], a["recall"], a["rows"]) == (1.0, pytest.approx(2 / 3), 3)
    assert (b["f1"], c["rows"]) == (0.0, 0)
    assert found["macro_f1"] == pytest.approx((0.8 + 0) / 2)  # c has no test row and is no zero
    low, high = found["macro_f1_interval"]
    assert low <= found["macro_f1"] <= high
    assert found["confusion"] == [[2, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert found["other"] == 1


def test_macro_f1_of_the_bootstrap_is_that_of_scikit_learn():
    from sklearn.metrics import f1_score

    from finetune.evidence.measures.classes import _macro_f1

    rng = np.random.default_rng(1)
    truth, said = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    assert _macro_f1(truth, said, 5) == pytest.approx(f1_score(truth, said, average="macro"))


def test_rows_that_moved_stand_together_the_most_first():
    found = moved([1, 2, 3, 4, 5], list("aabba"), list("bbbab"), list("aaaab"))
    assert [(one["outcome"], one["rows"]) for one in found] == [("mended", [1, 2]), ("broken", [3])]


def test_calibration_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.45, 0.55]])
    found = calibration(probabilities, np.array([0, 1, 0, 1]))
    assert found["sure_but_wrong"] == 1
    # Two rows at 0.95 with one right, two at 0.55 with both right.
    assert found["ece"] == pytest.approx(0.5 * 0.45 + 0.5 * 0.45)
    assert found["brier"] == pytest.approx((0.005 + 1.805 + 0.405 + 0.405) / 4)
    assert sum(one["rows"] for one in found["bins"]) == 4


def test_an_expected_answer_that_is_no_label_is_wrong():
    assert calibration(np.array([[1.0, 0.0]]), np.array([-1]))["sure_but_wrong"] == 1


def test_the_threshold_is_chosen_on_validation_and_measured_on_test():
    sure = np.linspace(0.5, 1, 101)
    validation = (sure, (sure >= 0.8).astype(float))
    test = (sure, (sure >= 0.9).astype(float))
    found = human(validation, test, target=1.0)
    assert found["threshold"] == pytest.approx(0.8)
    assert found["handled"] == pytest.approx(41 / 101)
    assert found["accuracy"] == pytest.approx(21 / 41)  # not the 100% of validation
    assert found["interval"][0] < found["accuracy"] < found["interval"][1]


def test_no_threshold_reaches_the_target():
    found = human(([0.9, 0.8], [0.0, 0.0]), ([0.9], [1.0]))
    assert (found["threshold"], found["handled"], found["accuracy"]) == (None, 0.0, None)


def test_text_measures():
    same = measure("Paris is big.", "Paris is big.")
    assert all(
        same[name] == pytest.approx(1) for name in ("exact_match", "token_f1", "rouge_l", "chrf", "length_ratio")
    )
    half = measure("big Paris", "Paris small")
    assert half["token_f1"] == 0.5 and half["exact_match"] == 0
    assert measure("", "x")["token_f1"] == 0


def test_json_is_scored_field_by_field():
    expected = '{"name": "Ann", "age": 3, "tags": ["x", "y"], "of": {"town": "Rome"}}'
    assert fields(expected, expected)["f1"] == 1
    found = fields('{"name": "ann", "age": "3", "tags": ["y", "x"], "of": {"town": "Bonn"}, "more": 1}', expected)
    assert found["fields"] == {"name": 1.0, "age": 0.0, "tags[]": 1.0, "of.town": 0.0}
    assert found["f1"] == pytest.approx(2 * 3 / (5 + 6))
    assert fields('{"age": 3.0}', '{"age": 3}')["f1"] == 1
    assert fields('{"a.b": 1}', '{"a": {"b": 1}}')["f1"] == 0
    assert fields("null", '{"a": "null"}')["f1"] == 0
    assert fields("no JSON", expected) == {"json": False, "fields": dict.fromkeys(found["fields"], 0.0), "f1": 0.0}
    assert fields("x", "plain text") is None


def test_an_answer_that_nests_without_end_is_no_json():
    deep = '{"a":' * 900 + "1" + "}" * 900
    assert fields(deep, '{"a": 1}')["json"] is False


def test_summary_counts_rows_of_each_field():
    outputs, expected = ['{"a": 1}', "", "x"], ['{"a": 1}', '{"a": 2, "b": 3}', "y"]
    pairs = list(zip(outputs, expected, strict=True))
    found = summary(outputs, [measure(*pair) for pair in pairs], [fields(*pair) for pair in pairs])
    assert found["fields"] == {"a": {"f1": 0.5, "rows": 2}, "b": {"f1": 0.0, "rows": 1}}
    assert (found["json_valid"], found["empty"]) == (0.5, pytest.approx(1 / 3))
    assert is_json_task(['{"a": 1}'] * 9 + ["x"]) and not is_json_task(["[1]", "x"])


def test_rules_name_what_is_broken():
    rules = Rules(must=("Regards",), must_not=("sorry",), pattern=r"\d{3}")
    assert rules.check("regards, 123") == []
    assert rules.check("Sorry") == ["does not contain “Regards”", "contains “sorry”", r"does not match \d{3}"]


@pytest.mark.parametrize(("given", "word"), [({"pattern": "a(b"}, "character"), ({"must": (" ",)}, "without a text")])
def test_a_rule_that_is_none_is_told(given, word):
    with pytest.raises(FinetuneError, match=word):
        Rules(**given)


def test_a_pattern_that_takes_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr("finetune.evidence.measures.must.PATTERN_SECONDS", 0.05)
    assert "not checked" in Rules(pattern="(a|aa)+$").check("a" * 60 + "b")[0]
