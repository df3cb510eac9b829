"""A look at rows in the middle of training: the loss, what is right of them, and some answers.

Whatever happens here, training goes on as if it had not: no number is drawn from the generators that dropout draws from,
and every layer is put back into the mode it was in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from finetune.evidence.models.likelihood import trees
from finetune.evidence.models.pair import Pair, Stopped
from finetune.model.prompt import Encoded, Prompt, common_prefix
from finetune.training.plan import FEWEST_LOOK_ROWS, Plan
from finetune.training.step import answer_loss, batch_of, undisturbed

Metric = Literal["accuracy", "token_accuracy"]

# Scoring all labels may cost so much of what reading the rows costs; a look is to stay under a fifth of the time.
DEAREST = 1.5
# Without gradients nothing is kept of a layer: this many times the rows of a training pass fit.
ROWS_OF_A_PASS = 4


@dataclass(frozen=True, slots=True)
class Measured:
    """What was seen of some rows.

    Attributes:
        loss: nats a scored token, over all scored tokens of all rows.
        score: share that is right: rows whose own label is the most likely of all labels ("accuracy"), or tokens of the
            answers that are the most likely one after what stands before them ("token_accuracy").
    """

    loss: float
    score: float


class Learning(Pair):
    """The model that is in training, for the questions that the comparison asks of a finished one. Nothing is loaded."""

    def __init__(self, model: Any, prompt: Prompt, plan: Plan):
        self.model, self.prompt, self.kind = model, prompt, plan.device
        self.dtype = getattr(torch, plan.dtype)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        # Not inference mode: what a layer keeps of a look may be met by a backward pass later on.
        with torch.no_grad():
            yield


def dearer(rows: Sequence[Encoded], labels: Sequence[list[int]]) -> float:
    """How many times the tokens of a training row are computed for one that is looked at: at least once.

    Training computes what all rows begin with once for a pass, and so does a look; which scores all labels behind each row.

    Args:
        rows: to train on.
        labels: token ids of each; none where no labels are scored.
    """
    read, own, scored = _tokens_of_a_row(rows, labels)
    return scored / own if scored <= DEAREST * read else 1.0


def _tokens_of_a_row(rows: Sequence[Encoded], labels: Sequence[list[int]]) -> tuple[float, float, float]:
    """Tokens of a row on average: all that it has, those that not all rows begin with, and these with all labels."""
    read = sum(map(len, rows)) / len(rows)
    own = max(1.0, read - common_prefix([row.prompt for row in rows]))
    return read, own, own + sum(len(tree.tokens) for tree in trees(labels))


class Looker:
    """Looks at rows.

    Args:
        model: with its adapter.
        prompt: of the run; None: no labels are scored and no answers written.
        plan: of the run.
        validation: rows that are looked at.
        training: rows that are trained on; some of them are looked at beside the others.
        pad: token id that fills shorter rows.
        share: what all rows of a pass begin with is computed once.
        should_stop: asked after each pass.
    """

    def __init__(
        self,
        model: Any,
        prompt: Prompt | None,
        plan: Plan,
        *,
        validation: Sequence[Encoded],
        training: Sequence[Encoded],
        pad: int,
        share: bool,
        should_stop: Callable[[], bool],
    ):
        self.model, self.plan, self.pad, self.share, self.should_stop = model, plan, pad, share, should_stop
        self.validation = list(validation)
        self.learning = Learning(model, prompt, plan) if prompt is not None else None
        self.labels = [prompt.answer_ids(label) for label in prompt.labels] if prompt is not None else []
        self.metric: Metric = "accuracy" if self._scores_labels() else "token_accuracy"
        most = min(FEWEST_LOOK_ROWS, len(training))
        # Evenly drawn from the file, whose rows may be in the order of their labels.
        self.learned = [training[place * len(training) // most] for place in range(most)]

    def rehearse(self) -> None:
        """The largest pass of a look, once, so that too little memory shows before the first step.

        A stop that is asked for meanwhile ends it; the first look will hear of it too.
        """
        with undisturbed(self.model), contextlib.suppress(Stopped):
            self._measure(sorted(self.validation, key=len)[-ROWS_OF_A_PASS * self.plan.micro_batch :])

    def look(self) -> Measured:
        """The validation rows. Raises Stopped."""
        with undisturbed(self.model):
            return self._measure(self.validation)

    def look_at_learned(self) -> Measured:
        """Some of the rows that are trained on. Raises Stopped."""
        with undisturbed(self.model):
            return self._measure(self.learned)

    def answers(self, rows: Sequence[Encoded], most: int) -> list[str]:
        """The most likely answer to each row, token by token; one of more than `most` tokens ends in “…”. Raises Stopped."""
        if self.learning is None:
            return []
        with undisturbed(self.model):
            made = self.learning.generate([row.prompt for row in rows], most, should_stop=self.should_stop)
        return [f"{text}…" if cut else text for text, cut in zip(made.texts, made.cut, strict=True)]

    def _go_on(self) -> None:
        if self.should_stop():
            raise Stopped

    def _scores_labels(self) -> bool:
        """Whether all labels are scored after each row: it is the measure of the comparison, where it is cheap enough."""
        if not self.labels or self.learning is None:
            return False
        known = {tuple(label) for label in self.labels}
        if any(tuple(row.answer) not in known for row in self.validation):
            return False
        read, _, scored = _tokens_of_a_row(self.validation, self.labels)
        if scored > DEAREST * read:
            return False
        with undisturbed(self.model):
            return self.learning.takes_masks

    def _measure(self, rows: Sequence[Encoded]) -> Measured:
        rows = sorted(rows, key=len)  # so that a pass pads little
        size = ROWS_OF_A_PASS * self.plan.micro_batch
        of_batch = self._labels if self.metric == "accuracy" else self._tokens
        loss, tokens, right, count = 0.0, 0, 0, 0
        for start in range(0, len(rows), size):
            self._go_on()
            found = of_batch(rows[start : start + size])
            loss, tokens, right, count = (
                old + new for old, new in zip((loss, tokens, right, count), found, strict=True)
            )
        return Measured(loss / max(1, tokens), right / max(1, count))

    def _labels(self, rows: Sequence[Encoded]) -> tuple[float, int, int, int]:
        """Loss summed over tokens, tokens; rows whose own label is the most likely one, rows."""
        found = self.learning.label_likelihoods([row.prompt for row in rows], self.labels, lambda rows: self._go_on())
        own = np.array([self.labels.index(row.answer) for row in rows])
        loss = -float(found.values[np.arange(len(rows)), own].sum())
        return loss, sum(len(row.answer) for row in rows), int((found.values.argmax(1) == own).sum()), len(rows)

    def _tokens(self, rows: Sequence[Encoded]) -> tuple[float, int, int, int]:
        """Loss summed over tokens, tokens; tokens that are the most likely ones, tokens."""
        device = next(self.model.parameters()).device
        with torch.no_grad():
            loss, right, count = answer_loss(self.model, *batch_of(rows, self.pad, device), share=self.share)
        return float(loss), count, int(right), count


def unmoved(model: torch.nn.Module) -> tuple[int, int]:
    """How many of the adapter's second matrices (LoRA B) are zero as they began, and how many there are."""
    matrices = [weight for name, weight in model.named_parameters() if "lora_B" in name and weight.requires_grad]
    return sum(not bool(weight.detach().any()) for weight in matrices), len(matrices)
