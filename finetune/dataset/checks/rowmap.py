"""A map of the rows: each a point, near the points of texts with the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finetune.dataset.checks.tfidf import tfidf

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# How much of each text is read, in characters.
CHARACTERS = 600
# Dimensions that the words are reduced to; of them at most so many directions between labels are kept.
_DIMENSIONS, _DIRECTIONS = 30, 15
# Neighbours that pull at a point, points drawn that push it, and rounds of both.
_NEIGHBOURS, _STRANGERS, _ROUNDS = 10, 8, 50


@dataclass(frozen=True)
class RowMap:
    """Points on a plane.

    Attributes:
        indices: the rows that are shown, ascending, shape (n,); a sample where there were more than the limit.
        xy: their places, shape (n, 2), float32; the middle is near 0 and nearly all lie within 1 of it. The axes
            themselves mean nothing.
        total: rows that there were.
        by_labels: whether the directions shown are those in which the labels differ.
    """

    indices: np.ndarray
    xy: np.ndarray
    total: int
    by_labels: bool


def row_map(
    texts: Sequence[str],
    labels: Sequence[str] | None = None,
    *,
    seed: int = 0,
    limit: int = 1_500,
    include: Sequence[int] | np.ndarray = (),
) -> RowMap:
    """Places for the rows such that rows with the same words lie together, and labels apart where their words differ.

    TF-IDF of words and word pairs, reduced to 30 dimensions (randomised SVD: Halko, Martinsson & Tropp 2011, Finding
    structure with randomness, algorithm 4.4). With labels, the directions in which their centroids differ most against
    the spread within a label (linear discriminants, the covariance shrunk by 0.3). Two or three labels span no more
    than the plane, and that is shown; with more labels, or none, a plane cannot show all directions and the points are
    laid out by their 10 nearest neighbours, which pull while random points push (as in UMAP, McInnes, Healy & Melville
    2018, with fixed constants). Labels that have nothing to do with the words fall into one heap.

    Args:
        labels: one a row, or None.
        limit: at most so many rows, drawn at random with the seed.
        include: rows to show in any case, such as suspects; at most half of the limit, the first ones.
    """
    indices = _sample(len(texts), seed, limit, include)
    random = np.random.default_rng(seed)
    vectors = tfidf([texts[row] for row in indices], characters=CHARACTERS)
    if min(vectors.shape) < 4:
        return RowMap(indices, np.zeros((len(indices), 2), np.float32), len(texts), False)
    # Fewer dimensions for few rows: with as many as rows, any labels could be told apart.
    points = _reduced(vectors, min(_DIMENSIONS, max(2, len(indices) // 10), min(vectors.shape) - 2), random)
    number = None if labels is None else _numbers([labels[row] for row in indices])
    if number is None:
        # Short texts lie near the middle whatever they are about: the direction counts, not the length.
        length = np.linalg.norm(points, axis=1, keepdims=True)
        places = _laid_out(points / np.maximum(length, 1e-9), random)
    else:
        points = _between_labels(points, number)
        places = points[:, :2] if number.max() <= 3 else _laid_out(points, random)
    places = places - np.median(places, axis=0)
    return RowMap(indices, (places / _reach(places)).astype(np.float32), len(texts), number is not None)


def _sample(total: int, seed: int, limit: int, include: Sequence[int] | np.ndarray) -> np.ndarray:
    if total <= limit:
        return np.arange(total)
    always = np.unique(np.asarray(include[: limit // 2], np.int64))
    drawn = np.random.default_rng(seed).choice(total, limit, replace=False)
    return np.sort(np.concatenate([always, drawn[~np.isin(drawn, always)][: limit - len(always)]]))


def _numbers(labels: Sequence[str]) -> np.ndarray | None:
    """Labels by number, from 1; 0 for those with fewer than 3 rows; None where no two are left or they are texts."""
    counts = Counter(labels)
    names = sorted(name for name, count in counts.items() if count >= 3)
    number = {name: place for place, name in enumerate(names, start=1)}
    found = np.array([number.get(label, 0) for label in labels])
    return found if len(names) >= 2 and (found > 0).mean() > 0.5 else None


def _reduced(vectors: csr_matrix, dimensions: int, random: np.random.Generator) -> np.ndarray:
    """The rows in their leading singular directions, without the mean; shape (rows, dimensions)."""
    columns = vectors.T.tocsr()
    basis = vectors @ random.standard_normal((vectors.shape[1], dimensions + 8)).astype(np.float32)
    for _ in range(3):
        basis = vectors @ (columns @ np.linalg.qr(basis)[0])
    basis = np.linalg.qr(basis)[0]
    left, size, _ = np.linalg.svd((columns @ basis).T, full_matrices=False)
    points = (basis @ left)[:, :dimensions] * size[:dimensions]
    return _signed(points - points.mean(0))


def _between_labels(points: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The points in the directions in which the labels differ, at least two columns."""
    rows, dimensions = points.shape
    members = np.bincount(number)
    centroids = np.zeros((len(members), dimensions))
    np.add.at(centroids, number, points)
    centroids /= np.maximum(members, 1)[:, None]
    within = points - centroids[number]
    # Towards the mean of all, the more the fewer rows there are: the centroid of 3 rows is mostly chance.
    centroids *= (members / (members + 5))[:, None]
    spread = within.T @ within / rows
    spread = 0.7 * spread + 0.3 * np.eye(dimensions) * (np.trace(spread) / dimensions + 1e-12)
    variance, axes = np.linalg.eigh(spread)
    even = axes / np.sqrt(np.maximum(variance, 1e-12))
    weight = np.sqrt(members)[:, None] * (np.arange(len(members)) > 0)[:, None]
    _, _, directions = np.linalg.svd(centroids @ even * weight, full_matrices=False)
    # As many directions as labels less one; two labels leave the second to the words.
    kept = min(max(int((members[1:] > 0).sum()) - 1, 1), _DIRECTIONS, len(directions))
    shown = points @ even @ directions[:kept].T
    if kept == 1:
        rest = points - np.outer(shown, np.linalg.lstsq(shown, points, rcond=None)[0])
        first = np.linalg.svd(rest, full_matrices=False)[2][0]
        rest = rest @ first
        shown = np.column_stack([shown[:, 0], rest * (shown.std() / max(rest.std(), 1e-12))])
    return _signed(shown)


def _laid_out(points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Places on a plane by near neighbours, starting from the first two columns; shape (rows, 2)."""
    from scipy.sparse import csr_matrix

    rows = len(points)
    count = min(_NEIGHBOURS, rows - 1)
    points = points.astype(np.float32)
    square = (points**2).sum(1)
    distance = np.maximum(square[:, None] + square - 2 * (points @ points.T), 0)
    np.fill_diagonal(distance, np.inf)
    near = np.argpartition(distance, count - 1, axis=1)[:, :count]
    distance = np.take_along_axis(distance, near, axis=1)
    # The farthest of a point's own neighbours is its measure: dense and thin regions pull alike.
    pull = np.exp(-distance / np.maximum(distance.max(1, keepdims=True), 1e-12))
    graph = csr_matrix((pull.ravel(), near.ravel(), np.arange(0, rows * count + 1, count)), shape=(rows, rows))
    graph = (graph + graph.T).tocoo()
    one, other, weight = graph.row, graph.col, graph.data / graph.data.max()
    push = (np.bincount(one, weight, rows) * 4 / _STRANGERS)[:, None]
    # By rank, so that a few far points do not press the others together.
    rank = np.argsort(np.argsort(points[:, :2], axis=0, kind="stable"), axis=0)
    places = (rank / rows * 16 - 8).astype(np.float32)
    weight, push = weight.astype(np.float32), push.astype(np.float32)
    for turn in range(_ROUNDS):
        apart = places[one] - places[other]
        drawn = apart * (-2 * weight / (1 + (apart**2).sum(1)))[:, None]
        force = np.column_stack([np.bincount(one, drawn[:, axis], rows) for axis in (0, 1)]).astype(np.float32)
        apart = places[:, None] - places[random.integers(0, rows, (rows, _STRANGERS))]
        distance = (apart**2).sum(2)
        force += np.clip(apart * (2 / ((0.1 + distance) * (1 + distance)))[..., None], -4, 4).sum(1) * push
        places = places + 0.25 * (1 - turn / _ROUNDS) * np.clip(force, -4, 4)
    return places


def _signed(points: np.ndarray) -> np.ndarray:
    """Each column turned so that its largest entry is positive: a direction has no sign of its own."""
    largest = points[np.abs(points).argmax(0), np.arange(points.shape[1])]
    return points * np.where(largest < 0, -1, 1)


def _reach(places: np.ndarray) -> float:
    """What 98% of the points lie within."""
    return float(np.quantile(np.abs(places).max(1), 0.98)) or 1.0
