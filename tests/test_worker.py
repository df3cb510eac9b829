"""The worker on a tiny model: train, compare, stop, resume, kill. Real processes, real checkpoints."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from finetune import jobs
from finetune.errors import FinetuneError
from finetune.evidence import options
from finetune.evidence.options import Options
from finetune.evidence.systems import SYSTEMS
from finetune.runs import supervise
from finetune.runs.store import Run, create, status
from finetune.training.choose import settled
from finetune.training.recipe import Recipe


def recipe(tiny_model: Path, **changes) -> Recipe:
    return Recipe.from_preset(
        "standard",
        **{"base": str(tiny_model), "epochs": 6.0, "batch_size": 8, "evaluations": 1, "max_tokens": 256} | changes,
    )


@pytest.fixture
def make(tiny_model: Path, small_csv: Path, tmp_path: Path):
    def made(compare: bool = False, **changes) -> Run:
        wanted = recipe(tiny_model, **changes)
        root = tmp_path / "root"
        return create(
            root, report=jobs.inspect(small_csv, recipe=wanted, root=root), recipe=wanted, name="small", compare=compare
        )

    return made


def kinds(run: Run) -> list[str]:
    return [event["kind"] for event in run.events()[0]]


def losses(run: Run) -> dict[int, float]:
    """Training loss by step; of a step that was done twice, the last."""
    return {
        event["step"]: event["loss"]
        for event in run.events()[0]
        if event["kind"] == "progress" and event["phase"] == "train"
    }


def wait_for_step(run: Run, step: int, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(event["kind"] == "progress" and event["step"] >= step for event in run.events()[0]):
            return
        assert supervise.alive(run), run.log_path.read_text()[-3000:]
        time.sleep(0.05)
    raise AssertionError(f"no step {step} within {seconds} s")


def test_a_run_from_file_to_verdict(make):
    run = make(compare=True)
    supervise.start(run)
    jobs.follow(run, lambda event: None)
    assert status(run).state == "finished"
    said = kinds(run)
    for kind in ("started", "plan", "progress", "evaluated", "checkpoint", "finished", "compared"):
        assert kind in said
    by_step = losses(run)
    assert by_step[max(by_step)] < by_step[1]

    comparison = run.comparison()
    assert comparison["adapter_off_equals_base"] is True
    assert comparison["adapter_changes_output"] is True
    assert set(comparison["systems"]) == set(SYSTEMS)
    for system in comparison["systems"].values():
        low, high = system["interval"]
        assert 0 <= low <= system["score"] <= high <= 1
    assert set(comparison["training"]) == {
        "seconds", "tokens", "tokens_per_second", "peak_memory_bytes", "estimated_memory_bytes", "rows", "epochs",
        "best_step", "stopped_early", "cards",
    }  # fmt: skip
    assert comparison["test_rows"] == len(run.outputs()) == len(run.examples("test"))
    # The tokens counted are those of the rows, passes over them multiplied.
    assert comparison["training"]["tokens"] > 0

    from peft import PeftConfig

    assert PeftConfig.from_pretrained(str(run.adapter)).r == settled(run).rank

    # Another look asks nothing anew, is the same model to the ledger, and comes to the same scores.
    options.save(run, Options(systems=("base", "retrieval"), must=("refund",)))
    supervise.start(run, phase="compare")
    jobs.follow(run, lambda event: None)
    again = run.comparison()
    assert set(again["systems"]) == {"base", "retrieval", "fine_tuned"}
    for name, system in again["systems"].items():
        assert system["cached_rows"] == again["test_rows"]
        assert system["score"] == comparison["systems"][name]["score"]
        assert system["rules_broken"] == sum("refund" not in row["outputs"][name] for row in run.outputs())
    assert (again["looks"]["total"], again["looks"]["models"]) == (2, 1)
    assert again["adapter_off_equals_base"] is True
    loads = [event for event in run.events()[0] if event.get("text", "").startswith("loading the base and the adapter")]
    assert len(loads) == 1


def test_same_seed_same_run(make):
    first, second = make(epochs=2.0), make(epochs=2.0)
    for run in (first, second):
        supervise.start(run)
        jobs.follow(run, lambda event: None)
    assert [part.read_bytes() for part in sorted((first.directory / "data").iterdir())] == [
        part.read_bytes() for part in sorted((second.directory / "data").iterdir())
    ]
    assert losses(first) == losses(second)


def test_stop_keeps_what_was_learned_and_resume_goes_on(make):
    straight, broken = make(), make()
    supervise.start(straight)
    jobs.follow(straight, lambda event: None)
    whole = losses(straight)

    supervise.start(broken)
    wait_for_step(broken, 4)
    supervise.stop(broken, grace_seconds=60)
    assert status(broken).state == "stopped"
    stopped_at = max(losses(broken))
    assert 4 <= stopped_at < max(whole)
    assert (broken.adapter / "adapter_model.safetensors").is_file()

    supervise.resume(broken)
    jobs.follow(broken, lambda event: None)
    assert status(broken).state == "finished"
    resumed = losses(broken)
    assert resumed.keys() == whole.keys()
    for step, loss in whole.items():
        assert resumed[step] == pytest.approx(loss, abs=1e-5), f"step {step}"
    ended = [event for event in broken.events()[0] if event["kind"] == "finished"][-1]
    straight_end = [event for event in straight.events()[0] if event["kind"] == "finished"][-1]
    assert ended["tokens"] == straight_end["tokens"]


def test_a_killed_run_says_so_and_resumes_from_its_checkpoint(make):
    run = make()
    supervise.start(run)
    while "checkpoint" not in kinds(run):
        assert supervise.alive(run), run.log_path.read_text()[-3000:]
        time.sleep(0.05)
    os.killpg(json.loads((run.directory / "worker.json").read_text())["pid"], signal.SIGKILL)
    while supervise.alive(run):
        time.sleep(0.05)
    now = status(run)
    assert now.state == "lost"
    assert "checkpoint" in now.message
    with pytest.raises(FinetuneError):
        jobs.follow(run, lambda event: None)

    supervise.resume(run)
    jobs.follow(run, lambda event: None)
    assert status(run).state == "finished"
    assert any(event.get("text", "").startswith("resuming from checkpoint") for event in run.events()[0])


def test_a_base_that_is_not_there_fails_with_a_sentence(make, tmp_path: Path, small_csv: Path):
    wanted = Recipe(base="no-such-model")
    run = create(
        tmp_path / "root",
        report=jobs.inspect(small_csv, recipe=wanted, root=tmp_path / "root"),
        recipe=wanted,
        name="none",
    )
    supervise.start(run)
    with pytest.raises(FinetuneError, match="no model “no-such-model”"):
        jobs.follow(run, lambda event: None)
    failed = run.events()[0][-1]
    assert failed["kind"] == "failed" and failed["cause"] == "user_error" and failed["hint"]


def test_time_box_ends_training_and_tells(make):
    run = make(epochs=50.0, max_minutes=0.02)
    supervise.start(run)
    jobs.follow(run, lambda event: None)
    ended = run.events()[0][-1]
    assert ended["kind"] == "finished" and ended["stopped_early"]
    assert "time box" in ended["reason"]
    assert ended["step"] < 300


@pytest.mark.parametrize("task", ["instruction", "chat"])
def test_free_text_from_file_to_verdict(tiny_model, tmp_path, task):
    draw = ("apple", "pear", "plum", "saw", "drill")
    lines = []
    for number in range(60):
        question, answer = f"tell me of {draw[number % 5]} {number}", f"a {draw[number % 5]} is number {number * 7}"
        turns = [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hi"}, {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]  # fmt: skip
        lines.append(json.dumps({"messages": turns} if task == "chat" else {"question": question, "answer": answer}))
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines))
    run = jobs.train(path, recipe=recipe(tiny_model, epochs=1.0, max_new_tokens=8), root=tmp_path / "root")
    comparison = run.comparison()
    assert comparison["task"] == task and comparison["metric"] == "rouge_l"
    assert set(comparison["systems"]) == {"base", "few_shot", "retrieval", "fine_tuned"}
    assert all("exact_match" in system for system in comparison["systems"].values())
    rows = run.outputs()
    assert len(rows) == comparison["test_rows"]
    assert {row["row"] for row in rows} == {example.row for example in run.examples("test")}
    assert "false" in comparison["verdict"]["next_steps"][0]


def test_a_stopped_run_that_was_compared_as_it_was_can_still_be_resumed(make):
    run = make(epochs=10.0)
    supervise.start(run)
    wait_for_step(run, 3)
    supervise.stop(run)
    stopped_at = max(losses(run))
    jobs.compare(run)
    assert status(run).state == "finished" and not run.trained()
    jobs.resume(run)
    assert run.trained() and max(losses(run)) > stopped_at
    assert run.comparison() is None  # what stood there was about another adapter


def test_an_answer_that_does_not_fit_is_left_out_and_told(tiny_model, tmp_path):
    lines = [json.dumps({"question": f"what is {number}", "answer": f"number {number}"}) for number in range(40)]
    lines += [json.dumps({"question": f"tell all {number}", "answer": "word " * 400}) for number in range(20)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines))
    wanted = recipe(tiny_model, epochs=1.0, max_tokens=128, max_new_tokens=8)
    run = jobs.train(path, recipe=wanted, root=tmp_path / "root")
    told = [event["text"] for event in run.events()[0] if event["kind"] == "warning"]
    long = [example.row for example in run.examples("train") if example.row > 40]
    assert long and any(f"{len(long)} training rows are left out" in text and str(long[0]) in text for text in told)
    assert run.comparison()["test_rows"] == len(run.examples("test"))


def test_an_adapter_that_leaks_into_the_base_raises_the_alarm(make, monkeypatch):
    """What `disable_adapter` promises is broken on purpose: the comparison must notice it and give no verdict."""
    import contextlib

    from peft import PeftModel

    from finetune.evidence.compare import compare

    run = make(compare=False)
    supervise.start(run)
    jobs.follow(run, lambda event: None)
    monkeypatch.setattr(PeftModel, "disable_adapter", lambda self: contextlib.nullcontext())
    said = []
    made = compare(run, emit=lambda kind, **fields: said.append((kind, fields.get("text", ""))))
    assert made["adapter_off_equals_base"] is False
    assert made["proof"]["largest_difference"] > 0
    assert made["verdict"]["decision"] == "no_clear_difference" and made["verdict"]["reason"].startswith("No verdict")
    assert any(kind == "warning" and "do not trust" in text for kind, text in said)
