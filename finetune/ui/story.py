"""A run as the page tells it: every event heard once, folded into log, curves, choices and warnings."""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from pathlib import Path

from finetune.runs.queue import place_words
from finetune.runs.store import Run, Status, find_run, status
from finetune.training.forecast import MEASURES, curve_words


class Story:
    """What was heard of one run so far. All pages that show the run share it, whatever was missed by one of them.

    Attributes:
        log: lines to read, oldest first; none is ever left out.
        training, validation: loss by step. A resumed run writes its steps again, and the later word holds.
        metric: what the scores count, "accuracy" or "token_accuracy"; "" before the first look.
        scores, learned: share that is right by step, of validation rows and of rows that were trained on.
        samples: answers by step, each a list of row, prompt, expected and answer; empty where a look did not ask.
        expected_seconds: what the training was thought to take, None where it was not said.
        price: of what machine the cost is that the steps tell; "" where it was not said.
        choices: what the program chose itself, each a dict of name, value and reason.
        warnings: sentences.
        progress: the last progress event, None before the first.
        heard: number of events.
    """

    def __init__(self, run: Run):
        self.run = run
        self.record = run.record()
        self.log: list[str] = []
        self.training: dict[int, float] = {}
        self.validation: dict[int, float] = {}
        self.metric = ""
        self.scores: dict[int, float] = {}
        self.learned: dict[int, float] = {}
        self.samples: dict[int, list[dict]] = {}
        self.points: list[dict] = []  # of the learning curve
        self.forecast: dict | None = None
        self.expected_seconds: float | None = None
        self.price = ""
        self.choices: list[dict] = []
        self.warnings: list[str] = []
        self.progress: dict | None = None
        self.heard = 0
        self._offset = 0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.record.get("name") or self.run.id

    def follow(self) -> Status:
        """Hear what is new, and say where the run stands."""
        found = status(self.run)  # before its events: of what is over the last line is heard, too
        with self._lock:
            events, self._offset = self.run.events(self._offset)
            for event in events:
                self._hear(event)
            self.heard += len(events)
        return found

    @property
    def phase(self) -> str:
        """What the last step was one of: “train”, or one of `PHASES`."""
        return (self.progress or {}).get("phase", "train")

    @property
    def unit(self) -> str:
        """What is counted while the run is at work."""
        return "answer" if self.phase == "compare" else "step"

    def curves(self) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        """Training and validation loss as points by step."""
        with self._lock:
            return sorted(self.training.items()), sorted(self.validation.items())

    def course(self) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        """Share that is right as points by step: of validation rows, and of rows that were trained on."""
        with self._lock:
            return sorted(self.scores.items()), sorted(self.learned.items())

    def learning(self) -> tuple[list[dict], dict | None]:
        """The points of the learning curve, and what twice the rows would bring where that is known."""
        with self._lock:
            return self.points, self.forecast

    def answers(self) -> list[tuple[int, list[dict]]]:
        """The sampled answers by step."""
        with self._lock:
            return sorted(self.samples.items())

    def _hear(self, event: dict) -> None:
        kind, step = event["kind"], event.get("step")
        if kind == "progress":
            self.progress = event
            if event.get("phase") != "compare" and step is not None and event.get("loss") is not None:
                self.training[step] = event["loss"]
        elif kind == "evaluated" and step is not None and event.get("loss") is not None:
            self.validation[step] = event["loss"]
            self._look(step, event)
        elif kind == "curve":
            self.points, self.forecast = event["points"], event.get("forecast")
        elif kind == "plan":
            self.choices = list(event.get("choices", ()))
            self.expected_seconds = event.get("expected_seconds")
            self.price = (event.get("price") or {}).get("of", "")
        elif kind == "warning":
            self.warnings.append(event.get("text", ""))
        elif kind == "started":
            self.warnings, self.expected_seconds = [], None
        if line := _line(event):
            self.log.append(f"{time.strftime('%H:%M:%S', time.localtime(event['time']))}  {line}")

    def _look(self, step: int, event: dict) -> None:
        self.metric = event.get("metric") or self.metric
        for points, name in ((self.scores, "score"), (self.learned, "train_score")):
            if event.get(name) is not None:
                points[step] = event[name]
        self.samples[step] = event.get("sampled") or self.samples.get(step, [])


def story_of(run_id: str, root: Path) -> Story:
    """The story of a run. Raises FinetuneError when there is no such run."""
    return _story(find_run(run_id, root).directory)


@lru_cache(maxsize=64)
def _story(directory: Path) -> Story:
    return Story(Run(directory))


def _line(event: dict) -> str:
    """The event in words; nothing for those that the curves and the bar show."""
    kind = event["kind"]
    if kind == "queued":
        words = f", {words}" if (words := place_words(event.get("place"), event.get("of"))) else ""
        return f"waits for {event['behind']}{words}" if event.get("behind") else "waits for its turn"
    if kind == "curve":
        return curve_words(event)
    if kind == "started":
        return f"started on {event['device']}" if event.get("device") else "started"
    if kind == "evaluated":
        loss, trained, score = event.get("loss"), event.get("train_loss"), event.get("score")
        beside = f", training {trained:.3f}" if trained is not None else ""
        right = f"; {score:.0%} {MEASURES.get(event.get('metric'), 'right')}" if score is not None else ""
        return f"step {event.get('step')}: validation loss {loss:.3f}{beside}{right}" if loss is not None else ""
    if kind == "checkpoint":
        return f"step {event.get('step')} saved"
    if kind == "warning":
        return f"warning: {event.get('text', '')}"
    if kind == "compared":
        return f"compared: {event.get('reason') or str(event.get('decision', '')).replace('_', ' ')}"
    if kind == "stopped":
        at = f" at step {event['step']}" if event.get("step") else ""
        return f"stopped{at}" + (f": {event['reason']}" if event.get("reason") else "")
    if kind == "finished":
        return "training finished" if event.get("phase") == "train" else "finished"
    if kind == "failed":
        return f"failed: {event.get('message', '')} {event.get('hint', '')}".strip()
    return event.get("text", "") if kind == "log" else ""


def clock(seconds: float | None) -> str:
    """130 → `2:10`, 4000 → `1:06:40`."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


# What goes on beside the training itself, which has steps of its own, as the events name it.
PHASES = {"sweep": "trying learning rates", "curve": "learning curve", "compare": "comparing"}


def where(story: Story, found: Status) -> list[str]:
    """The numbers of a run that is at work: `step 84/120`, `loss 0.41`, `2:10 left`."""
    facts = []
    if found.step is not None and found.steps:
        if story.phase in ("sweep", "curve"):
            facts.append(PHASES[story.phase])
        facts.append(f"{story.unit} {found.step:,}/{found.steps:,}")
    if found.loss is not None:
        facts.append(f"loss {found.loss:.2f}")
    if found.eta_seconds is not None:
        facts.append(f"{clock(found.eta_seconds)} left")
    return facts
