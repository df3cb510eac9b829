"""Which texts are the same, and which are nearly the same.

Signatures decide which pairs are looked at, and never what is found: every pair is measured exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finetune.dataset.checks.elements import elements_of, mixed, taken, without_frame
from finetune.dataset.checks.minhash import near_pairs
from finetune.dataset.example import Example
from finetune.dataset.tell import Tell, silent
from finetune.errors import FinetuneError

THRESHOLD = 0.8
LOWEST = 0.5  # below, nearly every pair of short texts that share their little words would be compared


@dataclass(frozen=True)
class Likeness:
    """How a list of n texts hangs together. All numbers of texts are places in that list.

    Attributes:
        exact: (n,) equal where two texts differ by case and white space at most.
        bag: (n,) equal where two texts have the same words as often, whatever their order, case and punctuation.
        pairs: (m, 2) bags that share at least `threshold` of their words, each pair once, the lower one first.
        similarity: (m,) of these pairs.
        cluster: (n,) equal where two texts are connected by such pairs; the smallest place of the cluster.
        threshold: words in common over all words of the two, counted with repeats (Jaccard of multisets), 0..1.
    """

    exact: np.ndarray
    bag: np.ndarray
    pairs: np.ndarray
    similarity: np.ndarray
    cluster: np.ndarray
    threshold: float


def text_of(example: Example) -> str:
    """What is compared of an example: its input, for chat all turns but the system's."""
    if not example.context:
        return example.input
    return "\n".join(f"{role}: {content}" for role, content in example.context if role != "system")


def likeness(texts: Sequence[str], *, threshold: float = THRESHOLD, tell: Tell = silent) -> Likeness:
    """Groups of equal texts, and pairs that share at least `threshold` of their words.

    Words are compared in lower case and without punctuation; in scripts that are written without spaces (Chinese,
    Japanese) each character counts as a word. Where nearly all texts begin with the same instruction, its words are
    not counted.

    Args:
        threshold: 0.5 to 1.
        tell: told of the progress, see the contract of `Tell`.

    Raises:
        FinetuneError: a threshold out of bounds.
    """
    if not LOWEST <= threshold <= 1:
        raise FinetuneError(
            f"{threshold:g} is no share of words in common that makes two inputs nearly the same.",
            hint=f"Choose a value from {LOWEST} to 1; {THRESHOLD} is usual.",
        )
    elements, offsets, vocabulary = elements_of(texts, tell)
    elements, offsets = without_frame(elements, offsets, vocabulary)
    hashes = mixed(elements)
    bag = _bags(hashes, offsets, texts)
    exact = _exact(texts, bag)
    first = np.sort(np.unique(bag, return_index=True)[1])  # one text of each bag
    first = first[np.diff(offsets)[first] > 0]
    if len(first) < len(texts):  # the names are bound anew, so that there are never two of these long arrays
        elements = taken(elements, offsets, first)[0]
        hashes, offsets = taken(hashes, offsets, first)
    pairs, similarity = near_pairs(elements, hashes, offsets, threshold, tell)
    pairs = np.sort(bag[first[pairs]], axis=1) if len(pairs) else pairs
    return Likeness(exact, bag, pairs, similarity, _clusters(bag, pairs), threshold)


def normalised(text: str) -> str:
    """The text without differences of case and white space: two texts with the same one count as equal."""
    return " ".join(text.casefold().split())


def _bags(hashes: np.ndarray, offsets: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """Texts with the same elements get the same number; those without any word, only where they are equal."""
    sizes = np.diff(offsets)
    sums = np.zeros(len(sizes), dtype=np.uint64)
    some = np.flatnonzero(sizes)
    if len(some):
        sums[some] = np.add.reduceat(hashes, offsets[some])
    places: dict[str, int] = {}
    for place in np.flatnonzero(sizes == 0):
        sums[place] = places.setdefault(normalised(texts[place]), len(places))
    return np.unique(sums, return_inverse=True)[1]


def _exact(texts: Sequence[str], bag: np.ndarray) -> np.ndarray:
    """Equal texts have equal bags, so only those with company are compared as texts."""
    exact = np.arange(len(texts), dtype=np.int64)
    first: dict[str, int] = {}
    for place in np.flatnonzero(np.bincount(bag, minlength=1)[bag] > 1) if len(bag) else ():
        exact[place] = first.setdefault(normalised(texts[place]), place)
    return exact


def _clusters(bag: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The smallest place of what each text is connected with."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(bag):
        return np.zeros(0, dtype=np.int64)
    size = int(bag.max()) + 1
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    _, component = connected_components(links, directed=False)
    member = component[bag]
    _, first, place = np.unique(member, return_index=True, return_inverse=True)
    return first[place]
