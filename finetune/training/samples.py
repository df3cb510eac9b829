"""The same few validation rows, answered at every look: so that one sees what is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from finetune.dataset.example import Example
from finetune.model.prompt import Encoded

if TYPE_CHECKING:
    from finetune.training.looking import Looker

ROWS = 3
TOKENS = 32  # of an answer at most
LABEL_TOKENS = 4  # more than the longest label has: enough to see that something else is said
CHARACTERS = 240  # of a prompt or an answer as it is told; the file of events is to stay small


class Samples:
    """Answers the first rows of those that it is given, which have different answers where that can be.

    Args:
        looker: asks the model.
        rows: as the model gets them.
        examples: the same rows as texts, found by their row numbers.
        most: tokens of an answer at most.
    """

    def __init__(self, looker: Looker, rows: Sequence[Encoded], examples: Sequence[Example], most: int):
        labels = max((len(label) for label in looker.labels), default=0)
        self.looker, self.most = looker, min(most, TOKENS, labels + LABEL_TOKENS if labels else TOKENS)
        of = {example.row: example for example in examples}
        chosen: list[Encoded] = []
        for row in [row for row in rows if row.row in of]:
            if len(chosen) < ROWS and row.answer not in [other.answer for other in chosen]:
                chosen.append(row)
        rest = [row for row in rows if row.row in of and row not in chosen]
        self.rows = [*chosen, *rest[: ROWS - len(chosen)]]
        self.examples = [of[row.row] for row in self.rows]

    def take(self) -> list[dict]:
        """The answers of now: row, prompt, expected and answer of each.

        Raises:
            Stopped: a stop was asked for meanwhile.
        """
        answers = self.looker.answers(self.rows, self.most) if self.rows else []
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
