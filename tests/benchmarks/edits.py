"""How alike two texts are, by brute force, and the small edits that make one text a near-duplicate of another.

The measure here is the benchmark's own and shares no code with the checks it measures: the words of a text are its
runs of letters, digits and inner apostrophes, lower-cased; likeness is the Jaccard index of the two multisets of words.
"""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np

NEAR = 0.8
WORDS = re.compile(r"\w+(?:['’]\w+)*")
EDITS = ("case", "punctuation", "space", "words", "all")
SHORT = 10  # texts of fewer words are edited in case, punctuation and space alone
CLOSING = ".!?…"


def words(text: str) -> list[str]:
    """The words of a text, lower-cased, without punctuation."""
    return WORDS.findall(text.lower())


def jaccard(one: str, other: str) -> float:
    """Share of the words that two texts have in common, each word as often as it stands; 1.0 for two empty texts."""
    left, right = Counter(words(one)), Counter(words(other))
    union = (left | right).total()
    return (left & right).total() / union if union else 1.0


class Likeness:
    """Texts by number, each compared with all before it.

    One row of `counts` a word and one column a text, so that the words shared with every earlier text are one
    `minimum` over a few contiguous rows: exact, and 20,000 texts take seconds.
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._counts = np.zeros((1024, 1024), np.uint8)
        self._sizes = np.zeros(1024, np.int32)
        self.texts = 0

    def with_earlier(self, text: str) -> np.ndarray:
        """Jaccard index of a text with each text added so far, (texts,) float64."""
        found = Counter(words(text))
        known = [(self._ids[word], count) for word, count in found.items() if word in self._ids]
        shared = np.zeros(self.texts, np.int32)
        for place, count in known:
            shared += np.minimum(self._counts[place, : self.texts], min(count, 255))
        union = found.total() + self._sizes[: self.texts] - shared
        return np.where(union > 0, shared / np.maximum(union, 1), 1.0)

    def add(self, text: str) -> int:
        """Add a text and return its number, from 0."""
        found = Counter(words(text))
        for word in found:
            self._ids.setdefault(word, len(self._ids))
        tall, wide = self._counts.shape
        if len(self._ids) > tall or self.texts == wide:
            grown = np.zeros((max(tall, 2 * len(self._ids)), wide * (2 if self.texts == wide else 1)), np.uint8)
            grown[:tall, :wide] = self._counts
            self._counts, self._sizes = grown, np.resize(self._sizes, grown.shape[1])
        for word, count in found.items():
            self._counts[self._ids[word], self.texts] = min(count, 255)
        self._sizes[self.texts] = found.total()
        self.texts += 1
        return self.texts - 1


def near_pairs(texts: list[str], threshold: float = NEAR) -> list[tuple[int, int]]:
    """Every pair of texts (by place, smaller first) that is at least this much alike."""
    seen, pairs = Likeness(), []
    for place, text in enumerate(texts):
        alike = np.flatnonzero(seen.with_earlier(text) >= threshold - 1e-9)
        pairs += [(int(earlier), place) for earlier in alike]
        seen.add(text)
    return pairs


def edited(text: str, edit: str, draw: random.Random, vocabulary: list[str]) -> str:
    """The text after one of EDITS; always another string, and by this module's measure at least NEAR the old one.

    Args:
        edit: "words" needs at least SHORT words; "all" leaves the words of shorter texts as they are.
        vocabulary: words that may be put in.
    """
    if edit == "case":
        return _case(text, draw)
    if edit == "punctuation":
        return _punctuation(text, draw)
    if edit == "space":
        return _space(text, draw)
    if edit == "words":
        return _words(text, draw, vocabulary)
    if len(words(text)) >= SHORT:
        text = _words(text, draw, vocabulary)
    return _space(_case(_punctuation(text, draw), draw), draw)


def _case(text: str, draw: random.Random) -> str:
    ways = [text.upper(), text.lower(), text.title(), text.swapcase(), text[:1].swapcase() + text[1:]]
    # title() writes “Don'T”, and some letters change their number in upper case: words must stay the same words.
    fit = [way for way in ways if way != text and words(way) == words(text)]
    return draw.choice(fit)


def _punctuation(text: str, draw: random.Random) -> str:
    bare = re.sub(r"(?<=\w)[,.;:!?…]+(?=\s|$)", "", text)
    body = text.rstrip(CLOSING)
    ways = [bare, body, body + draw.choice(("!", "!!", "...", "?!", ".")), re.sub(r",(?=\s)", " -", text), f'"{text}"']
    return draw.choice([way for way in ways if way != text and words(way) == words(text)])


def _space(text: str, draw: random.Random) -> str:
    gaps = [found.start() for found in re.finditer(r" ", text)]
    out = text
    for place in sorted(draw.sample(gaps, min(len(gaps), draw.randint(1, 3))), reverse=True):
        out = out[:place] + draw.choice(("  ", "   ", "\n", " \t", "\u00a0")) + out[place + 1 :]
    return draw.choice(("", "", " ", "\n")) + out + draw.choice(("", "", " ", "  "))


def _words(text: str, draw: random.Random, vocabulary: list[str]) -> str:
    """One word in ten (rounded down) replaced, dropped, mistyped or preceded by another."""
    spans = [found.span() for found in WORDS.finditer(text)]
    if len(spans) < SHORT:
        raise ValueError(f"{len(spans)} words are too few for an edit of one in ten.")
    for start, end in sorted(draw.sample(spans, len(spans) // 10), reverse=True):
        word = text[start:end]
        way = draw.choice(("replace", "drop", "slip", "insert"))
        new = draw.choice([other for other in draw.sample(vocabulary, 5) if other.lower() != word.lower()])
        if way == "drop":
            text = text[:start] + text[end:].lstrip(" ")
        elif way == "insert":
            text = f"{text[:start]}{new} {text[start:]}"
        else:
            text = text[:start] + (slip(word, draw) if way == "slip" and len(word) > 3 else new) + text[end:]
    return text


def slip(word: str, draw: random.Random) -> str:
    """A word as a finger slips: two letters swapped, one doubled, one left out."""
    places = [place for place in range(1, len(word) - 1) if word[place].isalpha() and word[place + 1].isalpha()]
    ways = [word[:p] + word[p + 1] + word[p] + word[p + 2 :] for p in places if word[p] != word[p + 1]]
    ways += [word[:p] + word[p] + word[p:] for p in places] + [word[:p] + word[p + 1 :] for p in places]
    return draw.choice([way for way in ways if way != word] or [word + "s"])
