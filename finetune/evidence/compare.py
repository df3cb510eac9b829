"""A finished run becomes a verdict: every system answers the same held-out rows, and the scores decide."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from finetune.errors import FinetuneError
from finetune.evidence import answering, outcomes
from finetune.evidence.alternatives import baselines
from finetune.evidence.alternatives.asking import Asked, asking_of
from finetune.evidence.answering import Answers
from finetune.evidence.causes.find import find_causes
from finetune.evidence.forgetting.forgotten import MOST_TOKENS, forgetting, general_prompts
from finetune.evidence.forgetting.general import PROMPTS
from finetune.evidence.judging import looks
from finetune.evidence.judging.scores import write_scores
from finetune.evidence.judging.verdict import RULES, all_paired, decide
from finetune.evidence.measures.must import Rules
from finetune.evidence.models.cached import Models
from finetune.evidence.models.kept import adapter_hash
from finetune.evidence.money import cost
from finetune.evidence.money.prices import Prices
from finetune.evidence.options import Options
from finetune.evidence.outcomes import References
from finetune.evidence.systems import ALTERNATIVES, CLASSICAL, FINE_TUNED, NAMES
from finetune.model import base, memory
from finetune.runs.process import write_text
from finetune.runs.store import Run
from finetune.training.plan import choose_rows

# Rows with generated answers cost a hundred times those with scored labels; the choice of the alternative bears fewer.
VALIDATION_ROWS_FREE_TEXT = 32
PROBES = 3
# Requests that are asked one at a time, for the time that somebody waits for an answer.
ALONE = 5


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
        return _Comparison(run, emit, should_stop).make()
    except Stopped:
        return None


class _Comparison:
    """One pass over the systems. Holds what all of them share."""

    def __init__(self, run: Run, emit: Callable[..., Any], should_stop: Callable[[], bool]):
        if not run.adapter.joinpath("adapter_model.safetensors").is_file():
            raise FinetuneError("This run has no adapter yet.", hint="Train it first, or resume it.")
        self.run, self.emit, self.should_stop = run, emit, should_stop
        self.recipe, self.options, self.task = run.recipe(), Options.of(run), run.record()["task"]
        self.classification = self.task == "classification"
        held_out = {part: run.examples(part) for part in ("validation", "test")}
        self.held_out_rows = {part: len(rows) for part, rows in held_out.items()}
        limit = self.recipe.compare_rows
        # Validation only ranks the alternatives, so it bears fewer rows than the test, which has to measure them.
        fewer = -(-limit // 2)
        if not self.classification:
            fewer = min(fewer or VALIDATION_ROWS_FREE_TEXT, VALIDATION_ROWS_FREE_TEXT)
        self.parts = {
            part: choose_rows(held_out[part], most, self.task, self.recipe.seed)
            for part, most in (("validation", fewer), ("test", limit))
        }
        self.asking = asking_of(run, self.options)
        self.labels, self.label_ids = self.asking.labels, self.asking.label_ids
        self.longest_label = max(map(len, self.label_ids), default=0)
        self.metric = answering.metric_of(self.asking)
        self.systems = [name for name in ALTERNATIVES if name in self.options.systems and self._applies(name)]
        if not self.systems:
            raise FinetuneError(
                "None of the alternatives that are switched on fits this task.",
                hint="Switch on the base model, for instance.",
            )
        probes = [self.asking.prompt.question(example) for example in self.parts["test"][:PROBES]]
        self.models = Models(run, self.asking.prompt, probes, emit=emit, should_stop=should_stop)
        self.settings: dict[str, dict] = {}
        self.done, self.steps, self.began = 0, 0, 0.0

    def _applies(self, system: str) -> bool:
        if system in CLASSICAL:
            return self.classification
        return system != "prompted" or bool(self.asking.instruction)

    def make(self) -> dict:
        answers = self._answers()
        test, rows = answers["test"], self.parts["test"]
        proof, forgetting = self._proof(), self._forgetting()
        beside = self._free_answers() if self.classification else {}
        references = {} if self.classification else self._references()
        alone = {name: self._alone(name, said) for name, said in test.items() if name not in CLASSICAL}
        speed = self.models.speed(self.asking.prompt.question(rows[0]))
        # From here on nothing is asked any more: a look is counted only when its result is written.
        seen = looks.record(self.run.root, looks.hash_of(rows), self.run.id, adapter_hash(self.run))
        scores = {part: {name: said.scores for name, said in of.items()} for part, of in answers.items()}
        verdict, paired = decide(
            scores, labels=len(self.labels) or None, train_rows=len(self.asking.train), seed=self.recipe.seed,
            models=seen.models, trustworthy=proof["equal"],
        )  # fmt: skip
        verdict = replace(verdict, next_steps=(*self._cautions(), *verdict.next_steps))
        training = outcomes.training(self.run)
        rules = Rules(self.options.must, self.options.must_not, self.options.pattern)
        lines = outcomes.lines(rows, test, rules=rules, labels=self.labels, beside=beside, references=references)
        result = {
            "run": str(self.run.directory),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": self.recipe.base,
            "base_revision": base.revision(self.models.folder),
            "task": self.task,
            "metric": self.metric,
            "labels": self.labels,
            "test_rows": len(rows),
            "test_rows_left_out": self.held_out_rows["test"] - len(rows),
            "validation_rows": len(self.parts["validation"]),
            "systems": {
                name: outcomes.system(name, said, answers["validation"][name], lines, self.labels, self.recipe.seed)
                | ({"setting": self.settings[name]} if name in self.settings else {})
                | ({"latency": {"p50": alone[name], "requests": ALONE}} if name in alone else {})
                for name, said in test.items()
            },
            "paired": paired.as_json(),
            "paired_all": [pair.as_json() for pair in all_paired(scores, self.recipe.seed)],
            "verdict": verdict.as_json(),
            "rules": RULES,
            "looks": seen.as_json(),
            "regressions": outcomes.regressions(rows, test, whole=self.classification),
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
                training_tokens=training.get("tokens"), peak_memory_bytes=training.get("peak_memory_bytes"),
                device=memory.device().kind,
            ),
            "options": self.options.as_json()
            | {"prompt": self.asking.instruction, "documents": len(self.asking.passages)},
            "left_out": outcomes.left_out(test),
            "training": training,
        }  # fmt: skip
        if self.classification:
            result |= outcomes.of_labels(rows, answers, self.recipe.seed)
        else:
            result["reference"] = outcomes.reference(references, self.recipe.seed)
        result["cost"]["priced"] = cost.priced_of(result, self._prices())
        result["causes"] = find_causes(
            result, lines, self.run.report(), self.run.events()[0], self.recipe, self.asking.train
        )
        write_scores(
            self.run.directory / "scores.jsonl",
            scores,
            {part: [row.row for row in of] for part, of in self.parts.items()},
        )
        self._write(result, lines)
        return result

    def _cautions(self) -> Iterator[str]:
        """What this comparison cannot show, before what to do next."""
        if self.metric == "rouge_l":
            yield "Read some answers before you decide: ROUGE-L counts shared words, and a fluent answer can be false."
        if (unused := self.asking.train_rows - len(self.asking.train)) > 0:
            yield (
                f"This run learned from {len(self.asking.train)} of {self.asking.train_rows} training rows: train on the "
                f"other {unused} too before you decide (preset standard, or rows = 0)."
            )

    def _proof(self) -> dict:
        proof = self.models.proof()
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
        systems = (*self.systems, FINE_TUNED)
        asked = [name for name in systems if name not in CLASSICAL]
        validation, test = len(self.parts["validation"]), len(self.parts["test"])
        for name in asked:
            tries = len(self.asking.candidates(name))
            self.steps += (tries + (tries > 1)) * validation + test
        # Free answers beside the labels, or the likelihood of the expected answers; then the general questions.
        self.steps += 2 * (test + len(PROMPTS))
        self.began = time.monotonic()
        answers: dict[str, dict[str, Answers]] = {part: {} for part in self.parts}
        for name in systems:
            if name in CLASSICAL:
                for part, found in self._classical(name).items():
                    answers[part][name] = found
                continue
            count = self._count(name)
            if name == "prompted":
                self.settings[name] = {"prompt": self.asking.instruction}
            if self.classification or name not in ("base", FINE_TUNED):
                for part, found in answers.items():
                    found[name] = self._asked([name], part, count)[name]
        if not self.classification:
            # Base and fine-tuned read the same questions: their rows go through the model together.
            both = [name for name in ("base", FINE_TUNED) if name in systems]
            for part, found in answers.items():
                found |= self._asked(both, part, 0)
        return {part: {name: found[name] for name in systems} for part, found in answers.items()}

    def _count(self, name: str) -> int:
        """How many examples a prompt of this system shows, as the validation rows choose."""
        counts = self.asking.candidates(name)
        if name not in ("few_shot", "retrieval"):
            return counts[0]
        scores = {}
        for count in counts if len(counts) > 1 else ():
            if self.classification:
                scores[count] = float(self._asked([name], "validation", count)[name].scores.mean())
            else:
                scores[count] = References.of(self._likelihoods(name, "validation", count)).mean
        # max keeps the first of equals: the fewest examples, which cost least.
        chosen = max(scores, key=scores.__getitem__) if scores else counts[0]
        by = "validation accuracy" if self.classification else "log-likelihood of the expected answers"
        self.settings[name] = {"count": chosen}
        if scores:
            self.settings[name]["tried"] = [
                {"count": count, "score": score, "by": by} for count, score in scores.items()
            ]
        return chosen

    def _classical(self, name: str) -> dict[str, Answers]:
        """Part → answers of a system without a language model; its seconds are those of answering, not of fitting."""
        train = self.asking.train
        if name == "majority":
            label = baselines.majority(train)
            return {part: answering.plain(rows, [label] * len(rows)) for part, rows in self.parts.items()}
        model, answers = baselines.Tfidf(train, self.recipe.seed), {}
        for part, rows in self.parts.items():
            began = time.monotonic()
            texts, found = model.answer([row.input for row in rows])
            seconds = time.monotonic() - began
            # A label that no training row has is never answered.
            probabilities = np.zeros((len(rows), len(self.labels)))
            probabilities[:, [self.labels.index(label) for label in model.names]] = found
            answers[part] = answering.plain(rows, texts, seconds, probabilities)
        return answers

    def _asked(self, names: Sequence[str], part: str, count: int) -> dict[str, Answers]:
        """The answers of some systems, which ask together where they write freely."""
        rows = self.parts[part]
        shown = f" ({count} examples)" if count else ""
        tick = self._ticker(f"{' and '.join(NAMES[name] for name in names)}{shown} on the {part} rows")
        if self.classification:
            answers = {}
            for name in names:
                asked = self.asking.ask(name, rows, count, self.longest_label)
                found = self.models.likelihoods(
                    [one.prompt for one in asked], self.label_ids, tuned=name == FINE_TUNED, tick=tick
                )
                answers[name] = answering.labelled(rows, asked, self.labels, self.label_ids, found)
            return answers
        asked = {name: self.asking.ask(name, rows, count, self.recipe.max_new_tokens) for name in names}
        found = self._texts(asked, self.recipe.max_new_tokens, tick)
        return {name: answering.written(rows, asked[name], self.metric, found[name]) for name in names}

    def _texts(self, asked: dict[str, list[Asked]], most: int, tick: Callable[[int], None]) -> dict[str, list]:
        """What each system writes to its questions."""
        together = [(name, one.prompt) for name, all_of in asked.items() for one in all_of]
        found = iter(
            self.models.texts(
                [prompt for _, prompt in together], most, tuned=[name == FINE_TUNED for name, _ in together], tick=tick
            )
        )
        return {name: [next(found) for _ in all_of] for name, all_of in asked.items()}

    def _free_answers(self) -> dict[str, list[str]]:
        """What base and fine-tuned write by themselves, shown beside the label of the highest likelihood."""
        asked = {
            name: self.asking.ask(name, self.parts["test"], 0, self.longest_label) for name in ("base", FINE_TUNED)
        }
        found = self._texts(asked, self.longest_label + 4, self._ticker("free answers, to be shown beside the labels"))
        return {name: [one.value[0] for one in texts] for name, texts in found.items()}

    def _likelihoods(self, name: str, part: str, count: int) -> list:
        """Log-likelihoods of the expected answers of a part, as `Models.references`."""
        rows = self.parts[part]
        asked = self.asking.ask(name, rows, count, self.recipe.max_new_tokens)
        shown = f" ({count} examples)" if count else ""
        return self.models.references(
            [one.prompt for one in asked], [self.asking.prompt.answer_ids(row.output) for row in rows],
            tuned=name == FINE_TUNED, tick=self._ticker(f"expected answers for {NAMES[name]}{shown}, {part} rows"),
        )  # fmt: skip

    def _references(self) -> dict[str, References]:
        return {name: References.of(self._likelihoods(name, "test", 0)) for name in ("base", FINE_TUNED)}

    def _alone(self, name: str, said: Answers) -> float:
        """Seconds of one request that has the model to itself, as it is when somebody waits for it."""
        prompts = [one.prompt for one in said.asked[:ALONE]]
        return self.models.alone(prompts, self.label_ids, self.recipe.max_new_tokens, tuned=name == FINE_TUNED)

    def _ticker(self, text: str) -> Callable[[int], None]:
        """What tells that some more rows are done, and notices a stop."""
        from finetune.evidence.models.pair import Stopped

        def tick(count: int) -> None:
            self.done += count
            left = (time.monotonic() - self.began) / max(self.done, 1) * (self.steps - self.done)
            self.emit("progress", phase="compare", step=self.done, steps=self.steps, eta_seconds=left, text=text)
            if self.should_stop():
                raise Stopped

        return tick

    def _forgetting(self) -> dict:
        names = ("base", FINE_TUNED)
        losses = {name: self.models.general_loss(tuned=name == FINE_TUNED) for name in names}
        prompts = general_prompts(self.asking.prompt)
        found = self.models.texts(
            [*prompts, *prompts], MOST_TOKENS, tuned=[name == FINE_TUNED for name in names for _ in prompts],
            tick=self._ticker("general questions, to see what was forgotten"),
        )  # fmt: skip
        texts = [one.value[0] for one in found]
        return forgetting(losses, {"base": texts[: len(prompts)], FINE_TUNED: texts[len(prompts) :]})

    def _prices(self) -> Prices:
        try:
            return Prices.load(self.run.root)
        except FinetuneError as error:
            self.emit("warning", text=f"{error} The program's own prices are used.")
            return Prices.shipped()

    def _write(self, result: dict, lines: list[dict]) -> None:
        said = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
        write_text(self.run.directory / "outputs.jsonl", said)
        # Last: whoever sees the comparison finds its rows.
        write_text(
            self.run.directory / "comparison.json",
            json.dumps(result, ensure_ascii=False, indent=2, allow_nan=False) + "\n",
        )
