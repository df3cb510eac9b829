"""What the mends do, what they tell of it, and what they leave alone."""

from __future__ import annotations

import pytest

from finetune.dataset.example import Example
from finetune.dataset.finding import APPLIED, Finding, Removed
from finetune.dataset.mending import DEFAULT_MENDS, MENDS, Change, counts, drop_rare, mend
from finetune.errors import FinetuneError


def made(*pairs: tuple[str, str]) -> list[Example]:
    return [Example(row, *pair) for row, pair in enumerate(pairs, start=1)]


def finding(*rows: int, mends: tuple[str, ...], clusters=(), outputs=None, reasons=None) -> Finding:
    return Finding(
        "empty",
        "note",
        rows,
        "Something.",
        "Do something.",
        clusters,
        mends,
        outputs=outputs or {},
        reasons=reasons or {},
    )


def rows(mended) -> list[int]:
    return [example.row for example in mended.examples]


def test_one_of_each_is_kept():
    examples = made(("x", "a"), ("x", "a"), ("y", "b"), ("X", "a"))
    mended = mend(examples, [finding(1, 2, 4, mends=("keep_one",), clusters=((1, 2, 4),))], DEFAULT_MENDS)
    assert rows(mended) == [1, 3]
    assert mended.removed == (Removed(2, "same as row 1"), Removed(4, "same as row 1"))
    assert counts(mended) == {"same as another row": 2} and mended.changes == ()


def test_the_users_own_test_rows_are_kept_and_others_are_kept_beside_them():
    examples = made(("x", "a"), ("x", "a"), ("x", "a"), ("x", "a"))
    mended = mend(
        examples, [finding(1, 2, 3, 4, mends=("keep_one",), clusters=((1, 2, 3, 4),))], DEFAULT_MENDS, range(3, 5)
    )
    assert rows(mended) == [1, 3, 4]


def test_near_duplicates_with_another_answer_are_kept():
    examples = made(("x", "one"), ("x!", "two"), ("x?", "One"))
    mended = mend(examples, [finding(1, 2, 3, mends=("keep_one_near",), clusters=((1, 2, 3),))], ("keep_one_near",))
    assert rows(mended) == [1, 2]


def test_outputs_are_written_and_told():
    examples = made(("x", "card arrival"), ("y", "Card arrival"))
    mended = mend(examples, [finding(1, mends=("merge_labels",), outputs={1: "Card arrival"})], ("merge_labels",))
    assert [example.output for example in mended.examples] == ["Card arrival"] * 2
    reason = MENDS["merge_labels"].reason
    assert mended.changes == (Change(1, "output", "card arrival", "Card arrival", reason),) and mended.removed == ()
    assert counts(mended) == {reason: 1}


def test_texts_are_changed_in_every_turn():
    talk = (("user", "write to ann@example.org"), ("assistant", "to whom?"), ("user", "ann@example.org please"))
    example = Example(7, "ann@example.org please", "Done: ann@example.org", talk)
    mended = mend([example], [finding(7, mends=("mask_personal", "drop_personal"))], ("mask_personal",))
    (after,) = mended.examples
    assert "ann@" not in repr(after) and after.context[-1][1] == after.input and after.row == 7
    assert {change.column for change in mended.changes} == {"input", "output"}
    assert mended.texts == {7: ("mask_personal",)}


def test_a_row_that_is_left_out_is_not_changed_too():
    examples = made(("x", "a"), ("y", "b"))
    both = finding(1, mends=("drop_suspects", "relabel_suspects"), outputs={1: "b"})
    mended = mend(examples, [both], ("drop_suspects", "relabel_suspects"))
    assert rows(mended) == [2] and mended.changes == () and mended.removed == (Removed(1, "its label is doubtful"),)


def test_only_findings_that_offer_a_mend_are_mended_by_it():
    examples = made(("x", "a"), ("y", "b"))
    assert rows(mend(examples, [finding(1, mends=("drop_long",))], ("drop_broken",))) == [1, 2]
    assert rows(mend(examples, [finding(1, mends=("drop_long",))], ())) == [1, 2]


def test_what_is_always_left_out():
    examples = made(("x", "a"), ("y", "b"))
    applied = finding(1, mends=(APPLIED,), reasons={1: "in the test file too"})
    assert mend(examples, [applied], ()).removed == (Removed(1, "in the test file too"),)


def test_rare_labels_go_last():
    mended = drop_rare(mend(made(("x", "a"), ("y", "b")), [], ()), [2])
    assert rows(mended) == [1] and mended.removed == (Removed(2, "its label has too few rows"),)


def test_unknown_mend():
    with pytest.raises(FinetuneError, match="keep_one"):
        mend([], [], ("fly",))
    assert set(DEFAULT_MENDS) <= set(MENDS)
