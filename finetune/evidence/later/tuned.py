"""What the fine-tuned model alone answers to some rows, and what is told while it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.dataset.example import Example
from finetune.dataset.tell import Tell
from finetune.errors import FinetuneError
from finetune.evidence import answering
from finetune.evidence.alternatives.asking import asking_of
from finetune.evidence.answering import metric_of
from finetune.evidence.models.cached import Models
from finetune.evidence.options import Options
from finetune.evidence.systems import FINE_TUNED
from finetune.runs.queue import Turn
from finetune.runs.store import Run


@dataclass(frozen=True)
class Said:
    """What the fine-tuned model answered.

    Attributes:
        metric: "accuracy" for tasks with labels; else the measure of `scores`.
        texts, scores: of each row; None and NaN for a row that is too long to be asked.
        cut: rows whose input was cut for length.
    """

    metric: str
    texts: list[str | None]
    scores: np.ndarray
    cut: np.ndarray

    def part(self, start: int, end: int) -> Said:
        """The same of some of the rows."""
        return Said(self.metric, self.texts[start:end], self.scores[start:end], self.cut[start:end])


class Stop(Exception):
    """`should_stop` said yes."""


def answers(run: Run, rows: Sequence[Example], tick: Callable[[int], None], should_stop: Callable[[], bool]) -> Said:
    """The answers of the fine-tuned model, asked as the comparison asks it, so that each is found where it is kept.

    The only place that touches the asking and answering of the comparison. Loads the model at most once, and not at all
    where every row was asked before.
    """
    from finetune.evidence.models.pair import Stopped

    asking = asking_of(run, Options.of(run))
    most = max(map(len, asking.label_ids), default=run.recipe().max_new_tokens)
    asked, places = [], []
    for place, row in enumerate(rows):
        try:
            asked += asking.ask(FINE_TUNED, [row], 0, most)
            places.append(place)
        except FinetuneError as error:
            if error.row is None:
                raise
            tick(1)  # its instruction and earlier turns alone are too long: counted as too_long
    whole, prompts = [rows[place] for place in places], [one.prompt for one in asked]
    models, metric = Models(run, asking.prompt, (), should_stop=should_stop), metric_of(asking)
    try:
        if asking.labels:
            found = models.likelihoods(prompts, asking.label_ids, tuned=True, tick=tick)
            said = answering.labelled(whole, asked, asking.labels, asking.label_ids, found)
        else:
            found = models.texts(prompts, most, tuned=[True] * len(prompts), tick=tick)
            said = answering.written(whole, asked, metric, found)
    except Stopped:
        raise Stop from None
    finally:
        models.let_go()
    texts: list[str | None] = [None] * len(rows)
    scores, cut = np.full(len(rows), np.nan), np.zeros(len(rows), dtype=bool)
    for number, place in enumerate(places):
        texts[place], scores[place], cut[place] = said.texts[number], said.scores[number], asked[number].cut > 0
    return Said(metric, texts, scores, cut)


class Progress:
    """What is told while the model answers, and the ears for a stop."""

    def __init__(self, tell: Tell, should_stop: Callable[[], bool]):
        self.said, self.should_stop, self.rows, self.done = tell, should_stop, 0, 0
        self.text = "Waiting for the device"

    def begin(self, rows: int) -> None:
        """The device is there, and there are so many rows to ask. May raise Cancelled."""
        self.text, self.rows, self.done = "Loading the model", rows, 0
        self.stop_asked_for()

    def behind(self, turn: Turn) -> None:
        words = f", {turn.words}" if turn.words else ""
        self.text = f"Waiting for {turn.behind or 'another run'}{words}"
        self.stop_asked_for()

    def stop_asked_for(self) -> bool:
        self.said(self.text, self.share)  # may raise Cancelled, also while it waits
        return self.should_stop()

    def tick(self, rows: int) -> None:
        self.done = min(self.rows, self.done + rows)
        self.text = f"Asking the model: {self.done:,} of {self.rows:,} rows"
        if self.stop_asked_for():
            raise Stop

    @property
    def share(self) -> float:
        return 0.05 + 0.9 * self.done / max(1, self.rows)
