"""A training from its directory: what is chosen from the data reaches the run, its events and the comparison."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from finetune import jobs
from finetune.evidence.alternatives.asking import asking_of
from finetune.evidence.options import Options
from finetune.runs.events import EventLog
from finetune.runs.store import Run, create
from finetune.training import curve
from finetune.training.alarms import Diverged
from finetune.training.choose import settled
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe
from finetune.training.session import prompt_of, train_run


@pytest.fixture(scope="module")
def plain_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a plain base: without its chat template."""
    folder = tmp_path_factory.mktemp("plain") / "tiny-plain"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("chat_template", None)
    path.write_text(json.dumps(config))
    return folder


def trained(base: Path, data: Path, root: Path, **changes) -> Run:
    recipe = Recipe.from_preset(
        "standard", base=str(base), quantisation="none", **{"epochs": 1, "evaluations": 1} | changes
    )
    report = jobs.inspect(data, recipe=recipe, root=root)
    run = create(root, report=report, recipe=recipe, name="small", compare=False)
    with EventLog(run.events_path) as log:
        assert train_run(run, log.emit, lambda: False, resume=False)
    return run


def choices(run: Run) -> dict[str, tuple[str, str]]:
    plan = next(event for event in run.events()[0] if event["kind"] == "plan")
    return {choice["name"]: (choice["value"], choice["reason"]) for choice in plan["choices"]}


def warnings(run: Run) -> str:
    return " ".join(event["text"] for event in run.events()[0] if event["kind"] == "warning")


def test_a_plain_base_is_told_of_and_compared_with_the_prompt_it_was_trained_with(plain_model, small_csv, tmp_path):
    run = trained(plain_model, small_csv, tmp_path)
    assert choices(run)["prompt"][0] == "plain" and "no chat template" in choices(run)["prompt"][1]
    assert "no chat template" in warnings(run)
    row = run.examples("test")[0]
    (asked,) = asking_of(run, Options()).ask("fine_tuned", [row], 0, 8)
    assert asked.prompt == prompt_of(run).encode(row).prompt
    shown = prompt_of(run).tokenizer.decode(asked.prompt)
    assert shown.startswith("### Instruction\n") and shown.endswith(f"### Input\n{row.input}\n\n### Answer\n")


def test_the_values_that_were_chosen_are_those_of_the_run(tiny_model, small_csv, tmp_path):
    run = trained(tiny_model, small_csv, tmp_path)
    told, recipe = choices(run), settled(run)
    adapter = json.loads((run.adapter / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"], adapter["lora_dropout"]) == (recipe.rank, recipe.alpha, recipe.dropout)
    assert told["rank"][0] == str(recipe.rank) and told["batch size"][0] == str(recipe.batch_size)
    assert told["learning rate"][0] == f"{recipe.learning_rate:g}"
    assert "epochs" not in told and recipe.epochs == 1  # set, not chosen
    assert "prompt" not in told and "no chat template" not in warnings(run)
    assert prompt_of(run).max_tokens == recipe.max_tokens == 1024


def test_no_row_is_cut_that_the_base_can_take_and_what_is_cut_is_told(tiny_model, tmp_path):
    lines = [f"bring the saw {number},{('a', 'b')[number % 2]}" for number in range(60)]
    lines += [f"{' '.join(f'saw{number}' for number in range(words))},a" for words in (80, 900)]
    data = tmp_path / "long.csv"
    data.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")

    def recipe(**changes) -> Recipe:
        shares = {"validation_share": 0.1, "test_share": 0.1}
        return Recipe.from_preset("standard", base=str(tiny_model), **shares, **changes)

    # The base takes 1,024 tokens: one row is longer; the other is longer than 256 alone.
    report = jobs.inspect(data, recipe=recipe(), root=tmp_path)
    assert report.tokens["truncated_rows"] == 1 and report.tokens["max"] > 1024
    assert jobs.inspect(data, recipe=recipe(max_tokens=256), root=tmp_path).tokens["truncated_rows"] == 2
    seed = next(
        seed
        for seed in range(20)
        if {61, 62} <= {row.row for row in jobs.inspect(data, recipe=recipe(seed=seed), root=tmp_path).split.train}
    )
    run = trained(tiny_model, data, tmp_path, seed=seed, validation_share=0.1, test_share=0.1)
    value, reason = choices(run)["max tokens"]
    assert value == "1,024" and "are cut" in reason
    assert "1 of " in warnings(run) and "longer than 1024 tokens" in warnings(run)


def test_the_learning_curve_is_measured_on_nested_parts_and_ends_in_a_forecast(tiny_model, tmp_path):
    rows = tmp_path / "rows.csv"
    words = {"red": "apple cherry rose brick", "blue": "sky sea jeans ink"}
    lines = [
        f"{word} number {number} {extra},{label}"
        for number in range(12)
        for label, known in words.items()
        for extra, word in zip(("now", "then", "here", "there"), known.split(), strict=True)
    ]
    rows.write_text("text,label\n" + "\n".join(lines) + "\n")
    run = trained(tiny_model, rows, tmp_path / "root", curve="yes", batch_size=8, learning_rate=0.01)
    told = [event for event in run.events()[0] if event["kind"] == "curve"]
    last = told[-1]
    assert [len(event["points"]) for event in told] == [1, 2, 3, 4]
    sizes = [point["rows"] for point in last["points"]]
    assert sizes[-1] == run.training()["rows"] and sizes == [
        round(share * sizes[-1]) for share in (0.125, 0.25, 0.5, 1)
    ]
    assert last["forecast"]["rows"] == 2 * sizes[-1] and "Twice the rows" in last["forecast"]["text"]
    assert not (run.directory / "curve").exists() and run.adapter.is_dir()
    steps = [event["step"] for event in run.events()[0] if event["kind"] == "progress" and event["phase"] == "train"]
    assert steps == list(range(1, len(steps) + 1))


def test_a_part_of_the_curve_that_diverges_is_left_out_and_each_has_its_share_of_the_time(monkeypatch, tmp_path):
    def trains(model, recipe, plan, rows, validation, *, emit, **given):
        boxes.append(recipe.max_minutes)
        if len(rows) == 8:
            raise Diverged("The loss is no number.", step=1, good=0)
        emit("evaluated", step=2, loss=0.5, score=0.75, metric="accuracy")
        return SimpleNamespace(asked_to_stop=False)

    monkeypatch.setattr("finetune.training.train.train", trains)
    boxes, events = [], []
    recipe, plan = Recipe(max_minutes=8.0), Plan("cpu", "float32", "none", 8, 1, False, 0.01, 20, 5, None, ())
    known = curve.Point(32, 0.9, 0.4, 5, "accuracy")
    points = curve.measure(
        torch.nn.Linear(1, 1), recipe, plan, [[0] * 8, [0] * 16, [0] * 32], [0] * 5, of=64, points=[known],
        directory=tmp_path, pad=0, emit=lambda kind, **fields: events.append(kind), should_stop=lambda: False,
    )  # fmt: skip
    assert points == [curve.Point(16, 0.75, 0.5, 5, "accuracy"), known]
    assert boxes == [1.0, 2.0] and events.count("warning") == 1
