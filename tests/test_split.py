"""The split: shares hold, labels are in all parts, equal inputs stay together, the seed decides."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from finetune.dataset.example import Example
from finetune.dataset.quality import input_key
from finetune.dataset.split import Split, split
from finetune.errors import FinetuneError


def labelled(sizes: dict[str, int]) -> list[Example]:
    pairs = [(f"{label} text {n}", label) for label, size in sizes.items() for n in range(size)]
    random.Random(7).shuffle(pairs)
    return [Example(row, *pair) for row, pair in enumerate(pairs, start=1)]


def cut(
    examples: list[Example], task: str = "classification", seed: int = 0, validation: float = 0.15, test: float = 0.15
) -> Split:
    return split(examples, task, validation=validation, test=test, seed=seed)


def test_shares_and_strata():
    parts = cut(labelled({"a": 500, "b": 300, "c": 200}))
    assert {name: len(part) for name, part in parts.parts().items()} == {"train": 700, "validation": 150, "test": 150}
    assert Counter(example.output for example in parts.test) == {"a": 75, "b": 45, "c": 30}
    assert parts.labels == ("a", "b", "c")
    assert parts.as_json()["validation"] == {"rows": 150, "labels": {"a": 75, "b": 45, "c": 30}}


def test_largest_remainder_keeps_the_total():
    parts = cut(labelled({f"label {n}": 10 + n % 3 for n in range(77)}), validation=0.1, test=0.1)
    rows = sum(10 + n % 3 for n in range(77))
    assert abs(len(parts.test) - rows * 0.1) <= 1 and abs(len(parts.validation) - rows * 0.1) <= 1


def test_everything_once():
    examples = labelled({"a": 40, "b": 17, "c": 3, "d": 2, "e": 1})
    parts = cut(examples)
    assert sorted(example.row for part in parts.parts().values() for example in part) == list(range(1, 64))
    for part in parts.parts().values():
        assert [example.row for example in part] == sorted(example.row for example in part)
        assert {"a", "b", "c"} <= {example.output for example in part}
    train = Counter(example.output for example in parts.train)
    assert train["d"] == 1 and train["e"] == 1


@pytest.mark.parametrize("seed", range(5))
def test_equal_inputs_stay_together(seed):
    random_ = random.Random(seed)
    examples = [
        Example(
            row,
            random_.choice(["Text {}", "text  {} ", "TEXT {}"]).format(random_.randint(0, 60)),
            random_.choice("ab"),
        )
        for row in range(1, 300)
    ]
    parts = cut(examples, seed=seed).parts()
    keys = [{input_key(example) for example in part} for part in parts.values()]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
    assert abs(len(parts["test"]) - 45) <= 10


def test_seed_and_order_of_rows():
    examples = labelled({"a": 100, "b": 60})
    assert cut(examples) == cut(examples)
    assert cut(examples) != cut(examples, seed=1)
    shuffled = random.Random(3).sample(examples, len(examples))
    assert cut(shuffled) == cut(examples)


def test_a_row_more_moves_few_others():
    examples = labelled({"a": 100, "b": 60})
    before = {example.row for example in cut(examples).test}
    after = {example.row for example in cut([*examples, Example(999, "one more", "a")]).test}
    assert len(before ^ after) <= 4


def test_free_text():
    parts = cut([Example(n, f"question {n}", f"answer {n}") for n in range(1, 101)], "instruction")
    assert {name: len(part) for name, part in parts.parts().items()} == {"train": 70, "validation": 15, "test": 15}
    assert parts.labels == () and parts.as_json()["test"] == {"rows": 15, "labels": {}}


def test_three_rows_are_the_least():
    parts = cut([Example(n, f"question {n}", f"answer {n}") for n in range(1, 4)], "instruction")
    assert [len(part) for part in parts.parts().values()] == [1, 1, 1]


def test_large_shares_leave_something_to_train_on():
    parts = cut(labelled({"a": 3, "b": 4}), validation=0.3, test=0.6)
    assert all({"a", "b"} == {example.output for example in part} for part in parts.parts().values())


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        ([], "no usable rows"),
        (labelled({"a": 1}), "one usable row"),
        (labelled({"a": 50}), "the same label, “a”"),
        (labelled({"a": 1, "b": 1}), "would be empty"),
        ([Example(n, "same", "ab"[n % 2]) for n in range(20)], "would be empty"),
    ],
)
def test_what_cannot_be_split(examples, said):
    with pytest.raises(FinetuneError) as caught:
        cut(examples)
    assert said in str(caught.value)


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (0.0, 0.2), (-0.1, 0.2), (0.2, 1.5)])
def test_impossible_shares(validation, test):
    with pytest.raises(FinetuneError, match="cannot be split"):
        cut(labelled({"a": 30, "b": 30}), validation=validation, test=test)
