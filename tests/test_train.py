"""Training on a tiny model: the loss, the order of the rows, and the trap of evaluating in the middle."""

from __future__ import annotations

import dataclasses
import random

import pytest
import torch
from safetensors.torch import load_file

from finetune.errors import FinetuneError
from finetune.model.base import load_model
from finetune.model.head import logits_of
from finetune.model.prompt import Encoded
from finetune.training.adapter import add_adapter
from finetune.training.batches import IGNORED, LengthGrouped, collate
from finetune.training.plan import make_plan
from finetune.training.recipe import Recipe
from finetune.training.step import answer_loss, answer_states
from finetune.training.train import train

ROWS = [Encoded(number, [5, 6, 7, 20 + number % 9, 30 + number % 5], [40 + number % 3, 2], 0) for number in range(24)]


def plan_for(recipe: Recipe, rows: int, **changes):
    from finetune.model.machine import Device

    settings = {
        "device": Device("cpu", "CPU", 2**34, 2**33, 2), "dtype": ("float32", "for the test"), "shape": None,
        "model_type": "llama", "estimate": None, "train_rows": rows, "validation_rows": 8, "longest": 10,
    } | changes  # fmt: skip
    return make_plan(recipe, **settings)


@pytest.fixture
def adapted(tiny_model):
    def made(quantisation="nf4", dtype="float32"):
        torch.manual_seed(0)
        model = add_adapter(
            load_model(tiny_model, kind="cpu", dtype=dtype, quantisation=quantisation, trains=True),
            Recipe(rank=4, dropout=0.0),
        )
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(0, 0.1)
        return model

    return made


def batch() -> dict:
    return collate(
        [
            {"input_ids": row.prompt + row.answer, "labels": [IGNORED] * len(row.prompt) + row.answer}
            for row in ROWS[:6]
        ],
        0,
    )


def answer_logits(model, ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    states, targets = answer_states(model, ids, labels)
    return logits_of(model, states), targets


def test_every_linear_layer_of_the_blocks_is_adapted_and_in_4_bits(adapted):
    import bitsandbytes

    model = adapted()
    names = {
        name.rsplit(".", 1)[-1] for name, module in model.named_modules() if hasattr(module, "lora_A") and module.lora_A
    }
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    four = [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert len(four) == 14
    assert all(module.weight.quant_type == "nf4" and module.weight.quant_state.nested for module in four)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert trained and all(parameter.dtype == torch.float32 for parameter in trained)


def test_head_on_answer_positions_equals_the_whole_model(adapted):
    model, data = adapted("none"), batch()
    logits, targets = answer_logits(model, data["input_ids"], data["labels"])
    whole = model(input_ids=data["input_ids"]).logits[:, :-1]
    scored = data["labels"][:, 1:] != IGNORED
    assert torch.allclose(logits, whole[scored].float(), atol=1e-5)
    assert targets.tolist() == [token for row in ROWS[:6] for token in row.answer]


def test_padding_changes_nothing(adapted):
    model = adapted("none").eval()
    short, long = ROWS[0], Encoded(99, [5] * 40, [6, 2], 0)
    rows = [
        {"input_ids": row.prompt + row.answer, "labels": [IGNORED] * len(row.prompt) + row.answer}
        for row in (short, long)
    ]
    together, alone = collate(rows, 0), collate(rows[:1], 0)
    with torch.no_grad():
        of_both = answer_logits(model, together["input_ids"], together["labels"])[0][: len(short.answer)]
        of_one = answer_logits(model, alone["input_ids"], alone["labels"])[0]
    assert torch.allclose(of_both, of_one, atol=1e-5)


def gradients(model) -> torch.Tensor:
    model.train()
    model.zero_grad()
    data = batch()
    logits, targets = answer_logits(model, data["input_ids"], data["labels"])
    torch.nn.functional.cross_entropy(logits, targets).backward()
    return torch.cat([parameter.grad.flatten().float() for parameter in model.parameters() if parameter.requires_grad])


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_an_evaluation_in_the_middle_does_not_change_the_gradients_after_it(adapted, dtype):
    """bitsandbytes repacks 4-bit weights in the first pass without gradients, for a kernel that has no backward."""
    model = adapted(dtype=dtype)
    before = gradients(model)
    model.eval()
    with torch.no_grad():
        answer_logits(model, batch()["input_ids"], batch()["labels"])
        model(input_ids=torch.tensor([[5, 6, 7]]))
    after = gradients(model)
    assert torch.nn.functional.cosine_similarity(before, after, dim=0) > 0.9999
    assert before.norm() > 0


def test_the_order_depends_on_seed_and_epoch_alone_and_holds_every_row_once():
    lengths = [number % 37 for number in range(500)]
    sampler = LengthGrouped(lengths, 8, seed=3)
    first = list(sampler)
    torch.rand(100)  # somebody else's draws
    assert list(LengthGrouped(lengths, 8, seed=3)) == first
    assert sorted(first) == list(range(500))
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(LengthGrouped(lengths, 8, seed=4)) != first
    # Rows of one step are of about one length.
    spread = [
        max(lengths[row] for row in first[at : at + 8]) - min(lengths[row] for row in first[at : at + 8])
        for at in range(0, 496, 8)
    ]
    assert sum(spread) / len(spread) < 6


def test_of_many_rows_little_is_padding_and_of_few_a_step_is_made_anew_in_each_epoch():
    draw = random.Random(0)
    lengths = [5 + int(draw.expovariate(1 / 12)) for _ in range(9_000)]
    order = list(LengthGrouped(lengths, 32, seed=3))
    steps = [order[at : at + 32] for at in range(0, len(order), 32)]
    padded = sum(len(step) * max(lengths[row] for row in step) for step in steps)
    assert padded < 1.1 * sum(lengths)
    sampler, made = LengthGrouped(lengths[:200], 4, seed=3), []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        order = list(sampler)
        made.append({frozenset(order[at : at + 4]) for at in range(0, len(order), 4)})
    assert not made[0] & made[1]


def test_training_learns_keeps_the_best_and_counts_tokens(tiny_model, tmp_path):
    recipe = Recipe(batch_size=8, epochs=8, learning_rate=0.01, evaluations=1, dropout=0.0, patience=100)
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="nf4", trains=True)
    told: list[tuple[str, dict]] = []
    done = train(
        model, recipe, plan_for(recipe, len(ROWS)), ROWS, ROWS[:8], directory=tmp_path, pad=0,
        emit=lambda kind, **fields: told.append((kind, fields)),
    )  # fmt: skip
    progress = [fields for kind, fields in told if kind == "progress"]
    looks = [fields for kind, fields in told if kind == "evaluated"]
    assert progress[-1]["loss"] < 0.5 * progress[0]["loss"]
    assert done.tokens == sum(len(row) for row in ROWS) * 8 == progress[-1]["tokens"]
    assert done.best_loss == min(look["loss"] for look in looks)
    assert done.best_step == min(looks, key=lambda look: look["loss"])["step"]
    assert done.peak_memory_bytes > 10**8
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    "changes", [{"micro_batch": 2, "accumulation": 4}, {"checkpointing": True}], ids=["accumulation", "checkpointing"]
)
def test_what_saves_memory_changes_no_loss(tiny_model, tmp_path, changes):
    recipe = Recipe(batch_size=8, epochs=2, learning_rate=0.01, dropout=0.0)
    plain = dataclasses.replace(plan_for(recipe, len(ROWS)), micro_batch=8, accumulation=1)
    losses = []
    for plan in (plain, dataclasses.replace(plain, **changes)):
        model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="nf4", trains=True)
        told = []
        train(
            model, recipe, plan, ROWS, ROWS[:8], directory=tmp_path / str(len(losses)), pad=0,
            emit=lambda kind, told=told, **fields: told.append((kind, fields)),
        )  # fmt: skip
        losses.append([fields["loss"] for kind, fields in told if kind == "progress"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[0][-1] < losses[0][0]


def test_a_training_of_one_step_learns(tiny_model, tmp_path):
    recipe = Recipe(batch_size=8, epochs=1, learning_rate=0.01, evaluations=1, dropout=0.0, warmup=0.06)
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    rates: list[float] = []
    done = train(
        model, recipe, plan_for(recipe, 8), ROWS[:8], ROWS[:8], directory=tmp_path, pad=0,
        emit=lambda kind, **fields: rates.append(fields["learning_rate"]) if kind == "progress" else None,
    )  # fmt: skip
    assert done.step == 1 and rates == [0.01]
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert any(weight.any() for name, weight in weights.items() if "lora_B" in name)


def test_who_took_every_step_did_not_stop_early(tiny_model, tmp_path):
    # No look is better than the first, and the second one without a better is the last.
    recipe = Recipe(batch_size=8, epochs=2, learning_rate=1e-30, evaluations=1, patience=2)
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    plan = plan_for(recipe, len(ROWS))
    done = train(model, recipe, plan, ROWS, ROWS[:8], directory=tmp_path, pad=0, emit=lambda *_, **__: None)
    assert done.step == plan.steps and not done.stopped_early and done.reason == ""


def test_early_stopping_ends_when_looks_get_no_better(tiny_model, tmp_path):
    # Validation answers that contradict training: the loss on them can only rise.
    against = [Encoded(row.row, row.prompt, [49, 2], 0) for row in ROWS[:8]]
    recipe = Recipe(batch_size=8, epochs=40, learning_rate=0.02, evaluations=1, patience=3)
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    told = []
    done = train(
        model, recipe, plan_for(recipe, len(ROWS)), ROWS, against, directory=tmp_path, pad=0,
        emit=lambda kind, **fields: told.append((kind, fields)),
    )  # fmt: skip
    assert done.stopped_early and "no better" in done.reason
    assert done.step < 120
    assert done.best_step < done.step


def test_a_diverged_training_ends_with_a_sentence(tiny_model, tmp_path, monkeypatch):
    from finetune.training import train as training

    def broken(*given, **named):
        total, right, count = answer_loss(*given, **named)
        return total * float("nan"), right, count

    monkeypatch.setattr(training, "answer_loss", broken)
    recipe = Recipe(batch_size=8, epochs=1)
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    with pytest.raises(FinetuneError, match="diverged"):
        train(
            model, recipe, plan_for(recipe, len(ROWS)), ROWS, ROWS[:8], directory=tmp_path, pad=0,
            emit=lambda kind, **fields: None,
        )  # fmt: skip
    assert not (tmp_path / "adapter").exists()


def test_with_checkpointing_the_rehearsal_computes_twice_too_and_freed_memory_is_given_back(
    tiny_model, tmp_path, monkeypatch
):
    from finetune.training import train as training
    from finetune.training import watch

    recipe = Recipe(rank=4, epochs=1.0, batch_size=8, evaluations=1, learning_rate=0.01)
    counts, tuned = [], []
    real = training.rehearse

    def rehearse(adapted, *rest):
        seen = []
        hook = adapted.get_base_model().model.layers[0].mlp.register_forward_pre_hook(lambda *_: seen.append(1))
        real(adapted, *rest)
        hook.remove()
        counts.append(len(seen))

    monkeypatch.setattr(training, "rehearse", rehearse)
    monkeypatch.setattr(watch, "_of_glibc", lambda name: lambda *given: tuned.append((name, *given)))
    for checkpointing in (False, True):
        tuned.clear()
        model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
        plan = dataclasses.replace(plan_for(recipe, 8), checkpointing=checkpointing)
        train(
            model,
            recipe,
            plan,
            ROWS[:8],
            ROWS[8:10],
            directory=tmp_path / str(checkpointing),
            pad=0,
            emit=lambda *_, **__: None,
        )
        wanted = [("mallopt", watch.M_MMAP_THRESHOLD, size) for size in (watch.GIVEN_BACK, watch.USUAL)]
        assert [one for one in tuned if one[0] == "mallopt"] == (wanted if checkpointing else [])
    assert counts[0] > 0 and counts[1] >= 2 and counts[1] > counts[0]
