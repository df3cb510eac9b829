"""Sets of rows dealt to the parts of the split in the order of time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from finetune.dataset.finding import plural, rows_text
from finetune.dataset.splitting.deal import TRAIN, Sets
from finetune.errors import FinetuneError


def by_time(sets: Sets, of: np.ndarray, times: np.ndarray, shares: Mapping[int, float]) -> tuple[np.ndarray, list[str]]:
    """The part of each set by the time of its latest row: the last rows are the test, those before them validation.

    Args:
        of: (n,) set of each row.
        times: (n,) seconds; NaN where it is not known.
        shares: part → share of the rows, from the latest part to the earliest, training left out.

    Returns:
        (k,) int8 the parts, and sentences: rows without a time, rows that stand with later ones, sets too large.

    Raises:
        FinetuneError: no row has a time.
    """
    known = np.isfinite(times)
    if not known.any():
        raise FinetuneError(
            "No row has a time that can be read, so there is no order to split by.",
            hint="Choose another time column, or none.",
        )
    latest = np.full(len(sets), -np.inf)
    np.maximum.at(latest, of[known], times[known])
    dealt, large = _deal(sets, latest, shares)
    notes = []
    unknown = int((~known).sum())
    if unknown:
        elsewhere = int((~known & (dealt[of] != TRAIN)).sum())
        but = f", save {elsewhere:,} that {plural('belongs', 'belong', elsewhere)} to a later row" if elsewhere else ""
        have, are = plural("has", "have", unknown), plural("it is", "they are", unknown)
        notes.append(f"{rows_text(unknown)} {have} no time that can be read: {are} in training{but}.")
    early = 0
    for part in shares:
        inside = np.flatnonzero(dealt == part)
        if len(inside):
            early += int((known & (dealt[of] == part) & (times < latest[inside].min())).sum())
    if early:
        stand = plural("stands", "stand", early)
        notes.append(
            f"{rows_text(early)} {stand} in a later part than their own time says, because later rows that belong to "
            "them are there; in this way training sees nothing of the later time."
        )
    if len(large):
        rows = int(sets.sizes[large].sum())
        notes.append(
            f"{rows_text(rows)} that belong together are too many for a test part and are in training, "
            "although some of them are as late as the test rows."
        )
    return dealt, notes


def _deal(sets: Sets, latest: np.ndarray, shares: Mapping[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """The part of each set by the time of its latest row: the last rows are the first of `shares`, and so on back.

    Args:
        latest: (k,) seconds; -inf where no row has a time: training.
        shares: part → share of the rows, from the latest part to the earliest, training left out.

    Returns:
        (k,) int8 the parts, and the sets that went to training although they are late, because they are larger than
        twice what their part should be.
    """
    parts = np.zeros(len(sets), np.int8)
    known = np.flatnonzero(latest > -np.inf)
    sequence = known[np.lexsort((sets.order[known], latest[known]))][::-1]
    total, timed = int(sets.sizes.sum()), int(sets.sizes[known].sum())
    wish = {part: share * total for part, share in shares.items()}
    # Many rows without a time would leave no early ones to train on.
    scale = min(1.0, 0.9 * timed / sum(wish.values()))
    wish = {part: rows * scale for part, rows in wish.items()}
    large = sets.sizes[sequence] > max(1.0, 2 * max(wish.values()))
    if (~large).sum() > len(shares):
        kept, sequence = sequence[large], sequence[~large]
    else:
        kept = sequence[:0]
    ends = np.cumsum(sets.sizes[sequence])
    start, done = 0, 0
    for place, (part, rows) in enumerate(wish.items()):
        last = len(sequence) - (len(wish) - place)  # one set at least for each part that comes before
        if start >= len(sequence):
            break
        stop = int(np.searchsorted(ends, done + rows)) + 1
        # The boundary that comes nearest to the share, before or after the set that it falls into.
        if stop > 1 and (stop > len(ends) or done + rows - ends[stop - 2] < ends[stop - 1] - done - rows):
            stop -= 1
        stop = max(start + 1, min(stop, last))
        parts[sequence[start:stop]] = part
        start, done = stop, int(ends[stop - 1])
    # Only a large set that would have stood among the held-out rows is out of its time.
    return parts, kept[latest[kept] >= latest[sequence[start - 1]]]
