"""Scoring and generating equal a plain, slow reference; the adapter off is the base, also after it was trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import PeftModel

from finetune.evidence.generate import Pair
from finetune.model.base import load_model, tokenizer
from finetune.model.prompt import Prompt
from finetune.training.recipe import Recipe
from finetune.training.train import add_adapter


@pytest.fixture
def make_pair(tiny_model, tmp_path, monkeypatch):
    """A pair in float32, so that the references can be compared closely."""
    monkeypatch.setattr("finetune.evidence.generate.precision", lambda kind: ("float32", "for the test"))

    def made(quantisation: str = "none", adapter_scale: float = 0.5) -> Pair:
        model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation=quantisation, trains=True)
        torch.manual_seed(1)
        adapted = add_adapter(model, Recipe(rank=4, alpha=8))
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:  # zero at the start, when an adapter changes nothing
                parameter.data.normal_(0, adapter_scale)
        adapted.save_pretrained(tmp_path / "adapter")
        prompt = Prompt(tokenizer(str(tiny_model), cache=tmp_path), "classification", ("a", "b"))
        return Pair(
            tiny_model,
            tmp_path / "adapter",
            prompt,
            kind="cpu",
            quantisation=quantisation,
            probes=[[5, 6, 7], [9] * 20],
        )

    return made


def reference(model, prompts, labels) -> np.ndarray:
    """Each row with each label alone, without cache, padding or batches."""
    table = np.empty((len(prompts), len(labels)))
    for row, prompt in enumerate(prompts):
        for column, label in enumerate(labels):
            with torch.no_grad():
                logits = model(torch.tensor([prompt + label]), use_cache=False).logits[0].log_softmax(-1)
            places = range(len(prompt) - 1, len(prompt) + len(label) - 1)
            table[row, column] = sum(float(logits[place, token]) for place, token in zip(places, label, strict=True))
    return table


PREFIX = [3, 17, 40, 41, 42]
PROMPTS = [
    PREFIX + [60, 61], PREFIX + [60, 61, 62, 63, 64, 65, 66, 67], PREFIX + [99], PREFIX + list(range(100, 130)),
    PREFIX + [60, 61],
]  # fmt: skip
LABELS = [[7], [8, 9], [8, 10, 11, 12], [13, 14, 2]]


@pytest.mark.parametrize("quantisation", ["none", "nf4"])
@pytest.mark.parametrize(
    "prompts", [PROMPTS, [[5, 6, 7], [8, 9, 10, 11]], [PROMPTS[1]]], ids=["shared", "nothing shared", "one row"]
)
def test_label_likelihoods_equal_the_plain_reference(make_pair, quantisation, prompts):
    pair = make_pair(quantisation)
    assert np.abs(pair.label_likelihoods(prompts, LABELS).values - reference(pair.model, prompts, LABELS)).max() < 1e-4
    with pair.only_base():
        base = reference(pair.model, prompts, LABELS)
        assert np.abs(pair.label_likelihoods(prompts, LABELS).values - base).max() < 1e-4
    assert np.abs(pair.label_likelihoods(prompts, LABELS).values - base).max() > 1e-2


def test_labels_of_one_token_and_many_rows_in_small_passes(make_pair, monkeypatch):
    pair = make_pair()
    monkeypatch.setattr("finetune.evidence.generate.PASS_TOKENS", 16)
    monkeypatch.setattr("finetune.evidence.generate.PASS_LABELS", 3)
    monkeypatch.setattr("finetune.evidence.generate.PASS_LOGITS", 2)
    monkeypatch.setattr("finetune.evidence.generate.CACHE_TOKENS", 60)  # less than the labels of one long row
    told: list[int] = []
    found = pair.label_likelihoods(PROMPTS, LABELS, told.append).values
    assert sum(told) == len(PROMPTS)
    assert np.abs(found - reference(pair.model, PROMPTS, LABELS)).max() < 1e-4
    ones = [[7], [8]]
    assert np.abs(pair.label_likelihoods(PROMPTS, ones).values - reference(pair.model, PROMPTS, ones)).max() < 1e-4


def test_generation_in_batches_equals_row_by_row(make_pair):
    pair = make_pair()
    found = pair.generate(PROMPTS, 12)
    together, written = found.texts, found.tokens.sum()
    alone = [pair.generate([prompt], 12).texts[0] for prompt in PROMPTS]
    assert together == alone
    assert written > 0
    assert list(pair.stream(PROMPTS[0], 12))[-1].strip() == alone[0]


@pytest.mark.parametrize("quantisation", ["none", "nf4"])
def test_adapter_off_equals_the_untouched_base(make_pair, quantisation):
    pair = make_pair(quantisation)
    assert pair.off_equals_base
    assert pair.on_differs


def test_the_proof_fails_when_the_base_is_touched(make_pair, monkeypatch):
    """The alarm has to ring: weights merged into the base are what it is there to find."""
    honest = PeftModel.from_pretrained

    def merged(model, folder, *rest, **more):
        adapted = honest(model, folder, *rest, **more)
        adapted.merge_adapter()
        # PEFT would unmerge when it switches the adapter off.
        for module in adapted.modules():
            if hasattr(module, "merged_adapters"):
                module.merged_adapters = []
        return adapted

    monkeypatch.setattr("finetune.evidence.generate.PeftModel.from_pretrained", merged)
    assert not make_pair("none").off_equals_base


def test_an_adapter_that_learned_nothing_is_told(make_pair):
    assert not make_pair(adapter_scale=0.0).on_differs
