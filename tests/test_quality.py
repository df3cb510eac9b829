"""Findings: what is found, where, and what the mends do."""

from __future__ import annotations

import pytest

from finetune.dataset.example import Example
from finetune.dataset.quality import DEFAULT_MENDS, MENDS, Finding, Removed, balance, examine, faults, mend
from finetune.errors import FinetuneError


def made(*pairs: tuple[str, str]) -> list[Example]:
    return [Example(row, *pair) for row, pair in enumerate(pairs, start=1)]


def many(label: str, count: int, start: int = 0) -> list[tuple[str, str]]:
    return [(f"{label} text {n}", label) for n in range(start, start + count)]


def by_kind(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.kind: finding for finding in findings}


def test_nothing_wrong():
    assert examine(made(*many("a", 300), *many("b", 300)), "classification") == []


def test_duplicates_and_conflicts():
    examples = made(("Where is it?", "a"), ("x", "a"), ("where  is IT? ", "a"), ("y", "b"), ("X", "b"), ("x", "a"))
    found = by_kind(faults(examples, "classification"))
    assert found["exact_duplicate"].clusters == ((1, 3), (2, 6))
    assert found["exact_duplicate"].rows == (1, 2, 3, 6)
    assert found["conflicting_output"].clusters == ((2, 5, 6),)
    assert found["conflicting_output"].severity == "warning"
    data = found["exact_duplicate"].as_json()
    assert data["clusters"] == [[1, 3], [2, 6]] and set(data) == {
        "kind",
        "severity",
        "rows",
        "message",
        "fix",
        "clusters",
    }

    kept, removed = mend(examples, list(found.values()), DEFAULT_MENDS)
    assert [example.row for example in kept] == [1, 2, 4, 5]
    assert removed == [Removed(3, "same as row 1"), Removed(6, "same as row 2")]
    kept, removed = mend(examples, list(found.values()), ("keep_one", "drop_conflicts"))
    assert [example.row for example in kept] == [1, 4]
    assert len(removed) == 4


def test_different_answers_to_a_question_are_a_note():
    found = by_kind(faults(made(("q", "an answer"), ("q", "another answer")), "instruction"))
    assert found["conflicting_output"].severity == "note" and "answer" in found["conflicting_output"].message


def test_chat_compares_the_whole_context():
    first = Example(1, "yes", "ok", (("user", "tea?"), ("assistant", "sure?"), ("user", "yes")))
    second = Example(2, "yes", "ok", (("user", "coffee?"), ("assistant", "sure?"), ("user", "yes")))
    assert "exact_duplicate" not in by_kind(faults([first, second], "chat"))


def test_spellings_of_labels():
    examples = made(
        ("1", "Card arrival"), ("2", "card_arrival"), ("3", "Card arrival"), ("4", "CARD-ARRIVAL"), ("5", "other")
    )
    found = by_kind(faults(examples, "classification"))["suspect_label"]
    assert found.rows == (2, 4) and found.mend == "merge_labels"
    kept, removed = mend(examples, [found], ("merge_labels",))
    assert [example.output for example in kept] == ["Card arrival"] * 4 + ["other"] and removed == []
    assert "suspect_label" not in by_kind(
        faults(made(("1", "-1"), ("2", "1"), ("3", "c"), ("4", "c++")), "classification")
    )


@pytest.mark.parametrize(("most", "severity"), [(95, "warning"), (70, "note"), (50, None)])
def test_imbalance(most, severity):
    found = by_kind(balance(made(*many("a", most), *many("b", 100 - most)), "classification"))
    if severity is None:
        assert "class_imbalance" not in found
    else:
        assert found["class_imbalance"].severity == severity
        assert ("over-predicted" in found["class_imbalance"].message) == (severity == "warning")


def test_rare_labels_count_different_inputs():
    examples = made(*many("a", 60), ("z", "b"), ("Z ", "b"), ("z", "b"), *many("c", 3))
    found = by_kind(balance(examples, "classification"))["rare_class"]
    assert found.rows == (61, 62, 63) and "“b”" in found.message
    kept, removed = mend(examples, [found], ("drop_rare",))
    assert len(kept) == 63 and [item.row for item in removed] == [61, 62, 63]


def test_a_rare_spelling_that_is_merged_is_not_dropped():
    examples = made(*many("a", 60), ("x", "A"), ("y", "b"))
    findings = examine(examples, "classification")
    kept, removed = mend(examples, findings, ("merge_labels", "drop_rare"))
    assert len(kept) == 61 and [item.row for item in removed] == [62]


@pytest.mark.parametrize(("rows", "severity"), [(49, "error"), (99, "warning"), (499, "note"), (500, None)])
def test_too_few_rows(rows, severity):
    found = by_kind(balance(made(*[(str(n), f"answer {n}") for n in range(rows)]), "instruction"))
    assert (found["too_few_rows"].severity if found else None) == severity


def test_too_long():
    examples = made(("short", "a"), ("x" * 100_000, "b"))
    found = by_kind(faults(examples, "classification"))["too_long"]
    assert found.rows == (2,) and "25,000" in found.message and "estimated" in found.message
    counted = by_kind(faults(examples, "classification", token_counts=[600, 513], max_tokens=512))["too_long"]
    assert counted.rows == (1, 2) and "row 1, has 600." in counted.message
    assert "too_long" not in by_kind(faults(examples, "classification", token_counts=[600, 513], max_tokens=600))
    kept, removed = mend(examples, [found], ("drop_long",))
    assert [example.row for example in kept] == [1] and removed == [Removed(2, "longer than the model reads")]


def test_unknown_mend():
    with pytest.raises(FinetuneError, match="keep_one"):
        mend([], [], ("fly",))
    assert set(DEFAULT_MENDS) <= set(MENDS)
