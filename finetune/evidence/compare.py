"""A finished run becomes a verdict: every system answers the same held-out rows, and the scores decide."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.dataset.example import Example
from finetune.errors import FinetuneError
from finetune.evidence import baselines, cost
from finetune.evidence.general import PASSAGES
from finetune.evidence.metrics import exact_match, interval, rouge_l
from finetune.evidence.systems import FINE_TUNED, NAMES
from finetune.evidence.verdict import RULES, decide
from finetune.model import base
from finetune.model.prompt import Prompt
from finetune.runs.store import Run
from finetune.training.plan import choose_rows
from finetune.training.session import prompt_of

if TYPE_CHECKING:
    from finetune.evidence.generate import Pair

SHOTS_A_LABEL, MOST_SHOTS, SHOTS_FREE_TEXT, RETRIEVED = 1, 8, 3, 3
# Rows with generated answers cost a hundred times those with scored labels; the choice of the alternative bears fewer.
VALIDATION_ROWS_FREE_TEXT = 32
PROBES = 3


@dataclass
class Answers:
    """What one system answered on the rows of one part."""

    texts: list[str]
    scores: np.ndarray
    seconds: float
    tokens: int
    probabilities: np.ndarray | None = None
    exact: np.ndarray | None = None


def compare(
    run: Run, *, emit: Callable[..., Any] = lambda kind, **fields: None, should_stop: Callable[[], bool] = lambda: False
) -> dict | None:
    """Compare all systems on the run's held-out rows; writes `comparison.json` and `outputs.jsonl`.

    Returns:
        The comparison, or None when it was stopped.

    Raises:
        FinetuneError: the run has no adapter, or its base cannot be had.
    """
    from finetune.evidence.generate import Stopped

    try:
        return _Comparison(run, emit, should_stop).make()
    except Stopped:
        return None


class _Comparison:
    """One pass over the systems. Holds what all of them share."""

    def __init__(self, run: Run, emit: Callable[..., Any], should_stop: Callable[[], bool]):
        self.run, self.emit, self.should_stop = run, emit, should_stop
        self.recipe, self.record = run.recipe(), run.record()
        self.task = self.record["task"]
        self.classification = self.task == "classification"
        seed = self.recipe.seed
        # Every system learns from the rows that the fine-tuned model learned from, also in a pilot.
        available = run.examples("train")
        self.train, self.train_rows = choose_rows(available, self.recipe.rows, self.task, seed), len(available)
        held_out = {part: run.examples(part) for part in ("validation", "test")}
        self.held_out_rows = {part: len(rows) for part, rows in held_out.items()}
        limit = self.recipe.compare_rows
        # Validation only ranks the alternatives, so it bears fewer rows than the test, which has to measure them.
        fewer = -(-limit // 2)
        if not self.classification:
            fewer = min(fewer or VALIDATION_ROWS_FREE_TEXT, VALIDATION_ROWS_FREE_TEXT)
        self.parts = {
            "validation": choose_rows(held_out["validation"], fewer, self.task, seed),
            "test": choose_rows(held_out["test"], limit, self.task, seed),
        }
        self.prompt: Prompt = prompt_of(run)
        self.labels = list(self.record["labels"])
        self.longest_label = max((len(self.prompt.answer_ids(label)) for label in self.labels), default=0)
        self.done, self.steps, self.began = 0, 0, 0.0

    def make(self) -> dict:
        pair = self._load()
        answers = self._answers(pair)
        forgetting = self._forgetting(pair)
        scores = {part: {name: said.scores for name, said in of.items()} for part, of in answers.items()}
        verdict, paired = decide(
            scores, labels=len(self.labels) or None, train_rows=len(self.train), seed=self.recipe.seed
        )
        verdict = replace(verdict, next_steps=(*self._cautions(), *verdict.next_steps))
        test = answers["test"]
        training = _training(self.run)
        result = {
            "run": str(self.run.directory),
            "model": self.recipe.base,
            "base_revision": base.revision(pair.folder),
            "task": self.task,
            "metric": "accuracy" if self.classification else "rouge_l",
            "test_rows": len(self.parts["test"]),
            "test_rows_left_out": self.held_out_rows["test"] - len(self.parts["test"]),
            "validation_rows": len(self.parts["validation"]),
            "systems": {name: self._system(said, answers["validation"][name]) for name, said in test.items()},
            "paired": paired.as_json(),
            "verdict": verdict.as_json(),
            "rules": RULES,
            "adapter_off_equals_base": pair.off_equals_base,
            "adapter_changes_output": pair.on_differs,
            "forgetting": forgetting,
            "cost": cost.measured(
                training_seconds=training.get("seconds"), rows=len(self.parts["test"]),
                seconds={name: said.seconds for name, said in test.items()},
                tokens={name: said.tokens for name, said in test.items()},
            ),
            "training": training,
        }  # fmt: skip
        generated = self._generated(pair) if self.classification else {}
        self._write(result, self._rows(test, generated))
        return result

    def _cautions(self) -> Iterator[str]:
        """What this comparison cannot show, before what to do next."""
        if not self.classification:
            yield "Read some answers before you decide: ROUGE-L counts shared words, and a fluent answer can be false."
        if (unused := self.train_rows - len(self.train)) > 0:
            yield (
                f"This run learned from {len(self.train)} of {self.train_rows} training rows: train on the other {unused} "
                "too before you decide (preset standard, or rows = 0)."
            )

    def _load(self) -> Pair:
        from finetune.evidence.generate import Pair

        self.emit("log", text="loading the base and the adapter for the comparison")
        probes = [self.prompt.question(example) for example in self.parts["test"][:PROBES]]
        pair = Pair.of(self.run, self.prompt, probes)
        if not pair.off_equals_base:
            self.emit(
                "warning",
                text="With the adapter off, the model does not equal the untouched base: do not trust this comparison.",
            )
        if not pair.on_differs:
            self.emit("warning", text="The adapter changes nothing: it has not learned anything.")
        return pair

    def _answers(self, pair: Pair) -> dict[str, dict[str, Answers]]:
        """Part → system → answers. Base first, so that a stop in the middle has cost little."""
        shots = baselines.few_shot(
            self.train, count=min(MOST_SHOTS, SHOTS_A_LABEL * len(self.labels)) if self.classification else SHOTS_FREE_TEXT,
            seed=self.recipe.seed, labels=self.labels or None,
        )  # fmt: skip
        self.began = time.monotonic()
        self.steps = 4 * sum(map(len, self.parts.values())) + (
            2 * len(self.parts["test"]) if self.classification else 0
        )
        answers: dict[str, dict[str, Answers]] = {}
        for part, rows in self.parts.items():
            of: dict[str, Answers] = {}
            if self.classification:
                of["majority"] = self._plain(rows, [baselines.majority(self.train)] * len(rows))
                of["tfidf"] = self._timed_tfidf(rows)
            similar = baselines.nearest(self.train, [example.input for example in rows], RETRIEVED)
            with pair.only_base():
                of["base"] = self._asked(pair, "base", part, rows, [[]] * len(rows))
                of["few_shot"] = self._asked(pair, "few_shot", part, rows, [shots] * len(rows))
                # The most similar row stands nearest to the question.
                of["retrieval"] = self._asked(pair, "retrieval", part, rows, [found[::-1] for found in similar])
            of[FINE_TUNED] = self._asked(pair, FINE_TUNED, part, rows, [[]] * len(rows))
            answers[part] = of
        return answers

    def _plain(self, rows: Sequence[Example], texts: list[str], seconds: float = 0.0) -> Answers:
        hits = np.array([float(text == row.output) for text, row in zip(texts, rows, strict=True)])
        return Answers(texts, hits, seconds, 0)

    def _timed_tfidf(self, rows: Sequence[Example]) -> Answers:
        from finetune.evidence.generate import Timer

        with Timer() as timer:
            texts = baselines.tfidf(self.train, [example.input for example in rows], self.recipe.seed)
        return self._plain(rows, texts, timer.seconds)

    def _asked(
        self, pair: Pair, name: str, part: str, rows: Sequence[Example], shots: Sequence[Sequence[Example]]
    ) -> Answers:
        from finetune.evidence.generate import Timer

        tick = self._ticker(f"{NAMES[name]} on the {part} rows")
        room = self.longest_label if self.classification else self.recipe.max_new_tokens
        prompts = [
            self.prompt.question(example, shown, room=min(room, self.prompt.max_tokens // 2))
            for example, shown in zip(rows, shots, strict=True)
        ]
        read = sum(map(len, prompts))
        if self.classification:
            labels = [self.prompt.answer_ids(label) for label in self.labels]
            with Timer() as timer:
                likelihoods = pair.label_likelihoods(prompts, labels, tick)
            best = likelihoods.argmax(1) if len(rows) else []
            said = self._plain(rows, [self.labels[place] for place in best], timer.seconds)
            said.probabilities = _softmax(likelihoods)
            said.tokens = read + sum(len(labels[place]) for place in best)
            return said
        with Timer() as timer:
            texts, written = pair.generate(prompts, self.recipe.max_new_tokens, tick, self.should_stop)
        scores = np.array([rouge_l(text, row.output) for text, row in zip(texts, rows, strict=True)])
        exact = np.array([exact_match(text, row.output) for text, row in zip(texts, rows, strict=True)])
        return Answers(texts, scores, timer.seconds, read + written, exact=exact)

    def _ticker(self, text: str) -> Callable[[int], None]:
        """What tells that some more rows are done, and notices a stop."""
        from finetune.evidence.generate import Stopped

        def tick(count: int) -> None:
            self.done += count
            left = (time.monotonic() - self.began) / self.done * (self.steps - self.done)
            self.emit("progress", phase="compare", step=self.done, steps=self.steps, eta_seconds=left, text=text)
            if self.should_stop():
                raise Stopped

        return tick

    def _generated(self, pair: Pair) -> dict[str, list[str]]:
        """What base and fine-tuned write by themselves, shown beside the label of the highest likelihood."""
        prompts = [self.prompt.question(example, room=self.longest_label) for example in self.parts["test"]]
        most = self.longest_label + 4
        tick = self._ticker("free answers, to be shown beside the labels")
        with pair.only_base():
            of_base = pair.generate(prompts, most, tick, self.should_stop)[0]
        return {"base": of_base, FINE_TUNED: pair.generate(prompts, most, tick, self.should_stop)[0]}

    def _forgetting(self, pair: Pair) -> dict:
        with pair.only_base():
            before, tokens = pair.text_loss(PASSAGES)
        after, _ = pair.text_loss(PASSAGES)
        return {"loss_before": before, "loss_after": after, "difference": after - before, "tokens": tokens}

    def _system(self, said: Answers, validation: Answers) -> dict:
        entry = {
            "score": float(said.scores.mean()),
            "interval": list(interval(said.scores, seed=self.recipe.seed)),
            "validation_score": float(validation.scores.mean()),
            "seconds": said.seconds,
            "tokens": said.tokens,
        }
        if said.exact is not None:
            entry["exact_match"] = float(said.exact.mean())
        return entry

    def _rows(self, test: dict[str, Answers], generated: dict[str, list[str]]) -> list[dict]:
        rows = []
        for place, example in enumerate(self.parts["test"]):
            scores = {name: float(said.scores[place]) for name, said in test.items()}
            gain = scores[FINE_TUNED] - scores["base"]
            row = {
                "row": example.row,
                "input": example.input,
                "expected": example.output,
                "outputs": {name: said.texts[place] for name, said in test.items()},
                "scores": scores,
                "outcome": "better" if gain > 1e-9 else "worse" if gain < -1e-9 else "same",
            }
            if generated:
                row["generated"] = {name: texts[place] for name, texts in generated.items()}
                row["probabilities"] = {
                    name: dict(zip(self.labels, map(float, said.probabilities[place]), strict=True))
                    for name, said in test.items()
                    if said.probabilities is not None
                }
            rows.append(row)
        return rows

    def _write(self, result: dict, rows: list[dict]) -> None:
        lines = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        _replace(self.run.directory / "outputs.jsonl", lines)
        # Last: whoever sees the comparison finds its rows.
        _replace(
            self.run.directory / "comparison.json",
            json.dumps(result, ensure_ascii=False, indent=2, allow_nan=False) + "\n",
        )


def _training(run: Run) -> dict:
    """The `training` object of the comparison."""
    if (said := run.training()) is None:
        raise FinetuneError("This run has not been trained yet.", hint="Train it first, or resume it.")
    names = (
        "seconds", "tokens", "tokens_per_second", "peak_memory_bytes", "estimated_memory_bytes", "rows", "epochs",
        "best_step", "stopped_early",
    )  # fmt: skip
    return {name: said.get(name) for name in names}


def _softmax(likelihoods: np.ndarray) -> np.ndarray:
    shifted = np.exp(likelihoods - likelihoods.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
