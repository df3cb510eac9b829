"""The benchmark's own truth: what it plants is what it says, and nothing else is in the data."""

from __future__ import annotations

import csv
import json
import random
import re
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "benchmarks"))

import identifiers
from edits import EDITS, NEAR, SHORT, Likeness, edited, jaccard, near_pairs, slip, words
from faults import Score
from planting import HOLLOW, Planted, clean, flip, pairs, plant
from source import DISTINCT, KINDS, TASKS, VOCABULARY, variant

ROWS = 300


@pytest.fixture(scope="module", params=KINDS)
def planted(request: pytest.FixtureRequest) -> Planted:
    return plant(request.param, ROWS, seed=77)


def plain(text: str) -> str:
    return " ".join(text.lower().split())


def brute(one: str, other: str) -> float:
    """The measure once more, written another way: one list is used up by the other."""
    left, right = re.findall(r"\w+(?:['’]\w+)*", one.lower()), re.findall(r"\w+(?:['’]\w+)*", other.lower())
    rest, shared = list(right), 0
    for word in left:
        if word in rest:
            rest.remove(word)
            shared += 1
    return shared / (len(left) + len(right) - shared)


def test_likeness_counts_words_as_often_as_they_stand():
    assert words("Don't STOP, e-mail me: 3.50!") == ["don't", "stop", "e", "mail", "me", "3", "50"]
    assert jaccard("the cat the dog", "the cat a dog") == 3 / 5
    assert jaccard("", "") == 1.0 and jaccard("one", "") == 0.0
    seen = Likeness()
    seen.add("the cat the dog")
    assert seen.with_earlier("the cat a dog").tolist() == [3 / 5]
    assert seen.with_earlier("of whom it never heard").tolist() == [0.0]


def test_near_pairs_are_those_of_a_plain_double_loop():
    draw = random.Random(5)
    few = ["one", "two", "three", "four", "five", "six"]
    texts = [" ".join(draw.choices(few, k=draw.randint(6, 9))) for _ in range(150)]
    want = [(a, b) for a, b in combinations(range(150), 2) if brute(texts[a], texts[b]) >= 0.8]
    assert len(want) > 50 and sorted(near_pairs(texts, 0.8)) == want


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_a_fault_are_unlike_each_other(kind):
    texts = [record.input for record in clean(kind, 200, seed=78)]
    assert max(brute(one, other) for one, other in combinations(texts, 2)) < DISTINCT
    sizes = [len(text.split()) for text in texts]
    low, high = {"queries": (3, 40), "documents": (40, 150), "passages": (45, 170), "chats": (5, 160)}[kind]
    assert low <= min(sizes) and max(sizes) <= high
    assert len({word for text in texts for word in words(text)}) > 500


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_what_it_says_and_leaves_the_text_alike(edit):
    draw = random.Random(6)
    for text in [record.input for record in clean("queries", 150, seed=79) + clean("documents", 50, seed=79)]:
        before = words(text)
        if edit == "words" and len(before) < SHORT:
            with pytest.raises(ValueError):
                edited(text, edit, draw, VOCABULARY)
            continue
        other = edited(text, edit, draw, VOCABULARY)
        assert other != text
        if edit in ("case", "punctuation", "space") or len(before) < SHORT:
            assert words(other) == before
        if edit == "space":
            assert "".join(other.split()) == "".join(text.split())
        elif edit == "case":
            assert other.lower() == text.lower()
        elif edit in ("words", "all") and len(before) >= SHORT:
            lost, new = Counter(before) - Counter(words(other)), Counter(words(other)) - Counter(before)
            assert max(lost.total(), new.total()) <= len(before) // 10
            assert jaccard(text, other) >= NEAR


def test_copies_are_copies_and_nothing_else_is(planted):
    truth, records = planted.truth, [*planted.records, *planted.test]
    inputs = [record.input for record in records]
    assert len(planted.records) == ROWS and len(planted.test) == ROWS // 10
    for cluster in truth.exact:
        assert len({plain(inputs[row - 1]) for row in cluster}) == 1 and 2 <= len(cluster) <= 5
        assert len({plain(records[row - 1].output) for row in cluster}) == 1
    for cluster in truth.near:
        assert len({inputs[row - 1] for row in cluster}) > 1
        assert len({plain(records[row - 1].output) for row in cluster}) == 1
    for cluster in truth.conflicts:
        assert len({plain(records[row - 1].output) for row in cluster}) == 2
    light = set(truth.light)
    for one, other in pairs(truth.near) | pairs(truth.conflicts):
        assert (words(inputs[one - 1]) == words(inputs[other - 1])) is ((one, other) in light)
    assert all(row > ROWS and original <= ROWS for row, original in truth.leaked.items())
    assert len(truth.leaked) == ROWS // 30
    for row, original in truth.leaked.items():
        assert plain(records[row - 1].output) == plain(records[original - 1].output)
    for one, other in truth.lookalikes:
        assert 0.25 < jaccard(inputs[one - 1], inputs[other - 1]) < DISTINCT
    want = pairs(truth.exact) | pairs(truth.near) | pairs(truth.conflicts)
    want |= {(original, row) for row, original in truth.leaked.items()}
    found = {(one + 1, other + 1) for one, other in near_pairs(inputs, 0.76)}
    assert found <= want
    # Two copies of one row may differ more from each other than either does from the row.
    alike = {(one + 1, other + 1) for one, other in near_pairs(inputs, 0.8)}
    for cluster in truth.near + truth.exact + truth.conflicts + [(a, b) for b, a in truth.leaked.items()]:
        assert connected(cluster, alike), cluster


def connected(cluster: tuple[int, ...], links: set[tuple[int, int]]) -> bool:
    reached, todo = {cluster[0]}, [cluster[0]]
    while todo:
        row = todo.pop()
        new = {other for other in cluster if {(row, other), (other, row)} & links} - reached
        reached |= new
        todo += new
    return reached == set(cluster)


def test_a_row_has_one_fault(planted):
    truth = planted.truth
    groups = [set().union(*truth.exact), set().union(*truth.near), set().union(*truth.conflicts), truth.foreign]
    groups += [set().union(*truth.lookalikes), set(truth.leaked.values()), set(truth.leaked), truth.broken]
    groups += [set(truth.personal), set(truth.decoys), set(truth.variants), set(truth.hollow)]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert all(groups[:10])


def test_personal_data_has_right_check_digits_and_decoys_have_not():
    draw = random.Random(7)
    for _ in range(500):
        for kind, right in (("card", True), ("card, wrong checksum", False)):
            value = identifiers.personal(kind, draw) if right else identifiers.decoy(kind, draw)
            number = [int(char) for char in value if char.isdigit()]
            doubled = sum(sum(divmod(2 * digit, 10)) for digit in number[-2::-2])
            assert ((doubled + sum(number[-1::-2])) % 10 == 0) is right, value
        for kind, right in (("iban", True), ("IBAN, wrong checksum", False)):
            value = identifiers.personal(kind, draw) if right else identifiers.decoy(kind, draw)
            turned = value.replace(" ", "")[4:] + value[:4]
            assert (int("".join(str(int(char, 36)) for char in turned)) % 97 == 1) is right, value
            assert 2 <= int(value[2:4]) <= 98
        assert re.fullmatch(r"[\w.+]+@[\w-]+(\.[\w-]+)+", identifiers.personal("email", draw))
    assert identifiers.luhn("7992739871") == 3  # the example of ISO/IEC 7812-1
    assert identifiers.iban_check("GB", "WEST12345698765432") == "82"  # that of the IBAN registry


def test_telephone_numbers_are_in_use_in_their_countries():
    phonenumbers = pytest.importorskip("phonenumbers")
    draw = random.Random(8)
    for _ in range(400):
        number = identifiers.personal("phone", draw)
        regions = [None] if number.startswith("+") else ["GB", "US", "DE", "FR"]
        assert any(valid(phonenumbers, number, region) for region in regions), number


def valid(phonenumbers, number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def test_personal_data_stands_in_its_row(planted):
    assert set(planted.truth.personal.values()) == set(identifiers.PERSONAL)
    assert set(planted.truth.decoys.values()) == set(identifiers.DECOYS)
    for row, kind in planted.truth.personal.items():
        record = planted.records[row - 1]
        text = f"{record.input} {record.output}"
        if kind == "email":
            assert "@" in text
        elif kind in ("phone", "card", "iban"):
            assert len(re.findall(r"\d", text)) >= 10
        else:
            assert re.search(r"[\w-]{20,}", text)


def test_broken_text_is_utf8_read_as_another_code_page(planted):
    for row in planted.truth.broken:
        text = planted.records[row - 1].turns[-1][1]
        mended = text.encode("cp1252").decode("utf-8")
        assert len(mended) < len(text)


def test_rows_in_another_language_say_what_the_rest_does_not(planted):
    rest = {
        word
        for row, record in enumerate(planted.records, 1)
        for word in words(record.input)
        if row not in planted.truth.foreign
    }
    for row in planted.truth.foreign:
        said = [word for role, text in planted.records[row - 1].turns if role == "user" for word in words(text)]
        assert sum(word in rest for word in said) < 0.4 * len(said)


def test_outputs_are_faulty_as_told(planted):
    records, truth = planted.records, planted.truth
    for row, label in truth.variants.items():
        assert records[row - 1].output != label and label in {record.output for record in records}
        assert (
            re.sub(r"[^a-z]", "", records[row - 1].output.lower())[:3] == re.sub(r"[^a-z]", "", label)[:3]
            or (Counter(label) - Counter(records[row - 1].output.lower())).total() <= 2
        )
    for row, kind in truth.hollow.items():
        output = records[row - 1].output
        assert output == records[row - 1].turns[-1][1] if kind == "echo" else output in HOLLOW[kind]
    assert bool(truth.variants) == (TASKS[planted.kind] == "classification") != bool(truth.hollow)


def test_a_label_variant_is_another_writing_of_the_label():
    draw = random.Random(9)
    seen = {variant("delivery delay", draw) for _ in range(300)}
    assert "delivery delay" not in seen
    assert {"Delivery Delay", "delivery_delay", "delivery-delay", "DELIVERY DELAY", "delivery  delay"} <= seen
    assert all(abs(len(text) - len("delivery delay")) <= 1 for text in seen)
    assert {len(slip("refund", draw)) for _ in range(50)} == {5, 6, 7} and slip("refund", draw) != "refund"


def test_the_files_hold_the_rows_in_their_order(planted, tmp_path):
    train, test = planted.write(tmp_path)
    for path, records in ((train, planted.records), (test, planted.test)):
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                rows = list(csv.reader(file))[1:]
            else:
                objects = [json.loads(line) for line in file]
                rows = [list(row.values()) for row in objects]
        if planted.kind == "chats":
            turns = [[(turn["role"], turn["content"]) for turn in row[0]] for row in rows]
            assert turns == [[*record.turns, ("assistant", record.output)] for record in records]
        else:
            assert rows == [[record.input, record.output] for record in records]


def test_a_seed_gives_the_same_data_and_another_seed_other_data():
    one, again, other = (plant("queries", 200, seed) for seed in (1, 1, 2))
    assert one == again
    assert one.truth.exact != other.truth.exact
    assert len({r.input for r in one.records} & {r.input for r in other.records}) < 10


def test_flipping_changes_the_told_labels_alone():
    records = clean("queries", 200, seed=80)
    changed, truth = flip(records, 0.05, seed=1)
    assert len(truth) == 10
    for row, (before, after) in enumerate(zip(records, changed, strict=True), 1):
        assert before.input == after.input
        assert (before.output != after.output) is (row in truth)
        assert truth.get(row, before.output) == before.output


def test_shares_of_labels_are_kept():
    records = clean("queries", 100, 81, {"invoice copy": 0.9, "password reset": 0.1})
    assert Counter(record.output for record in records) == {"invoice copy": 90, "password reset": 10}


def test_recall_and_precision():
    score = Score.of({1, 2, 3, 4}, {2, 3, 4, 5, 6}, neutral={4, 6})
    assert (score.planted, score.right, score.found) == (4, 3, 4)
    assert score.recall == 0.75 and score.precision == 0.75
    assert score.missed == [1] and score.wrong == [5]
    both = score + Score.of({1}, {1})
    assert both.recall == 4 / 5 and both.precision == 4 / 5
