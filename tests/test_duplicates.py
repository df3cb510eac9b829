"""Rows that repeat and rows that contradict one another, and rows that the test file holds too."""

from __future__ import annotations

import numpy as np

from finetune.dataset.checks.duplicates import duplicate_findings, leakage_finding
from finetune.dataset.checks.likeness import likeness, text_of
from finetune.dataset.example import Example, Task
from finetune.dataset.finding import Finding

LONG = "my new card has not arrived yet and I ordered it two weeks ago"


def made(*pairs: tuple[str, str]) -> list[Example]:
    return [Example(row, *pair) for row, pair in enumerate(pairs, start=1)]


def found_in(examples: list[Example], task: Task = "classification") -> dict[str, Finding]:
    like = likeness([text_of(example) for example in examples])
    return {finding.check: finding for finding in duplicate_findings(examples, task, like)}


def test_duplicates_and_conflicts():
    found = found_in(
        made(("Where is it?", "a"), ("x", "a"), ("where  is IT? ", "a"), ("y", "b"), ("X", "b"), ("x", "a"))
    )
    assert set(found) == {"exact_duplicate", "same_input"}
    assert found["exact_duplicate"].clusters == ((1, 3), (2, 6)) and found["exact_duplicate"].rows == (1, 2, 3, 6)
    assert found["exact_duplicate"].mends == ("keep_one",) and "2 rows repeat" in found["exact_duplicate"].message
    conflict = found["same_input"]
    assert conflict.kind == "conflicting_output" and conflict.severity == "warning"
    assert conflict.clusters == ((2, 5, 6),) and conflict.outputs == {5: "a"}
    assert "83.3% of these rows at most" in conflict.message  # one of six is wrong whatever is answered


def test_a_tie_is_not_written_over():
    found = found_in(made(("x", "a"), ("x", "b"), ("other", "a")))["same_input"]
    assert found.outputs == {} and found.mends == ("drop_conflicts",) and "66.6%" in found.message


def test_spellings_of_a_label_do_not_contradict():
    found = found_in(made(("x", "Card arrival"), ("X", "card_arrival"), ("y", "b")))
    assert set(found) == {"exact_duplicate"}


def test_near_duplicates_have_the_same_label():
    other = LONG.replace("weeks", "months")
    found = found_in(
        made((LONG, "late"), (LONG.upper() + "!", "late"), (other, "late"), ("where is my refund", "late"))
    )
    assert set(found) == {"near_duplicate"} and found["near_duplicate"].clusters == ((1, 2, 3),)
    assert found["near_duplicate"].mends == ("keep_one_near",) and "80%" in found["near_duplicate"].message


def test_near_inputs_with_other_labels_contradict():
    other = LONG.replace("weeks", "months")
    found = found_in(made((LONG, "late"), (other, "lost"), (LONG + ".", "late"), ("where is my refund", "late")))
    assert found["near_duplicate"].clusters == ((1, 3),)
    assert found["near_input"].clusters == ((1, 2, 3),) and found["near_input"].kind == "conflicting_output"
    assert found["near_input"].severity == "warning" and found["near_input"].mends == ("drop_near_conflicts",)


def test_whole_clusters_hold_the_exact_copies_too():
    found = found_in(made((LONG, "late"), (LONG, "late"), (LONG + "!", "late"), ("z", "late")))
    assert found["exact_duplicate"].clusters == ((1, 2),) and found["near_duplicate"].clusters == ((1, 2, 3),)


def test_free_answers_may_differ():
    found = found_in(
        made(("q", "an answer"), ("q", "another answer"), (LONG, "one"), (LONG + "!", "two")), "instruction"
    )
    assert found["same_input"].severity == "note" and "answer" in found["same_input"].message
    assert found["near_input"].severity == "note" and found["near_input"].mends == ()
    assert found["near_duplicate"].clusters == ((3, 4),)


def test_chat_compares_the_turns_before():
    first = Example(1, "yes", "ok", (("user", "tea?"), ("assistant", "sure?"), ("user", "yes")))
    second = Example(2, "yes", "ok", (("user", "coffee?"), ("assistant", "sure?"), ("user", "yes")))
    assert found_in([first, second], "chat") == {}
    third = Example(3, "yes", "ok", (("system", "Be kind."), ("user", "tea?"), ("assistant", "sure?"), ("user", "yes")))
    assert found_in([first, third], "chat")["exact_duplicate"].clusters == ((1, 3),)


def test_nothing_wrong():
    assert found_in(made(("one thing", "a"), ("another matter", "b"))) == {}
    assert found_in(made(("alone", "a"))) == {}


def test_leakage_names_the_row_of_the_test_file():
    examples = made(("a b c", "x"), ("d", "x"), ("e", "y"), ("A B C", "x"))
    clusters = np.array([0, 1, 2, 0])
    assert leakage_finding(examples, clusters, frozenset(), range(4, 5), 0.8) is None
    found = leakage_finding(examples, clusters, frozenset({1, 2}), range(4, 5), 0.8)
    assert found is not None and found.kind == "leakage" and found.rows == (1, 2) and found.mends == ("applied",)
    assert found.clusters == ((1, 4),)
    assert found.reasons == {1: "in the test file too, as row 4", 2: "connected with a row of the test file"}
