"""A prompt of one's own: every system is asked as in the comparison, all write together, and nothing goes on unread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from finetune import jobs
from finetune.errors import FinetuneError
from finetune.evidence.models import answer as answering
from finetune.evidence.models.answer import answer
from finetune.evidence.models.question import questions
from finetune.model.base import load_model
from finetune.runs.store import Run, create
from finetune.runs.supervise import lease
from finetune.training.adapter import add_adapter
from finetune.training.recipe import Recipe

SYSTEMS = ("base", "prompted", "few_shot", "retrieval", "fine_tuned")
TEXT = "please bring the hammer number 99"


@pytest.fixture
def run(tiny_model: Path, small_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """One with a random adapter, compared with two examples in the few-shot prompt."""
    # A batch rounds otherwise than a single row in bfloat16.
    monkeypatch.setattr("finetune.evidence.models.pair.precision", lambda kind: ("float32", "for the test"))
    recipe = Recipe.from_preset("pilot", base=str(tiny_model), max_tokens=256, max_new_tokens=6, rank=16, alpha=32)
    root = tmp_path / "root"
    made = create(root, report=jobs.inspect(small_csv, recipe=recipe, root=root), recipe=recipe, name="own")
    torch.manual_seed(1)
    adapted = add_adapter(load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True), recipe)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.5)
    adapted.save_pretrained(made.adapter)
    comparison = {"systems": {"few_shot": {"setting": {"count": 2}}}}
    (made.directory / "comparison.json").write_text(json.dumps(comparison))
    yield made
    answering._let_go()


def test_every_system_is_asked_as_in_the_comparison(run):
    grown = list(answer(run, TEXT, SYSTEMS))
    assert all(tuple(now) == SYSTEMS for now in grown)
    asked = questions(run, TEXT, SYSTEMS)
    assert len(asked["few_shot"].rows) == 2
    pair = answering._pair(run)
    for name, said in grown[-1].items():
        assert said == pair.generate([asked[name].prompt], 6, tuned=[name == "fine_tuned"]).texts[0]
    assert grown[-1]["base"] != grown[-1]["fine_tuned"]
    assert tuple(list(answer(run, TEXT))[-1]) == ("base", "fine_tuned")


def test_a_reader_who_leaves_frees_model_and_device(run):
    growing = answer(run, TEXT, SYSTEMS)
    next(growing)
    growing.close()
    with lease(run.root, "somebody else", on_wait=lambda holder: pytest.fail("the device was not given back")):
        pass
    assert not answering._turn.locked()


def test_what_cannot_be_answered_is_said(run):
    with pytest.raises(FinetuneError, match="There is no prompt"):
        next(answer(run, " "))
    with pytest.raises(FinetuneError, match="tokens longer than this run takes"):
        next(answer(run, "hammer " * 400))
    with lease(run.root, "a long training"), pytest.raises(FinetuneError, match="in use by a long training"):
        next(answer(run, TEXT))
    run.weights().unlink()
    with pytest.raises(FinetuneError, match="no adapter"):
        next(answer(run, TEXT))
