"""Every system asks and answers the same held-out rows: what a comparison is made from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from finetune.errors import FinetuneError
from finetune.evidence import answering
from finetune.evidence.alternatives import baselines
from finetune.evidence.alternatives.asking import Asked, asking_of
from finetune.evidence.answering import Answers
from finetune.evidence.forgetting.forgotten import MOST_TOKENS, forgetting, general_prompts
from finetune.evidence.forgetting.general import PROMPTS
from finetune.evidence.models.cached import Models
from finetune.evidence.options import Options
from finetune.evidence.outcomes import References
from finetune.evidence.systems import ALTERNATIVES, CLASSICAL, FINE_TUNED, NAMES
from finetune.runs.store import Run
from finetune.training.choose import settled
from finetune.training.plan import choose_rows

# Rows with generated answers cost a hundred times those with scored labels; the choice of the alternative bears fewer.
VALIDATION_ROWS_FREE_TEXT = 32
PROBES = 3
# Requests that are asked one at a time, for the time that somebody waits for an answer.
ALONE = 5


class Trial:
    """The rows, the systems that fit the task, and the models that are asked.

    Attributes:
        parts: "validation" and "test" → the rows that are asked; `held_out_rows` → how many there are.
        settings: system → what was chosen for its prompts; filled by `answers`.

    Raises:
        FinetuneError: the run has no adapter, its base cannot be had, or no system that is switched on fits the task.
    """

    def __init__(self, run: Run, emit: Callable[..., Any], should_stop: Callable[[], bool]):
        run.weights()
        self.run, self.emit, self.should_stop = run, emit, should_stop
        self.recipe, self.options, self.task = settled(run), Options.of(run), run.record()["task"]
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

    def answers(self) -> dict[str, dict[str, Answers]]:
        """Part → system → answers. The validation rows choose how many examples a prompt shows; the test rows judge."""
        systems = (*self.systems, FINE_TUNED)
        asked = [name for name in systems if name not in CLASSICAL]
        validation, test = len(self.parts["validation"]), len(self.parts["test"])
        for name in asked:
            tries = len(self.asking.candidates(name))
            # With labels, the answers that the number of examples was chosen by stand.
            self.steps += (tries + (tries > 1 and not self.classification)) * validation + test
        # Free answers beside the labels, or the likelihood of the expected answers; then the general questions.
        self.steps += 2 * (test + len(PROMPTS))
        self.began = time.monotonic()
        answers: dict[str, dict[str, Answers]] = {part: {} for part in self.parts}
        for name in systems:
            if name in CLASSICAL:
                for part, found in self._classical(name).items():
                    answers[part][name] = found
                continue
            count, tried = self._chosen(name)
            if name == "prompted":
                self.settings[name] = {"prompt": self.asking.instruction}
            if self.classification or name not in ("base", FINE_TUNED):
                answers["validation"][name] = tried or self._asked([name], "validation", count)[name]
                answers["test"][name] = self._asked([name], "test", count)[name]
        if not self.classification:
            # Base and fine-tuned read the same questions: their rows go through the model together.
            both = [name for name in ("base", FINE_TUNED) if name in systems]
            for part, found in answers.items():
                found |= self._asked(both, part, 0)
        return {part: {name: found[name] for name in systems} for part, found in answers.items()}

    def _chosen(self, name: str) -> tuple[int, Answers | None]:
        """How many examples a prompt of this system shows, and the answers to the validation rows if they chose it."""
        counts = self.asking.candidates(name)
        if name not in ("few_shot", "retrieval"):
            return counts[0], None
        self.settings[name] = {"count": counts[0]}
        if len(counts) == 1:
            return counts[0], None
        tried: dict[int, Answers] = {}
        if self.classification:
            tried = {count: self._asked([name], "validation", count)[name] for count in counts}
            scores = {count: float(said.scores.mean()) for count, said in tried.items()}
        else:
            scores = {count: References.of(self._likelihoods(name, "validation", count)).mean for count in counts}
        # max keeps the first of equals: the fewest examples, which cost least.
        chosen = max(scores, key=scores.__getitem__)
        by = "validation accuracy" if self.classification else "log-likelihood of the expected answers"
        self.settings[name] = {
            "count": chosen,
            "tried": [{"count": count, "score": score, "by": by} for count, score in scores.items()],
        }
        return chosen, tried.get(chosen)

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

    def free_answers(self) -> dict[str, list[str]]:
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

    def references(self) -> dict[str, References]:
        return {name: References.of(self._likelihoods(name, "test", 0)) for name in ("base", FINE_TUNED)}

    def alone(self, name: str, said: Answers) -> float:
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

    def forgetting(self) -> dict:
        names = ("base", FINE_TUNED)
        losses = {name: self.models.general_loss(tuned=name == FINE_TUNED) for name in names}
        prompts = general_prompts(self.asking.prompt)
        found = self.models.texts(
            [*prompts, *prompts], MOST_TOKENS, tuned=[name == FINE_TUNED for name in names for _ in prompts],
            tick=self._ticker("general questions, to see what was forgotten"),
        )  # fmt: skip
        texts = [one.value[0] for one in found]
        return forgetting(losses, {"base": texts[: len(prompts)], FINE_TUNED: texts[len(prompts) :]})
