"""Which examples stay together in the split, and the order in which such sets are dealt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas

from finetune.dataset.checks.likeness import normalised
from finetune.dataset.example import Example

# What str.split takes for white space in ASCII; bytes.split knows fewer.
_SPACE = bytes([9, 10, 11, 12, 13, 28, 29, 30, 31, 32])
_LOWER = bytes(range(256)).lower()
_STRETCH = 65_536  # texts that are copied at a time


def deal_order(examples: Sequence[Example], seed: int) -> np.ndarray:
    """(n,) uint64: a hash of seed and input without case and white space, so a row keeps its place among any others.

    SipHash under a key made of the seed (`pandas.util.hash_array`).
    """
    key = hashlib.blake2b(str(seed).encode(), digest_size=8).hexdigest()
    hashes = np.empty(len(examples), np.uint64)
    for start in range(0, len(examples), _STRETCH):
        texts = np.array([_bare(example) for example in examples[start : start + _STRETCH]], dtype=object)
        hashes[start : start + _STRETCH] = pandas.util.hash_array(texts, hash_key=key, categorize=False)
    return hashes


def components(
    examples: Sequence[Example],
    order: np.ndarray,
    clusters: Sequence[int] | np.ndarray | None = None,
    groups: Sequence[str] | None = None,
) -> np.ndarray:
    """(n,) int: the set that each example stays in, numbered from 0 in the order of their first examples.

    Args:
        order: what `deal_order` gave.
        clusters: (n,) near-duplicate cluster of each example; None takes inputs that are equal apart from case and
            white space.
        groups: (n,) customer, document or the like; "" for none. Clusters and groups that share an example are one.
    """
    found = _equal_inputs(examples, order) if clusters is None else pandas.factorize(np.asarray(clusters))[0]
    if groups is None:
        return found
    names = np.array(groups, dtype=object)
    grouped = np.flatnonzero(names != "")
    if not len(grouped):
        return found
    # Importing it takes 0.2 s, which a file without groups does not wait for.
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    of_group, distinct = pandas.factorize(names[grouped])
    count = int(found.max()) + 1
    nodes = count + len(distinct)
    edges = (np.ones(len(grouped), np.int8), (found[grouped], count + of_group))
    _, joined = connected_components(coo_matrix(edges, shape=(nodes, nodes)), directed=False)
    return pandas.factorize(joined[found])[0]


def _equal_inputs(examples: Sequence[Example], order: np.ndarray) -> np.ndarray:
    """Equal inputs have equal hashes, so the words are compared only where a hash comes twice."""
    found = pandas.factorize(order)[0]
    twice = np.flatnonzero(pandas.Series(order).duplicated(keep=False).to_numpy())
    if len(twice):
        keys: dict[str, int] = {}
        fresh = int(found.max()) + 1
        found[twice] = [fresh + keys.setdefault(_words(examples[place]), len(keys)) for place in twice.tolist()]
        found = pandas.factorize(found)[0]
    return found


def _read(example: Example) -> str:
    if example.context:
        return "\n".join(f"{role}: {content}" for role, content in example.context)
    return example.input


def _words(example: Example) -> str:
    if example.context:
        return "\n".join(f"{role}: {normalised(content)}" for role, content in example.context)
    return normalised(example.input)


def _bare(example: Example) -> bytes:
    text = _read(example)
    if text.isascii():  # four times as fast, and most texts are
        return text.encode().translate(_LOWER, _SPACE)
    # A lone surrogate, which JSON can hold, has no UTF-8 of its own.
    return "".join(text.casefold().split()).encode("utf-8", "surrogatepass")
