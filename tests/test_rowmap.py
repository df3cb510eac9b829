"""The map of the rows: what lies together, what may not be seen in it, and what it takes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from benchmarks.labels import read
from test_suspects import TOPICS, made

from finetune.dataset.checks.rowmap import row_map

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def together(xy: np.ndarray, labels: list[str]) -> float:
    """The share of points whose nearest other point has their label."""
    distance = ((xy[:, None] - xy[None]) ** 2).sum(2)
    np.fill_diagonal(distance, np.inf)
    named = np.array(labels)
    return float((named[distance.argmin(1)] == named).mean())


@pytest.mark.parametrize("topics", [("card", "rate"), ("card", "rate", "login"), tuple(TOPICS)])
def test_rows_of_a_label_lie_together(topics):
    texts, labels = made(240, topics=topics)
    found = row_map(texts, labels)
    assert found.by_labels and found.xy.shape == (240, 2) and found.xy.dtype == np.float32
    assert together(found.xy, labels) > 0.95
    assert np.quantile(np.abs(found.xy), 0.95) <= 1.0 and found.xy.std(0).min() > 0.1


@pytest.mark.parametrize("topics", [("card", "rate"), tuple(TOPICS)])
def test_labels_by_chance_are_not_told_apart(topics):
    texts, labels = made(240, topics=topics)
    shuffled = random.Random(1).sample(labels, len(labels))
    assert together(row_map(texts, shuffled).xy, shuffled) < 1 / len(topics) + 0.15


def test_without_labels_near_texts_lie_together():
    texts, labels = made(240)
    found = row_map(texts)
    assert not found.by_labels and together(found.xy, labels) > 0.9
    # Texts as labels, or labels that are nearly all different, give no directions.
    assert not row_map(texts, texts).by_labels and not row_map(texts, ["same"] * 240).by_labels


def test_real_contracts():
    texts, labels = read(EXAMPLES / "contracts.jsonl", "text", "label")
    assert together(row_map(texts, labels).xy, labels) > 0.85


def test_same_seed_same_map_and_the_sample_holds_what_must_be_shown():
    texts, labels = made(400)
    one, again = (row_map(texts, labels, seed=3, limit=100, include=[7, 399, 7]) for _ in range(2))
    assert np.array_equal(one.indices, again.indices) and np.array_equal(one.xy, again.xy)
    assert len(one.indices) == len(set(one.indices)) == 100 and {7, 399} <= set(one.indices) and one.total == 400
    assert (np.diff(one.indices) > 0).all() and one.xy.shape == (100, 2)
    assert not np.array_equal(one.indices, row_map(texts, labels, seed=4, limit=100).indices)
    assert len(row_map(texts, labels, limit=100, include=np.arange(300)).indices) == 100


@pytest.mark.parametrize(
    "texts", [[], ["a"], ["a b", "a c"], [""] * 50, ["same words here"] * 30, ["a b c d e"] * 5 + ["b c d e f"] * 5]
)
def test_hardly_anything_to_draw(texts):
    labels = ["a", "b"] * len(texts)
    for found in (row_map(texts), row_map(texts, labels[: len(texts)])):
        assert found.xy.shape == (len(texts), 2) and np.isfinite(found.xy).all()


def test_a_text_without_a_known_word_is_a_point_too():
    texts, labels = made(100)
    found = row_map([*texts, "", "🙂"], [*labels, "card", "odd"])
    assert found.by_labels and found.xy.shape == (102, 2) and np.isfinite(found.xy).all()
