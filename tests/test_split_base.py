"""A base that does not fit on one device is split over several."""

from __future__ import annotations

import dataclasses
import gc
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import dispatch_model
from accelerate.utils import check_device_map

from finetune.errors import FinetuneError
from finetune.model import base, machine, memory, split
from finetune.model.gallery import Shape, find
from finetune.training import choose
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe
from finetune.training.watch import Watch


def test_a_run_on_two_devices_is_that_of_one():
    tests = Path(__file__).with_name("two_devices.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", str(tests)], capture_output=True, text=True, timeout=500,
        cwd=tests.parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert "4 passed" in done.stdout


def test_what_is_no_layer_lies_with_the_first_ones(tiny_model):
    places = split.device_map(tiny_model, ((0, 1), (3, 1)))
    assert places == {
        "model.embed_tokens": 0, "model.layers.0": 0, "model.layers.1": 3, "model.norm": 0, "model.rotary_emb": 0, "lm_head": 0,
    }  # fmt: skip
    model = base.load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    check_device_map(model, places)
    model.config.num_hidden_layers = 3
    with pytest.raises(FinetuneError, match="cannot be split over several GPUs"):
        split.layers_of(model)


def test_nothing_of_the_hooks_that_loading_lays_on_stays(tiny_model):
    model = base.load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    before = model(torch.tensor([[5, 6, 7]])).logits
    dispatch_model(model, split.device_map(tiny_model, (("cpu", 1), ("cpu", 1))), force_hooks=True)
    layer = split.layers_of(model)[1][0]
    assert "forward" in layer.__dict__ and hasattr(layer, "_hf_hook")
    split.connect(model)
    assert "forward" not in layer.__dict__ and not hasattr(layer, "_hf_hook")
    assert model(torch.tensor([[5, 6, 7]])).logits.equal(before)
    there, _ = weakref.ref(layer), gc.disable()
    try:
        del model, layer
        assert there() is None  # no circle keeps it until the garbage collector comes by
    finally:
        gc.enable()


def test_dropout_of_a_split_training_is_the_same_after_a_resume():
    plan = Plan("cuda", "float32", "none", 8, 1, False, 0.01, 10, 5, None, (), split=((0, 1), (1, 1)))

    def drawn(step: int) -> float:
        watch = Watch(Recipe(seed=4), plan, lambda *_, **__: None, lambda: False, {})
        watch.trainer = SimpleNamespace(row_tokens=0)
        watch.on_step_begin(None, SimpleNamespace(global_step=step), None)
        return torch.rand(()).item()

    with torch.random.fork_rng():
        first = [drawn(step) for step in range(20)]
        assert len(set(first)) == 20 and drawn(7) == first[7]


def gpu(free: float, *beside: float) -> machine.Device:
    others = tuple(machine.Beside(place, int(size * memory.GIB)) for place, size in enumerate(beside, 1))
    return machine.Device("cuda", "a GPU", 2**40, int(free * memory.GIB), 8, beside=others)


LARGE = Shape(80, 8192, 28672, 64, 8, 128, 128256, False)  # Llama 70B


def test_a_base_is_split_over_as_few_gpus_as_hold_it():
    recipe = Recipe(batch_size=4, max_tokens=512)
    assert memory.estimate(LARGE, recipe, gpu(80, 80, 80)).split == ()
    alone = memory.estimate(LARGE, recipe, gpu(30))
    assert not alone.fits and "GPUs" not in alone.advice
    two = memory.estimate(LARGE, recipe, gpu(30, 30, 30, 30))
    assert two.fits and "split over 2 GPUs" in two.advice and two.total <= two.available
    (_, first), (_, second) = two.split
    assert first + second == 80 and first < second  # the first has the embedding and the head too
    # Those with the most room are taken, and get the more layers the more room they have.
    uneven = memory.estimate(LARGE, recipe, gpu(30, 12, 36, 20))
    assert [place for place, _ in uneven.split] == [0, 2] and uneven.split[1][1] > second
    three = memory.estimate(LARGE, recipe, gpu(20, 20, 20))
    assert three.fits and len(three.split) == 3
    # Told is where it would come nearest, not that a third one is full.
    full = memory.estimate(LARGE, recipe, gpu(20, 20, 0))
    assert not full.fits and "and 18.0 GiB are free" in full.advice
    none = memory.estimate(LARGE, recipe, gpu(8, 8, 8))
    assert not none.fits and "on each of 3 GPUs" in none.advice and "smaller base" in none.advice


def test_one_gpu_in_4_bits_comes_before_several_in_16():
    facts = choose.Facts("instruction", 500, longest=200, context=8192, shape=find("qwen3-8b").shape)
    on_two = dataclasses.replace(facts, device=gpu(16, 16))
    assert choose.choose(Recipe.from_preset("standard"), on_two)[0].quantisation == "nf4"
    assert memory.estimate(facts.shape, Recipe(quantisation="none"), on_two.device, 200).split
    # What does not fit on one GPU however short its rows are is not cut for that.
    long = choose.Facts("instruction", 500, longest=2000, context=8192, shape=LARGE, device=gpu(40, 40))
    assert choose.choose(Recipe.from_preset("standard"), long)[0].max_tokens >= 2000


def test_the_gpus_of_an_answer_are_those_of_the_training_where_there_are_as_many():
    trained = [[0, 38], [2, 42]]
    # What they hold now says nothing: it may be what is about to be given back.
    assert gpu(24, 30, 1).split(trained) == ((0, 38), (2, 42))
    assert gpu(24, 30).split(trained) == ((0, 38), (1, 42))
    assert gpu(24).split(trained) == gpu(24, 24).split([]) == ()
