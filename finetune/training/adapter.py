"""The adapter that a run trains: put on a frozen base, and taken off again."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer

from finetune.model import machine
from finetune.training.recipe import Recipe


def add_adapter(model: Any, recipe: Recipe, *, checkpointing: bool = False) -> PeftModel:
    """The model with a fresh LoRA on every linear layer of its blocks, its weights in float32 for the optimiser.

    Args:
        checkpointing: activations are computed again in the backward pass, from now on. Left to the Trainer it would begin
            after the rehearsal, which is to need no more than a step.
    """
    adapted = get_peft_model(
        model,
        LoraConfig(
            r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout, target_modules="all-linear",
            bias="none", task_type="CAUSAL_LM",
        ),
    )  # fmt: skip
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if checkpointing:
        adapted.activation_checkpointing_enable()
    return adapted


def take_off(model: Any) -> None:
    """Puts back the layers of the base that an adapter was laid over, as `PeftModel.unload` does."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            above, _, own = name.rpartition(".")
            setattr(model.get_submodule(above), own, layer.get_base_layer())
    for mark in ("peft_config", "_hf_peft_config_loaded"):
        if mark in model.__dict__:
            delattr(model, mark)
    machine.release()


@contextlib.contextmanager
def for_a_trial(model: Any, directory: Path) -> Iterator[None]:
    """What is trained inside the block is thrown away after it: the adapter on `model`, and what was written."""
    try:
        yield
    finally:
        take_off(model)
        shutil.rmtree(directory, ignore_errors=True)
