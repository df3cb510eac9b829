"""The layers and the step as training computes them, against PEFT's and transformers' own: the same values, the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from finetune.model.base import load_model
from finetune.model.head import logits_of
from finetune.training.adapter import add_adapter
from finetune.training.batches import IGNORED, collate
from finetune.training.layers import LowRank, kept_values, masked, quick_layers
from finetune.training.recipe import Recipe
from finetune.training.step import AnswerLoss, answer_loss, answer_states, shared_tokens

# Twelve tokens that all rows begin with, inputs and answers of different lengths.
ROWS = [
    ([*range(5, 17), *range(30 + row, 33 + row + row % 4)], [50 + row % 3, *range(60, 60 + row % 3), 2])
    for row in range(6)
]


@pytest.fixture
def adapted(tiny_model):
    def made(quantisation="none", dropout=0.0, dtype="float32"):
        torch.manual_seed(0)
        base = load_model(tiny_model, kind="cpu", dtype=dtype, quantisation=quantisation, trains=True)
        model = add_adapter(base, Recipe(rank=4, dropout=dropout)).train()
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(0, 0.1)
        return model

    return made


def batch():
    made = collate([{"input_ids": p + a, "labels": [IGNORED] * len(p) + a} for p, a in ROWS], 0)
    return made["input_ids"], made["labels"]


def gradients(model, shared=0):
    ids, labels = batch()
    states, targets = answer_states(model, ids, labels, shared)
    logits = logits_of(model, states)
    model.zero_grad()
    cross_entropy(logits, targets).backward()
    return logits.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


def assert_same(found, wanted, tolerance=1e-5):
    assert torch.allclose(found[0], wanted[0], atol=tolerance)
    assert found[1].keys() == wanted[1].keys() and found[1]
    for name, gradient in wanted[1].items():
        assert gradient.abs().max() > 0, name
        assert torch.allclose(found[1][name], gradient, atol=tolerance, rtol=1e-3), name


@pytest.mark.parametrize("quantisation", ["none", "nf4"])
def test_values_and_gradients_are_those_of_peft(adapted, quantisation):
    model = adapted(quantisation)
    plain = gradients(model)
    with quick_layers(model) as changed:
        # 7 linear layers, 2 norms and a gate in each of 2 blocks, and the last norm
        assert changed == 2 * (7 + 2 + 1) + 1
        assert_same(gradients(model), plain)
    assert_same(gradients(model), plain, 0)


@pytest.mark.parametrize("quick", [True, False])
def test_what_all_rows_begin_with_is_computed_once_and_changes_nothing(adapted, quick):
    model, (ids, labels) = adapted(), batch()
    shared = shared_tokens(ids, labels)
    assert shared == 12
    plain = gradients(model)
    if quick:
        with quick_layers(model):
            assert_same(gradients(model, shared), plain)
    else:
        assert_same(gradients(model, shared), plain)


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_the_loss_in_chunks_is_that_of_all_logits(adapted, chunk):
    model, (ids, labels) = adapted(), batch()
    states, targets = answer_states(model, ids, labels)
    logits = logits_of(model, states)
    wanted = cross_entropy(logits, targets, reduction="sum")
    (slope,) = torch.autograd.grad(0.25 * wanted, states, retain_graph=True)
    total, right = AnswerLoss.apply(states, model, targets, chunk)
    (found,) = torch.autograd.grad(0.25 * total, states)
    assert torch.allclose(total, wanted, rtol=1e-5) and torch.allclose(found, slope, atol=1e-5)
    assert right == (logits.argmax(-1) == targets).sum()


def test_the_loss_of_rows_without_an_answer_is_nothing(adapted):
    model, (ids, labels) = adapted(), batch()
    total, right, count = answer_loss(model, ids, torch.full_like(labels, IGNORED), share=True)
    total.backward()
    assert (float(total.detach()), int(right), count) == (0.0, 0, 0)


def test_rows_with_one_prompt_share_all_but_its_last_token():
    ids = torch.tensor([[4, 5, 6, 7, 8], [4, 5, 6, 7, 9]])
    labels = torch.tensor([[IGNORED, IGNORED, IGNORED, 7, 8], [IGNORED, IGNORED, IGNORED, 7, 9]])
    assert shared_tokens(ids, labels) == 2
    assert shared_tokens(torch.tensor([[4, 5, 6], [3, 5, 6]]), torch.tensor([[IGNORED, 5, 6]] * 2)) == 0


def test_a_row_does_not_see_the_others(adapted):
    """A leak would show: the logits of the first row, with other rows beside it."""
    model, (ids, labels) = adapted(), batch()
    first = int((labels[0] != IGNORED).sum())
    with torch.no_grad(), quick_layers(model):
        together, _ = answer_states(model, ids, labels, 12)
        changed = ids.clone()
        changed[1:, 12:] = 90
        other, _ = answer_states(model, changed, labels, 12)
    assert torch.equal(together[:first], other[:first])
    assert not torch.allclose(together[first:], other[first:])


def test_dropout_leaves_its_share_and_the_mean(adapted):
    torch.manual_seed(3)
    keep, left = kept_values(torch.empty(1000, 333), 0.25)
    assert set(keep.unique().tolist()) == {-1, 0}
    keep = keep.bool()
    assert left == 0.75 and abs(keep.float().mean() - left) < 0.005
    # each value by itself, not in runs of eight
    assert abs((keep[:, :-1] == keep[:, 1:]).float().mean() - (0.75**2 + 0.25**2)) < 0.01
    model = adapted(dropout=0.25)
    with quick_layers(model):
        once, again = gradients(model)[0], gradients(model)[0]
        assert not torch.allclose(once, again)
        torch.manual_seed(5)
        once = gradients(model)
        torch.manual_seed(5)
        assert_same(gradients(model), once, 0)
        layer, x = model.get_base_model().model.layers[0].self_attn.q_proj, torch.randn(1, 3, 64)
        with torch.no_grad():
            mean = torch.stack([layer(x) for _ in range(3000)]).mean(0)
            spread = (mean - layer.eval()(x)).abs().mean() / (layer(x) - layer.base_layer(x)).abs().mean()
        assert spread < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dropout", [0.001, 0.3, 0.9])
def test_values_and_gradients_with_dropout_are_those_of_the_formula(dtype, dropout):
    torch.manual_seed(2)
    layer = torch.nn.Linear(24, 16, bias=False).requires_grad_(False).to(dtype)
    keep, _ = kept_values(torch.empty(10, 24), dropout)
    assert keep.bool().all() == (dropout == 0.001)
    x, down, up = torch.randn(10, 24).to(dtype), torch.randn(4, 24), torch.randn(16, 4)
    assert torch.equal(masked(x, keep), x * keep.bool())
    found = []
    for own in (True, False):
        inputs = [part.clone().requires_grad_() for part in (x, down, up)]
        if own:
            out = LowRank.apply(inputs[0], layer, inputs[1], inputs[2], 0.5, keep)
        else:
            low = (inputs[0] * keep.bool()) @ inputs[1].to(dtype).T
            out = layer(inputs[0]) + 0.5 * (low @ inputs[2].to(dtype).T)
        found.append([out, *torch.autograd.grad(out.float().square().sum(), inputs)])
    close = 1e-5 if dtype == torch.float32 else 0.05
    for ours, plain in zip(*found, strict=True):
        assert (ours - plain).float().norm() <= close * plain.float().norm()


def test_a_switched_off_adapter_stays_off_and_unknown_layers_stay_as_they_are(adapted):
    model, (ids, _) = adapted(), batch()
    with model.disable_adapter(), torch.no_grad():
        untouched = model(input_ids=ids).logits
    norm = type(model.get_base_model().model.norm)
    original = norm.forward
    norm.forward = lambda self, x: original(self, x) * 1.5  # a norm of another kind under the same name
    try:
        with quick_layers(model) as changed:
            assert changed == 2 * (7 + 1)
    finally:
        norm.forward = original
    with quick_layers(model), model.disable_adapter(), torch.no_grad():
        assert torch.allclose(model(input_ids=ids).logits, untouched, atol=1e-5)
