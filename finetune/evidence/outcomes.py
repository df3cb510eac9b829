"""What a comparison writes down: of each system, of each row, and of what got worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finetune.dataset.example import Example
from finetune.errors import FinetuneError
from finetune.evidence.answering import Answers
from finetune.evidence.measures.calibration import SURE, calibration, human
from finetune.evidence.measures.classes import moved, per_class
from finetune.evidence.measures.metrics import interval, paired_means
from finetune.evidence.measures.must import Rules
from finetune.evidence.measures.texts import summary
from finetune.evidence.models.cached import Found
from finetune.evidence.systems import FINE_TUNED
from finetune.runs.store import Run

# A row that base has and the fine-tuned model has not: for scores between 0 and 1, a fall of so much.
FALL = 0.2


@dataclass(frozen=True)
class References:
    """Log-likelihood (nats) of the expected answer of each row, its end token included: sum and number of tokens."""

    sums: np.ndarray
    tokens: np.ndarray

    @classmethod
    def of(cls, found: Sequence[Found]) -> References:
        values = np.array([one.value for one in found], dtype=float).reshape(len(found), 2)
        return cls(values[:, 0], values[:, 1])

    @property
    def rows(self) -> np.ndarray:
        """Mean of a token (rows,): a long answer counts as much as a short one."""
        return self.sums / self.tokens

    @property
    def mean(self) -> float:
        return float(self.rows.mean())


def training(run: Run) -> dict:
    """The `training` object of the comparison."""
    if (said := run.training()) is None:
        raise FinetuneError("This run has not been trained yet.", hint="Train it first, or resume it.")
    names = (
        "seconds", "tokens", "tokens_per_second", "peak_memory_bytes", "estimated_memory_bytes", "rows", "epochs",
        "best_step", "stopped_early",
    )  # fmt: skip
    return {name: said.get(name) for name in names} | {"cards": said.get("cards", 1)}


def system(
    name: str, said: Answers, validation: Answers, lines: Sequence[dict], labels: Sequence[str], seed: int
) -> dict:
    """The entry of one system under "systems".

    Args:
        lines: as `lines` made them.
    """
    entry: dict[str, Any] = {
        "score": float(said.scores.mean()),
        "interval": list(interval(said.scores, seed=seed)),
        "validation_score": float(validation.scores.mean()),
        "seconds": said.seconds,
        "tokens": said.read + said.written,
        "tokens_in": said.read,
        "tokens_out": said.written,
        "cached_rows": said.kept,
    }
    expected = [line["expected"] for line in lines]
    if labels:
        entry["classes"] = per_class(expected, said.texts, labels, seed=seed)
    else:
        entry["text"] = summary(said.texts, said.measures, said.fields)
        entry["exact_match"] = entry["text"]["exact_match"]
    if said.probabilities is not None:
        place = {label: number for number, label in enumerate(labels)}
        entry["calibration"] = calibration(said.probabilities, np.array([place.get(text, -1) for text in expected]))
    if "broken" in lines[0]:
        entry["rules_broken"] = sum(bool(line["broken"][name]) for line in lines)
    return entry


def lines(
    rows: Sequence[Example], test: Mapping[str, Answers], *, rules: Rules, labels: Sequence[str],
    beside: Mapping[str, Sequence[str]], references: Mapping[str, References],
) -> list[dict]:  # fmt: skip
    """The lines of `outputs.jsonl`, one for each test row.

    Args:
        beside: system → what it wrote freely, for tasks with labels.
        references: system → how likely it holds the expected answers, for other tasks.
    """
    compared = "base" if "base" in test else next(iter(test))
    result = []
    for place, example in enumerate(rows):
        scores = {name: float(said.scores[place]) for name, said in test.items()}
        gain = scores[FINE_TUNED] - scores[compared]
        outputs = {name: said.texts[place] for name, said in test.items()}
        shown = {name: list(said.asked[place].rows) for name, said in test.items() if said.asked}
        if "retrieval" in shown:
            shown["passages"] = list(test["retrieval"].asked[place].passages)
        line: dict[str, Any] = {
            "row": example.row,
            "input": example.input,
            "expected": example.output,
            "outputs": outputs,
            "scores": scores,
            "outcome": "better" if gain > 1e-9 else "worse" if gain < -1e-9 else "same",
            "shown": {name: found for name, found in shown.items() if found},
        }
        if rules:
            line["broken"] = {name: rules.check(text) for name, text in outputs.items()}
        if labels:
            line["generated"] = {name: texts[place] for name, texts in beside.items()}
            line["probabilities"] = {
                name: {
                    label: round(float(share), 6)
                    for label, share in zip(labels, said.probabilities[place], strict=True)
                }
                for name, said in test.items()
                if said.probabilities is not None
            }
            sure = max(line["probabilities"][FINE_TUNED].values()) >= SURE
            line["sure_but_wrong"] = sure and scores[FINE_TUNED] == 0
        else:
            line["metrics"] = {name: said.measures[place] for name, said in test.items()}
            line["likelihood"] = {name: float(found.rows[place]) for name, found in references.items()}
            line["cut"] = [name for name, said in test.items() if said.cut[place]]
            found = {name: said.fields[place] for name, said in test.items()}
            if found[FINE_TUNED] is not None:
                line["fields"] = {name: one["fields"] for name, one in found.items()}
        result.append(line)
    return result


def of_labels(rows: Sequence[Example], answers: Mapping[str, Mapping[str, Answers]], seed: int) -> dict:
    """What only tasks with labels have: the rows that moved, and what can be left to the model."""
    test = answers["test"]
    sure = [
        (said.probabilities.max(1), said.scores)
        for said in (answers["validation"][FINE_TUNED], test[FINE_TUNED])
        if said.probabilities is not None
    ]
    found = {"human": human(*sure, seed=seed)}
    if "base" in test:
        found["moved"] = moved(
            [row.row for row in rows], [row.output for row in rows], test["base"].texts, test[FINE_TUNED].texts
        )
    return found


def reference(found: Mapping[str, References], seed: int) -> dict:
    """How likely base and fine-tuned hold the expected answers, a token on average, and their paired difference."""
    before, after = found["base"], found[FINE_TUNED]
    difference, bounds, p_value = paired_means(after.rows, before.rows, seed=seed)
    return {
        "base": before.mean, "fine_tuned": after.mean, "difference": difference, "interval": list(bounds),
        "p_value": p_value,
    }  # fmt: skip


def regressions(rows: Sequence[Example], test: Mapping[str, Answers], *, whole: bool) -> dict:
    """The rows that base had right and the fine-tuned model has wrong.

    Args:
        whole: scores are right or wrong; otherwise a fall of `FALL` counts.
    """
    if "base" not in test:
        return {"rows": [], "of": 0}
    before, after = test["base"].scores, test[FINE_TUNED].scores
    least = 1.0 if whole else FALL
    had = before >= least
    lost = had & (before - after >= least)
    return {"rows": [rows[place].row for place in np.flatnonzero(lost)], "of": int(had.sum())}


def left_out(test: Mapping[str, Answers]) -> dict:
    """Rows of each system whose input, whose examples or passages, or whose answer was cut for length."""
    counts = {
        "cut_inputs": {name: sum(one.cut > 0 for one in said.asked) for name, said in test.items()},
        "cut_examples": {name: sum(one.shortened > 0 for one in said.asked) for name, said in test.items()},
        "cut_answers": {name: sum(said.cut) for name, said in test.items()},
    }
    return {kind: {name: count for name, count in found.items() if count} for kind, found in counts.items()}
