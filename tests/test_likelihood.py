"""Labels scored as a tree, many rows at once, equal each label of each row alone; so do reference answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from finetune.evidence.models import likelihood
from finetune.evidence.models.likelihood import trees


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
# Of different length, the beginning of one another, equal, with shared and with own beginnings.
LABELS = [[7], [8, 9], [8, 9, 2], [8, 10, 11, 12], [13, 14, 2], [8, 10, 11, 2], [8, 9], [14, 13, 2]]


@pytest.mark.parametrize("quantisation", ["none", "nf4"])
@pytest.mark.parametrize(
    "prompts", [PROMPTS, [[5, 6, 7], [8, 9, 10, 11]], [PROMPTS[1]], [[7]]],
    ids=["shared", "nothing shared", "one row", "one token"],
)  # fmt: skip
def test_labels_equal_the_plain_reference(make_pair, quantisation, prompts):
    pair = make_pair(quantisation)
    assert pair.takes_masks
    assert np.abs(pair.label_likelihoods(prompts, LABELS).values - reference(pair.model, prompts, LABELS)).max() < 1e-4
    with pair.only_base():
        base = reference(pair.model, prompts, LABELS)
        assert np.abs(pair.label_likelihoods(prompts, LABELS).values - base).max() < 1e-4
    assert np.abs(pair.label_likelihoods(prompts, LABELS).values - base).max() > 1e-2


@pytest.mark.parametrize("tree_tokens", [1, 3, 5])
def test_many_small_passes_and_trees_in_parts(make_pair, monkeypatch, tree_tokens):
    pair = make_pair()
    monkeypatch.setattr(likelihood, "PASS_TOKENS", 16)
    monkeypatch.setattr(likelihood, "CACHE_TOKENS", 60)
    monkeypatch.setattr(likelihood, "TREE_TOKENS", tree_tokens)
    monkeypatch.setattr("finetune.evidence.models.pair.PASS_LOGITS", {"cpu": 3 * 512})
    told: list[int] = []
    found = pair.label_likelihoods(PROMPTS, LABELS, told.append)
    assert sum(told) == len(PROMPTS) and len(told) > 1
    assert found.seconds.shape == (len(PROMPTS),) and (found.seconds > 0).all()
    assert np.abs(found.values - reference(pair.model, PROMPTS, LABELS)).max() < 1e-4


@pytest.mark.parametrize("labels", [[[7], [8]], [[8, 9, 2]]], ids=["of one token", "one label"])
def test_labels_without_a_tree(make_pair, labels):
    pair = make_pair()
    found = pair.label_likelihoods(PROMPTS, labels).values
    assert np.abs(found - reference(pair.model, PROMPTS, labels)).max() < 1e-4


def test_a_tree_scores_shared_beginnings_once_and_parts_cover_all_labels():
    (whole,) = trees(LABELS)
    assert whole.tokens == [8, 13, 14, 9, 10, 14, 13, 11]
    assert len(whole.edges) == len({tuple(label[:depth]) for label in LABELS for depth in range(1, len(label) + 1)})
    for most in (1, 2, 4):
        parts = trees(LABELS, most)
        assert sorted(label for tree in parts for label in tree.labels) == list(range(len(LABELS)))
        assert all(len(tree.tokens) <= most or len(tree.labels) == 1 for tree in parts)


def test_no_rows(make_pair):
    found = make_pair().label_likelihoods([], LABELS)
    assert found.values.shape == (0, len(LABELS)) and found.seconds.shape == (0,)


ANSWERS = [[7, 2], [8, 9, 10, 11, 2], [2], [30, 31, 32, 2], [7, 2]]


def test_references_equal_the_plain_reference(make_pair, monkeypatch):
    pair = make_pair()
    monkeypatch.setattr(likelihood, "PASS_TOKENS", 30)
    expected = [reference(pair.model, [p], [a])[0, 0] for p, a in zip(PROMPTS, ANSWERS, strict=True)]
    found = pair.reference_likelihoods(PROMPTS, ANSWERS)
    assert np.abs(found.values[:, 0] - expected).max() < 1e-4
    assert found.values[:, 1].tolist() == [2, 5, 1, 4, 2]


def test_a_model_that_takes_no_masks_is_scored_all_the_same(make_pair, monkeypatch):
    pair = make_pair()
    monkeypatch.setattr("finetune.model.attention.layer_kinds", lambda config: {"linear_attention"})
    assert not pair.takes_masks
    found = pair.label_likelihoods(PROMPTS, LABELS).values
    assert np.abs(found - reference(pair.model, PROMPTS, LABELS)).max() < 1e-4


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("sliding", ["all", "some"])
def test_layers_that_look_back_only_so_far(tiny_model, make_pair, tmp_path, attention, sliding):
    """Mistral's layers all look back by a window, Qwen's and Gemma's some: the window is shorter than the rows here."""
    import shutil

    from transformers import MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM

    folder = tmp_path / "sliding"
    shutil.copytree(tiny_model, folder)
    sizes = {
        "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 32,
        "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 6, "initializer_range": 0.2,
        "max_position_embeddings": 1024, "attn_implementation": attention,
    }  # fmt: skip
    torch.manual_seed(0)
    if sliding == "all":
        model = MistralForCausalLM(MistralConfig(**sizes))
    else:
        kinds = ["sliding_attention", "full_attention"]
        model = Qwen3ForCausalLM(Qwen3Config(**sizes, use_sliding_window=True, layer_types=kinds))
    model.save_pretrained(folder)
    pair = make_pair(base=folder)
    pair.model.set_attn_implementation(attention)
    assert pair.takes_masks
    expected = reference(pair.model, PROMPTS, LABELS)
    assert np.abs(pair.label_likelihoods(PROMPTS, LABELS).values - expected).max() < 1e-4
    texts = pair.generate(PROMPTS, 8, tuned=[True, False, True, False, True]).texts
    assert texts[0] == pair.generate(PROMPTS[:1], 8).texts[0]
