"""The words of many texts as numbers: each text a set that remembers repeats, ready for set arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finetune.dataset.tell import Tell

STEP = 50_000  # texts taken at once; it bounds the memory of a step
# Rows that all begin with the same instruction are not alike for that: words of nearly every row are left out, where
# they are a good part of the rows.
_FRAME_ROWS, _FRAME_SHARE, _FRAME_WEIGHT = 20, 0.95, 0.3
# Written without spaces between words, so each character stands for a word.
_UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}])"

# ASCII in one pass: letters in lower case, digits as they stand, the rest a space; bytes of other scripts stay.
_PLAIN = np.full(256, 32, dtype=np.uint8)
for _code in range(128):
    if chr(_code).isalnum():
        _PLAIN[_code] = ord(chr(_code).lower())
_PLAIN[128:] = np.arange(128, 256)


def elements_of(texts: Sequence[str], tell: Tell) -> tuple[np.ndarray, np.ndarray, int]:
    """The words of each text as a set that remembers repeats: the k-th repeat of a word is an element of its own.

    Returns:
        The elements of all texts one after the other (word number + k * vocabulary), the n + 1 places where each text
        begins and ends, and the size of the vocabulary.
    """
    steps = range(0, len(texts), STEP) or range(1)
    encoded, sizes = [], [np.zeros(1, np.int64)]
    with ThreadPoolExecutor(2) as pool:  # Arrow and numpy work without the interpreter's lock
        for number, (words, counts) in enumerate(pool.map(lambda start: _words(texts[start : start + STEP]), steps)):
            tell("Reading the words", 0.3 * number / len(steps))
            encoded.append(words)
            sizes.append(counts)
        chunks = pa.chunked_array(encoded).unify_dictionaries().chunks
        del encoded
        vocabulary = max(1, len(chunks[0].dictionary))
        parts = list(pool.map(lambda one: _repeats(*one, vocabulary), zip(chunks, sizes[1:], strict=True)))
    del chunks
    pa.default_memory_pool().release_unused()
    return np.concatenate(parts), np.cumsum(np.concatenate(sizes)), vocabulary


def _words(texts: Sequence[str]) -> tuple[pa.DictionaryArray, np.ndarray]:
    """The words of the texts one after the other, and how many each has."""
    plain = pc.replace_substring(pc.utf8_lower(pa.array(texts, pa.large_string())), "'", "")  # don't and dont are one
    if pc.all(pc.string_is_ascii(plain), min_count=0).as_py():
        plain = _ascii_plain(plain)
    else:
        plain = pc.replace_substring(plain, "\u2019", "")
        plain = pc.replace_substring_regex(plain, _UNSPACED, r" \1 ")
        plain = pc.replace_substring_regex(plain, r"[^\pL\pN\pM]+", " ")
    split = pc.ascii_split_whitespace(plain)
    # The split leaves an empty word before the first space, after the last, and where nothing else is left.
    offsets = split.offsets.to_numpy()
    some = pc.not_equal(split.values, "")
    before = np.concatenate([[0], np.cumsum(some.to_numpy(zero_copy_only=False))])
    return split.values.filter(some).dictionary_encode(), np.diff(before[offsets])


def _ascii_plain(texts: pa.Array) -> pa.Array:
    buffers = texts.buffers()
    data = _PLAIN[np.frombuffer(buffers[2], dtype=np.uint8)] if buffers[2] is not None else np.zeros(0, np.uint8)
    return pa.Array.from_buffers(
        pa.large_string(), len(texts), [None, buffers[1], pa.py_buffer(data)], offset=texts.offset
    )


def _repeats(words: pa.DictionaryArray, counts: np.ndarray, vocabulary: int) -> np.ndarray:
    keys = np.repeat(np.arange(len(counts), dtype=np.int64) << 32, counts)
    keys |= words.indices.to_numpy()
    keys.sort()
    place = np.arange(len(keys), dtype=np.int64)
    begins = place.copy()
    begins[1:][keys[1:] == keys[:-1]] = 0
    repeat = place - np.maximum.accumulate(begins)
    # The elements number the columns of a sparse matrix, so there is an end to the repeats that are told apart.
    np.minimum(repeat, (2**31 - 1) // vocabulary - 1, out=repeat)
    return ((keys & 0xFFFFFFFF) + repeat * vocabulary).astype(np.int32)


def without_frame(elements: np.ndarray, offsets: np.ndarray, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    rows = len(offsets) - 1
    if rows < _FRAME_ROWS:
        return elements, offsets
    often = np.bincount(elements[elements < 4 * vocabulary]) >= _FRAME_SHARE * rows
    if not often.any():
        return elements, offsets
    frame = np.zeros(len(elements), dtype=bool)
    frame[elements < len(often)] = often[elements[elements < len(often)]]
    if often.sum() < _FRAME_WEIGHT * np.median(np.diff(offsets)):
        return elements, offsets
    before = np.concatenate([[0], np.cumsum(~frame)])
    return elements[~frame], before[offsets]


def mixed(elements: np.ndarray) -> np.ndarray:
    """Well-spread 64-bit hashes of the elements (the finaliser of SplitMix64, Steele et al. 2014)."""
    hashes = elements.astype(np.uint64)
    hashes += np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= np.uint64(factor)
    hashes ^= hashes >> np.uint64(31)
    return hashes


def taken(values: np.ndarray, offsets: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stretches of the chosen texts, one after the other."""
    sizes = np.diff(offsets)[chosen]
    after = np.concatenate([[0], np.cumsum(sizes)])
    place = np.arange(after[-1], dtype=np.int64) + np.repeat(offsets[chosen] - after[:-1], sizes)
    return values[place], after
