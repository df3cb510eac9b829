"""What the program decides itself, and the memory it bases it on."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from finetune.dataset.example import Example
from finetune.model import machine
from finetune.model.gallery import GALLERY, Shape, find
from finetune.model.machine import Device, within_container
from finetune.model.memory import GIB, default_base, default_preset, estimate, shape_of
from finetune.training.plan import choose_rows, learning_rate, make_plan
from finetune.training.recipe import Recipe

CPU = Device("cpu", "CPU", 24 * GIB, 22 * GIB, 2)


def gpu(gigabytes: float) -> Device:
    return Device("cuda", "a GPU", int(gigabytes * GIB), int(gigabytes * GIB), 8)


def test_names_of_the_gallery_are_found_whatever_their_case():
    assert find("SmolLM2-135M") is GALLERY[0]
    assert find("qwen/qwen3-8b").name == "qwen3-8b"
    assert find("nothing") is None


@pytest.mark.parametrize(
    ("name", "millions"), [("smollm2-135m", 134.5), ("qwen3-0.6b", 596), ("llama-3.1-8b", 8030), ("mistral-7b", 7248)]
)
def test_parameters_from_shapes_are_those_of_the_model_cards(name, millions):
    assert find(name).parameters / 1e6 == pytest.approx(millions, rel=0.002)


def test_shape_of_a_config_file(tmp_path):
    config = {
        "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 2, "vocab_size": 512,
        "tie_word_embeddings": True,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert Shape.from_config(tmp_path / "config.json") == Shape(2, 64, 128, 2, 2, 32, 512, True)
    (tmp_path / "config.json").write_text("[]")
    assert Shape.from_config(tmp_path / "config.json") is None
    assert Shape.from_config(tmp_path / "none.json") is None


def test_adapter_parameters_are_those_that_peft_makes(tiny_model):
    from finetune.model.base import load_model
    from finetune.training.adapter import add_adapter

    model = add_adapter(
        load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True), Recipe(rank=4)
    )
    made = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert Shape.from_config(tiny_model / "config.json").adapter_parameters(4) == made


def test_the_estimate_gives_way_step_by_step():
    roomy = estimate(shape_of("qwen3-8b"), Recipe(), gpu(80))
    assert roomy.fits and not roomy.checkpointing
    assert roomy.total == sum(roomy.parts.values())
    tight = estimate(shape_of("qwen3-8b"), Recipe(), gpu(12))
    assert tight.fits and (tight.checkpointing or tight.micro_batch < 16)
    assert tight.total <= tight.available
    none = estimate(shape_of("qwen3-8b"), Recipe(), gpu(4))
    assert not none.fits and "smaller" in none.advice
    assert not estimate(shape_of("qwen3-8b"), Recipe(quantisation="none"), gpu(12)).fits
    assert shape_of("owner/unknown") is None


def test_defaults_by_device():
    assert default_base(CPU)[0] == "smollm2-135m"
    assert default_preset(CPU) == "pilot" and default_preset(gpu(24)) == "standard"
    large, small = default_base(gpu(80))[0], default_base(gpu(8))[0]
    assert find(large).parameters > find(small).parameters > find("smollm2-135m").parameters
    assert not find(large).gated


def test_a_gpu_that_does_not_answer_is_no_gpu(monkeypatch):
    monkeypatch.setattr(machine, "_nvidia_smi", lambda: "/bin/false")
    assert machine.device().kind == "cpu"


def test_learning_rate_falls_with_the_width_with_small_steps_and_with_the_length_of_the_run():
    eight = find("llama-3.1-8b").shape
    large, why = learning_rate(eight, "llama", 32, 1000)
    assert large == pytest.approx(5e-4 * (2000 / 4096) ** 0.781, rel=0.02)
    assert "4096" in why and "noisy" not in why and "few" not in why
    assert learning_rate(find("qwen3-8b").shape, "qwen3", 64, 1000)[0] == pytest.approx(4.7e-4, rel=0.05)
    small, why = learning_rate(eight, "llama", 8, 1000)
    assert small == pytest.approx(0.7 * large, rel=0.05) and "8 rows a step are noisy" in why
    assert learning_rate(eight, "llama", 1, 1000)[0] == small
    assert learning_rate(eight, "llama", 16, 1000)[0] == pytest.approx(large / 2**0.5, rel=0.05)
    short, why = learning_rate(eight, "llama", 32, 50)
    assert short == pytest.approx(1.5 * large, rel=0.05) and "50 steps are few" in why
    # Narrower than any base that the formula was fitted on: taken as the narrowest of them.
    narrow, why = learning_rate(find("smollm2-135m").shape, "llama", 32, 1000)
    assert narrow == pytest.approx(5e-4 * 2**0.781, rel=0.02) and "576, taken as 1000" in why
    assert learning_rate(None, "llama", 8, 1000)[0] == 2e-4


def plan(recipe: Recipe, **changes):
    settings = {
        "device": CPU, "dtype": ("bfloat16", "because"), "shape": find("smollm2-135m").shape, "model_type": "llama",
        "estimate": estimate(shape_of("smollm2-135m"), recipe, CPU, 100), "train_rows": 100, "validation_rows": 90, "longest": 100,
    } | changes  # fmt: skip
    return make_plan(recipe, **settings)


def test_the_plan_counts_its_steps_and_gives_reasons():
    made = plan(Recipe.from_preset("pilot", batch_size=8, epochs=4))
    assert made.micro_batch * made.accumulation == 8
    assert made.steps == 13 * 4
    assert made.steps_per_look == 13
    assert all(choice.value and choice.reason for choice in made.choices)
    assert plan(Recipe(learning_rate=0.01)).learning_rate == 0.01


def test_a_step_is_made_of_equal_passes():
    tight = estimate(shape_of("smollm2-135m"), Recipe(), Device("cpu", "CPU", 24 * GIB, 2 * GIB, 2), 512)
    made = plan(Recipe(), estimate=tight)
    assert made.accumulation > 1
    assert made.micro_batch <= tight.micro_batch
    assert made.micro_batch * made.accumulation >= 16


def test_rows_are_drawn_with_the_labels_in_proportion_and_keep_their_order():
    rows = [Example(number, f"text {number}", "ab"[number % 10 == 0]) for number in range(1, 101)]
    chosen = choose_rows(rows, 16, "classification", seed=0)
    assert Counter(row.output for row in chosen) == {"a": 14, "b": 2}
    assert [row.row for row in chosen] == sorted(row.row for row in chosen)
    assert chosen == choose_rows(rows, 16, "classification", seed=0)
    assert chosen != choose_rows(rows, 16, "classification", seed=1)
    assert Counter(row.output for row in choose_rows(rows, 50, "classification", seed=0)) == {"a": 45, "b": 5}
    assert choose_rows(rows, 0, "classification", seed=0) == rows == choose_rows(rows, 500, "instruction", seed=0)
    assert len(choose_rows(rows, 7, "instruction", seed=0)) == 7


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_may_use_what_its_limit_leaves(tmp_path, version):
    names = (
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file")
        if version == 1 else ("memory.max", "memory.current", "memory.stat", "inactive_file")
    )  # fmt: skip
    limit, used, stat = (tmp_path / name for name in names[:3])
    assert within_container(100, 60, tmp_path) == (100, 60)
    limit.parent.mkdir(exist_ok=True)
    used.write_text("12\n")
    stat.write_text(f"anon 5\n{names[3]} 4\n")
    limit.write_text("16\n")
    assert within_container(100, 60, tmp_path) == (16, 8)
    assert within_container(100, 3, tmp_path) == (16, 3)
    limit.write_text("max\n" if version == 2 else "9223372036854771712\n")
    assert within_container(100, 60, tmp_path) == (100, 60)
