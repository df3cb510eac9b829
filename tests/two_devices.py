"""A base whose layers lie on two devices trains, answers and is compared as if it were on one.

Run by `test_split_base.py` in a process of its own: torch counts the devices at the first backward pass of a process, and
other tests have made one.
"""

from __future__ import annotations

import dataclasses
import weakref
from pathlib import Path

import pytest
from peft import peft_model
from safetensors.torch import load_file
from second_device import NAME, OnCard, at_home, begin
from short import short_recipe, told, trained
from torch import nn

from finetune import jobs
from finetune.evidence.compare import compare
from finetune.evidence.models import kept, pair
from finetune.model import base, machine, memory, split
from finetune.runs.store import Run, create
from finetune.training.session import prompt_of

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
