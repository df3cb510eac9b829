"""How likely the model finds given answers: every label after every prompt, or one reference answer after each.

What all prompts begin with is computed once. The labels stand behind each prompt as a tree of their tokens, in which
labels that begin alike share what they share; one pass computes prompt and tree, each token seeing its own path alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import Cache

from finetune.model.attention import extended, masked_pass, prefix_cache, read_only
from finetune.model.head import hidden_states
from finetune.model.prompt import common_prefix

if TYPE_CHECKING:
    from finetune.evidence.models.pair import Pair

# Tokens in one pass, of all rows together: bounds the memory of the activations.
PASS_TOKENS = 4096
# The same with what the rows begin with counted for each: bounds the keys and values of a layer.
CACHE_TOKENS = 32_768
# Tokens of a tree in one pass: the cost of attention grows with their square. Many labels make several trees.
TREE_TOKENS = 256
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Likelihoods:
    """What was found for some prompts.

    Attributes:
        values: (rows, labels) natural log-likelihoods, float64; for references (rows, 2): likelihood, and tokens.
        seconds: (rows,) of each row: its share of the pass that it was in, and of what was computed for all.
    """

    values: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True)
class Tree:
    """Some labels as a tree of tokens. Node 0 is the end of the prompt, node 1 + i is token i of the tree.

    Attributes:
        tokens, parents, depths: of each token; parents are nodes, depth 0 follows the prompt.
        edges: (node, token that may follow it), by node; each is the place of one number that the model gives.
        paths: for each label, the edges whose numbers make up its likelihood.
        labels: places of the labels in the list that was given.
    """

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    edges: list[tuple[int, int]]
    paths: list[list[int]]
    labels: list[int]

    def ancestry(self, device: torch.device) -> torch.Tensor:
        """Bool (tokens, tokens): whether a token sees another one, which is itself or comes before it on its path."""
        seen = np.eye(len(self.tokens), dtype=bool)
        for place, parent in enumerate(self.parents):
            if parent:
                seen[place] |= seen[parent - 1]
        return torch.from_numpy(seen).to(device)


def trees(labels: Sequence[list[int]], most: int = TREE_TOKENS) -> list[Tree]:
    """The labels (token ids) as trees of at most `most` tokens, or of one label each where one is longer."""
    parts: list[list[int]] = []
    nodes: set[tuple[int, ...]] = set()
    # Sorted, labels that begin alike are neighbours.
    for place in sorted(range(len(labels)), key=lambda place: labels[place]):
        path = {tuple(labels[place][:depth]) for depth in range(1, len(labels[place]))}
        if not parts or len(nodes | path) > most:
            parts.append([])
            nodes = set()
        parts[-1].append(place)
        nodes |= path
    return [_tree(labels, part) for part in parts]


def _tree(labels: Sequence[list[int]], chosen: list[int]) -> Tree:
    # Every beginning of a label but the whole of it is a node; () is the end of the prompt.
    begun = {tuple(labels[place][:depth]) for place in chosen for depth in range(len(labels[place]))}
    ordered = sorted(begun, key=lambda path: (len(path), path))
    number = {path: place for place, path in enumerate(ordered)}
    steps = {
        (number[tuple(labels[place][:depth])], token) for place in chosen for depth, token in enumerate(labels[place])
    }
    edges = sorted(steps)
    of_edge = {edge: place for place, edge in enumerate(edges)}
    paths = [
        [of_edge[number[tuple(labels[place][:depth])], token] for depth, token in enumerate(labels[place])]
        for place in chosen
    ]
    return Tree(
        [path[-1] for path in ordered[1:]], [number[path[:-1]] for path in ordered[1:]],
        [len(path) - 1 for path in ordered[1:]], edges, paths, chosen,
    )  # fmt: skip


def of_labels(pair: Pair, prompts: Sequence[list[int]], labels: Sequence[list[int]], tick: Tick) -> Likelihoods:
    """Natural log-likelihood (rows, labels) of each label's tokens, its end token included, after each prompt.

    Args:
        prompts: token ids of each row up to the answer.
        labels: token ids of each label.
        tick: told how many rows are done.
    """
    if not pair.takes_masks:
        return _one_by_one(pair, prompts, labels, tick)
    parts = trees(labels, TREE_TOKENS)
    largest = max((len(tree.tokens) for tree in parts), default=0)
    values = np.empty((len(prompts), len(labels)))

    def score(cache: Cache | None, shared: int, rows: list[int]) -> None:
        tails = [prompts[row][shared:] for row in rows]
        for tree, likelihoods in zip(parts, _passes(pair, cache, shared, tails, parts), strict=True):
            for label, path in zip(tree.labels, tree.paths, strict=True):
                values[rows, label] = likelihoods[:, path].sum(1)

    return Likelihoods(values, _in_batches(pair, prompts, largest, score, tick, prompts))


def of_answers(pair: Pair, prompts: Sequence[list[int]], answers: Sequence[list[int]], tick: Tick) -> Likelihoods:
    """Natural log-likelihood of one answer after each prompt, its end token included, and how many tokens it has.

    Args:
        prompts: token ids of each row up to its answer.
        answers: token ids of each row's answer.
        tick: told how many rows are done.

    Returns:
        values (rows, 2).
    """
    values = np.zeros((len(prompts), 2))
    values[:, 1] = [len(answer) for answer in answers]
    texts = [prompt + answer[:-1] for prompt, answer in zip(prompts, answers, strict=True)]

    def score(cache: Cache | None, shared: int, rows: list[int]) -> None:
        states = _chains(pair, cache, shared, [texts[row][shared:] for row in rows])
        longest = states.shape[1]
        # The state before an answer's first token is that of the prompt's last.
        places = [
            place * longest + len(prompts[row]) - shared - 1 + step
            for place, row in enumerate(rows) for step in range(len(answers[row]))
        ]  # fmt: skip
        tokens = [token for row in rows for token in answers[row]]
        needed = states.flatten(0, 1)[torch.tensor(places, dtype=torch.long, device=pair.device)]
        found = pair.token_likelihoods(
            needed, torch.arange(len(tokens), device=pair.device), torch.tensor(tokens, device=pair.device)
        )
        ends = np.cumsum([len(answers[row]) for row in rows])
        for row, part in zip(rows, np.split(found, ends[:-1]), strict=True):
            values[row, 0] = part.sum()

    return Likelihoods(values, _in_batches(pair, texts, 0, score, tick, prompts))


def _one_by_one(pair: Pair, prompts: Sequence[list[int]], labels: Sequence[list[int]], tick: Tick) -> Likelihoods:
    """The same for a model that takes no masks: every label of every row goes through it with its whole prompt."""
    values, seconds = np.empty((len(prompts), len(labels))), np.empty(len(prompts))
    for row, prompt in enumerate(prompts):
        found = of_answers(pair, [prompt] * len(labels), labels, lambda rows: None)
        values[row], seconds[row] = found.values[:, 0], found.seconds.sum()
        tick(1)
    return Likelihoods(values, seconds)


def _in_batches(
    pair: Pair, texts: Sequence[list[int]], more: int, score: Callable[[Cache | None, int, list[int]], None],
    tick: Tick, prompts: Sequence[list[int]],
) -> np.ndarray:  # fmt: skip
    """Calls `score(cache of what all begin with, its tokens, rows)` on rows of like length; returns seconds (rows,).

    Args:
        texts: what goes through the model for each row; `more`: tokens that each row has besides it.
        prompts: what the texts begin with; the last token of each is no part of what is shared.
    """
    seconds = np.zeros(len(texts))
    if not texts:
        return seconds
    began = time.perf_counter()
    shared = common_prefix(prompts) if pair.takes_masks else 0
    with pair.computing():
        cache = prefix_cache(pair.model, texts[0][:shared], pair.device)
        for rows in _batches([len(text) for text in texts], shared, more):
            score(cache, shared, rows)
            now = time.perf_counter()
            seconds[rows] = (now - began) / len(rows)
            began = now
            tick(len(rows))
    return seconds


def _batches(lengths: Sequence[int], shared: int, more: int) -> Iterator[list[int]]:
    """Rows that go through the model together: the longest first, so that a lack of memory shows at once."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(order):
        longest = lengths[order[start]] + more
        size = max(1, min(PASS_TOKENS // max(1, longest - shared), CACHE_TOKENS // longest))
        yield order[start : start + size]
        start += size


def _passes(
    pair: Pair, cache: Cache | None, shared: int, tails: list[list[int]], parts: Sequence[Tree]
) -> Iterator[np.ndarray]:
    """For each tree, the likelihoods (rows, edges) after the prompts that begin with the cache and end with `tails`."""
    rows, longest, device = len(tails), max(map(len, tails)), pair.device
    lengths = torch.tensor([len(tail) for tail in tails], device=device)
    last = torch.arange(rows, device=device), lengths - 1
    if len(parts) == 1:
        states = _tree_pass(pair, read_only(cache, rows), shared, tails, parts[0])
        ends = states[last][:, None]
        yield _edges(pair, torch.cat([ends, states[:, longest:]], 1), parts[0])
        return
    # The prompts once, then each tree behind what is kept of them.
    kept = extended(cache, rows)
    ends = _chains(pair, cache, shared, tails, kept)[last][:, None]
    for tree in parts:
        states = _tree_pass(pair, read_only(kept, rows), shared, tails, tree, cached=True)
        yield _edges(pair, torch.cat([ends, states], 1), tree)


def _tree_pass(
    pair: Pair, cache: Cache | None, shared: int, tails: list[list[int]], tree: Tree, *, cached: bool = False
) -> torch.Tensor:
    """Hidden states (rows, longest tail + tokens of the tree, width); of the tree alone where the tails are cached."""
    rows, longest, device = len(tails), max(map(len, tails)), pair.device
    lengths = torch.tensor([len(tail) for tail in tails], device=device)
    along = torch.arange(longest, device=device)
    size = longest + len(tree.tokens)
    seen = torch.zeros(rows, size, shared + size, dtype=torch.bool, device=device)
    seen[:, :, :shared] = True
    seen[:, :longest, shared : shared + longest] = along[:, None] >= along
    seen[:, longest:, shared : shared + longest] = (along < lengths[:, None])[:, None]
    seen[:, longest:, shared + longest :] = tree.ancestry(device)
    depths = torch.tensor(tree.depths, dtype=torch.long, device=device)
    places = torch.cat([(shared + along).expand(rows, -1), shared + lengths[:, None] + depths], 1)
    columns = torch.cat([torch.arange(shared, device=device).expand(rows, -1), places], 1)
    ids = _padded(tails, longest, pair.prompt.tokenizer.pad_token_id).to(device)
    ids = torch.cat([ids, torch.tensor(tree.tokens, dtype=torch.long, device=device).expand(rows, -1)], 1)
    own = slice(longest if cached else 0, None)
    if ids[:, own].shape[1] == 0:  # labels of one token alone: nothing follows them
        return torch.empty(rows, 0, pair.model.config.get_text_config().hidden_size, dtype=pair.dtype, device=device)
    return masked_pass(pair.model, ids[:, own], seen[:, own], places[:, own], columns, cache)


def _chains(
    pair: Pair, cache: Cache | None, shared: int, tails: list[list[int]], kept: Cache | None = None
) -> torch.Tensor:
    """Hidden states (rows, longest tail, width) of the tails, each token seeing what comes before it.

    Args:
        kept: is given the keys and values of the tails; it already holds those of `cache`.
    """
    if pair.takes_masks:
        nothing = Tree([], [], [], [], [], [])
        return _tree_pass(pair, kept if kept is not None else read_only(cache, len(tails)), shared, tails, nothing)
    longest = max(map(len, tails))
    ids = _padded(tails, longest, pair.prompt.tokenizer.pad_token_id).to(pair.device)
    mask = _padded([[1] * len(tail) for tail in tails], longest, 0).to(pair.device)
    return hidden_states(pair.model, input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state


def _edges(pair: Pair, states: torch.Tensor, tree: Tree) -> np.ndarray:
    """Log-likelihood (rows, edges) from the hidden states (rows, nodes, width)."""
    rows, nodes = states.shape[:2]
    sources, tokens = torch.tensor(tree.edges, device=pair.device).T
    places = (torch.arange(rows, device=pair.device)[:, None] * nodes + sources).flatten()
    return pair.token_likelihoods(states.flatten(0, 1), places, tokens.repeat(rows)).reshape(rows, -1)


def _padded(rows: Sequence[Sequence[int]], width: int, fill: int) -> torch.Tensor:
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=torch.long)
