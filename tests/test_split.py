"""The split: shares hold, labels are in all parts, what belongs together stays together, the seed decides."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.dataset.example import Example
from finetune.dataset.splitting.split import Split, split
from finetune.errors import FinetuneError

quick = settings(max_examples=40, deadline=None, derandomize=True)


def labelled(sizes: dict[str, int]) -> list[Example]:
    pairs = [(f"{label} text {n}", label) for label, size in sizes.items() for n in range(size)]
    random.Random(7).shuffle(pairs)
    return [Example(row, *pair) for row, pair in enumerate(pairs, start=1)]


def cut(
    examples: list[Example],
    task: str = "classification",
    seed: int = 0,
    validation: float = 0.15,
    test: float = 0.15,
    **more,
) -> Split:
    return split(examples, task, validation=validation, test=test, seed=seed, **more)


def sizes(parts: Split) -> dict[str, int]:
    return {name: len(part) for name, part in parts.parts().items()}


def rows_of(parts: Split) -> dict[str, set[int]]:
    return {name: {example.row for example in part} for name, part in parts.parts().items()}


def key(example: Example) -> str:
    return " ".join(example.input.casefold().split())


def test_shares_and_strata():
    parts = cut(labelled({"a": 500, "b": 300, "c": 200}))
    assert sizes(parts) == {"train": 700, "validation": 150, "test": 150}
    assert Counter(example.output for example in parts.test) == {"a": 75, "b": 45, "c": 30}
    assert parts.labels == ("a", "b", "c")
    assert parts.as_json()["validation"] == {"rows": 150, "labels": {"a": 75, "b": 45, "c": 30}}
    assert parts.notes == () and parts.leaked == () and parts.how.startswith("Dealt by label")


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
    assert any("“e”" in note and "test part" in note for note in parts.notes)


@pytest.mark.parametrize("seed", range(5))
def test_equal_inputs_stay_together(seed):
    random_ = random.Random(seed)
    forms = ["Text {} ä", "text  {} Ä", "TEXT {}\u3000Ä"]
    examples = [
        Example(row, random_.choice(forms).format(random_.randint(0, 60)), random_.choice("ab"))
        for row in range(1, 300)
    ]
    parts = cut(examples, seed=seed).parts()
    keys = [{key(example) for example in part} for part in parts.values()]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
    assert abs(len(parts["test"]) - 45) <= 10


def test_inputs_that_differ_by_their_spaces_alone_are_not_equal():
    parts = cut([Example(n, text, "x") for n, text in enumerate(("1 23", "12 3", "1 2 3"), 1)], "instruction")
    assert sizes(parts) == {"train": 1, "validation": 1, "test": 1}


def test_equal_talks_stay_together():
    def talk(row: int, topic: str) -> Example:
        context = (("user", f"About {topic}"), ("assistant", "Yes?"), ("user", "and then?"))
        return Example(row, "and then?", f"answer {row}", context)

    examples = [talk(row, f"subject {row // 2}") for row in range(2, 202)]
    parts = cut(examples, "chat")
    topics = [{example.context[0][1] for example in part} for part in parts.parts().values()]
    assert sum(map(len, topics)) == 100 and sizes(parts)["test"] == 30


def test_a_lone_surrogate_is_a_character_like_any_other():
    assert sum(sizes(cut([Example(n, f"odd \ud800 {n}", "ab"[n % 2]) for n in range(20)])).values()) == 20


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
    assert sizes(parts) == {"train": 70, "validation": 15, "test": 15}
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
        ([Example(n, f"each its own {n}", f"label {n}") for n in range(20)], "would be empty"),
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


# Clusters and groups


def test_clusters_and_groups_are_joined():
    examples = labelled({"a": 60, "b": 60})
    # 1 and 2 share a cluster, 2 and 3 a group, 3 and 4 a cluster: one set of four.
    clusters = [1, 1, 2, 2, *range(5, 121)]
    groups = ["", "x", "x", "", *[""] * 116]
    for seed in range(20):
        rows = rows_of(cut(examples, seed=seed, clusters=clusters, groups=groups))
        assert sum(bool(part & {1, 2, 3, 4}) for part in rows.values()) == 1


def test_an_empty_group_is_none():
    parts = cut(labelled({"a": 100, "b": 100}), groups=[""] * 200)
    assert sizes(parts) == {"train": 140, "validation": 30, "test": 30}


def test_a_giant_group_is_trained_on_and_the_shares_hold_without_it():
    examples = labelled({"a": 500, "b": 500})
    groups = ["giant" if example.row <= 600 else "" for example in examples]
    parts = cut(examples, groups=groups)
    assert set(range(1, 601)) <= rows_of(parts)["train"]
    assert sizes(parts) == {"train": 700, "validation": 150, "test": 150} and parts.notes == ()


def test_shares_that_cannot_be_met_are_told_with_the_reason():
    examples = labelled({"a": 500, "b": 500})
    parts = cut(examples, groups=["giant" if example.row <= 900 else "" for example in examples])
    # Of the 100 rows that are left both parts take what they can get.
    assert len(parts.test) + len(parts.validation) <= 100 and parts.test and parts.validation
    note = next(note for note in parts.notes if "15.0%" in note)
    assert f"{len(parts.test) / 1000:.1%}" in note and "900" in note


def test_a_few_large_customers_fill_the_parts():
    examples = labelled({"a": 300, "b": 300})
    parts = cut(examples, groups=[f"customer {example.row % 3}" for example in examples])
    assert sizes(parts) == {"train": 200, "validation": 200, "test": 200}
    assert "33.3%" in parts.notes[0]


def test_customers_with_several_labels_keep_the_shares():
    draw = random.Random(5)
    examples, groups = [], []
    for customer in range(200):
        favourite = draw.randrange(20)
        for _ in range(50):
            label = favourite if draw.random() < 0.5 else draw.randrange(20)
            examples.append(Example(len(examples) + 1, f"text {len(examples)}", f"label {label}"))
            groups.append(f"customer {customer}")
    parts = cut(examples, groups=groups)
    assert len(parts.test) == len(parts.validation) == 1500 and parts.notes == ()
    assert all(len({example.output for example in part}) == 20 for part in parts.parts().values())


@pytest.mark.parametrize("seed", range(4))
def test_few_customers_with_labels_of_their_own(seed):
    draw = random.Random(seed)
    examples, groups = [], []
    for customer in range(40):
        favourites = draw.sample(range(20), 6)
        for _ in range(50):
            examples.append(Example(len(examples) + 1, f"text {len(examples)}", f"label {draw.choice(favourites)}"))
            groups.append(f"customer {customer}")
    parts = cut(examples, seed=seed, groups=groups)
    customers = defaultdict(set)
    for example, group in zip(examples, groups, strict=True):
        customers[example.output].add(group)
    # Twelve customers for a label and six in a part: each label is in each part, and the shares hold all the same.
    assert min(map(len, customers.values())) >= 3
    assert all(len({example.output for example in part}) == 20 for part in parts.parts().values())
    assert len(parts.test) == len(parts.validation) == 300


def test_a_label_with_giants_does_not_pull_them_into_the_test():
    examples = [Example(n, f"text {n}", "a" if n <= 600 else "b") for n in range(1, 1001)]
    groups = [f"giant {n % 3}" if n <= 600 else "" for n in range(1, 1001)]
    parts = cut(examples, groups=groups)
    assert rows_of(parts)["train"] >= set(range(1, 601)) and 60 <= len(parts.test) <= 61
    assert any("“a”" in note and "test part" in note for note in parts.notes)


def test_the_numbers_of_the_rows_do_not_matter():
    examples = labelled({"a": 90, "b": 60})
    clusters = [number // 3 for number in range(150)]
    turned = [Example(151 - example.row, example.input, example.output) for example in examples]
    texts = [
        {name: {example.input for example in part} for name, part in cut(rows, clusters=clusters).parts().items()}
        for rows in (examples, turned)
    ]
    assert texts[0] == texts[1]


@st.composite
def connected(draw) -> tuple[list[Example], list[int], list[str]]:
    count = draw(st.integers(12, 80))
    wide = draw(st.integers(10, 100))
    labels = draw(st.integers(2, 4))
    random_ = random.Random(draw(st.integers(0, 10**6)))
    examples = [Example(row, f"text {row}", f"label {random_.randrange(labels)}") for row in range(1, count + 1)]
    clusters = [random_.randrange(wide) for _ in examples]
    groups = [random_.choice(["", "", f"g{random_.randrange(wide)}"]) for _ in examples]
    return examples, clusters, groups


@given(connected(), st.integers(0, 3))
@quick
def test_whatever_is_connected_nothing_crosses(drawn, seed):
    examples, clusters, groups = drawn
    try:
        parts = cut(examples, seed=seed, clusters=clusters, groups=groups)
    except FinetuneError as error:
        assert "would be empty" in str(error) or "same label" in str(error)
        return
    rows = rows_of(parts)
    assert all(rows.values()) and sum(map(len, rows.values())) == len(examples)
    assert set.union(*rows.values()) == {example.row for example in examples}
    where = {row: name for name, part in rows.items() for row in part}
    for names in (clusters, groups):
        together = defaultdict(set)
        for example, name in zip(examples, names, strict=True):
            if name != "":
                together[name].add(where[example.row])
        assert all(len(found) == 1 for found in together.values())
    place = random.Random(seed).sample(range(len(examples)), len(examples))
    assert parts == cut(
        [examples[n] for n in place],
        seed=seed,
        clusters=np.array(clusters)[place],
        groups=[groups[n] for n in place],
    )


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=20, max_size=60), st.integers(0, 3))
@quick
def test_every_label_with_three_sets_is_in_every_part(drawn, seed):
    examples, clusters = [], []
    for cluster, (label, size) in enumerate(drawn):
        for _ in range(size):
            examples.append(Example(len(examples) + 1, f"text {len(examples)}", f"label {label}"))
            clusters.append(cluster)
    counts = Counter(label for label, _ in drawn)
    if len(counts) < 2:
        return
    parts = cut(examples, seed=seed, clusters=clusters, validation=0.2, test=0.2)
    for label, count in counts.items():
        there = [any(example.output == f"label {label}" for example in part) for part in parts.parts().values()]
        if count >= 3:
            assert all(there)
        assert there[0]
    for name in ("validation", "test"):
        # Sets have 4 rows at most, and each of the 5 labels can be off by one set.
        assert abs(sizes(parts)[name] - 0.2 * len(examples)) <= 4 * len(counts)


# Time


def test_in_time_order():
    examples = labelled({"a": 100, "b": 100})
    times = [float(-example.row) for example in examples]  # the first row is the latest
    parts = cut(examples, times=times)
    rows = rows_of(parts)
    assert rows["test"] == set(range(1, 31)) and rows["validation"] == set(range(31, 61))
    assert "time order" in parts.how and parts.notes == ()


def test_equal_times_are_cut_where_the_share_is():
    parts = cut(labelled({"a": 100, "b": 100}), times=[5.0] * 200)
    assert sizes(parts) == {"train": 140, "validation": 30, "test": 30}


def test_rows_without_a_time_are_trained_on_and_counted():
    examples = labelled({"a": 100, "b": 100})
    times = [float("nan") if example.row <= 20 else float(example.row) for example in examples]
    parts = cut(examples, times=times)
    assert set(range(1, 21)) <= rows_of(parts)["train"] and len(parts.test) == 30
    assert any(note.startswith("20 rows have no time") for note in parts.notes)
    few = [float(example.row) if example.row <= 20 else float("nan") for example in examples]
    parts = cut(examples, times=few)
    # Two of the rows with a time are left to train on, and the shares that follow are told.
    assert len(parts.test) == len(parts.validation) == 9
    assert any("without a time" in note and "4.5%" in note for note in parts.notes)


def test_a_time_nobody_can_read_is_refused():
    with pytest.raises(FinetuneError, match="No row has a time"):
        cut(labelled({"a": 30, "b": 30}), times=[float("nan")] * 60)


def test_a_set_goes_with_its_latest_row():
    examples = labelled({"a": 100, "b": 100})
    times = np.arange(200.0)
    clusters = np.arange(200)
    clusters[3] = 199  # the fourth row belongs to the last
    parts = cut(examples, times=times, clusters=clusters)
    assert {4, 200} <= rows_of(parts)["test"]
    assert any(note.startswith("1 row stands in a later part") for note in parts.notes)


def test_a_giant_set_is_trained_on_though_it_is_late():
    examples = labelled({"a": 500, "b": 500})
    groups = ["giant" if example.row % 5 < 3 else "" for example in examples]
    parts = cut(examples, times=[float(example.row) for example in examples], groups=groups)
    assert sizes(parts) == {"train": 700, "validation": 150, "test": 150}
    assert any("600 rows that belong together" in note for note in parts.notes)


def test_labels_that_a_part_lacks_are_told():
    examples = [Example(row, f"text {row}", "old" if row <= 60 else "new") for row in range(1, 101)]
    notes = cut(examples, times=[float(example.row) for example in examples]).notes
    assert any("“old”" in note and "validation" in note for note in notes)
    assert any("“old”" in note and "test part" in note for note in notes)
    sudden = [Example(row, f"text {row}", "old" if row <= 80 else "new") for row in range(1, 101)]
    notes = cut(sudden, times=[float(example.row) for example in sudden]).notes
    assert any("“new”" in note and "cannot be learned" in note for note in notes)


@given(connected(), st.integers(0, 3))
@quick
def test_time_runs_forward_from_part_to_part(drawn, seed):
    examples, clusters, _ = drawn
    random_ = random.Random(seed)
    times = [random_.choice([float(random_.randrange(50)), float("nan")]) for _ in examples]
    try:
        parts = cut(examples, seed=seed, clusters=clusters, times=times)
    except FinetuneError:
        return
    latest: dict[int, float] = defaultdict(lambda: float("-inf"))
    for cluster, time in zip(clusters, times, strict=True):
        if time == time:
            latest[cluster] = max(latest[cluster], time)
    count = Counter(clusters)
    limit = 2 * 0.15 * len(examples)
    seen: dict[str, list[float]] = {}
    for name, rows in rows_of(parts).items():
        inside = {clusters[row - 1] for row in rows}
        if name != "train":
            assert all(latest[cluster] > float("-inf") for cluster in inside)
        elif any("too many for a test part" in note for note in parts.notes):
            inside = {cluster for cluster in inside if count[cluster] <= limit}
        seen[name] = [latest[cluster] for cluster in inside]
    assert max(seen["validation"]) <= min(seen["test"])
    assert not seen["train"] or max(seen["train"]) <= min(seen["validation"])


# A test file of the user's own


def test_the_own_test_file_is_the_test_part_to_the_row():
    examples = labelled({"a": 100, "b": 100})
    parts = cut(examples, test_rows=range(151, 201), test=5.0)
    assert rows_of(parts)["test"] == set(range(151, 201))
    assert len(parts.validation) == pytest.approx(0.15 * 150, abs=1) and parts.leaked == ()
    assert "your test file" in parts.how


def test_what_is_in_the_test_file_too_is_left_out():
    examples = labelled({"a": 100, "b": 100})
    clusters = np.arange(200)
    clusters[[4, 9]] = 199  # rows 5 and 10 are nearly row 200
    groups = [""] * 200
    groups[19] = groups[180] = "one customer"
    parts = cut(examples, clusters=clusters, groups=groups, test_rows=range(151, 201))
    assert parts.leaked == (5, 10, 20)
    rows = rows_of(parts)
    assert rows["test"] == set(range(151, 201)) and not (rows["train"] | rows["validation"]) & {5, 10, 20}
    assert sum(map(len, rows.values())) == 197


def test_the_own_test_file_beside_a_time():
    examples = labelled({"a": 100, "b": 100})
    parts = cut(examples, times=[float(-example.row) for example in examples], test_rows=range(151, 201))
    assert rows_of(parts)["validation"] == set(range(1, 24)) and rows_of(parts)["test"] == set(range(151, 201))


def test_a_label_of_the_test_file_that_training_lacks_is_told():
    examples = [*labelled({"a": 60, "b": 60}), *(Example(200 + n, f"new {n}", "c") for n in range(10))]
    notes = cut(examples, test_rows=range(200, 210)).notes
    assert any("“c”" in note and "test file" in note and "cannot be learned" in note for note in notes)


@pytest.mark.parametrize(
    ("test_rows", "said"),
    [
        (range(500, 600), "The test file has no usable row"),
        (range(1, 61), "there are no others"),
        (range(1, 31), "of 30 rows outside it, 30 are in it too"),
    ],
)
def test_a_test_file_that_leaves_nothing(test_rows, said):
    twice = [Example(n, f"text {n % 30}", "ab"[n % 2]) for n in range(1, 61)]
    with pytest.raises(FinetuneError, match=said):
        cut(twice, test_rows=test_rows)


@given(connected(), st.integers(1, 10))
@quick
def test_the_test_file_is_respected_to_the_row(drawn, many):
    examples, clusters, groups = drawn
    own = range(len(examples) - many + 1, len(examples) + 1)
    try:
        parts = cut(examples, clusters=clusters, groups=groups, test_rows=own)
    except FinetuneError:
        return
    rows = rows_of(parts)
    assert rows["test"] == set(own)
    assert sorted([*rows["train"], *rows["validation"], *rows["test"], *parts.leaked]) == [e.row for e in examples]
    outside = rows["train"] | rows["validation"]
    assert not {clusters[row - 1] for row in outside} & {clusters[row - 1] for row in own}
    assert not ({groups[row - 1] for row in outside} & {groups[row - 1] for row in own}) - {""}
