"""Sets of rows that stay together, dealt to the parts of the split by label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
# Rows: up to this size, a label in every part is worth more than the exact share of the part.
SMALL = 10
_CONSIDERED = 50  # sets that are looked at, of those that could be moved


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of rows that stay together; every array has one value a set, of k.

    Attributes:
        sizes: rows.
        order: uint64, in which they are dealt.
        label: int, the commonest label of its rows.
        holds: the set, the label and the rows of every label in every set, sorted by label; (m,) each.
    """

    sizes: np.ndarray
    order: np.ndarray
    label: np.ndarray
    holds: tuple[np.ndarray, np.ndarray, np.ndarray]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def mixed(self) -> bool:
        """Whether any set has two labels."""
        return len(self.holds[0]) > len(self)


def sets_of(of: np.ndarray, order: np.ndarray, labels: np.ndarray) -> Sets:
    """Sets from the set (0..k-1), hash and label (0..) of each row."""
    count = int(of.max()) + 1
    first = np.full(count, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(first, of, order)
    low, high = np.full(count, np.iinfo(labels.dtype).max, labels.dtype), np.zeros(count, labels.dtype)
    np.minimum.at(low, of, labels)
    np.maximum.at(high, of, labels)
    sizes = np.bincount(of, minlength=count)
    holder, held, many = np.arange(count), low.copy(), sizes
    mixed = low != high
    if mixed.any():
        rows = np.flatnonzero(mixed[of])
        width = int(labels.max()) + 1
        pairs, rows_of = np.unique(of[rows].astype(np.int64) * width + labels[rows], return_counts=True)
        sets, names = pairs // width, pairs % width
        # Commonest label last in each set; of two as common the first in the alphabet.
        ranked = np.lexsort((-names, rows_of, sets))
        last = np.flatnonzero(np.diff(sets[ranked], append=-1))
        low[sets[ranked][last]] = names[ranked][last]
        pure = np.flatnonzero(~mixed)
        holder, held = np.concatenate([pure, sets]), np.concatenate([held[pure], names])
        many = np.concatenate([sizes[pure], rows_of])
    ranked = np.argsort(held, kind="stable")
    return Sets(sizes, first, low, (holder[ranked], held[ranked], many[ranked]))


def by_label(sets: Sets, shares: Mapping[int, float]) -> np.ndarray:
    """(k,) int8: the part of each set; the label decides, training takes what is left.

    The sets of a label are dealt in their order: to the first of `shares` that has room for it under that label, else
    to training. Every label with as many sets as there are parts is in all of them; one with fewer is in training
    first. A set that is larger than a whole part should be (and than SMALL) goes to training, unless nothing else
    could fill the part.

    Args:
        shares: part → share of the rows, for every part but training.
    """
    table = _Table(sets, shares)
    left = table.deal()
    table.top_up(left)
    table.repair()
    table.fill()
    return table.parts


class _Table:
    """The state of one deal."""

    def __init__(self, sets: Sets, shares: Mapping[int, float]):
        self.sets, self.shares = sets, shares
        self.every = (TRAIN, *sorted(shares))
        self.parts = np.zeros(len(sets), np.int8)
        self.total = int(sets.sizes.sum())
        self.limit = {part: max(SMALL, share * self.total) for part, share in shares.items()} | {TRAIN: math.inf}

    def deal(self) -> dict[int, np.ndarray]:
        """Deals label by label, and gives the rows of each part that found no set that small, by label."""
        sets, need = self.sets, len(self.every)
        sequence = np.lexsort((sets.order, sets.label))
        count = np.bincount(sets.label)
        common = np.flatnonzero(count >= need)
        left = {part: np.zeros(len(count), np.int64) for part in self.shares}
        for part, rows in self._wished(len(count)).items():
            left[part][common] = _quotas(rows[common])
        starts = np.concatenate([[0], np.cumsum(count)])
        several = np.bincount(sets.holds[0], minlength=len(sets)) > 1
        sizes = sets.sizes[sequence].tolist()
        for label in common.tolist():
            here = sequence[starts[label] : starts[label + 1]]
            rooms = [(part, int(rooms[label])) for part, rooms in left.items()]
            dealt, rooms = _greedy(sizes[starts[label] : starts[label + 1]], rooms)
            for part, places in dealt.items():
                self.parts[here[places]] = part
            for part, room in rooms:
                left[part][label] = room
            # A label whose sets hold others too may be in every part by those of other labels: see `repair`.
            short = len(dealt) < need - 1 or sum(map(len, dealt.values())) == len(here)
            if short and not several[here].any():
                self._complete(here)
        few = np.flatnonzero((count > 1) & (count < need))
        self._deal_few([sequence[starts[label] : starts[label + 1]] for label in few.tolist()])
        return left

    def _wished(self, labels: int) -> dict[int, np.ndarray]:
        """Rows of each label for each part, as fractions.

        A giant set counts for each label that it holds. Where most rows of a label are in giants, the others are not
        all held out: one in ten at least is left to train on.
        """
        sets = self.sets
        giant = sets.sizes > max(self.limit[part] for part in self.shares)
        small = np.bincount(sets.label[~giant], weights=sets.sizes[~giant], minlength=labels)
        rows = small
        if giant.any():
            holder, held, many = (column[giant[sets.holds[0]]] for column in sets.holds)
            rows = small + np.bincount(held, weights=many, minlength=labels)[:labels]
        most = np.minimum(rows, 0.9 * small / sum(self.shares.values()))
        return {part: most * share for part, share in self.shares.items()}

    def _deal_few(self, rare: list[np.ndarray]) -> None:
        """Labels with fewer sets than parts: one set to training, each other to the part that lacks most."""
        rows = {part: int(self.sets.sizes[self.parts == part].sum()) for part in self.shares}
        for here in rare:
            # One that is too large for the other parts stays in training, and another can go.
            largest = max(self.limit[part] for part in self.shares)
            stays = next((place for place in here if self.sets.sizes[place] > largest), here[0])
            for place in here[here != stays].tolist():
                size = int(self.sets.sizes[place])
                fits = [part for part in self.shares if size <= self.limit[part]]
                if fits:
                    part = min(fits, key=lambda part: rows[part] / self.shares[part])
                    self.parts[place] = part
                    rows[part] += size

    def _complete(self, here: np.ndarray) -> None:
        """Gives each part that has none of these sets the smallest of the part that has most of them."""
        for part in self.every:
            if (self.parts[here] == part).any():
                continue
            counts = {donor: int((self.parts[here] == donor).sum()) for donor in self.every}
            givers = [place for place in here.tolist() if counts[self.parts[place]] > 1]
            givers = [place for place in givers if self.sets.sizes[place] <= self.limit[part]]
            if givers:
                self.parts[min(givers, key=lambda place: (-counts[self.parts[place]], *self._small(place)))] = part

    def _small(self, place: int) -> tuple[int, int]:
        return int(self.sets.sizes[place]), int(self.sets.order[place])

    def top_up(self, left: dict[int, np.ndarray]) -> None:
        """Large sets leave room under every label: it is filled over the labels, the emptiest first."""
        for part, rooms in left.items():
            lack = int(rooms.sum())
            # First what brings its own label nearer to its share, then what fits at all.
            for by_label in (True, False):
                if lack <= 0:
                    break
                spare = np.flatnonzero(self.parts == TRAIN)
                spare = spare[self.sets.sizes[spare] <= lack]
                ranked = spare[np.lexsort((self.sets.order[spare], -rooms[self.sets.label[spare]]))]
                held = np.bincount(self.sets.label[self.parts == TRAIN], minlength=len(rooms))
                for place in ranked.tolist():
                    size, label = int(self.sets.sizes[place]), self.sets.label[place]
                    nearer = size <= 2 * rooms[label] or not by_label
                    if nearer and size <= lack and held[label] > 1:
                        self.parts[place] = part
                        held[label] -= 1
                        rooms[label] -= size
                        lack -= size
                        if lack <= 0:
                            break

    def repair(self) -> None:
        """Where sets hold several labels, a label may have missed a part that its sets could have filled."""
        if not self.sets.mixed:
            return
        holder, held, _ = self.sets.holds
        counts = self.counts
        missing = (counts[:, list(self.every)] == 0).any(1)
        for label in np.flatnonzero((counts.sum(1) >= len(self.every)) & missing).tolist():
            here = holder[np.searchsorted(held, label) : np.searchsorted(held, label, side="right")]
            for part in self.every:
                if counts[label, part] == 0:
                    self._move_one(here, part, self.limit[part])
        for part, share in self.shares.items():
            self._trim(part, round(share * self.total))

    def fill(self) -> None:
        """A part without any row takes the smallest set that training can spare without losing a label."""
        for part in self.shares:
            if not (self.parts == part).any():
                self._move_one(np.flatnonzero(self.parts == TRAIN), part, math.inf)

    @cached_property
    def counts(self) -> np.ndarray:
        """(labels, 3): sets that hold the label, by part."""
        holder, held, _ = self.sets.holds
        counts = np.bincount(held.astype(np.int64) * 3 + self.parts[holder], minlength=(int(held.max()) + 1) * 3)
        return counts.reshape(-1, 3)

    @cached_property
    def labels_of(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the sets one after another, and where those of each set begin."""
        holder, held, _ = self.sets.holds
        return held[np.argsort(holder, kind="stable")], np.cumsum(np.bincount(holder + 1, minlength=len(self.sets) + 1))

    def _labels(self, place: int) -> np.ndarray:
        held, starts = self.labels_of
        return held[starts[place] : starts[place + 1]]

    def _move_one(self, here: np.ndarray, part: int, limit: float) -> None:
        """Moves one of these sets: of the smallest ones that their parts can spare, that which brings most new labels."""
        own = self.counts[self.sets.label[here], self.parts[here]]
        here = here[(self.sets.sizes[here] <= limit) & (self.parts[here] != part) & (own > 1)]
        here = here[np.lexsort((self.sets.order[here], self.sets.sizes[here]))]
        spare = list(islice((place for place in here.tolist() if self._spare(place)), _CONSIDERED))
        if spare:
            new = [int((self.counts[self._labels(place), part] == 0).sum()) for place in spare]
            self._move(spare[max(range(len(spare)), key=lambda number: (new[number], -number))], part)

    def _trim(self, part: int, rows: int) -> None:
        """Gives back to training what a part has too much, as long as it keeps its labels; the largest sets first."""
        excess = int(self.sets.sizes[self.parts == part].sum()) - rows
        here = np.flatnonzero((self.parts == part) & (self.sets.sizes <= excess))
        for place in here[np.lexsort((self.sets.order[here], -self.sets.sizes[here]))].tolist():
            if excess <= 0:
                break
            if self.sets.sizes[place] <= excess and self._spare(place):
                excess -= int(self.sets.sizes[place])
                self._move(place, TRAIN)

    def _spare(self, place: int) -> bool:
        """Whether the part of the set has another one for each of its labels."""
        return bool((self.counts[self._labels(place), self.parts[place]] > 1).all())

    def _move(self, place: int, part: int) -> None:
        labels = self._labels(place)
        self.counts[labels, self.parts[place]] -= 1
        self.counts[labels, part] += 1
        self.parts[place] = part


def _greedy(sizes: list[int], rooms: list[tuple[int, int]]) -> tuple[dict[int, list[int]], list[tuple[int, int]]]:
    """Places of the sets that go to each part, in order and as far as they fit, and the room that is left."""
    dealt: dict[int, list[int]] = {}
    names, left = [part for part, _ in rooms], [room for _, room in rooms]
    for place, size in enumerate(sizes):
        for number, room in enumerate(left):
            if size <= room:
                left[number] -= size
                dealt.setdefault(names[number], []).append(place)
                break
        else:
            if not any(left):
                break
    return dealt, list(zip(names, left, strict=True))


def _quotas(ideal: np.ndarray) -> np.ndarray:
    """Whole rows of each label: the floor, the rest by largest remainder, at least 1 each."""
    quota = np.floor(ideal).astype(np.int64)
    rest = round(math.fsum(ideal)) - int(quota.sum())
    if rest > 0:
        quota[np.argsort(quota - ideal, kind="stable")[:rest]] += 1
    return np.maximum(quota, 1)
