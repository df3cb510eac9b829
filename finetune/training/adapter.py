"""The adapter that a run trains: put on a frozen base, and taken off again."""

from __future__ import annotations

from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model

from finetune.training.recipe import Recipe


def add_adapter(model: Any, recipe: Recipe) -> PeftModel:
    """The model with a fresh LoRA on every linear layer of its blocks, its weights in float32 for the optimiser."""
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
    return adapted
