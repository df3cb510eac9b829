"""What is different about a test part is told, and chance is not."""

from __future__ import annotations

import random

import numpy as np
import pytest

from finetune.dataset.example import Example
from finetune.dataset.splitting.representative import compare_parts
from finetune.dataset.splitting.split import Split, split

RANKS = np.arange(1, 5001)
COMMON = 1 / RANKS / (1 / RANKS).sum()


def texts(count: int, rng: np.random.Generator, *, median: int = 12, first: int = 0) -> list[str]:
    """Texts of words as common as in a language, with lengths as uneven."""
    lengths = rng.lognormal(np.log(median), 0.6, count).astype(int).clip(1, 200)
    words = (rng.choice(5000, lengths.sum(), p=COMMON) + first).tolist()
    return [
        " ".join(f"w{word}" for word in words[end - length : end])
        for end, length in zip(lengths.cumsum(), lengths, strict=True)
    ]


def rows(count: int, rng: np.random.Generator, *, labels=(0.5, 0.3, 0.2), start: int = 1, **how) -> list[Example]:
    drawn = rng.choice(len(labels), count, p=labels)
    return [
        Example(start + n, f"{text} {start + n}", f"label {label}")
        for n, (text, label) in enumerate(zip(texts(count, rng, **how), drawn, strict=True))
    ]


def cut(examples: list[Example], seed: int = 0, task: str = "classification", **how) -> Split:
    return split(examples, task, validation=0.15, test=0.15, seed=seed, **how)


def own_test(other: list[Example], *, task: str = "classification") -> Split:
    """600 rows of one source, and a test file of another."""
    examples = [*rows(600, np.random.default_rng(1)), *other]
    return cut(examples, task=task, test_rows=range(601, 601 + len(other)))


@pytest.mark.parametrize(("count", "labels"), [(60, 3), (300, 30)])
def test_a_seeded_split_hardly_ever_warns(count, labels):
    told = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        examples = rows(count, rng, labels=rng.dirichlet(np.ones(labels)))
        told += compare_parts(cut(examples, seed), "classification").warnings
    assert told == []


def test_rows_dealt_by_chance_alone_hardly_ever_warn():
    warned = 0
    for seed in range(60):
        examples = rows(200, np.random.default_rng(seed))
        random.Random(seed).shuffle(examples)
        parts = Split(
            tuple(examples[:140]), tuple(examples[140:170]), tuple(examples[170:]), ("label 0", "label 1", "label 2")
        )
        warned += bool(compare_parts(parts, "classification").warnings)
    assert warned <= 2


def test_a_test_file_of_the_same_source_is_not_warned_of():
    assert compare_parts(own_test(rows(150, np.random.default_rng(2), start=601)), "classification").warnings == ()


def test_longer_texts_are_told():
    parts = own_test(rows(100, np.random.default_rng(2), start=601, median=31))
    found = compare_parts(parts, "classification")
    assert any(warning.startswith("The test rows are longer than the rest (half above 3") for warning in found.warnings)
    assert found.parts["test"].length_distance > 0.5 and found.parts["test"].length_p < 1e-6
    assert found.parts["test"].words_median > 2 * found.parts["train"].words_median


def test_shorter_texts_and_longer_tails_are_told():
    short = compare_parts(own_test(rows(100, np.random.default_rng(2), start=601, median=4)), "classification")
    assert any("are shorter than the rest" in warning for warning in short.warnings)
    # Nine in ten have the length of the others' median; one in six is long.
    mixed = [
        Example(n, "a b c d e " * (20 if n % 6 == 0 else 1), f"label {n % 2}")
        if n > 600
        else Example(n, "a b c d e", f"label {n % 2}")
        for n in range(1, 901)
    ]
    told = compare_parts(cut(mixed, test_rows=range(601, 901), clusters=range(900)), "classification").warnings
    assert told == (
        "The test rows have other lengths than the rest (one in ten above 100 words against 5): "
        "the verdict will speak for texts like them.",
    )


def test_other_shares_of_the_labels_are_told():
    parts = own_test(rows(100, np.random.default_rng(2), start=601, labels=(0.1, 0.3, 0.6)))
    found = compare_parts(parts, "classification")
    warning = next(warning for warning in found.warnings if "labels have other shares" in warning)
    assert "“label 2”" in warning and "“label 0”" in warning
    assert 0.25 < found.parts["test"].label_distance < 0.55 and found.parts["test"].label_p < 1e-6


def test_labels_too_rare_for_the_asymptotic_distribution():
    many = tuple(np.full(77, 1 / 77))
    rng = np.random.default_rng(3)
    same = [*rows(800, rng, labels=many), *rows(60, rng, labels=many, start=801)]
    found = compare_parts(cut(same, test_rows=range(801, 861)), "classification")
    # 60 rows over 77 labels cannot be like the rest: a distance that chance alone explains is no warning.
    assert found.parts["test"].label_distance > 0.2 and found.parts["test"].label_p > 0.01
    assert not any("labels" in warning for warning in found.warnings)
    skewed = tuple(np.r_[np.full(7, 0.1), np.full(70, 0.3 / 70)])
    other = [*rows(800, rng, labels=many), *rows(60, rng, labels=skewed, start=801)]
    found = compare_parts(cut(other, test_rows=range(801, 861)), "classification")
    assert any("labels" in warning for warning in found.warnings)


def test_unseen_words_are_told_against_what_chance_gives():
    found = compare_parts(own_test(rows(150, np.random.default_rng(2), start=601, first=1000)), "classification")
    warning = next(warning for warning in found.warnings if "do not occur in training" in warning)
    test = found.parts["test"]
    assert f"{test.unseen:.0%}" in warning and test.unseen > 0.3 > test.unseen_by_chance > 0.02
    usual = compare_parts(own_test(rows(150, np.random.default_rng(2), start=601)), "classification").parts["test"]
    assert usual.unseen == pytest.approx(usual.unseen_by_chance, abs=0.03)


def test_words_without_spaces_between_them_are_counted_one_by_one():
    examples = [Example(n, "今日は良い天気です" + chr(0x4E00 + n), "ab"[n % 2]) for n in range(1, 101)]
    assert compare_parts(cut(examples), "classification").whole.words_median == 10


def test_ascii_and_other_texts_have_the_same_words():
    plain = [Example(n, f"It's Number {n % 7}; (really) snake_case", "ab"[n % 2]) for n in range(100)]
    found = compare_parts(cut(plain, clusters=range(100)), "classification")
    accented = [Example(row.row, row.input + " é", row.output) for row in plain]
    other = compare_parts(cut(accented, clusters=range(100)), "classification")
    assert found.whole.words_median + 1 == other.whole.words_median == 7


def test_a_split_in_time_with_drift_is_told():
    rng = np.random.default_rng(4)
    examples = [*rows(500, rng), *rows(500, rng, start=501, median=25, first=2000, labels=(0.1, 0.2, 0.7))]
    parts = cut(examples, times=[float(example.row) for example in examples])
    # Training has some rows of the new time, so its words are not the surprise.
    assert len(compare_parts(parts, "classification").warnings) == 2


def test_free_text_and_talks():
    rng = np.random.default_rng(5)
    context = lambda text: (("user", text), ("assistant", "and?"), ("user", "go on"))  # noqa: E731
    examples = [Example(row.row, "go on", "yes", context(row.input)) for row in rows(300, rng)]
    found = compare_parts(cut(examples, task="chat"), "chat")
    assert found.parts["test"].label_distance is None and found.warnings == ()
    assert found.whole.words_median == pytest.approx(12 + 1 + 3, abs=2)


def test_a_sample_is_told_and_the_same_for_the_same_seed():
    examples = rows(3000, np.random.default_rng(6))
    parts = cut(examples)
    found = compare_parts(parts, "classification", sample=1000)
    assert found.examined == 1000 and found.whole.rows == 3000 and found.parts["test"].rows == 450
    assert found == compare_parts(parts, "classification", sample=1000)
    assert found != compare_parts(parts, "classification", sample=1000, seed=1)
    everything = compare_parts(parts, "classification")
    assert everything.examined is None and "examined" not in everything.as_json()
    assert found.whole.words_median == pytest.approx(everything.whole.words_median, abs=1)


def test_long_texts_are_read_in_part():
    examples = [Example(n, "word " * 20_000 + str(n), "ab"[n % 2]) for n in range(100)]
    found = compare_parts(cut(examples), "classification")
    assert found.examined is not None and found.examined < 100 and found.whole.words_median == 20_001


def test_as_json():
    data = compare_parts(
        own_test(rows(100, np.random.default_rng(2), start=601, median=31)), "classification"
    ).as_json()
    assert set(data) == {"whole", "parts", "warnings"} and set(data["parts"]) == {"train", "validation", "test"}
    assert data["parts"]["test"]["rows"] == 100 and "unseen" not in data["parts"]["train"]
    assert data["whole"] == {
        "rows": 700,
        "words_median": data["whole"]["words_median"],
        "words_p90": data["whole"]["words_p90"],
    }


def test_the_sample_is_drawn_from_everywhere():
    # The file begins with short texts: its first rows are not like the rest.
    examples = [Example(n, "a b c " * (1 if n <= 900 else 9) + str(n), "ab"[n % 2]) for n in range(1, 3001)]
    found = compare_parts(cut(examples), "classification", sample=600)
    assert found.whole.words_median == found.parts["test"].words_median == 28
