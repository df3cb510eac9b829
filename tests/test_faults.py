"""The checks find planted faults as often as promised: a small run of tests/benchmarks/faults.py, with seeds of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "benchmarks"))

from faults import Score, across, measure_balance, measure_flipped, measure_planted, planted_scores, table
from identifiers import DECOYS
from planting import clean, plant
from source import KINDS

from finetune.dataset.examine import examine
from finetune.dataset.example import Example
from finetune.dataset.mapping.columns import guess
from finetune.dataset.mending import DEFAULT_MENDS
from finetune.dataset.reading.load import load
from finetune.dataset.report import Choices, Report, conclude

ROWS = 600
SEED = 901  # the table in the README begins at 1
PROMISED = ("exact duplicates", "near duplicates", "conflicts", "leakage", "label variants", "personal data")


def inspect(path: Path, *, test: Path | None = None, mends: tuple[str, ...] = DEFAULT_MENDS, **columns) -> Report:
    """`finetune.inspect` but for the tokens, which would need a tokenizer from the Hub."""
    table = load(path, test=test)
    return conclude(examine(table, guess(table, **columns)), Choices(mends=tuple(mends)))


@pytest.fixture(scope="module", params=KINDS)
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Score]]:
    scores, _ = measure_planted(request.param, ROWS, SEED, inspect, tmp_path_factory.mktemp(request.param))
    yield scores


def test_planted_faults_are_found_and_little_else(measured):
    for fault in PROMISED:
        if fault in measured:
            score = measured[fault]
            assert score.planted >= 10
            assert score.recall >= 0.95, (fault, score.missed)
            assert score.precision >= 0.95, (fault, score.wrong)


def test_nothing_alike_stands_on_both_sides_of_a_split(measured):
    assert measured["near-duplicates across our split"].wrong == []
    assert measured["near-duplicates across the user's own test file"].wrong == []


def test_what_looks_like_personal_data_is_left_alone(measured):
    decoys = [measured[f"decoy: {kind}"] for kind in DECOYS]
    assert sum(score.planted for score in decoys) == 50
    assert sum(score.found for score in decoys) <= 1


@pytest.mark.parametrize("kind", KINDS[:2])
def test_flipped_labels_are_suspect(kind, tmp_path):
    score = measure_flipped(kind, clean(kind, 1000, SEED), SEED, inspect, tmp_path)
    assert score.planted == 50
    assert score.recall >= 0.6 and score.precision >= 0.7, score


def test_an_uneven_file_is_told_and_an_even_one_is_not(tmp_path):
    scores = measure_balance(ROWS, SEED, inspect, tmp_path)
    assert all(score.recall == 1 and score.precision == 1 for score in scores.values()), scores


def test_what_is_found_is_scored_against_the_truth():
    data = plant("queries", 200, seed=SEED)
    truth = data.truth
    right = [
        {"kind": "exact_duplicate", "rows": [], "clusters": [list(cluster) for cluster in truth.exact]},
        {"kind": "near_duplicate", "rows": [], "clusters": [list(cluster) for cluster in truth.near]},
        {"kind": "conflicting_output", "rows": sorted(row for cluster in truth.conflicts for row in cluster)},
        {"kind": "suspect_label", "check": "label_spelling", "rows": sorted(truth.own_labels)},
        {"kind": "leakage", "rows": sorted([*truth.leaked, *truth.leaked.values()])},
        {"kind": "personal_data", "rows": sorted(truth.personal)},
    ]
    scores = planted_scores(data, right)
    assert all(scores[fault].recall == scores[fault].precision == 1 for fault in PROMISED)
    scores = planted_scores(data, [])
    assert all(scores[fault].recall == 0 and scores[fault].planted for fault in PROMISED)
    other = next(row for row in range(1, 201) if row not in truth.personal)
    wrong = [{"kind": "personal_data", "rows": [*sorted(truth.personal), other]}]
    score = planted_scores(data, wrong)["personal data"]
    assert score.wrong == [other] and 0 < score.precision < 1


def test_a_pair_across_parts_is_seen():
    text = "one two three four five six seven eight nine ten"
    parts = [
        [Example(1, text, "a"), Example(2, "something else altogether", "a")],
        [Example(3, text.upper().replace("TEN", "Eleven!"), "b")],
        [Example(4, "Yes.", "c", (("user", text), ("assistant", "And?"), ("user", "Yes.")))],
    ]
    assert across(parts) == [(1, 3), (1, 4)]


def test_the_table_has_a_line_for_each_fault():
    text = table(
        {"conflicts": {"chats": [Score(10, 9, 9), Score(10, 10, 12)]}, "decoy: date": {"chats": [Score(5, 0, 0)]}}
    )
    assert "| conflicts | chats | 20 | 21 | 0.950 (0.900) | 0.905 (0.833) |" in text
    assert "| decoy: date | chats | 5 | 0 | | |" in text
