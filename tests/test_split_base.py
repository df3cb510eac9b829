"""A base whose layers lie on two devices trains, answers and is compared as if it were on one."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import dispatch_model
from accelerate.utils import check_device_map
from peft import peft_model
from safetensors.torch import load_file
from second_device import NAME, OnCard, at_home, begin
from short import short_recipe, told, trained
from torch import nn

from finetune import jobs
from finetune.errors import FinetuneError
from finetune.evidence.compare import compare
from finetune.evidence.models import kept, pair
from finetune.model import base, machine, memory, split
from finetune.model.gallery import Shape, find
from finetune.runs.store import Run, create
from finetune.training import choose
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe
from finetune.training.session import prompt_of
from finetune.training.watch import Watch

# What the device and the card beside it have: a layer and a half fit on each.
FREE = int(1.5 * 2**20 / memory.HEADROOM)
SMALL = machine.Device("cpu", "CPU", 2**34, FREE, 2, 4, (machine.Beside(1, FREE),))


@pytest.fixture
def make(tiny_model: Path, small_csv: Path, tmp_path: Path, monkeypatch):
    for where in (base, pair):
        monkeypatch.setattr(where, "precision", lambda kind: ("float32", "for the test"))

    def made(name: str, **changes) -> Run:
        recipe = short_recipe(tiny_model, **changes)
        root = tmp_path / name
        report = jobs.inspect(small_csv, recipe=recipe, root=root)
        return create(root, report=report, recipe=recipe, name="small")

    return made


@pytest.fixture
def too_small(monkeypatch):
    """From now on the base does not fit on the device alone. Gives how it was split each time that it was loaded."""
    load, saved, needed = base.load_model, peft_model.get_peft_model_state_dict, memory.parts
    splits, models = [], []

    def loaded(folder: Path, *, split: machine.Split = (), **settings):
        splits.append(split)
        model = load(folder, **settings)
        if split:
            _placed(model, split[0][1])
            models.append(model)
        return model

    def layers_alone(shape, *given) -> dict[str, int]:
        return dict.fromkeys(needed(shape, *given), 0) | {"base weights": shape.layers * 2**20}

    begin()
    for where in (base, pair):
        monkeypatch.setattr(where, "load_model", loaded)
    monkeypatch.setattr(peft_model, "get_peft_model_state_dict", lambda *of, **more: at_home(saved(*of, **more)))
    monkeypatch.setattr(memory, "parts", layers_alone)
    monkeypatch.setattr(machine, "device", lambda *_: SMALL)
    yield splits
    for model in models:  # nothing has brought it together again
        places = [{weight.device.type for weight in layer.parameters()} for layer in split.layers_of(model)[1]]
        assert places == [{"cpu"}, {NAME}]


def _placed(model: nn.Module, first: int) -> None:
    """All layers but the first ones go to the card, as transformers would have put them there."""
    for layer in list(split.layers_of(model)[1])[first:]:
        for module in layer.modules():
            for name, weight in list(module.named_parameters(recurse=False)):
                new = nn.Parameter(OnCard(weight.data), requires_grad=False)
                new.__dict__.update(weight.__dict__)  # of one in 4 bits all that is needed to unpack it
                if state := getattr(weight, "quant_state", None):
                    state.to(NAME)
                setattr(module, name, new)
    model.hf_device_map = {"the first layers": "cpu:0", "the others": f"{NAME}:0"}
    split.connect(model)


def of_steps(run: Run, name: str = "loss") -> list[float]:
    return [event[name] for event in told(run, "progress")]


@pytest.mark.parametrize(("quantisation", "checkpointing"), [("none", False), ("nf4", True)])
def test_a_training_on_two_devices_is_that_of_one_stopped_in_the_middle_or_not(
    make, too_small, monkeypatch, quantisation, checkpointing
):
    fits = memory.estimate
    monkeypatch.setattr(
        memory, "estimate", lambda *of, **more: dataclasses.replace(fits(*of, **more), checkpointing=checkpointing)
    )
    run = make("two", quantisation=quantisation)
    assert not trained(run, lambda: len(of_steps(run)) == 5)
    assert trained(run, resume=True)
    assert too_small == [((0, 1), (1, 1))] * 2
    (choice,) = [choice for choice in told(run, "plan")[-1]["choices"] if choice["name"] == "GPUs"]
    assert choice["value"] == "2" and "1 and 1 of its layers, and compute in turns" in choice["reason"]
    assert told(run, "finished")[0]["cards"] == 2

    monkeypatch.setattr(machine, "device", lambda *_: dataclasses.replace(SMALL, free_bytes=2**30))
    alone = make("one", quantisation=quantisation)
    assert trained(alone) and too_small[2:] == [()]
    assert of_steps(run) == pytest.approx(of_steps(alone), abs=1e-5)
    assert of_steps(run, "gradient_norm") == pytest.approx(of_steps(alone, "gradient_norm"), rel=1e-3)
    looks = [[(event["loss"], event["score"]) for event in told(one, "evaluated")] for one in (run, alone)]
    assert looks[0] == [pytest.approx(look, abs=1e-5) for look in looks[1]]
    weights, expected = (load_file(one.adapter / "adapter_model.safetensors") for one in (run, alone))
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        assert weight.allclose(expected[name], atol=1e-4), (name, float((weight - expected[name]).abs().max()))


def test_a_comparison_on_two_devices_is_that_of_one(make, too_small, monkeypatch):
    run = make("two", quantisation="none")
    assert trained(run)
    two = compare(run)
    assert too_small == [((0, 1), (1, 1))] * 2
    answers = list(pair.Pair.of(run, prompt_of(run)).stream_many([[5, 6, 7], [9] * 20], [True, False], 8))[-1]
    # On a machine with a single one, which may be larger.
    monkeypatch.setattr(machine, "device", lambda *_: dataclasses.replace(SMALL, beside=()))
    (run.root / kept.FILE).unlink()  # the answers that were given before would not be asked for again
    one = compare(run)
    assert too_small[3:] == [()]
    assert two["cost"]["answering_cards"] == 2 and one["cost"]["answering_cards"] == 1
    assert two["adapter_off_equals_base"] and one["adapter_off_equals_base"]
    for system, found in one["systems"].items():
        assert found["score"] == two["systems"][system]["score"], system
    assert list(pair.Pair.of(run, prompt_of(run)).stream_many([[5, 6, 7], [9] * 20], [True, False], 8))[-1] == answers


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


def test_the_base_of_the_training_is_gone_when_the_comparison_has_loaded_its_own(make, monkeypatch):
    load, before, gone = base.load_model, [], []

    def loaded(*given, **settings):
        model = load(*given, **settings)
        gone.append([there() is None for there in before])
        before.append(weakref.ref(model))
        return model

    for where in (base, pair):
        monkeypatch.setattr(where, "load_model", loaded)
    run = make("run", quantisation="nf4")
    assert trained(run)
    compare(run)
    assert gone == [[], [True]]


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
