"""The two halves of a forward pass, so that the head runs only on the positions whose logits somebody reads."""

from __future__ import annotations

from typing import Any


def bare(model: Any) -> Any:
    """The causal language model itself, without the wrapper of PEFT."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def hidden_states(model: Any, **inputs: Any) -> Any:
    """Output of the decoder before the head; its `last_hidden_state` is (rows, tokens, width)."""
    return bare(model).get_decoder()(**inputs)


def logits_of(model: Any, hidden: Any) -> Any:
    """Logits (positions, vocabulary) in float32 of hidden states (positions, width), as the whole model computes them."""
    base = bare(model)
    logits = base.get_output_embeddings()(hidden).float()
    config = base.config
    if scale := getattr(config, "logits_scaling", None):  # Granite
        logits = logits / scale
    if scale := getattr(config, "logit_scale", None):  # Cohere
        logits = logits * scale
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2
        logits = cap * (logits / cap).tanh()
    return logits
