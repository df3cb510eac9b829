"""A training that runs out of memory or diverges goes on; a stop saves, also in a look; a resume is the same training."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from pathlib import Path

import pytest
import torch
from short import short_recipe, told, trained

from finetune import jobs
from finetune.runs.store import Run, create
from finetune.training import looking, recover, session
from finetune.training.alarms import Diverged
from finetune.training.plan import Choice, Plan
from finetune.training.train import AnswerTrainer
from finetune.training.worker import explain

PLAN = Plan("cpu", "float32", "nf4", 8, 1, False, 0.01, 20, 5, None, (Choice("micro-batch", "8 rows × 1", "it fits"),))


@pytest.fixture
def make(tiny_model: Path, small_csv: Path, tmp_path: Path, monkeypatch):
    # In float32 a step is the same, to rounding, however its rows are passed.
    monkeypatch.setattr("finetune.model.base.precision", lambda kind: ("float32", "for the test"))

    def made(**changes) -> Run:
        wanted = short_recipe(tiny_model, **changes)
        root = tmp_path / "root"
        return create(root, report=jobs.inspect(small_csv, recipe=wanted, root=root), recipe=wanted, name="small")

    return made


def losses(run: Run) -> dict[int, float]:
    return {event["step"]: event["loss"] for event in told(run, "progress")}


@pytest.fixture
def breaking(monkeypatch):
    """Makes the training raise, or give a loss that is no number, at some steps; each as often as it is listed."""

    def broken(steps: list[int], how) -> None:
        whole, left = AnswerTrainer.training_step, list(steps)

        def step(self, model, inputs, *args):
            if self.state.global_step + 1 in left:
                left.remove(self.state.global_step + 1)
                if isinstance(how, float):
                    return whole(self, model, inputs, *args) * how
                raise how()
            return whole(self, model, inputs, *args)

        monkeypatch.setattr(AnswerTrainer, "training_step", step)

    return broken


@pytest.mark.parametrize("at", [3, 10], ids=["before any checkpoint", "after one"])
def test_out_of_memory_goes_on_with_half_the_rows_and_the_same_losses(make, breaking, monkeypatch, at):
    straight, run = make(), make()
    trained(straight)
    models: list[weakref.ref] = []
    loading = session.base.load_model

    def load(*args, **kwargs):
        assert not [ref for ref in models if ref() is not None], "the model of the attempt before is still in memory"
        model = loading(*args, **kwargs)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(session.base, "load_model", load)
    breaking([at], lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert trained(run)
    assert len(models) == 2
    (warning,) = [event for event in told(run, "warning") if event.get("alarm") == "out_of_memory"]
    assert warning["recovery"] == {"from_step": 0 if at == 3 else 7, "micro_batch": 4}
    assert "4 rows in a pass instead of 8" in warning["text"] and "still learns from 8 rows" in warning["text"]
    before, after = (
        {choice["name"]: choice for choice in event["choices"]}["micro-batch"] for event in told(run, "plan")
    )
    assert (before["value"], after["value"]) == ("8 rows × 1", "4 rows × 2")
    # The same rows take about the same time, in however many passes.
    assert len({event["expected_seconds"] for event in told(run, "plan")}) == 1
    assert losses(run) == pytest.approx(losses(straight), rel=1e-4)
    ends = [told(one, "finished")[-1] for one in (run, straight)]
    assert ends[0]["tokens"] == ends[1]["tokens"] and ends[0]["best_step"] == ends[1]["best_step"]


def test_want_of_memory_before_the_training_itself_is_recovered_from_too(make, monkeypatch):
    """While learning rates are tried, and while the learning curve is measured: what is known by then is kept."""
    whole, passes = AnswerTrainer.training_step, []

    def step(self, model, inputs, *args):
        passes.append(len(inputs["input_ids"]))
        if len(passes) in (3, 45):
            raise MemoryError
        return whole(self, model, inputs, *args)

    monkeypatch.setattr(AnswerTrainer, "training_step", step)
    run = make(sweep="yes", curve="yes", learning_rate=0.0, epochs=2.0)
    assert trained(run)
    recovered = [event["recovery"] for event in told(run, "warning") if event.get("recovery")]
    assert recovered == [{"from_step": 0, "micro_batch": 4}, {"from_step": 0, "micro_batch": 2}]
    assert max(passes[3:44]) == 4 and max(passes[45:]) == 2
    kept = told(run, "curve")[-1]["points"]
    assert [point["rows"] for point in kept] == sorted({point["rows"] for point in kept}) and len(kept) == 3
    starts = [event["text"] for event in told(run, "log") if "part 1 of" in event["text"]]
    assert len(starts) == 1  # what was measured is not measured again
    values = {choice["name"]: choice["value"] for choice in told(run, "plan")[-1]["choices"]}
    assert values["micro-batch"] == "2 rows × 4"


def test_a_run_that_is_resumed_at_its_last_step_takes_no_other(make, monkeypatch):
    run = make(epochs=1.5)
    assert not trained(run, lambda: any(event["step"] == 10 for event in told(run, "progress")))
    assert max(losses(run)) == 11
    assert trained(run, resume=True)
    assert max(losses(run)) == 11 and told(run, "finished")[-1]["step"] == 11
    assert [event["step"] for event in told(run, "evaluated")][-1] == 11


def test_memory_that_is_never_enough_ends_in_a_sentence(make, breaking):
    run = make()
    breaking([1] * 9, lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
    with pytest.raises(recover.OutOfMemory, match="single row does not fit") as raised:
        trained(run)
    assert explain(raised.value)[0] == "out_of_memory" and "max_tokens" in explain(raised.value)[2]
    changed = [event["recovery"] for event in told(run, "warning") if "recovery" in event]
    assert [one.get("micro_batch", one.get("checkpointing")) for one in changed] == [4, 2, 1, True]


@pytest.mark.parametrize("how", [float("nan"), float("inf")], ids=["nan", "inf"])
def test_a_loss_that_is_no_number_halves_the_rate_once(make, breaking, how):
    run = make()
    breaking([10], how)
    assert trained(run)
    (warning,) = [event for event in told(run, "warning") if event.get("alarm") == "diverged"]
    assert warning["recovery"] == {"from_step": 7, "learning_rate": 0.0015}
    steps = [event for event in told(run, "progress") if event["step"] == 9]
    assert steps[1]["learning_rate"] == pytest.approx(steps[0]["learning_rate"] / 2)
    assert all(loss is not None for loss in losses(run).values()) and max(losses(run)) == 21
    # The warm-up and the fall of the rate are those of the plan, at half their height.
    assert told(run, "progress")[-1]["learning_rate"] < 0.0015 / 10


def test_a_second_divergence_ends_the_run(make, breaking):
    run = make()
    breaking([10, 12], float("nan"))
    with pytest.raises(Diverged, match=r"twice the rate \(0.003\)") as raised:
        trained(run)
    assert explain(raised.value)[0] == "diverged"
    assert not (run.adapter / "adapter_model.safetensors").exists()


def test_a_resumed_run_keeps_what_was_changed(make, breaking):
    run = make()
    breaking([3], lambda: MemoryError())
    assert not trained(run, lambda: len(told(run, "progress")) >= 12)
    assert recover.Changes.told(run.events()[0]) == recover.Changes(micro_batch=4)
    assert trained(run, resume=True)
    assert [choice["value"] for choice in told(run, "plan")[-1]["choices"] if choice["name"] == "micro-batch"] == [
        "4 rows × 2"
    ]


def test_a_run_resumed_after_a_retreat_to_4_bits_loads_its_base_in_4_bits_and_nothing_else(make, breaking, monkeypatch):
    run, loaded = make(quantisation="auto"), []
    load = session.base.load_model

    def loads(*args, quantisation, **kwargs):
        loaded.append(quantisation)
        return load(*args, quantisation=quantisation, **kwargs)

    monkeypatch.setattr(session.base, "load_model", loads)
    # From 8 rows a pass to one, then checkpointing, then 4 bits.
    breaking([10] * 5, lambda: MemoryError())
    assert not trained(run, lambda: len(told(run, "progress")) >= 12)
    assert loaded[0] == "none" and loaded[-1] == "nf4"
    assert recover.Changes.told(run.events()[0]) == recover.Changes(1, True, "nf4")
    loaded.clear()
    assert trained(run, resume=True)
    assert loaded == ["nf4"] and max(losses(run)) == 21
    assert [choice["value"] for choice in told(run, "plan")[-1]["choices"] if choice["name"] == "quantisation"] == [
        "nf4"
    ]


def test_checkpoints_after_the_damage_are_not_gone_back_to(tmp_path):
    for step in (4, 8, 12):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("trainer_state.json", "adapter_model.safetensors"):
            (folder / name).touch()
    went, said = [], []

    def attempt(plan: Plan, checkpoint: Path | None) -> str:
        went.append((plan.learning_rate, checkpoint and checkpoint.name))
        if len(went) == 1:
            raise Diverged("the loss went up", step=13, good=9)
        return "done"

    made = recover.carry_through(
        attempt, PLAN, recover.Changes(), tmp_path, lambda kind, **fields: said.append(fields), resume=True
    )
    assert made == "done" and went == [(0.01, "checkpoint-12"), (0.005, "checkpoint-8")]
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-8"]
    assert said[0]["recovery"]["from_step"] == 8


def test_other_errors_are_not_taken_for_a_lack_of_memory(tmp_path):
    def attempt(plan: Plan, checkpoint: Path | None) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        recover.carry_through(attempt, PLAN, recover.Changes(), tmp_path, lambda *_, **__: None, resume=False)


@pytest.mark.parametrize(
    ("batch", "micro", "then"), [(8, 8, 4), (9, 9, 3), (6, 3, 1), (12, 4, 2), (7, 7, 1)]
)  # a step keeps its rows, also where half of them is no whole number
def test_half_the_rows_of_a_pass_divide_the_step(tmp_path, batch, micro, then):
    plan, seen = dataclasses.replace(PLAN, micro_batch=micro, accumulation=batch // micro), []

    def attempt(plan: Plan, checkpoint: Path | None) -> None:
        seen.append((plan.micro_batch, plan.accumulation))
        if len(seen) == 1:
            raise MemoryError

    recover.carry_through(attempt, plan, recover.Changes(), tmp_path, lambda *_, **__: None, resume=False)
    assert seen == [(micro, batch // micro), (then, batch // then)]


def test_a_run_that_was_stopped_twice_is_the_run_that_never_was(make, monkeypatch):
    """With dropout: once between two looks in the middle of an epoch, once in the middle of a look."""
    straight, run = make(dropout=0.2), make(dropout=0.2)
    assert trained(straight)
    assert not trained(run, lambda: any(event["step"] == 4 for event in told(run, "progress")))
    assert max(losses(run)) == 5

    # 14 is the step of the second look.
    stopping = {"in a look": False}
    measure = looking.Looker._measure

    def stops(self, rows):
        stopping["in a look"] = any(event["step"] == 14 for event in told(run, "progress"))
        return measure(self, rows)

    monkeypatch.setattr(looking.Looker, "_measure", stops)
    assert not trained(run, lambda: stopping["in a look"], resume=True)
    monkeypatch.undo()
    assert [event["step"] for event in told(run, "evaluated")] == [0, 7]
    assert (run.checkpoints / "checkpoint-14").is_dir()
    monkeypatch.setattr("finetune.model.base.precision", lambda kind: ("float32", "for the test"))

    assert trained(run, resume=True)
    assert losses(run) == pytest.approx(losses(straight), abs=1e-5)
    # The look that was broken off is made up for, and every look sees the same.
    looks = [{event["step"]: event["loss"] for event in told(one, "evaluated")} for one in (run, straight)]
    assert looks[0] == pytest.approx(looks[1], abs=1e-5)
    ends = [told(one, "finished")[-1] for one in (run, straight)]
    assert ends[0]["best_step"] == ends[1]["best_step"] and ends[0]["tokens"] == ends[1]["tokens"]
    gc.collect()


@pytest.mark.parametrize("may_pack", [True, False], ids=["left open", "none by name"])
def test_the_base_goes_into_4_bits_only_when_nothing_else_is_left_and_the_recipe_leaves_it_open(tmp_path, may_pack):
    plan, seen = dataclasses.replace(PLAN, micro_batch=2, accumulation=1, quantisation="none"), []
    said = []

    def attempt(plan: Plan, checkpoint: Path | None) -> str:
        seen.append((plan.micro_batch, plan.checkpointing, plan.quantisation))
        if plan.quantisation == "none":
            raise MemoryError
        return next(choice.value for choice in plan.choices if choice.name == "quantisation")

    def carried() -> str:
        return recover.carry_through(
            attempt, plan, recover.Changes(), tmp_path, lambda kind, **fields: said.append(fields), resume=False,
            may_pack=may_pack,
        )  # fmt: skip

    whole = [(2, False, "none"), (1, False, "none"), (1, True, "none")]
    if not may_pack:
        with pytest.raises(recover.OutOfMemory) as raised:
            carried()
        assert seen == whole and "quantisation to nf4" in raised.value.hint
        return
    assert carried() == "nf4" and seen == [*whole, (1, True, "nf4")]
    assert "4 bits" in said[-1]["text"] and said[-1]["recovery"]["quantisation"] == "nf4"
    assert recover.Changes.told([{"recovery": one["recovery"]} for one in said]).quantisation == "nf4"
