"""Learning rates tried on a slice: the same conditions for each, the base untouched, the time kept."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from peft import get_peft_model_state_dict

from finetune import jobs
from finetune.errors import FinetuneError
from finetune.model.base import load_model
from finetune.model.machine import Device
from finetune.model.prompt import Encoded
from finetune.runs.events import EventLog
from finetune.runs.store import Run, create
from finetune.training import sweep as sweeping
from finetune.training.adapter import add_adapter, take_off
from finetune.training.alarms import Diverged
from finetune.training.choose import settled
from finetune.training.plan import make_plan
from finetune.training.recipe import Recipe
from finetune.training.session import train_run
from finetune.training.sweep import rates_around, sweep
from finetune.training.train import train

ROWS = [Encoded(number, [5, 6, 7, 20 + number % 9, 30 + number % 5], [40 + number % 3, 2], 0) for number in range(48)]


def plan_for(recipe: Recipe):
    return make_plan(
        recipe, device=Device("cpu", "CPU", 2**34, 2**33, 2), dtype=("float32", "for the test"), shape=None,
        model_type="llama", estimate=None, train_rows=len(ROWS), validation_rows=8, longest=10,
    )  # fmt: skip


@pytest.fixture
def model(tiny_model):
    return load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)


def run(model, tmp_path, should_stop=lambda: False, **changes):
    recipe = Recipe(**{"batch_size": 8, "epochs": 3, "learning_rate": 0.005, "rank": 4, "sweep": "yes"} | changes)
    told: list[tuple[str, dict]] = []
    swept = sweep(
        model, recipe, plan_for(recipe), ROWS, ROWS[:8], directory=tmp_path, pad=0,
        emit=lambda kind, **fields: told.append((kind, fields)), should_stop=should_stop,
    )  # fmt: skip
    return swept, told


def small_run(recipe: Recipe, data: Path, root: Path) -> Run:
    return create(root, report=jobs.inspect(data, recipe=recipe, root=root), recipe=recipe, name="small", compare=False)


def reason(swept) -> str:
    return next(choice.reason for choice in swept.plan.choices if choice.name == "learning rate")


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.tensor([[5, 6, 7, 25, 31]])).logits


def test_rates_span_a_factor_of_ten_around_the_chosen_one():
    assert rates_around(0.001, 3) == [0.00032, 0.001, 0.0032]
    five = rates_around(0.001, 5)
    assert five[0] == 0.00032 and five[2] == 0.001 and five[4] == 0.0032 and five == sorted(five)


def test_the_winner_is_taken_all_losses_are_told_and_the_base_is_untouched(model, tmp_path):
    before, names = logits(model), [name for name, _ in model.named_modules()]
    swept, told = run(model, tmp_path)
    assert torch.equal(logits(model), before)
    assert [name for name, _ in model.named_modules()] == names
    assert not hasattr(model, "peft_config")
    assert not any(parameter.requires_grad for parameter in model.parameters())
    said = reason(swept)
    assert all(f"{rate:g} → " in said for rate in rates_around(0.005, 3))
    assert swept.plan.learning_rate == 0.016  # of a handful of steps on a model that knows nothing the highest is best
    assert swept.plan.steps == 18
    progress = [fields for kind, fields in told if kind == "progress"]
    assert {fields["phase"] for fields in progress} == {"sweep"} and "loss" not in progress[0]
    assert [fields["step"] for fields in progress] == list(range(1, progress[0]["steps"] + 1))
    assert not (tmp_path / "sweep").exists() and not list(tmp_path.iterdir())
    assert reason(run(model, tmp_path)[0]) == said  # and the same once more


def test_the_training_after_it_is_the_one_that_its_rate_has_alone(model, tiny_model, tmp_path):
    run(model, tmp_path, epochs=1)

    def losses(of_model, folder) -> list[float]:
        recipe = Recipe(batch_size=8, epochs=0.5, rank=4, dropout=0.1, learning_rate=0.016)
        told = []
        train(
            of_model, recipe, plan_for(recipe), ROWS, ROWS[:8], directory=tmp_path / folder, pad=0,
            emit=lambda kind, **fields: told.append(fields["loss"]) if kind == "progress" else None,
        )  # fmt: skip
        return told

    fresh = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    assert losses(model, "after") == losses(fresh, "alone")


def test_a_resumed_run_takes_the_rate_that_was_chosen_and_does_not_try_again(tiny_model, small_csv, tmp_path):
    recipe = Recipe.from_preset(
        "standard", base=str(tiny_model), batch_size=8, epochs=3, evaluations=2, sweep="yes", quantisation="none",
        max_tokens=128,
    )  # fmt: skip
    made = small_run(recipe, small_csv, tmp_path)

    def steps(phase: str) -> list[int]:
        events = made.events()[0]
        return [one["step"] for one in events if one["kind"] == "progress" and one["phase"] == phase]

    with EventLog(made.events_path) as log:
        assert not train_run(made, log.emit, lambda: len(steps("train")) > 2, resume=False)
        tried, rate = len(steps("sweep")), settled(made).learning_rate
        assert tried > 0 and rate > 0
        assert train_run(made, log.emit, lambda: False, resume=True)
    assert len(steps("sweep")) == tried
    assert settled(made).learning_rate == rate
    plans = [event for event in made.events()[0] if event["kind"] == "plan"]
    reasons = [next(one["reason"] for one in plan["choices"] if one["name"] == "learning rate") for plan in plans]
    assert len(plans) == 2 and reasons[0] == reasons[1] and "→" in reasons[0]
    assert max(steps("train")) == 21  # 56 rows in steps of 8, three times
    # The time that was spent on it is time of the run, and of its time box.
    progress = [event for event in made.events()[0] if event["kind"] == "progress"]
    assert progress[tried]["phase"] == "train"
    assert progress[tried]["seconds"] > progress[tried - 1]["time"] - progress[0]["time"] > 0


def test_a_stop_while_rates_are_tried_stops_the_run(tiny_model, small_csv, tmp_path):
    recipe = Recipe.from_preset("pilot", base=str(tiny_model), sweep="yes", quantisation="none")
    made = small_run(recipe, small_csv, tmp_path)
    heard: list[str] = []
    with EventLog(made.events_path) as log:

        def emit(kind, **fields):
            heard.append(kind)
            return log.emit(kind, **fields)

        assert not train_run(made, emit, lambda: "progress" in heard, resume=False)
    assert heard[-1] == "stopped" and "plan" not in heard
    assert not (made.directory / "sweep").exists() and not made.trained()


def test_trials_are_not_logged(model, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("finetune.training.loggers.prepare", lambda name, folder: asked.append(name) or [])
    run(model, tmp_path, log_to="tensorboard")
    assert set(asked) == {"none"}


def test_a_rate_that_diverges_loses_and_is_told(model, tmp_path, monkeypatch):
    real = sweeping.training.train

    def diverging(model, recipe, plan, *args, **kwargs):
        done = real(model, recipe, plan, *args, **kwargs)
        if plan.learning_rate > 0.01:
            raise Diverged("the loss at step 3 is not a number", step=3, good=2)
        return done

    monkeypatch.setattr(sweeping.training, "train", diverging)
    swept, _ = run(model, tmp_path)
    assert "0.016 → diverged" in reason(swept)
    assert swept.plan.learning_rate == 0.005


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), FinetuneError("The disk is full.")])
def test_what_is_no_divergence_ends_the_run_and_leaves_the_base_as_it_was(model, tmp_path, monkeypatch, error):
    def broken(model, recipe, *args, **kwargs):
        add_adapter(model, recipe)
        raise error

    before = logits(model)
    monkeypatch.setattr(sweeping.training, "train", broken)
    with pytest.raises(type(error)):
        run(model, tmp_path)
    assert torch.equal(logits(model), before)


def test_of_rates_that_do_as_well_the_lowest_is_taken(model, tmp_path, monkeypatch):
    seen = {}

    def trial(self, rate, steps, after_step=None):
        seen[rate] = steps
        return {0.0016: 0.405, 0.005: 0.40, 0.016: 0.41}[rate], False

    monkeypatch.setattr(sweeping._Trials, "_trial", trial)
    swept, _ = run(model, tmp_path)
    assert swept.plan.learning_rate == 0.0016
    assert len(set(seen.values())) == 1 and list(seen)[0] == 0.005


def test_it_ends_when_it_is_asked_to(model, tmp_path):
    before = logits(model)
    asked = []
    swept, _ = run(model, tmp_path, should_stop=lambda: len(asked) > 3 or asked.append(1) is not None)
    assert swept.asked_to_stop
    assert torch.equal(logits(model), before)


def test_it_keeps_to_a_quarter_of_the_time_box(model, tmp_path):
    began = time.monotonic()
    swept, _ = run(model, tmp_path, max_minutes=0.4)
    # Half the box at most, on a machine that is busy with other things: alone it is a quarter and the step that runs.
    assert swept.seconds <= time.monotonic() - began < 12
    assert not swept.asked_to_stop
    # Where there is no time for a slice at all, the rate stays and that is said.
    swept, _ = run(model, tmp_path, max_minutes=0.001)
    assert swept.plan.learning_rate == 0.005 and "no room" in reason(swept)


@pytest.mark.parametrize("quantisation", ["none", "nf4"])
def test_what_was_taken_off_can_be_put_on_again(tiny_model, quantisation):
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation=quantisation, trains=True)
    before = logits(model)
    torch.manual_seed(0)
    first = get_peft_model_state_dict(add_adapter(model, Recipe(rank=4)))
    first = {name: value.clone() for name, value in first.items()}
    take_off(model)
    assert torch.equal(logits(model), before)
    torch.manual_seed(0)
    again = get_peft_model_state_dict(add_adapter(model, Recipe(rank=4)))
    assert first.keys() == again.keys() and all(torch.equal(first[name], again[name]) for name in first)
