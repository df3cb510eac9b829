"""Pairs of sets that have much in common: candidates by MinHash with bands, each then measured exactly.

MinHash: Broder 1997, On the resemblance and containment of documents. Bands: Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, chapter 3. The signatures come from `rensa`.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from finetune.dataset.checks.elements import STEP, taken
from finetune.dataset.tell import Tell

_MISSED = 0.004  # chance that a pair exactly at the threshold shares no band
_BANDS_AT_ONCE = 1
_PAIRS_AT_ONCE = 200_000
_PAIRS_OF_A_BAND = 2_000_000
_WINDOW = 40


def near_pairs(
    elements: np.ndarray, hashes: np.ndarray, offsets: np.ndarray, threshold: float, tell: Tell
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of sets that share enough, and how much.

    Args:
        elements, offsets: the sets one after the other, and where each begins and ends, shape (n + 1,).
        hashes: of the elements.
        threshold: Jaccard similarity from which a pair is told.

    Returns:
        (m, 2) places, the lower one first, in order; (m,) similarities.
    """
    from rensa import RMinHash, RMinHashLSH

    total = len(offsets) - 1
    if total < 2 or threshold == 1:
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32)
    rows, bands = _bands(threshold)
    found = np.zeros(0, dtype=np.int64)
    similarity = np.zeros(0, dtype=np.float32)

    def signed(start: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """The sets that share one of some bands with another, and their bands."""
        count = min(_BANDS_AT_ONCE, bands - start)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, places, rows * count, start)
        flags = RMinHashLSH(threshold, rows * count, count).query_duplicate_flags_matrix_one_shot(matrix)
        del matrix
        shared = np.flatnonzero(np.array(flags, dtype=bool))
        return shared, _band_hashes(hashes, offsets, shared, rows, count, start) if len(shared) else []

    places = offsets.astype(np.uint64)
    with ThreadPoolExecutor(2) as pool:
        for number, (shared, signatures) in enumerate(pool.map(signed, range(0, bands, _BANDS_AT_ONCE))):
            tell("Looking for near-duplicates", 0.3 + 0.7 * number * _BANDS_AT_ONCE / bands)
            for band in signatures:
                new = np.setdiff1d(_same_band(shared, band, total), found, assume_unique=True)
                measured = _measure(elements, offsets, new // total, new % total)
                good = measured >= threshold - 1e-6
                found = np.concatenate([found, new[good]])
                similarity = np.concatenate([similarity, measured[good]])
    order = np.argsort(found, kind="stable")
    found = found[order]
    return np.stack([found // total, found % total], axis=1), similarity[order]


def _bands(threshold: float) -> tuple[int, int]:
    """Rows of a band and number of bands: the longer the bands the fewer candidates, while few pairs are missed."""
    rows = 8 if threshold >= 0.75 else 4 if threshold >= 0.6 else 3
    bands = math.ceil(math.log(_MISSED) / math.log(1 - min(threshold, 0.99) ** rows))
    return rows, max(4, bands)


def _band_hashes(
    hashes: np.ndarray, offsets: np.ndarray, shared: np.ndarray, rows: int, count: int, seed: int
) -> list[np.ndarray]:
    """One hash a band of the texts that share some band with another."""
    from rensa import RMinHash

    result = np.zeros((count, len(shared)), dtype=np.uint64)
    for start in range(0, len(shared), STEP):
        part, places = taken(hashes, offsets, shared[start : start + STEP])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(part, places.astype(np.uint64), rows * count, seed)
        digests = np.array(matrix.to_rows(), dtype=np.uint64).reshape(-1, count, rows)
        for band in range(count):
            mixed = np.zeros(len(digests), dtype=np.uint64)
            for row in range(rows):
                mixed = (mixed ^ digests[:, band, row]) * np.uint64(0x9E3779B97F4A7C15)
                mixed ^= mixed >> np.uint64(29)
            result[band, start : start + len(digests)] = mixed
    return list(result)


def _same_band(shared: np.ndarray, band: np.ndarray, total: int) -> np.ndarray:
    """Pairs with the same band as `lower * total + higher`, ascending.

    In a crowd with the same band each is paired with the next ones alone: enough to connect it, without the square.
    """
    order = np.argsort(band, kind="stable")
    band, place = band[order], shared[order].astype(np.int64)
    pairs = []
    for lag in range(1, max(2, min(_WINDOW, _PAIRS_OF_A_BAND // len(shared))) + 1):
        hit = band[lag:] == band[:-lag]
        if not hit.any():
            break
        pairs.append(place[:-lag][hit] * total + place[lag:][hit])
    return np.unique(np.concatenate(pairs)) if pairs else np.zeros(0, dtype=np.int64)


def _measure(elements: np.ndarray, offsets: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Jaccard similarity of pairs of texts, exact."""
    from scipy.sparse import csr_array

    result = np.zeros(len(one), dtype=np.float32)
    sizes = np.diff(offsets)
    width = int(elements.max()) + 1 if len(elements) else 1
    for start in range(0, len(one), _PAIRS_AT_ONCE):
        span = slice(start, start + _PAIRS_AT_ONCE)
        sides = []
        for side in (one[span], other[span]):
            values, places = taken(elements, offsets, side)
            sides.append(csr_array((np.ones(len(values), np.int32), values.copy(), places), shape=(len(side), width)))
            sides[-1].sort_indices()
        common = np.asarray(sides[0].multiply(sides[1]).sum(axis=1)).ravel()
        result[span] = common / (sizes[one[span]] + sizes[other[span]] - common)
    return result
