"""The profile of a set: known figures, and samples that say so."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from scipy import stats

from finetune.dataset.example import Example
from finetune.dataset.readiness import profile as module
from finetune.dataset.readiness.profile import profile
from finetune.dataset.splitting.split import Split


def rows(outputs, inputs=None) -> list[Example]:
    inputs = inputs or [f"text {n}" for n in range(len(outputs))]
    return [Example(n, text, out) for n, (text, out) in enumerate(zip(inputs, outputs, strict=True), 1)]


def test_labels_as_common_as_each_other_have_the_most_entropy():
    labels = profile(rows(list("abcd") * 25), "classification").labels
    assert labels.entropy == pytest.approx(2.0) and labels.evenness == pytest.approx(1.0)
    assert labels.effective == pytest.approx(4.0) and labels.count == 4 and labels.rows == (25,) * 4


def test_entropy_is_that_of_scipy_and_the_smallest_labels_are_named():
    counts = {"a": 700, "b": 200, "c": 60, "d": 30, "e": 9, "f": 1}
    outputs = [label for label, count in counts.items() for _ in range(count)]
    labels = profile(rows(outputs), "classification").labels
    assert labels.entropy == pytest.approx(stats.entropy(list(counts.values()), base=2))
    assert (labels.largest, labels.largest_share) == ("a", 0.7)
    assert labels.smallest == (("f", 1), ("e", 9), ("d", 30), ("c", 60), ("b", 200))


def test_a_label_without_rows_and_a_label_alone():
    labels = profile(rows(["a", "b"]), "classification", ["a", "b", "c"]).labels
    assert labels.rows == (1, 1, 0) and labels.smallest[0] == ("c", 0) and labels.entropy == pytest.approx(1.0)
    alone = profile(rows(["a", "a"]), "classification").labels
    assert (alone.entropy, alone.evenness, alone.effective) == (0.0, 0.0, 1.0)


def test_lengths_and_words():
    inputs = ["one"] * 50 + ["one two three"] * 44 + ["w " * 100] * 6
    seen = profile(rows(["x"] * 100, inputs), "classification")
    assert (seen.input_words.p50, seen.input_words.p95) == (2, 100)  # between the 50th and the 51st: 2
    seen = profile(rows(["x"] * 3, ["The cat's  hat.", "the CAT", "dog-days 7"]), "classification").input_vocabulary
    assert seen.words == 8 and seen.distinct == 7  # the cat's hat cat dog days 7
    assert seen.once == pytest.approx(6 / 7) and seen.variety is None


def test_scripts_without_spaces_have_words_too():
    seen = profile(rows(["x"], ["日本語です hello"]), "classification")
    assert seen.input_words.p50 == 6 and seen.input_vocabulary.distinct == 6


def test_variety_is_counted_on_pieces_of_one_size():
    words = [f"w{n % 100}" for n in range(3500)]
    text = [" ".join(words[start : start + 10]) for start in range(0, 3500, 10)]
    assert profile(rows(["x"] * 350, text), "classification").input_vocabulary.variety == pytest.approx(0.1)


def test_outputs_that_repeat_are_copied_or_are_json():
    outputs = ["Paris"] * 6 + ['{"a": 1}'] * 3 + ["[not json"] + ["in the  text"] * 2 + ["a"] * 2
    inputs = ["It is in PARIS, they say."] * 6 + ["?"] * 4 + ["In\nthe text."] * 2 + ["a"] * 2
    seen = profile(rows(outputs, inputs), "instruction").outputs
    assert seen.distinct == 5 and seen.top_share == pytest.approx(6 / 14) and seen.top_ten_share == 1.0
    assert seen.extractive == pytest.approx(8 / 14) and seen.json == pytest.approx(3 / 14)
    classes = profile(rows(outputs, inputs), "classification")
    assert classes.outputs.extractive is None and classes.outputs.json is None and classes.output_vocabulary is None


def test_deep_json_is_no_crash():
    assert profile(rows(["[" * 100_000]), "instruction").outputs.json == 0.0


def test_the_earlier_turns_of_a_chat_are_read_too():
    context = (("user", "My order 77 is late"), ("assistant", "Sorry!"), ("user", "So?"))
    seen = profile([Example(1, "So?", "order 77 is late", context)], "chat")
    assert seen.input_words.p50 == 7 and seen.outputs.extractive == 1.0


def test_top_shares_are_exact_with_many_outputs():
    draw = random.Random(3)
    outputs = [f"answer {int(draw.paretovariate(0.7)) % 400}" for _ in range(3000)]
    seen = profile(rows(outputs), "instruction").outputs
    common = Counter(outputs).most_common(10)
    assert seen.distinct == len(set(outputs))
    assert seen.top_share == common[0][1] / 3000
    assert seen.top_ten_share == pytest.approx(sum(count for _, count in common) / 3000)


def test_a_sample_says_so_and_is_the_same_again(monkeypatch):
    many = rows([f"answer {n}" for n in range(2000)], ["word " * (n % 40 + 1) for n in range(2000)])
    whole = profile(many, "instruction")
    assert whole.examined is None
    monkeypatch.setattr(module, "SAMPLE_ROWS", 500)
    sampled = profile(many, "instruction")
    assert sampled.examined == 500 and sampled == profile(many, "instruction")
    # What is counted is still counted over everything; what is estimated is near.
    assert sampled.rows == 2000 and sampled.outputs.distinct == 2000
    assert sampled.input_words.p50 == pytest.approx(whole.input_words.p50, abs=4)
    monkeypatch.setattr(module, "SAMPLE_CHARACTERS", 10_000)  # long texts: fewer rows
    assert 50 < profile(many, "instruction").examined < 200


def test_terminology_is_what_the_tokenizer_breaks_up():
    inputs = ["take the enoxaparin now", "the enoxaparin 10mg", "stop the clopidogrel"]
    asked = []

    def pieces(words):
        asked.extend(words)
        return [4 if len(word) > 8 else 1 for word in words]

    seen = profile(rows(["yes", "no", "yes"], inputs), "classification", pieces=pieces)
    assert seen.terms == ("enoxaparin", "clopidogrel") and seen.terminology == pytest.approx(3 / 9)
    assert "10mg" not in asked and len(asked) == len(set(asked))
    assert profile(rows(["yes"], ["..."]), "classification", pieces=pieces).terminology == 0.0
    assert profile(rows(["yes"]), "classification").terminology is None


def test_a_split_is_all_its_parts_and_the_json_has_no_list_of_all_labels():
    made = rows(list("ab") * 20)
    parts = Split(tuple(made[:20]), tuple(made[20:30]), tuple(made[30:]), ("a", "b"))
    assert profile(parts, "classification", parts.labels).rows == 40
    data = json.loads(json.dumps(profile(parts, "classification").as_json()))
    assert data["labels"]["count"] == 2 and "rows" not in data["labels"]
    assert set(data) >= {"rows", "labels", "outputs", "input_words", "output_words", "input_vocabulary", "examined"}


def test_no_rows_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="no rows"):
        profile([], "instruction")
