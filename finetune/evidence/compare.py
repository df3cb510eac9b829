"""A finished run becomes a verdict: every system answers the same held-out rows, and the scores decide."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.dataset.example import Example
from finetune.errors import FinetuneError
from finetune.evidence import answering, baselines, cost, looks
from finetune.evidence.answering import Answers
from finetune.evidence.asking import Asking, default_prompt
from finetune.evidence.calibration import SURE, calibration, human
from finetune.evidence.classes import moved, per_class
from finetune.evidence.documents import PASSAGES_FILE, read_passages
from finetune.evidence.general import PASSAGES
from finetune.evidence.kept import Kept, adapter_hash, weights_of
from finetune.evidence.metrics import interval
from finetune.evidence.must import Rules
from finetune.evidence.options import Options
from finetune.evidence.systems import ALTERNATIVES, FINE_TUNED, NAMES
from finetune.evidence.texts import measure, summary
from finetune.evidence.verdict import RULES, all_paired, decide
from finetune.model import base
from finetune.model.prompt import Prompt
from finetune.runs.store import Run, model_cache
from finetune.training.plan import choose_rows
from finetune.training.session import prompt_of

if TYPE_CHECKING:
    from finetune.evidence.pair import Pair

# Rows with generated answers cost a hundred times those with scored labels; the choice of the alternative bears fewer.
VALIDATION_ROWS_FREE_TEXT = 32
PROBES = 3
# A row that base has and the fine-tuned model has not: for scores between 0 and 1, a fall of so much.
FALL = 0.2


def compare(
    run: Run, *, emit: Callable[..., Any] = lambda kind, **fields: None, should_stop: Callable[[], bool] = lambda: False
) -> dict | None:
    """Compare all systems on the run's held-out rows; writes `comparison.json` and `outputs.jsonl`.

    Answers that were given before, to the same prompt by the same weights, are not asked for again.

    Returns:
        The comparison, or None when it was stopped.

    Raises:
        FinetuneError: the run has no adapter, or its base cannot be had.
    """
    from finetune.evidence.pair import Stopped

    try:
        return _Comparison(run, emit, should_stop).make()
    except Stopped:
        return None


class _Comparison:
    """One pass over the systems. Holds what all of them share."""

    def __init__(self, run: Run, emit: Callable[..., Any], should_stop: Callable[[], bool]):
        self.run, self.emit, self.should_stop = run, emit, should_stop
        self.recipe, self.record, self.options = run.recipe(), run.record(), Options.of(run)
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
        self.labels = list(self.record["labels"]) if self.classification else []
        self.label_ids = [self.prompt.answer_ids(label) for label in self.labels]
        self.longest_label = max(map(len, self.label_ids), default=0)
        self.instruction = self.options.prompt or default_prompt(self.task, self.labels)
        self.passages = read_passages(run.directory / PASSAGES_FILE)
        self.asking = Asking(
            self.prompt, self.train, labels=self.labels, seed=seed, instruction=self.instruction, passages=self.passages
        )
        self.systems = [name for name in ALTERNATIVES if name in self.options.systems and self._applies(name)]
        if not self.systems:
            raise FinetuneError(
                "None of the alternatives that are switched on fits this task.",
                hint="Switch on the base model, for instance.",
            )
        if not run.adapter.joinpath("adapter_model.safetensors").is_file():
            raise FinetuneError("This run has no adapter yet.", hint="Train it first, or resume it.")
        self.folder = base.resolve(self.recipe.base, model_cache(run.root))
        self.kept = {tuned: Kept(run.root, weights_of(run, self.folder, adapter=tuned)) for tuned in (False, True)}
        self._pair: Pair | None = None
        self.settings: dict[str, dict] = {}
        self.done, self.steps, self.began = 0, 0, 0.0

    def _applies(self, system: str) -> bool:
        if system in ("majority", "tfidf"):
            return self.classification
        return system != "prompted" or bool(self.instruction)

    def make(self) -> dict:
        answers = self._answers()
        proof, forgetting = self._proof(), self._forgetting()
        seen = looks.record(self.run.root, looks.hash_of(self.parts["test"]), self.run.id, adapter_hash(self.run))
        scores = {part: {name: said.scores for name, said in of.items()} for part, of in answers.items()}
        verdict, paired = decide(
            scores, labels=len(self.labels) or None, train_rows=len(self.train), seed=self.recipe.seed,
            models=seen.models, trustworthy=proof["equal"],
        )  # fmt: skip
        verdict = replace(verdict, next_steps=(*self._cautions(), *verdict.next_steps))
        test = answers["test"]
        training = _training(self.run)
        generated = self._generated() if self.classification else {}
        rows = self._rows(test, generated)
        result = {
            "run": str(self.run.directory),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": self.recipe.base,
            "base_revision": base.revision(self.folder),
            "task": self.task,
            "metric": "accuracy" if self.classification else "rouge_l",
            "labels": self.labels,
            "test_rows": len(self.parts["test"]),
            "test_rows_left_out": self.held_out_rows["test"] - len(self.parts["test"]),
            "validation_rows": len(self.parts["validation"]),
            "systems": {
                name: self._system(name, said, answers["validation"][name], rows) for name, said in test.items()
            },
            "paired": paired.as_json(),
            "paired_all": [pair.as_json() for pair in all_paired(scores, self.recipe.seed)],
            "verdict": verdict.as_json(),
            "rules": RULES,
            "looks": seen.as_json(),
            "regressions": self._regressions(test),
            "adapter_off_equals_base": proof["equal"],
            "adapter_changes_output": proof["differs"],
            "proof": {name: value for name, value in proof.items() if name != "differs"},
            "forgetting": forgetting,
            "cost": cost.measured(
                training_seconds=training.get("seconds"), rows=len(self.parts["test"]),
                seconds={name: said.seconds for name, said in test.items()},
                tokens={name: said.tokens for name, said in test.items()},
            ),
            "options": self.options.as_json() | {"prompt": self.instruction, "documents": len(self.passages)},
            "left_out": {
                "cut_inputs": {
                    name: cut for name, said in test.items() if (cut := sum(one.cut > 0 for one in said.asked))
                }
            },
            "training": training,
        }  # fmt: skip
        if self.classification:
            result |= self._of_labels(answers)
        self._write(result, rows)
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
        """Base and adapter, once, and only if something was never asked before."""
        if self._pair is None:
            from finetune.evidence.pair import Pair

            self.emit("log", text="loading the base and the adapter for the comparison")
            probes = [self.prompt.question(example) for example in self.parts["test"][:PROBES]]
            self._pair = Pair.of(self.run, self.prompt, probes)
            proof = {
                "equal": self._pair.off_equals_base,
                "differs": self._pair.on_differs,
                "probes": len(probes),
                "largest_difference": self._pair.off_difference,
                "adapter_difference": self._pair.on_difference,
            }
            self.kept[True].keep([(self._proof_name(), proof, 0.0)])
        return self._pair

    def _proof_name(self) -> str:
        return self.kept[True].name("proof", *(self.prompt.question(row) for row in self.parts["test"][:PROBES]))

    def _proof(self) -> dict:
        """Whether the model with the adapter off is the base, and with it on is not."""
        name = self._proof_name()
        if self._pair is None and (found := self.kept[True].find([name])):
            proof = found[name][0]
        else:
            self._load()
            proof = self.kept[True].find([name])[name][0]
        if not proof["equal"]:
            self.emit(
                "warning",
                text="With the adapter off, the model does not equal the untouched base: do not trust this comparison.",
            )
        if not proof["differs"]:
            self.emit("warning", text="The adapter changes nothing: it has not learned anything.")
        return proof

    def _answers(self) -> dict[str, dict[str, Answers]]:
        """Part → system → answers. The validation rows choose how many examples a prompt shows; the test rows judge."""
        self.began = time.monotonic()
        asked = [name for name in (*self.systems, FINE_TUNED) if name not in ("majority", "tfidf")]
        tries = sum(len(self.asking.candidates(name)) for name in asked)
        test = len(self.parts["test"])
        self.steps = tries * len(self.parts["validation"]) + (len(asked) + 2 * self.classification) * test
        answers: dict[str, dict[str, Answers]] = {"validation": {}, "test": {}}
        for name in (*self.systems, FINE_TUNED):
            if name in ("majority", "tfidf"):
                for part, rows in self.parts.items():
                    answers[part][name] = self._classical(name, rows)
                continue
            tried = {count: self._asked(name, "validation", count) for count in self.asking.candidates(name)}
            # max keeps the first of equals: the fewest examples, which cost least.
            count = max(tried, key=lambda count: tried[count].scores.mean())
            if name in ("few_shot", "retrieval"):
                by = "validation accuracy" if self.classification else "fixed"
                self.settings[name] = {
                    "count": count,
                    "tried": [
                        {"count": other, "score": float(said.scores.mean()), "by": by} for other, said in tried.items()
                    ],
                }
            elif name == "prompted":
                self.settings[name] = {"prompt": self.instruction}
            answers["validation"][name], answers["test"][name] = tried[count], self._asked(name, "test", count)
        return answers

    def _classical(self, name: str, rows: Sequence[Example]) -> Answers:
        from finetune.evidence.pair import Timer

        if name == "majority":
            return answering.plain(rows, [baselines.majority(self.train)] * len(rows))
        with Timer() as timer:
            texts = baselines.tfidf(self.train, [example.input for example in rows], self.recipe.seed)
        return answering.plain(rows, texts, timer.seconds)

    def _asked(self, name: str, part: str, count: int) -> Answers:
        rows, tuned = self.parts[part], name == FINE_TUNED
        shown = f" ({count} examples)" if count else ""
        tick = self._ticker(f"{NAMES[name]}{shown} on the {part} rows")
        room = self.longest_label if self.classification else self.recipe.max_new_tokens
        asked = self.asking.ask(name, rows, count, room)
        with self._adapter(tuned) as pair:
            if self.classification:
                return answering.labelled(
                    rows, asked, self.labels, self.label_ids, kept=self.kept[tuned], pair=pair, tick=tick
                )
            return answering.written(
                rows, asked, self.recipe.max_new_tokens, kept=self.kept[tuned], pair=pair, tick=tick,
                should_stop=self.should_stop,
            )  # fmt: skip

    @contextlib.contextmanager
    def _adapter(self, on: bool) -> Iterator[Callable[[], Pair]]:
        """What loads the model with its adapter on, or off until the end of the block."""
        with contextlib.ExitStack() as stack:
            held: list[Pair] = []

            def load() -> Pair:
                if not held:
                    held.append(self._load())
                    if not on:
                        stack.enter_context(held[0].only_base())
                return held[0]

            yield load

    def _ticker(self, text: str) -> Callable[[int], None]:
        """What tells that some more rows are done, and notices a stop."""
        from finetune.evidence.pair import Stopped

        def tick(count: int) -> None:
            self.done += count
            left = (time.monotonic() - self.began) / max(self.done, 1) * (self.steps - self.done)
            self.emit("progress", phase="compare", step=self.done, steps=self.steps, eta_seconds=left, text=text)
            if self.should_stop():
                raise Stopped

        return tick

    def _generated(self) -> dict[str, list[str]]:
        """What base and fine-tuned write by themselves, shown beside the label of the highest likelihood."""
        rows, most = self.parts["test"], self.longest_label + 4
        tick = self._ticker("free answers, to be shown beside the labels")
        texts = {}
        for name, tuned in (("base", False), (FINE_TUNED, True)):
            with self._adapter(tuned) as pair:
                texts[name] = answering.written(
                    rows, self.asking.ask(name, rows, 0, self.longest_label), most, kept=self.kept[tuned], pair=pair,
                    tick=tick, should_stop=self.should_stop,
                ).texts  # fmt: skip
        return texts

    def _forgetting(self) -> dict:
        losses = []
        for tuned in (False, True):
            kept = self.kept[tuned]
            name = kept.name("general text", *PASSAGES)
            if not (found := kept.find([name])):
                with self._adapter(tuned) as pair:
                    kept.keep([(name, pair().text_loss(PASSAGES), 0.0)])
                found = kept.find([name])
            losses.append(found[name][0])
        (before, tokens), (after, _) = losses
        return {"loss_before": before, "loss_after": after, "difference": after - before, "tokens": tokens}

    def _system(self, name: str, said: Answers, validation: Answers, rows: Sequence[dict]) -> dict:
        entry: dict[str, Any] = {
            "score": float(said.scores.mean()),
            "interval": list(interval(said.scores, seed=self.recipe.seed)),
            "validation_score": float(validation.scores.mean()),
            "seconds": said.seconds,
            "tokens": said.tokens,
            "tokens_in": (read := sum(len(one.prompt) for one in said.asked)),
            "tokens_out": said.tokens - read,
            "cached_rows": said.kept,
        }
        if said.exact is not None:
            entry["exact_match"] = float(said.exact.mean())
        if name in self.settings:
            entry["setting"] = self.settings[name]
        expected = [row["expected"] for row in rows]
        if self.classification:
            entry["classes"] = per_class(expected, said.texts, self.labels, seed=self.recipe.seed)
        else:
            entry["text"] = summary(said.texts, expected)
        if said.probabilities is not None:
            entry["calibration"] = calibration(said.probabilities, self._truth(expected))
        if "broken" in rows[0]:
            entry["rules_broken"] = sum(bool(row["broken"][name]) for row in rows)
        return entry

    def _truth(self, expected: Sequence[str]) -> np.ndarray:
        place = {label: number for number, label in enumerate(self.labels)}
        return np.array([place.get(text, -1) for text in expected])

    def _of_labels(self, answers: dict[str, dict[str, Answers]]) -> dict:
        """What only tasks with labels have: the rows that moved, and what can be left to the model."""
        test, rows = answers["test"], self.parts["test"]
        sure = [
            (said.probabilities.max(1), said.scores)
            for said in (answers["validation"][FINE_TUNED], test[FINE_TUNED])
            if said.probabilities is not None
        ]
        found = {"human": human(*sure, seed=self.recipe.seed)}
        if "base" in test:
            found["moved"] = moved(
                [row.row for row in rows], [row.output for row in rows], test["base"].texts, test[FINE_TUNED].texts
            )
        return found

    def _regressions(self, test: dict[str, Answers]) -> dict:
        """The rows that base had right and the fine-tuned model has wrong."""
        if "base" not in test:
            return {"rows": [], "of": 0}
        before, after = test["base"].scores, test[FINE_TUNED].scores
        had = before >= (1.0 if self.classification else FALL)
        lost = had & (before - after >= (1.0 if self.classification else FALL))
        return {"rows": [self.parts["test"][place].row for place in np.flatnonzero(lost)], "of": int(had.sum())}

    def _rows(self, test: dict[str, Answers], generated: dict[str, list[str]]) -> list[dict]:
        rules = Rules(self.options.must, self.options.must_not, self.options.pattern)
        compared = "base" if "base" in test else next(iter(test))
        rows = []
        for place, example in enumerate(self.parts["test"]):
            scores = {name: float(said.scores[place]) for name, said in test.items()}
            gain = scores[FINE_TUNED] - scores[compared]
            outputs = {name: said.texts[place] for name, said in test.items()}
            row: dict[str, Any] = {
                "row": example.row,
                "input": example.input,
                "expected": example.output,
                "outputs": outputs,
                "scores": scores,
                "outcome": "better" if gain > 1e-9 else "worse" if gain < -1e-9 else "same",
                "shown": {
                    name: list(said.asked[place].rows)
                    for name, said in test.items()
                    if said.asked and said.asked[place].rows
                },
            }
            if rules:
                row["broken"] = {name: rules.check(text) for name, text in outputs.items()}
            if self.classification:
                row["generated"] = {name: texts[place] for name, texts in generated.items()}
                row["probabilities"] = {
                    name: {
                        label: round(float(share), 6)
                        for label, share in zip(self.labels, said.probabilities[place], strict=True)
                    }
                    for name, said in test.items()
                    if said.probabilities is not None
                }
                sure = max(row["probabilities"][FINE_TUNED].values()) >= SURE
                row["sure_but_wrong"] = sure and scores[FINE_TUNED] == 0
            else:
                row["metrics"] = {name: measure(text, example.output) for name, text in outputs.items()}
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


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
