"""What one step computes: the scores of the answers' tokens, with what all rows begin with computed once."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from finetune.model.attention import masked_pass, prefix_cache, read_only, takes_masks
from finetune.model.head import bare, hidden_states, logits_of
from finetune.model.memory import CHUNK_LOGITS
from finetune.model.prompt import Encoded
from finetune.training.batches import IGNORED, collate, features

# Fewer tokens than this are computed with each row: a pass of its own would cost more than it saves.
FEWEST_SHARED = 8


class AnswerLoss(torch.autograd.Function):
    """The summed cross entropy of some tokens, exact, without ever holding the logits of all of them.

    The head is frozen: what its input needs is computed with the loss, chunk by chunk, and kept instead of the logits.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, model: Any, targets: torch.Tensor, chunk: int):
        """hidden: (tokens, width), targets: (tokens,) ids; gives the loss in float32 and the number of tokens foreseen."""
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        right = torch.zeros((), dtype=torch.long, device=hidden.device)
        learns = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if learns else None
        for first in range(0, len(targets), chunk):
            part = slice(first, first + chunk)
            with torch.set_grad_enabled(learns):
                states = hidden[part].detach().requires_grad_(learns)
                logits = logits_of(model, states)
                loss = cross_entropy(logits, targets[part], reduction="sum")
            if learns:
                (gradient[part],) = torch.autograd.grad(loss, states)
            total += loss.detach()
            right += (logits.detach().argmax(-1) == targets[part]).sum()
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(right)
        return total, right

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, _: Any):
        (gradient,) = ctx.saved_tensors
        return gradient * grad.to(gradient.dtype), None, None, None


def answer_loss(
    model: Any, ids: torch.Tensor, labels: torch.Tensor, *, share: bool
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Summed loss of the answers' tokens (float32), how many of them the model foresaw, and their number.

    Args:
        ids, labels: (rows, tokens), padded on the right; `IGNORED` is no target.
        share: what all rows begin with is computed once. The model has to heed masks, see `model.attention.takes_masks`.
    """
    hidden, targets = answer_states(model, ids, labels, shared_tokens(ids, labels) if share else 0)
    vocabulary = bare(model).get_output_embeddings().weight.shape[0]
    chunk = max(1, CHUNK_LOGITS[hidden.device.type] // vocabulary)
    total, right = AnswerLoss.apply(hidden, model, targets, chunk)
    return total, right, len(targets)


def answer_states(
    model: Any, ids: torch.Tensor, labels: torch.Tensor, shared: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states (scored tokens, width) where an answer's token is predicted, and these tokens (scored tokens,).

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
    return hidden[:, :-1][scored], targets[scored]


@contextlib.contextmanager
def undisturbed(model: torch.nn.Module) -> Iterator[None]:
    """Inside the block the model is in eval mode; afterwards it and all random states are as they were before."""
    modes = [(module, module.training) for module in model.modules()]
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if cards:
            torch.cuda.set_rng_state_all(cards)


def can_share(model: Any, rows: Sequence[Encoded]) -> bool:
    """Whether the model heeds the masks that `share` needs, tried out on a few tokens of these rows."""
    ids = [token for row in rows[:16] for token in row.prompt + row.answer]
    with undisturbed(model), torch.no_grad():
        return takes_masks(model, ids[-24:], model.device)


def batch_of(rows: Sequence[Encoded], pad: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """`ids` and `labels` of some rows, as `answer_loss` takes them."""
    made = collate([features(row) for row in rows], pad)
    return made["input_ids"].to(device), made["labels"].to(device)


def shared_tokens(ids: torch.Tensor, labels: torch.Tensor) -> int:
    """How many tokens all rows (rows, tokens) begin with, before the one that predicts the first answer's token."""
    same = (ids == ids[:1]).all(0).long().cumprod(0).sum().item()
    first = (labels != IGNORED).long().argmax(1).min().item()
    return max(0, min(int(same), int(first) - 1))
