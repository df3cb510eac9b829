"""Texts as sparse vectors of words, word pairs and pieces of words, weighted by TF-IDF.

As scikit-learn's TfidfVectorizer (sublinear_tf, smooth_idf, norm="l2") with words of one character kept; written anew
because importing scikit-learn alone takes a second, half of what a look at 10,000 rows may take.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Scripts that put no space between words (Thai, Lao, Burmese, Khmer, kana, Han): each character is a word, so that the
# word pairs are the pairs of characters.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Accents, points and vowel signs, which are no letters to `\w`: without them Hindi would fall apart into consonants.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_PICTURES = "\u2600-\u27bf\U0001f300-\U0001faff"
_WORD = re.compile(rf"[{_UNSPACED}{_PICTURES}]|(?:[^\W{_UNSPACED}]|[{_MARKS}])+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)


def tfidf(
    texts: Sequence[str], *, pieces: bool = False, least: int = 2, most: int = 30_000, characters: int = 1_000
) -> csr_matrix:
    """One row a text: words and word pairs, and with `pieces` a second block of pieces of words.

    Case, Unicode form (NFKC) and punctuation do not count. The weight of a term is (1 + ln times) · (ln((1 + texts) /
    (1 + texts with it)) + 1); each row of each block has length 1, or 0 where no term of it is known.

    Args:
        pieces: add the pieces of 2 to 4 characters within words: they forgive typing slips and endings, help most
            where there are few rows, and take about six times as long in what follows.
        least: terms in fewer texts than this are left out.
        most: at most this many terms a block, those in most texts.
        characters: how much of each text is read, from its beginning.

    Returns:
        float32, shape (texts, terms).
    """
    from scipy.sparse import csr_matrix, hstack

    ids, ends, vocabulary = _words(texts, characters)
    single = _counted(ids, ends, len(vocabulary))
    pairs = _counted(*_pairs(ids, ends, np.bincount(single.indices, minlength=len(vocabulary)), least))
    blocks = [_weighted(hstack([single, pairs], format="csr"), least, most)]
    if pieces:
        # Each word is cut up once, however often it occurs.
        blocks.append(_weighted(csr_matrix(single @ _counted(*_pieces(vocabulary))), least, most))
    return csr_matrix(hstack(blocks, format="csr", dtype=np.float32))


def _words(texts: Sequence[str], characters: int) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """The word numbers of all texts one after the other, where each text ends (with a 0 before), and word → number."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    number, ids, ends = numbers.__getitem__, array("i"), array("q", [0])
    for text in texts:
        ids.extend(map(number, _split(text[:characters])))
        ends.append(len(ids))
    return np.array(ids, np.int32), np.array(ends, np.int64), numbers


def _split(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _pairs(ids: np.ndarray, ends: np.ndarray, texts_with: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Words that follow each other in a text, as `_words` gives words; a pair with a rare word is itself rare."""
    texts = len(ends) - 1
    if len(ids) < 2:
        return np.zeros(0, np.int32), np.zeros(texts + 1, np.int64), 0
    row = np.repeat(np.arange(texts), np.diff(ends))
    common = texts_with[ids] >= least
    there = (row[1:] == row[:-1]) & common[1:] & common[:-1]
    keys, numbers = np.unique(ids[:-1][there].astype(np.int64) * len(texts_with) + ids[1:][there], return_inverse=True)
    per_text = np.bincount(row[1:][there], minlength=texts)
    return numbers.astype(np.int32), np.concatenate([[0], np.cumsum(per_text)]), len(keys)


def _pieces(vocabulary: dict[str, int]) -> tuple[np.ndarray, np.ndarray, int]:
    """The pieces of each word, its bounds being spaces, as `_words` gives words."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    number, ids, ends = numbers.__getitem__, array("i"), array("q", [0])
    for word in vocabulary:
        bound = f" {word[:40]} "
        for size in (2, 3, 4):
            ids.extend(map(number, (bound[at : at + size] for at in range(len(bound) - size + 1))))
        ends.append(len(ids))
    return np.array(ids, np.int32), np.array(ends, np.int64), len(numbers)


def _counted(ids: np.ndarray, ends: np.ndarray, width: int) -> csr_matrix:
    from scipy.sparse import csr_matrix

    # Copies, because summing sorts the numbers in their place.
    counts = csr_matrix((np.ones(len(ids), np.float32), ids.copy(), ends.copy()), shape=(len(ends) - 1, width))
    counts.sum_duplicates()
    return counts


def _weighted(counts: csr_matrix, least: int, most: int) -> csr_matrix:
    texts_with = np.bincount(counts.indices, minlength=counts.shape[1])
    kept = np.flatnonzero(texts_with >= least)
    if len(kept) > most:
        kept = np.sort(kept[np.argsort(-texts_with[kept], kind="stable")[:most]])
    counts = counts[:, kept]
    rarity = np.log((1 + counts.shape[0]) / (1 + texts_with[kept])) + 1
    counts.data = (1 + np.log(counts.data)) * rarity.astype(np.float32)[counts.indices]
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    length = np.sqrt(np.bincount(row, weights=counts.data**2, minlength=counts.shape[0]))
    counts.data = (counts.data / length[row]).astype(np.float32)
    return counts
