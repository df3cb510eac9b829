"""A finished run becomes a verdict: every system answers the same held-out rows, and the scores decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from finetune.errors import FinetuneError
from finetune.evidence import outcomes
from finetune.evidence.causes.find import find_causes
from finetune.evidence.judging import looks
from finetune.evidence.judging.scores import write_scores
from finetune.evidence.judging.verdict import RULES, all_paired, decide
from finetune.evidence.measures.must import Rules
from finetune.evidence.models.kept import adapter_hash
from finetune.evidence.money import cost
from finetune.evidence.money.prices import Prices
from finetune.evidence.systems import CLASSICAL
from finetune.evidence.trial import ALONE, Trial
from finetune.model import base, machine
from finetune.runs.process import write_text
from finetune.runs.store import Run
from finetune.training.choose import split_of


def compare(
    run: Run, *, emit: Callable[..., Any] = lambda kind, **fields: None, should_stop: Callable[[], bool] = lambda: False
) -> dict | None:
    """Compare all systems on the run's held-out rows; writes `comparison.json`, `outputs.jsonl` and `scores.jsonl`.

    Answers that were given before, to the same prompt by the same weights, are not asked for again.

    Returns:
        The comparison, or None when it was stopped.

    Raises:
        FinetuneError: the run has no adapter, or its base cannot be had.
    """
    from finetune.evidence.models.pair import Stopped

    try:
        return _made(Trial(run, emit, should_stop))
    except Stopped:
        return None


def _made(trial: Trial) -> dict:
    """The comparison, written down."""
    answers = trial.answers()
    test, rows = answers["test"], trial.parts["test"]
    proof, forgetting = _proof(trial), trial.forgetting()
    beside = trial.free_answers() if trial.classification else {}
    references = {} if trial.classification else trial.references()
    alone = {name: trial.alone(name, said) for name, said in test.items() if name not in CLASSICAL}
    speed = trial.models.speed(trial.asking.prompt.question(rows[0]))
    # From here on nothing is asked any more: a look is counted only when its result is written.
    seen = looks.record(trial.run.root, looks.hash_of(rows), trial.run.id, adapter_hash(trial.run))
    scores = {part: {name: said.scores for name, said in of.items()} for part, of in answers.items()}
    verdict, paired = decide(
        scores, labels=len(trial.labels) or None, train_rows=len(trial.asking.train), seed=trial.recipe.seed,
        models=seen.models, trustworthy=proof["equal"],
    )  # fmt: skip
    verdict = replace(verdict, next_steps=(*_cautions(trial), *verdict.next_steps))
    training, device = outcomes.training(trial.run), machine.device()
    rules = Rules(trial.options.must, trial.options.must_not, trial.options.pattern)
    lines = outcomes.lines(rows, test, rules=rules, labels=trial.labels, beside=beside, references=references)
    result = {
        "run": str(trial.run.directory),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": trial.recipe.base,
        "base_revision": base.revision(trial.models.folder),
        "task": trial.task,
        "metric": trial.metric,
        "labels": trial.labels,
        "test_rows": len(rows),
        "test_rows_left_out": trial.held_out_rows["test"] - len(rows),
        "validation_rows": len(trial.parts["validation"]),
        "systems": {
            name: outcomes.system(name, said, answers["validation"][name], lines, trial.labels, trial.recipe.seed)
            | ({"setting": trial.settings[name]} if name in trial.settings else {})
            | ({"latency": {"p50": alone[name], "requests": ALONE}} if name in alone else {})
            for name, said in test.items()
        },
        "paired": paired.as_json(),
        "paired_all": [pair.as_json() for pair in all_paired(scores, trial.recipe.seed)],
        "verdict": verdict.as_json(),
        "rules": RULES,
        "looks": seen.as_json(),
        "regressions": outcomes.regressions(rows, test, whole=trial.classification),
        "adapter_off_equals_base": proof["equal"],
        "adapter_changes_output": proof["differs"],
        "proof": {name: value for name, value in proof.items() if name != "differs"},
        "forgetting": forgetting,
        "speed": speed,
        "cost": cost.measured(
            training_seconds=training.get("seconds"), rows=len(rows),
            seconds={name: said.seconds for name, said in test.items()},
            tokens={name: said.read + said.written for name, said in test.items()},
            tokens_in={name: said.read for name, said in test.items()},
            tokens_out={name: said.written for name, said in test.items()},
            training_tokens=training.get("tokens"), training_cards=training.get("cards", 1),
            answering_cards=max(1, len(device.split(split_of(trial.run)))),
            peak_memory_bytes=training.get("peak_memory_bytes"),
            device=device.kind,
        ),
        "options": trial.options.as_json()
        | {"prompt": trial.asking.instruction, "documents": len(trial.asking.passages)},
        "left_out": outcomes.left_out(test),
        "training": training,
    }  # fmt: skip
    if trial.classification:
        result |= outcomes.of_labels(rows, answers, trial.recipe.seed)
    else:
        result["reference"] = outcomes.reference(references, trial.recipe.seed)
    result["cost"]["priced"] = cost.priced_of(result, _prices(trial))
    result["causes"] = find_causes(
        result, lines, trial.run.report(), trial.run.events()[0], trial.recipe, trial.asking.train
    )
    write_scores(
        trial.run.directory / "scores.jsonl",
        scores,
        {part: [row.row for row in of] for part, of in trial.parts.items()},
    )
    _write(trial.run, result, lines)
    return result


def _cautions(trial: Trial) -> Iterator[str]:
    """What this comparison cannot show, before what to do next."""
    if trial.metric == "rouge_l":
        yield "Read some answers before you decide: ROUGE-L counts shared words, and a fluent answer can be false."
    if (unused := trial.asking.train_rows - len(trial.asking.train)) > 0:
        yield (
            f"This run learned from {len(trial.asking.train)} of {trial.asking.train_rows} training rows: train on the "
            f"other {unused} too before you decide (preset standard, or rows = 0)."
        )


def _proof(trial: Trial) -> dict:
    proof = trial.models.proof()
    if not proof["equal"]:
        trial.emit(
            "warning",
            text="With the adapter off, the model does not equal the untouched base: do not trust this comparison.",
        )
    if not proof["differs"]:
        trial.emit("warning", text="The adapter changes nothing: it has not learned anything.")
    return proof


def _prices(trial: Trial) -> Prices:
    try:
        return Prices.load(trial.run.root)
    except FinetuneError as error:
        trial.emit("warning", text=f"{error} The program's own prices are used.")
        return Prices.shipped()


def _write(run: Run, result: dict, lines: list[dict]) -> None:
    said = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
    write_text(run.directory / "outputs.jsonl", said)
    # Last: whoever sees the comparison finds its rows.
    write_text(
        run.directory / "comparison.json",
        json.dumps(result, ensure_ascii=False, indent=2, allow_nan=False) + "\n",
    )
