"""A look at rows in the middle of training: what it measures, and that training goes on as if it had not been."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from finetune.dataset.example import Example
from finetune.evidence.models.likelihood import trees
from finetune.evidence.models.pair import Pair, Stopped
from finetune.model.base import load_model, tokenizer
from finetune.model.machine import Device
from finetune.model.prompt import Encoded, Prompt
from finetune.training.adapter import add_adapter
from finetune.training.looking import Looker, dearer, unmoved
from finetune.training.plan import FEWEST_LOOK_ROWS, make_plan, rows_of_a_look
from finetune.training.recipe import Recipe
from finetune.training.step import undisturbed
from finetune.training.train import train
from finetune.training.watch import Watch

LABELS = ("fruit", "tool", "a third one")
WORDS = ("apple pear", "saw drill", "nothing of these")
ROWS = [
    Example(number, f"bring the {WORDS[number % 3]} {'x ' * (number % 5)}", LABELS[number % 3]) for number in range(30)
]


def plan_of(recipe: Recipe, dtype: str = "float32", **changes):
    plan = make_plan(
        recipe, device=Device("cpu", "CPU", 2**34, 2**33, 2), dtype=(dtype, "for the test"), shape=None, model_type="llama",
        estimate=None, train_rows=len(ROWS), validation_rows=9, longest=40,
    )  # fmt: skip
    return dataclasses.replace(plan, micro_batch=2, accumulation=4, **changes)


@pytest.fixture(scope="module")
def prompt(tiny_model: Path, tmp_path_factory):
    return Prompt(tokenizer(str(tiny_model), cache=tmp_path_factory.mktemp("cache")), "classification", LABELS)


def looker_of(model, prompt, validation, training=(), stop=lambda: False, with_prompt=True) -> Looker:
    return Looker(
        model, prompt if with_prompt else None, plan_of(Recipe(batch_size=8)), validation=validation,
        training=training or validation, pad=0, share=False, should_stop=stop,
    )  # fmt: skip


@pytest.fixture
def adapted(tiny_model):
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="nf4", trains=True)
    torch.manual_seed(3)
    made = add_adapter(model, Recipe(rank=4, dropout=0.3))
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.4)
    return made


def test_the_loss_is_the_mean_over_scored_tokens_and_the_score_counts_rows(adapted, prompt):
    rows = [prompt.encode(example) for example in ROWS]
    looker = looker_of(adapted, prompt, rows)
    assert looker.metric == "accuracy"
    seen = looker.look()
    # One row at a time, by the plain pass: no batches, no shared beginnings, no trees.
    adapted.eval()
    nats, tokens, right = 0.0, 0, 0
    for row in rows:
        of_label = []
        for label in LABELS:
            answer = prompt.answer_ids(label)
            ids = torch.tensor([row.prompt + answer])
            with torch.no_grad():
                logits = adapted(input_ids=ids).logits[0, len(row.prompt) - 1 : -1].log_softmax(-1)
            of_label.append(float(logits[torch.arange(len(answer)), torch.tensor(answer)].sum()))
            if answer == row.answer:
                nats, tokens, own = nats - of_label[-1], tokens + len(answer), len(of_label) - 1
        right += int(np.argmax(of_label) == own)
    assert seen.loss == pytest.approx(nats / tokens, rel=1e-4)
    assert seen.score == right / len(rows)
    # The mean of the means of its passes is another number: the answers are of 3 to 7 tokens.
    assert {len(row.answer) for row in rows} != {3}
    # Of the same rows, evenly drawn.
    assert len(looker.learned) == 24 and {row.row for row in looker.learned} >= {0, 28}

    tokens_alone = looker_of(adapted, prompt, rows, with_prompt=False)
    assert tokens_alone.metric == "token_accuracy"
    assert tokens_alone.look().loss == pytest.approx(seen.loss, rel=1e-4)


def test_an_answer_that_is_no_label_and_dear_labels_are_measured_by_tokens(adapted, prompt):
    strange = prompt.encode(Example(99, "bring it", "never heard of"))
    assert looker_of(adapted, prompt, [prompt.encode(ROWS[0]), strange]).metric == "token_accuracy"
    many = Prompt(
        prompt.tokenizer, "classification", [f"{n} is the label of number {n}" for n in range(60)], "Name it."
    )
    rows = [many.encode(Example(n, "x", many.labels[n])) for n in range(9)]
    assert looker_of(adapted, many, rows).metric == "token_accuracy"


def test_a_look_leaves_modes_and_random_states_as_they_were(adapted, prompt):
    rows = [prompt.encode(example) for example in ROWS[:6]]
    adapted.train()
    one = next(module for module in adapted.modules() if isinstance(module, torch.nn.Dropout))
    one.eval()  # a mode of its own
    torch.manual_seed(5)
    expected = torch.rand(3), np.random.rand()
    torch.manual_seed(5)
    with undisturbed(adapted):
        np.random.seed(0)
    looker = looker_of(adapted, prompt, rows)
    torch.manual_seed(5)
    state = np.random.get_state()[1].copy()
    looker.look()
    looker.answers(rows, 5)
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.get_state()[1] == state).all()
    assert adapted.training and not one.training


def test_a_stop_ends_a_look_and_the_writing_of_answers(adapted, prompt):
    rows, asked = [prompt.encode(example) for example in ROWS], []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    looker = looker_of(adapted, prompt, rows, stop=stop)
    adapted.train()
    with pytest.raises(Stopped):
        looker.look()
    with pytest.raises(Stopped):
        looker.answers(rows, 5)
    assert adapted.training


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_with_and_without_looks_every_step_is_the_same(tiny_model, tmp_path, prompt, monkeypatch, dtype):
    """4-bit weights, dropout, accumulation: looks and written answers in the middle change no loss after them."""
    recipe = Recipe(
        batch_size=8, epochs=3, learning_rate=0.01, evaluations=2, dropout=0.3, patience=100, max_new_tokens=6
    )
    rows = [prompt.encode(example) for example in ROWS]
    losses, told = [], []
    monkeypatch.setattr("finetune.training.watch.QUICK", 1000.0)
    for looks in (True, False):
        if not looks:
            monkeypatch.setattr(Watch, "look", lambda self: {"eval_loss": 1.0})
        model = load_model(tiny_model, kind="cpu", dtype=dtype, quantisation="nf4", trains=True)
        said: list[tuple[str, dict]] = []
        train(
            model, recipe, plan_of(recipe, dtype), rows, rows[:9], directory=tmp_path / str(looks), pad=0, prompt=prompt,
            examples=ROWS[:9], emit=lambda kind, said=said, **fields: said.append((kind, fields)),
        )  # fmt: skip
        losses.append([fields["loss"] for kind, fields in said if kind == "progress"])
        told.append([fields for kind, fields in said if kind == "evaluated"])
    assert losses[0] == losses[1]
    assert len(told[0]) > 5 and not told[1]
    assert [look["step"] for look in told[0]][:2] == [0, 2]
    for look in told[0]:
        assert [entry["row"] for entry in look["sampled"]] == [0, 1, 2]  # three labels, each once
        assert [entry["expected"] for entry in look["sampled"]] == list(LABELS)
    assert told[0][0]["sampled"] != told[0][-1]["sampled"]  # one sees it learn
    assert told[0][-1]["loss"] < told[0][0]["loss"] and told[0][-1]["metric"] == "accuracy"


def test_the_answers_are_those_of_the_comparison(tiny_model, tmp_path, prompt, adapted, monkeypatch):
    monkeypatch.setattr("finetune.evidence.models.pair.precision", lambda kind: ("float32", "for the test"))
    adapted.save_pretrained(tmp_path / "adapter")
    pair = Pair(tiny_model, tmp_path / "adapter", prompt, kind="cpu", quantisation="nf4", probes=[])
    rows = [prompt.encode(example) for example in ROWS[:5]]
    answers = looker_of(adapted, prompt, rows).answers(rows, 6)
    whole = pair.generate([row.prompt for row in rows], 6)
    assert [answer.removesuffix("…") for answer in answers] == whole.texts
    assert [answer.endswith("…") for answer in answers] == list(whole.cut) and any(whole.cut)


def test_matrices_that_never_moved_are_counted(tiny_model):
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    made = add_adapter(model, Recipe(rank=4))
    assert unmoved(made) == (14, 14)
    next(parameter for name, parameter in made.named_parameters() if "lora_B" in name).data[0, 0] = 1e-8
    assert unmoved(made) == (13, 14)


def test_what_is_dear_beside_the_validation_rows_is_done_less_often(tiny_model, tmp_path, prompt, monkeypatch):
    """The validation rows stay the same ones: losses of different rows could not be compared."""
    clock = {"now": 0.0}
    monkeypatch.setattr("finetune.training.watch.time.monotonic", lambda: clock["now"])
    answers, step = Looker.answers, Watch.on_step_begin

    def slow(self, *args):
        clock["now"] += 10
        return answers(self, *args)

    def on_step_begin(self, *args, **kwargs):
        step(self, *args, **kwargs)
        clock["now"] += 20

    monkeypatch.setattr(Looker, "answers", slow)
    monkeypatch.setattr(Watch, "on_step_begin", on_step_begin)
    recipe, said = Recipe(batch_size=8, epochs=6, evaluations=2, patience=100, max_new_tokens=6), []
    rows = [prompt.encode(example) for example in ROWS]
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    train(
        model, recipe, plan_of(recipe), rows, rows[:9], directory=tmp_path, pad=0, prompt=prompt, examples=ROWS[:9],
        emit=lambda kind, **fields: said.append(fields) if kind == "evaluated" else None,
    )  # fmt: skip
    assert all(look["loss"] > 0 and look["score"] is not None for look in said)
    # Two steps of 20 s between two looks; 10 s are a tenth of five steps, so of every third look.
    assert [bool(look["sampled"]) for look in said[:7]] == [True, False, False, True, False, False, True]
    assert [look["train_score"] is not None for look in said[:4]] == [False, False, False, True]


def test_a_look_that_scores_many_labels_is_of_fewer_rows():
    start = list(range(100, 200))
    rows = [Encoded(number, [*start, 7, 8, number], [40 + number % 3, 2], 0) for number in range(20)]
    few, many = [[40, 2], [41, 2]], [[number, 50 + number, 2] for number in range(20)]
    assert dearer(rows, []) == 1.0
    # Three tokens of a row are its own, the answer among them.
    assert dearer(rows, few) == pytest.approx(1 + sum(len(tree.tokens) for tree in trees(few)) / 3)
    assert dearer(rows, many) == pytest.approx(1 + sum(len(tree.tokens) for tree in trees(many)) / 3)
    # Where that is too dear no labels are scored.
    assert dearer(rows, [[*range(number, number + 20), 2] for number in range(0, 400, 20)]) == 1.0
    recipe = Recipe(evaluations=2)
    assert rows_of_a_look(recipe, 1000, 900) == 500 and rows_of_a_look(recipe, 1000, 900, 5.0) == 100
    assert rows_of_a_look(recipe, 1000, 900, 500.0) == FEWEST_LOOK_ROWS
