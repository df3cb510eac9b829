"""The layers of a block as training computes them: the same values, a backward pass of our own, fewer copies.

PEFT computes a LoRA in float32, keeps for each of its layers the input in float32 and another copy with the dropped-out
values, and unpacks 4-bit weights by a path of bitsandbytes that has no backward pass on some CPUs. Here a layer keeps its
input as it came (q, k and v share one), the mask of its dropout as a byte a value, and the low-rank product; everything
is computed in the number format of the base, and the weights of the adapter alone are held in float32, for the optimiser.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn.functional import linear, silu

# A byte of chance decides on a value: dropout is rounded to this share.
CHANCES = 256
BITS = {2: torch.int16, 4: torch.int32}


def kept_values(like: torch.Tensor, dropout: float) -> tuple[torch.Tensor, float]:
    """What dropout leaves of a tensor: a mask for `masked`, and the share that is left on average.

    On a CPU one draw of torch's generator gives eight values, which costs an eighth of one draw for each.
    """
    threshold = round(dropout * CHANCES)
    left = 1 - threshold / CHANCES
    if not threshold:
        return torch.full_like(like, -1, dtype=torch.int8), left
    if like.device.type != "cpu":
        return torch.empty_like(like, dtype=torch.bool).bernoulli_(left).to(torch.int8).neg_(), left
    draws = torch.empty((like.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    chances = draws.view(torch.int8)[: like.numel()].view(like.shape)
    # The lowest ones become 0, all others -1, by arithmetic: a comparison, and its result as a factor, take many times as long.
    first = threshold - CHANCES // 2
    return chances.clamp_(first - 1, first).neg_().add_(first - 1), left


def masked(x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """x where the mask (int8 of its shape) has all bits set, 0 where it has none."""
    return (x.view(BITS[x.element_size()]) & keep).view(x.dtype)


class LowRank(torch.autograd.Function):
    """x W' + b + s (x ∘ keep) A' B', with W frozen. A and B may be of another number format than x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: nn.Module, down, up, scale: float, keep: torch.Tensor | None):
        """x: (tokens, in), down A: (rank, in), up B: (out, rank), keep: mask (tokens, in) or None."""
        low = linear(x if keep is None else masked(x, keep), down.to(x.dtype))
        out = linear(x, weight_of(layer, x.dtype), layer.bias)
        out.addmm_(low, up.to(x.dtype).t(), alpha=scale)
        ctx.layer, ctx.scale = layer, scale
        ctx.save_for_backward(x, down, up, low, keep)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor):
        x, down, up, low, keep = ctx.saved_tensors
        grad_low = (grad @ up.to(x.dtype)).mul_(ctx.scale)
        grad_up = (grad.t() @ low).to(up.dtype).mul_(ctx.scale)
        grad_down = (grad_low.t() @ (x if keep is None else masked(x, keep))).to(down.dtype)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ weight_of(ctx.layer, x.dtype)
            if keep is None:
                grad_x.addmm_(grad_low, down.to(x.dtype))
            else:
                grad_x.add_(masked(grad_low @ down.to(x.dtype), keep))
        return grad_x, None, grad_down, grad_up, None, None


def weight_of(layer: nn.Module, dtype: torch.dtype) -> torch.Tensor:
    """The frozen weight (out, in) of a linear layer; one in 4 bits is unpacked for the moment."""
    state = getattr(layer.weight, "quant_state", None)
    if state is None:
        return layer.weight.to(dtype)
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.data, state).to(dtype)


class Gated(torch.autograd.Function):
    """silu(gate) ∘ up. It keeps its two inputs, and not what lies between."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor):
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor):
        gate, up = ctx.saved_tensors
        return torch.ops.aten.silu_backward(grad * up, gate), silu(gate).mul_(grad)


class Normed(torch.autograd.Function):
    """The root mean square norm with a frozen weight. It keeps its input and one number a token."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float):
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = (size.square_() / x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return (x * inverse).to(x.dtype) * weight

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor):
        x, weight, inverse = ctx.saved_tensors
        weighted = grad * weight
        # d/dx of x r(x): r (g - x r² <g, x> / width)
        along = (weighted * x).sum(-1, keepdim=True, dtype=torch.float32).mul_(inverse.square()).div_(x.shape[-1])
        return (weighted - x * along).mul_(inverse).to(x.dtype), None, None


def _linear(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    if args or kwargs or self.disable_adapters or self.merged:
        return type(self).forward(self, x, *args, **kwargs)
    (name,) = self.active_adapters
    dropout = self.lora_dropout[name]
    rate = dropout.p if self.training and isinstance(dropout, nn.Dropout) else 0.0
    flat = x.reshape(-1, x.shape[-1])
    keep, left = kept_values(flat, rate) if rate else (None, 1.0)
    out = LowRank.apply(
        flat, self.base_layer, self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name] / left, keep
    )
    return out.view(*x.shape[:-1], out.shape[-1])


def _gated(self: Any, x: torch.Tensor) -> torch.Tensor:
    return self.down_proj(Gated.apply(self.gate_proj(x), self.up_proj(x)))


def _norm(self: Any, x: torch.Tensor) -> torch.Tensor:
    return Normed.apply(x, self.weight, self.variance_epsilon)


def _replacements(model: nn.Module) -> Iterator[tuple[nn.Module, Any]]:
    agreeing: dict[type, bool] = {}
    for module in model.modules():
        if isinstance(module, LoraLayer):
            if _plain(module):
                yield module, _linear
            continue
        if _three(module):
            forward, width = _gated, module.gate_proj.in_features
        elif type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
            forward, width = _norm, module.weight.numel()
        else:
            continue
        if type(module) not in agreeing:
            agreeing[type(module)] = _agrees(module, forward, width)
        if agreeing[type(module)]:
            yield module, forward


@torch.no_grad()
def _agrees(module: nn.Module, forward: Any, width: int) -> bool:
    """Whether a class of layers is what its name says: some norms add one to their weight, some gates are not silu."""
    weight = next(module.parameters())
    like = torch.linspace(-2, 2, 3 * width, device=weight.device).view(1, 3, width)
    like = like.to(weight.dtype if weight.is_floating_point() else torch.float32)
    mode, module.training = module.training, False
    try:
        return torch.allclose(forward(module, like).float(), module(like).float(), rtol=0.02, atol=0.02)
    finally:
        module.training = mode


def _plain(module: Any) -> bool:
    """Whether it is a linear layer with one LoRA and nothing else: no variant, no bias of its own, not merged."""
    if not isinstance(module.base_layer, nn.Linear) or len(module.active_adapters) != 1 or module.merged:
        return False
    (name,) = module.active_adapters
    return (
        name in module.lora_A and name not in module.lora_variant and not module.disable_adapters
        and module.lora_B[name].bias is None and not module.base_layer.weight.requires_grad
    )  # fmt: skip


def _three(module: nn.Module) -> bool:
    return {name for name, _ in module.named_children()} == {"gate_proj", "up_proj", "down_proj", "act_fn"}


@contextmanager
def quick_layers(model: PeftModel) -> Iterator[int]:
    """For the time of the block the layers that are known are computed as above; gives their number.

    A layer that is another thing (a variant of LoRA, another activation) stays as it is.
    """
    changed = []
    try:
        for module, forward in _replacements(model):
            module.forward = MethodType(forward, module)
            changed.append(module)
        yield len(changed)
    finally:
        for module in changed:
            del module.forward
