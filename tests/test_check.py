"""A finished run on fresh rows: what is read and left out, what is asked, what is written down, and how it stops."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path

import numpy as np
import pytest
from compared import LABELS, make_run
from conftest import WORDS

from finetune import jobs
from finetune.errors import Cancelled, FinetuneError
from finetune.evidence.later import check as checking
from finetune.evidence.later import checked, tuned
from finetune.evidence.later.check import check, check_lines, history
from finetune.evidence.later.tuned import Said
from finetune.runs import store
from finetune.runs.supervise import lease
from finetune.training.recipe import Recipe


@pytest.fixture
def run(tmp_path: Path):
    """A compared run of four labels whose model gets 84 of 100 right; it holds no model."""
    made = make_run(tmp_path)
    (made.adapter / "adapter_model.safetensors").touch()
    return made


@pytest.fixture
def answering(monkeypatch):
    """The model as a function of the rows: right in a share of them."""
    asked: list[list] = []

    def as_good_as(share: float) -> list[list]:
        def answers(run, rows, tick, should_stop) -> Said:
            asked.append(list(rows))
            tick(len(rows))
            draw = random.Random(len(rows))
            right = [draw.random() < share for _ in rows]
            texts = [row.output if hit else "something else" for row, hit in zip(rows, right, strict=True)]
            scores = np.array([float(hit and row.output in LABELS) for row, hit in zip(rows, right, strict=True)])
            return Said("accuracy", texts, scores, np.zeros(len(rows), dtype=bool))

        monkeypatch.setattr(checking, "answers", answers)
        return asked

    return as_good_as


def fresh_rows(count: int, draw: random.Random) -> list[dict]:
    return [{"text": f"Fresh message {place} about my {draw.choice(['parcel', 'invoice', 'money'])}", "label": draw.choice(LABELS)}
            for place in range(count)]  # fmt: skip


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_every_row_that_is_not_asked_is_counted(run, answering, tmp_path):
    asked = answering(0.84)
    rows = fresh_rows(40, random.Random(1))
    seen = run.examples("train")[0], run.examples("test")[0]
    other = next(label for label in LABELS if label != seen[1].output)
    rows += [
        {"text": seen[0].input.upper(), "label": seen[0].output}, {"text": f" {seen[1].input} ", "label": other},
        {"text": "nobody answered this", "label": " "}, {"text": "", "label": LABELS[0]}, rows[3],
        {"text": "a new kind", "label": "warranty"}, {"text": "Loudly", "label": "BILLING"},
    ]  # fmt: skip
    path = write(tmp_path / "fresh.jsonl", rows)
    path.write_text(path.read_text() + '{"text": "torn\n')
    found = check(run, path, root=tmp_path)
    left = {name: count for name, count in found["left_out"].items() if count}
    assert left == {"trained_on": 2, "no_answer": 1, "no_input": 1, "unreadable": 1, "repeated": 1}
    assert found["rows"] + sum(left.values()) == found["data"]["rows"] == len(rows) + 1
    assert found["other_answer"] == 1 and any("another answer" in step for step in found["next_steps"])
    assert found["unknown_labels"] == {"warranty": 1} and found["read_as"] == {"BILLING": "billing"}
    assert {row.output for row in asked[0]} == {*LABELS, "warranty"}
    assert any(one["expected"] == "warranty" and one["score"] == 0 for one in found["worst"])
    told = "\n".join(check_lines(found))
    assert "2 stand in the run's own data, 1 has no answer" in told and "“warranty”" in told
    assert "“BILLING” as “billing”" in told


@pytest.mark.parametrize(("share", "decision"), [(0.84, ("holds", "unclear")), (0.3, ("drifted",))])
def test_the_decision_and_its_line_in_the_history(run, answering, tmp_path, share, decision):
    answering(share)
    path = write(tmp_path / "fresh.jsonl", fresh_rows(150, random.Random(2)))
    found = check(run, path, root=tmp_path)
    outputs = run.outputs()
    assert found["own_score"] == pytest.approx(np.mean([line["scores"]["fine_tuned"] for line in outputs]))
    assert found["decision"] in decision and found["retrain"] == (decision == ("drifted",))
    assert found["difference"] == pytest.approx(found["score"] - found["own_score"])
    # A line that was torn by a crash is passed over, and the next one begins anew.
    with (run.directory / "checks.jsonl").open("a") as file:
        file.write('{"time": "2026')
    again = check(run, path, root=tmp_path)
    assert history(run) == [found, again] and again["checks_before"] == 1
    told = check_lines(found)
    assert told[0] == found["decision"].upper() and found["reason"] in told
    assert "interval" not in found["reason"] and "p =" not in found["reason"]


def test_a_limit_is_judged_with_its_interval(run, answering, tmp_path):
    answering(0.84)
    path = write(tmp_path / "fresh.jsonl", fresh_rows(150, random.Random(2)))
    found = {below: check(run, path, root=tmp_path, below=below) for below in (0.6, 0.82, 0.97)}
    assert {below: one["limit"]["decision"] for below, one in found.items()} == {
        0.6: "not_below", 0.82: "unclear", 0.97: "below",
    }  # fmt: skip
    assert found[0.97]["retrain"] and not found[0.6]["retrain"]
    assert found[0.82]["limit"]["rows_needed"] > 150 and "cannot be told" in found[0.82]["reason"]
    answering(0.7)
    fallen = check(run, write(tmp_path / "more.jsonl", fresh_rows(400, random.Random(3))), root=tmp_path, below=0.5)
    assert fallen["decision"] == "drifted" and not fallen["retrain"]  # the user's own limit has the last word
    with pytest.raises(FinetuneError, match="no score"):
        check(run, path, root=tmp_path, below=85)


def test_other_columns_are_told_by_name_and_taken_when_named(run, answering, tmp_path):
    asked = answering(1.0)
    rows = [{"body": row["text"], "kind": row["label"]} for row in fresh_rows(30, random.Random(4))]
    path = write(tmp_path / "other.jsonl", rows)
    with pytest.raises(FinetuneError) as caught:
        check(run, path, root=tmp_path)
    assert all(f"“{name}”" in str(caught.value) for name in ("text", "label", "body", "kind"))
    found = check(run, path, root=tmp_path, input="body", output="kind")
    assert found["rows"] == 30 == len(asked[-1]) and found["columns"] == {"input": "body", "output": "kind"}


def test_what_cannot_be_checked_is_a_sentence(run, answering, tmp_path):
    answering(1.0)
    seen = [{"text": row.input, "label": row.output} for row in run.examples("train")[:50]]
    with pytest.raises(FinetuneError, match="50 stand in the run's own data"):
        check(run, write(tmp_path / "seen.jsonl", seen), root=tmp_path)
    numbered = [row | {"label": str(place)} for place, row in enumerate(fresh_rows(20, random.Random(5)))]
    with pytest.raises(FinetuneError, match="No row has a label that this run knows"):
        check(run, write(tmp_path / "numbers.jsonl", numbered), root=tmp_path)
    (run.adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(FinetuneError, match="no adapter"):
        check(run, tmp_path / "numbers.jsonl", root=tmp_path)
    assert not history(run)


def test_it_waits_for_the_device_and_stops_there_without_a_trace(run, answering, tmp_path):
    answering(1.0)
    path = write(tmp_path / "fresh.jsonl", fresh_rows(30, random.Random(6)))
    told: list[str] = []
    stop = threading.Event()

    def tell(text: str, share: float) -> None:
        told.append(text)
        if "Waiting for a training" in text:
            stop.set()

    def cancel(text: str, share: float) -> None:
        if "Waiting" in text:
            raise Cancelled

    with lease(run.root, "a training"):
        assert check(run, path, root=tmp_path, tell=tell, should_stop=stop.is_set) is None
        with pytest.raises(Cancelled):
            check(run, path, root=tmp_path, tell=cancel)
    assert stop.is_set() and not history(run)
    assert check(run, path, root=tmp_path, should_stop=lambda: True) is None  # while the model answers
    assert not history(run)
    assert check(run, path, root=tmp_path)["rows"] == 30


def test_a_task_without_labels_has_words_and_no_labels(tmp_path, monkeypatch):
    run = make_run(tmp_path, "instruction")
    (run.adapter / "adapter_model.safetensors").touch()
    # Its comparison was made by another measure, so the test rows are asked too.
    asked: list[int] = []

    def answers(run, rows, tick, should_stop) -> Said:
        asked.append(len(rows))
        scores = np.random.default_rng(len(rows)).beta(4, 2, len(rows))
        return Said("rouge_l", ["an answer"] * len(rows), scores, np.zeros(len(rows), dtype=bool))

    monkeypatch.setattr(checking, "answers", answers)
    rows = [{"text": f"Message about passkey {place}", "label": f"answer {place}"} for place in range(60)]
    found = check(run, write(tmp_path / "fresh.jsonl", rows), root=tmp_path)
    assert asked == [60, len(run.outputs())] and found["own_source"] == "asked now"
    assert found["labels"] == [] and found["score_of_mix"] is None and len(found["worst"]) == checking.WORST
    assert "passkey" in [one["word"] for one in found["words"]] and found["new_words"] > found["new_words_before"]
    assert "asked now" in " ".join(checked.notes(found))


def made(root: Path, path: Path, base: Path | str, **choices) -> store.Run:
    """A run of a file, not trained."""
    recipe = Recipe(
        base=str(base), quantisation="none", validation_share=0.2, test_share=0.3, max_new_tokens=4, compare_rows=20
    )  # fmt: skip
    report = jobs.inspect(path, recipe=recipe, root=root, **choices)
    return store.create(root, report=report, recipe=recipe, name="tiny")


@pytest.mark.parametrize("kind", ["two inputs", "template", "chat"])
def test_the_columns_of_the_run_are_found_again_in_another_file(tmp_path, tiny_model, kind):
    def row(number: int) -> dict:
        label = ("fruit", "tool")[number % 2]
        text = f"{WORDS[label][number % 8]} number {number}"
        turns = [{"role": "user", "content": text}, {"role": "assistant", "content": f"{label} {number}"}]
        return (
            {"noise": "x", "talk": turns} if kind == "chat" else {"a + b": text, "c": f"part {number}", "kind": label}
        )

    path = write(tmp_path / "rows.jsonl", [row(number) for number in range(60)])
    choices = {"two inputs": {"input": ["a + b", "c"]}, "template": {"template": "{c}: {a + b}"}, "chat": {}}[kind]
    run = made(tmp_path / "root", path, tiny_model, **choices)
    assert run.record()["task"] == ("chat" if kind == "chat" else "classification")
    other = write(tmp_path / "other.jsonl", [{"more": "y"} | row(number) for number in range(50, 80)])
    found = checking.read_fresh(run, other)
    assert found.left_out["trained_on"] == 10 and len(found.rows) == 20
    expected = {
        "two inputs": "lemon number 60\n\npart 60", "template": "part 60: lemon number 60", "chat": "lemon number 60",
    }  # fmt: skip
    assert found.rows[0].input == expected[kind]


@pytest.fixture(params=["classification", "instruction"])
def tiny_run(request, tiny_model: Path, small_csv: Path, tmp_path: Path):
    """A run of a random model with a random adapter, never compared."""
    import torch

    from finetune.model.base import load_model
    from finetune.training.adapter import add_adapter

    run = made(tmp_path / "root", small_csv, tiny_model, task=request.param)
    torch.manual_seed(1)
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    adapted = add_adapter(model, run.recipe())
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:  # zero at the start, when an adapter changes nothing
            parameter.data.normal_(0, 0.5)
    adapted.save_pretrained(run.adapter)
    return run


def test_the_fine_tuned_model_answers_as_asked_alone_and_once(tiny_run, tmp_path, monkeypatch):
    from finetune.evidence.models.pair import Pair
    from finetune.training.session import prompt_of

    root = tmp_path / "root"
    rows = [{"text": f"could you fetch one more {word} of size {place}", "category": label}
            for place, (label, words) in enumerate(WORDS.items()) for word in words]  # fmt: skip
    path = write(tmp_path / "fresh.jsonl", rows)
    assert check(tiny_run, path, root=root, should_stop=lambda: True) is None
    found = check(tiny_run, path, root=root)
    assert found["rows"] == len(rows) and found["own_source"] == "asked now"
    assert found["own_rows"] == min(20, len(tiny_run.examples("test")))

    loaded = Pair.of(tiny_run, prompt_of(tiny_run))
    monkeypatch.setattr(Pair, "of", lambda *rest: pytest.fail("every row was asked before"))
    examples = checking.read_fresh(tiny_run, path).rows
    said = tuned.answers(tiny_run, examples, lambda rows: None, lambda: False)
    if tiny_run.record()["task"] == "classification":
        labels = tiny_run.record()["labels"]
        ids = [loaded.prompt.answer_ids(label) for label in labels]
        alone = []
        for example in examples:
            told = loaded.label_likelihoods([loaded.prompt.question(example, room=max(map(len, ids)))], ids)
            alone.append(labels[int(told.values[0].argmax())])
    else:
        alone = [loaded.generate([loaded.prompt.question(example, room=4)], 4).texts[0] for example in examples]
    assert [text.strip() for text in said.texts] == alone
    assert found["score"] == pytest.approx(said.scores.mean())
    assert check(tiny_run, path, root=root)["score"] == found["score"]
