"""Which token sees which, told to the model token by token; and what was computed once, read by many rows without a copy.

A mask of the model's own says that a token sees everything before it. Scoring many labels after one prompt in one pass,
or rows of different lengths in one batch, needs masks that say more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from finetune.model.head import bare, hidden_states


class _Read(DynamicLayer):
    """A layer of a cache that is read by many rows, and not added to: what comes new is forgotten with the pass."""

    def __init__(self, layer: DynamicLayer, rows: int):
        super().__init__()
        self.keys, self.values = layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.cat([self.keys, key_states], -2), torch.cat([self.values, value_states], -2)


def read_only(cache: Cache | None, rows: int) -> Cache | None:
    """The cache for `rows` rows, either one for all of them or one each, without a copy."""
    return Cache(layers=[_Read(layer, rows) for layer in cache.layers]) if cache is not None else None


def extended(cache: Cache | None, rows: int) -> Cache:
    """A cache that begins with another one for `rows` rows and keeps what is added; the other stays as it is."""
    new = DynamicCache()
    for layer in cache.layers if cache is not None else ():
        grown = DynamicLayer()
        grown.keys, grown.values = layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1)
        grown.is_initialized, grown.device = True, layer.keys.device
        new.layers.append(grown)
    return new


def prefix_cache(model: Any, ids: Sequence[int], device: torch.device) -> Cache | None:
    """What the model computed of tokens that many rows begin with; None for no tokens."""
    if not ids:
        return None
    # Without the model's configuration it keeps every token, also for layers that look back only so far.
    tensor = torch.tensor([list(ids)], device=device)
    return hidden_states(model, input_ids=tensor, cache=DynamicCache(), use_cache=True).cache


def masked_pass(
    model: Any, ids: torch.Tensor, seen: torch.Tensor, places: torch.Tensor, columns: torch.Tensor, cache: Cache | None
) -> torch.Tensor:
    """Hidden states (rows, tokens, width) of a pass in which every token has its own mask and position.

    Args:
        ids: (rows, tokens).
        seen: bool (rows, tokens, columns): what each token attends to; at least itself, or the result is not a number.
        places: (rows, tokens) position of each token in its text.
        columns: (rows or 1, columns) position of each token that can be seen: those of the cache, then `ids`.
        cache: of what went before.
    """
    config = bare(model).config.get_text_config()
    masks = {}
    for kind in layer_kinds(config):
        allowed = seen
        if kind == "sliding_attention":
            allowed = seen & (places[:, :, None] - columns[:, None, :] < config.sliding_window)
        masks[kind] = _as_taken(allowed[:, None], config, model)
    mask = masks if len(masks) > 1 else next(iter(masks.values()))
    return hidden_states(
        model, input_ids=ids, attention_mask=mask, position_ids=places, cache=cache, use_cache=cache is not None
    ).last_hidden_state


def layer_kinds(config: Any) -> set[str]:
    """The kinds of attention that the layers have, as transformers names them."""
    if kinds := getattr(config, "layer_types", None):
        return set(kinds)
    return {"sliding_attention" if getattr(config, "sliding_window", None) else "full_attention"}


def _as_taken(allowed: torch.Tensor, config: Any, model: Any) -> torch.Tensor:
    if config._attn_implementation == "sdpa":
        return allowed
    dtype = bare(model).get_input_embeddings().weight.dtype
    return torch.where(allowed, 0.0, torch.finfo(dtype).min).to(dtype)


def takes_masks(model: Any, ids: Sequence[int], device: torch.device) -> bool:
    """Whether the model heeds `masked_pass`: two ends of one text in a single pass equal each of them alone.

    Architectures differ: some have no attention to mask, some compute positions themselves. It is tried out, on a few
    tokens; layers of a kind that a few tokens do not show are refused.

    Args:
        model: in eval mode.
        ids: a text of ten tokens or more, of which the last six are not one token again and again.
    """
    config = bare(model).config.get_text_config()
    if not layer_kinds(config) <= {"full_attention", "sliding_attention"}:
        return False
    if config._attn_implementation not in ("sdpa", "eager"):
        return False
    ids = list(ids)
    stem, one, other = ids[:-6], ids[-6:-3], ids[-3:]
    alone = [
        hidden_states(model, input_ids=torch.tensor([stem + end], device=device), use_cache=False).last_hidden_state
        for end in (one, other)
    ]
    half = len(stem) // 2
    rest = len(stem) - half
    seen = torch.ones(1, rest + 6, len(ids), dtype=torch.bool, device=device).tril(half)
    seen[:, rest + 3 :, len(stem) : len(stem) + 3] = False
    places = torch.tensor([[*range(half, len(stem) + 3), *range(len(stem), len(stem) + 3)]], device=device)
    columns = torch.cat([torch.arange(half, device=device)[None], places], 1)
    try:
        cache = read_only(prefix_cache(model, stem[:half], device), 1)
        tensor = torch.tensor([ids[half:]], device=device)
        together = masked_pass(model, tensor, seen, places, columns, cache)[0]
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, NotImplementedError):
        return False
    ends = together[rest : rest + 3], together[rest + 3 :]
    # A mask that is not heeded changes the states by their own size; the rounding of bfloat16 by a hundredth.
    return all(
        float((end - plain[0, -3:]).float().norm()) < 0.1 * float(plain[0, -3:].float().norm())
        for end, plain in zip(ends, alone, strict=True)
    )
