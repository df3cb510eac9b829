"""The rows and passages most like a question, by BM25 (Robertson and Zaragoza 2009; package bm25s)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from finetune.evidence.measures.metrics import words


class Retriever:
    """Finds texts by the words they share with a question: rare words count more, long texts less."""

    def __init__(self, texts: Sequence[str]):
        from bm25s import BM25

        self._ids: dict[str, int] = {}
        tokens = [[self._ids.setdefault(word, len(self._ids)) for word in words(text)] for text in texts]
        self._count = len(texts)
        self._index: Any = None
        if any(tokens):
            self._index = BM25()
            self._index.index((tokens, self._ids), show_progress=False, create_empty_token=False)

    def find(self, queries: Sequence[str], k: int) -> list[list[int]]:
        """Places of the k texts most like each query, the best first; fewer where fewer share a word with it."""
        return [self._one(query, k) for query in queries]

    def _one(self, query: str, k: int) -> list[int]:
        known = sorted({self._ids[word] for word in words(query) if word in self._ids})
        if not known or self._index is None:
            return []
        scores = np.asarray(self._index.get_scores_from_ids(known))[: self._count]
        order = np.argsort(-scores, kind="stable")[:k]
        return [int(place) for place in order if scores[place] > 0]
