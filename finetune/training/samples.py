"""The same few validation rows, answered at every look: so that one sees what is learned."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from finetune.dataset.example import Example
from finetune.model.prompt import Encoded

if TYPE_CHECKING:
    from finetune.training.looking import Looker

ROWS = 3
TOKENS = 32  # of an answer at most
CHARACTERS = 240  # of a prompt or an answer as it is told; the file of events is to stay small
# Of the time of training since the answers before: a slow machine writes them less often.
SHARE = 0.1
QUICK = 1.0  # seconds that are always taken


class Samples:
    """Answers the first rows of those that it is given, which have different answers where that can be.

    Args:
        looker: asks the model.
        rows: as the model gets them.
        examples: the same rows as texts, found by their row numbers.
        most: tokens of an answer at most.
    """

    def __init__(self, looker: Looker, rows: Sequence[Encoded], examples: Sequence[Example], most: int):
        self.looker, self.most = looker, min(most, TOKENS)
        of = {example.row: example for example in examples}
        chosen: list[Encoded] = []
        for row in [row for row in rows if row.row in of]:
            if len(chosen) < ROWS and row.answer not in [other.answer for other in chosen]:
                chosen.append(row)
        rest = [row for row in rows if row.row in of and row not in chosen]
        self.rows = [*chosen, *rest[: ROWS - len(chosen)]]
        self.examples = [of[row.row] for row in self.rows]
        self.took = 0.0
        self.at = time.monotonic()

    def take(self) -> list[dict]:
        """The answers of now: row, prompt, expected and answer of each; empty where that would take too long.

        Raises:
            Stopped: a stop was asked for meanwhile.
        """
        began = time.monotonic()
        if not self.rows or self.took > max(QUICK, SHARE * (began - self.at)):
            return []
        answers = self.looker.answers(self.rows, self.most)
        self.at = time.monotonic()
        self.took = self.at - began
        return [
            {
                "row": example.row,
                "prompt": shortened(example.input),
                "expected": shortened(example.output),
                "answer": shortened(answer),
            }
            for example, answer in zip(self.examples, answers, strict=False)
        ]


def shortened(text: str) -> str:
    """The text in a table: its beginning alone, where it is long."""
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"
