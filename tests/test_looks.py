"""The ledger of looks at a test set."""

from __future__ import annotations

from finetune.dataset.example import Example
from finetune.evidence.judging.looks import FILE, hash_of, look_up, record

ROWS = [Example(1, "a", "x"), Example(2, "b", "y")]


def test_the_same_model_looked_at_twice_is_one_model(tmp_path):
    record(tmp_path, "t", "run-1", "adapter-1")
    looks = record(tmp_path, "t", "run-1", "adapter-1")
    assert (looks.total, looks.models, looks.runs) == (2, 1, ("run-1",))


def test_another_adapter_on_the_same_rows_counts_and_another_test_set_does_not(tmp_path):
    record(tmp_path, "t", "run-1", "adapter-1")
    record(tmp_path, "other", "run-3", "adapter-3")
    looks = record(tmp_path, "t", "run-2", "adapter-2")
    assert (looks.total, looks.models, looks.runs) == (2, 2, ("run-1", "run-2"))


def test_a_line_that_was_torn_spoils_only_itself(tmp_path):
    record(tmp_path, "t", "run-1", "adapter-1")
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"test": "t", "ru')
    record(tmp_path, "t", "run-2", "adapter-2")
    assert look_up(tmp_path, "t").runs == ("run-1", "run-2")


def test_a_test_set_is_its_rows_in_any_order():
    assert hash_of(ROWS) == hash_of([Example(9, row.input, row.output) for row in reversed(ROWS)])
    assert hash_of(ROWS) != hash_of([ROWS[0], Example(2, "b", "z")])


def test_nobody_has_looked_yet(tmp_path):
    assert look_up(tmp_path, "t").total == 0
