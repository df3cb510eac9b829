"""A base whose layers lie on several GPUs, because it does not fit on one.

The first GPU holds its share of the layers and all that is not a layer: embedding, last norm, head. The GPUs compute in
turns, each its own layers, as the tokens pass through them. So everything that is done with a base that fits on one GPU is
done with this one too, in one process: training, looks, comparison, prompts of one's own. FSDP would keep all GPUs at work,
but every one of these would then need as many processes, in step with each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from finetune.errors import FinetuneError
from finetune.model.head import bare
from finetune.model.machine import Split


def layers_of(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The blocks of a model and their name in it.

    Raises:
        FinetuneError: it has none that could be told apart.
    """
    count = bare(model).config.get_text_config().num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    raise FinetuneError(
        f"{type(model).__name__} cannot be split over several GPUs: its layers are not in one list.",
        hint="Take a base that fits on one GPU.",
    )


def device_map(folder: Path, split: Split) -> dict[str, int]:
    """Where each part of the model in `folder` goes, as transformers takes it.

    Args:
        split: GPU and number of layers, in the order of the layers.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(folder)))
    blocks, layers = layers_of(model)
    gpus = [gpu for gpu, count in split for _ in range(count)]
    found = {f"{blocks}.{number}": gpu for number, gpu in zip(range(len(layers)), gpus, strict=True)}

    def rest(module: nn.Module, name: str) -> None:
        for own, child in module.named_children():
            path = f"{name}{own}"
            if blocks.startswith(f"{path}."):
                rest(child, f"{path}.")
            elif path != blocks:
                found[path] = split[0][0]

    rest(model, "")
    return found


def connect(model: nn.Module) -> None:
    """Lets each layer take what it is given to its own GPU, and brings the outcome of the last one back to the first.

    The hooks that `accelerate` has laid on the parts go: they sit in the place of `forward`, which training exchanges
    (`training.layers`), and would stay behind when that is undone.
    """
    from accelerate.hooks import remove_hook_from_submodules

    remove_hook_from_submodules(model)
    for module in model.modules():
        # What the hooks had put there stays behind: a method that holds its own module.
        module.__dict__.pop("forward", None)
    home = bare(model).get_input_embeddings().weight.device
    _, layers = layers_of(model)
    for layer in layers:
        layer.register_forward_pre_hook(_to_its_own, with_kwargs=True)
    layers[-1].register_forward_hook(lambda module, args, made: moved(made, home))


def _to_its_own(layer: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    device = next(layer.parameters()).device
    return moved(args, device), moved(kwargs, device)


def moved(value: Any, device: torch.device) -> Any:
    """The same with all its tensors on the device; a cache, whose layers each have their own, stays as it is."""
    if hasattr(
        value, "to"
    ):  # a tensor, or one of the mappings of transformers that move themselves and stay the same ones
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: moved(one, device) for name, one in value.items()}
    if type(value) in (tuple, list):
        return type(value)(moved(one, device) for one in value)
    return value
