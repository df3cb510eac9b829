"""What one step computes: the scores of the answers' tokens, with what all rows begin with computed once."""

from __future__ import annotations

from typing import Any

import torch

from finetune.model.attention import masked_pass, prefix_cache, read_only
from finetune.model.head import hidden_states, logits_of
from finetune.training.batches import IGNORED

# Fewer tokens than this are computed with each row: a pass of its own would cost more than it saves.
FEWEST_SHARED = 8


def answer_logits(
    model: Any, ids: torch.Tensor, labels: torch.Tensor, shared: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (scored tokens, vocabulary) in float32 and their targets: the head runs only where an answer's token is predicted.

    Args:
        ids, labels: (rows, tokens), padded on the right; `IGNORED` is no target.
        shared: tokens at the beginning of all rows that are computed once, and read by all of them. A token sees only
            what stands before it, so values and gradients are those of computing them with each row (apart from
            dropout, which then drops the same of them in all rows of a step).
    """
    if shared < FEWEST_SHARED or len(ids) == 1:
        hidden, first = hidden_states(model, input_ids=ids, use_cache=False).last_hidden_state, 0
    else:
        cache = prefix_cache(model, ids[0, :shared].tolist(), ids.device)
        own, columns = ids.shape[1] - shared, torch.arange(ids.shape[1], device=ids.device)[None]
        seen = torch.ones(1, own, ids.shape[1], dtype=torch.bool, device=ids.device).tril(shared)
        hidden = masked_pass(model, ids[:, shared:], seen, columns[:, shared:], columns, read_only(cache, len(ids)))
        first = shared
    targets = labels[:, first + 1 :]
    scored = targets != IGNORED
    return logits_of(model, hidden[:, :-1][scored]), targets[scored]


def shared_tokens(ids: torch.Tensor, labels: torch.Tensor) -> int:
    """How many tokens all rows (rows, tokens) begin with, before the one that predicts the first answer's token."""
    same = (ids == ids[:1]).all(0).long().cumprod(0).sum().item()
    first = (labels != IGNORED).long().argmax(1).min().item()
    return max(0, min(int(same), int(first) - 1))
