"""Situations that somebody who asks for advice may be in, made into data, and each claim of what would change it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

from finetune.dataset.example import Example, Task
from finetune.dataset.finding import Finding
from finetune.dataset.readiness.questions import Questions
from finetune.dataset.readiness.readiness import Baseline, Readiness, assess
from finetune.dataset.splitting.split import Split


@dataclass(frozen=True)
class Situation:
    """A set of rows by its figures, and the answers of the user.

    Attributes:
        counts: rows of each label, most first; for free text one number, the rows.
        answers: different answers as a share of the rows; of free text alone.
        words: words of an answer.
        faults: kind or check of a finding → share of the rows that have it.
        severity: of the findings.
        test: share of the rows in the test part.
    """

    counts: tuple[int, ...] = (400, 400)
    task: Task = "classification"
    answers: float = 1.0
    words: int = 20
    faults: tuple[tuple[str, float], ...] = ()
    severity: str = "warning"
    test: float = 0.15
    compared: int | None = None
    baseline: Baseline | None = None
    questions: Questions = Questions()

    @property
    def rows(self) -> int:
        return sum(self.counts)

    def asked(self, **answers) -> Situation:
        return replace(self, questions=replace(self.questions, **answers))

    def scaled(self, rows: int) -> Situation:
        counts = [count * rows // self.rows for count in self.counts]
        return replace(self, counts=(counts[0] + rows - sum(counts), *counts[1:]))

    def examples(self) -> list[Example]:
        if self.task == "classification":
            outputs = [f"label {number}" for number, count in enumerate(self.counts) for _ in range(count)]
        else:
            pool = max(1, int(self.answers * self.rows))
            outputs = [" ".join([f"answer{n % pool}", *["word"] * (self.words - 1)]) for n in range(self.rows)]
        return [Example(row, f"text number {row}", output) for row, output in enumerate(outputs, 1)]

    def findings(self) -> list[Finding]:
        found = []
        for name, share in self.faults:
            kind = {"near_input": "conflicting_output", "label_spelling": "suspect_label"}.get(name, name)
            rows = tuple(range(1, round(share * self.rows) + 1))
            clusters = ()
            if kind == "exact_duplicate":  # one more row than copies
                rows = (*rows, len(rows) + 1)
                clusters = (rows,)
            if kind == "bad_row":
                rows = tuple(range(self.rows + 1, self.rows + 1 + len(rows)))
            found.append(Finding(kind, self.severity, rows, f"Message of {name}.", "", clusters, check=name))
        return found

    def assess(self) -> Readiness:
        made, held = self.examples(), int(self.test * self.rows + 1e-9)
        labels = tuple(dict.fromkeys(example.output for example in made)) if self.task == "classification" else ()
        rest = len(made) - held
        middle = min(held, rest // 2)
        parts = Split(tuple(made[: rest - middle]), tuple(made[rest - middle : rest]), tuple(made[rest:]), labels)
        return assess(
            parts, self.task, self.findings(), questions=self.questions, baseline=self.baseline,
            compared_rows=self.compared,
        )  # fmt: skip


def free(rows: int, **changes) -> Situation:
    return Situation((rows,), "instruction", **changes)


_WORDS = {
    "a fine-tune": "fine_tune", "a pilot first": "pilot_first", "prompting first": "prompt_first",
    "retrieval": "retrieval", "collecting data first": "collect_data",
}  # fmt: skip


def claimed(sentence: str) -> str:
    """The decision that a sentence of `would_change` promises."""
    return _WORDS[re.search(r" would make it ([a-z -]+)\.$", sentence)[1]]


def changed(one: Situation, sentence: str) -> Situation:
    """The situation with what a sentence of `would_change` names done to it."""
    told = {entry.name: entry.metadata["choices"] for entry in fields(Questions)}

    def number(pattern: str) -> int | None:
        found = re.match(pattern, sentence)
        return int(found[1].replace(",", "")) if found else None

    def answer(name: str, pattern: str) -> Situation | None:
        found = re.match(pattern, sentence)
        if found is None:
            return None
        values = [value for value, words in told[name].items() if words.split(":")[0] == found[1]]
        return one.asked(**{name: values[0]})

    if rows := number(r"[\d,]+ more rows of the same kind, to ([\d,]+),"):
        return one.scaled(rows)
    if more := number(r"([\d,]+) more rows? of the label that is second"):
        return replace(one, counts=(one.counts[0], one.counts[1] + more, *one.counts[2:]))
    if least := number(r"([\d,]+) rows or more of every label"):
        return replace(one, counts=tuple(max(count, least) for count in one.counts))
    if found := re.match(r"Putting right .* finding “(.+)”", sentence):
        name = found[1].replace(" ", "_")
        return replace(one, faults=tuple(fault for fault in one.faults if fault[0] != name))
    if sentence.startswith("Putting right all"):
        return replace(one, faults=tuple(fault for fault in one.faults if fault[1] <= 0.1))
    if sentence.startswith("Comparing all"):
        return replace(one, compared=None)
    if rows := number(r"([\d,]+) test rows instead of"):
        return replace(one, compared=None, test=rows / one.rows)
    if rate := number(r"([\d,]+) requests a day instead"):
        return one.asked(requests_a_day=rate)
    if gain := re.match(r"A gain of ([\d.]+) points? as", sentence):
        return one.asked(want=float(gain[1]) / 100)
    other = answer("knowledge_changes", r"Right answers that change (.+) instead of ")
    other = other or answer("wrong_costs", r"Mistakes that cost (.+) instead of ")
    assert other is not None, f"nobody knows how to do this: {sentence}"
    return other
