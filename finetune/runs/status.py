"""Where a run stands: derived anew from its events and its process each time, never stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from finetune.runs import events, process
from finetune.runs.queue import place_words

if TYPE_CHECKING:
    from finetune.runs.store import Run

State = Literal["created", "queued", "running", "comparing", "stopping", "stopped", "finished", "failed", "lost"]


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        state: "lost" is a run whose process went away without a last word.
        step, steps: of the phase it is in (optimiser steps while it trains); None before the first.
        loss: training loss of the last step; None while it compares.
        eta_seconds: time left in this phase.
        behind: whom a queued run waits for, where known: the one right before it in the line.
        place, of: where a queued run stands in the line (1 is the next), and how many wait.
        message: one sentence, where there is something to say.
        hint: what to do, or what is known.
    """

    state: State
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    eta_seconds: float | None = None
    behind: str | None = None
    place: int | None = None
    of: int | None = None
    message: str = ""
    hint: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ("stopped", "finished", "failed", "lost")


def status(run: Run) -> Status:
    """Where the run stands now. Cheap enough to ask every second: of a long log it reads the end alone."""
    worker = process.recorded(run.directory)
    # The process before its events: the other way round, a run that ends in between would look lost.
    alive = worker is not None and worker.alive()
    # Earlier starts of the same run had their own last words.
    since = worker.events_offset if worker else 0
    phase = worker.phase if worker else "train"
    said = _said(run, phase, events.tail(run.events_path, since)) or _said(run, phase, run.events(since)[0])
    if said is None:
        if worker is None:
            return Status("created")
        said = Status(_at_work(phase), message="The worker is starting.")
    if said.over:
        return said
    if worker is not None and worker.stop_asked:
        if alive:
            return _turned(said, "stopping")
        return _turned(said, "stopped", "The run was stopped before its worker could say so.", _way_on(run, said.state))
    return said if alive else _lost(run, said)


def _said(run: Run, phase: str, log: list[dict]) -> Status | None:
    """What the events alone say, None if they say nothing of the state. `phase` is the one the worker began with."""
    now: Status | None = None
    for event in log:
        match event["kind"]:
            case "queued":
                behind, place, of = event.get("behind"), event.get("place"), event.get("of")
                words = f", {words}" if (words := place_words(place, of)) else ""
                message = f"Waits for the GPU behind {behind or 'another run'}{words}."
                now = Status("queued", behind=behind, place=place, of=of, message=message)
            case "started":
                now = Status(_at_work(event.get("phase", phase)))
            case "progress":
                at = (event.get("step"), event.get("steps"), event.get("loss"), event.get("eta_seconds"))
                now = Status(_at_work(event.get("phase", phase)), *at)
            case "finished" if event.get("phase") == "train" and run.record().get("compare", True):
                now = Status("comparing")  # the same worker goes on to it
            case "finished":
                now = _turned(now, "finished")
            case "stopped":
                now = _turned(now, "stopped", event.get("reason"))
            case "failed":
                now = _turned(now, "failed", event.get("message"), event.get("hint"))
    return now


def _turned(now: Status | None, state: State, message: str | None = "", hint: str | None = "") -> Status:
    """The same place in the run, in another state."""
    return replace(now or Status(state), state=state, eta_seconds=None, message=message or "", hint=hint or "")


def _at_work(phase: str) -> State:
    return "comparing" if phase == "compare" else "running"


def _lost(run: Run, said: Status) -> Status:
    message = (
        "The process of this run is gone without a last word (a crash, a kill, too little memory, or a restart of the "
        f"machine). {_way_on(run, said.state)}"
    )
    words = _last_words(run)
    return _turned(said, "lost", message, f"worker.log ends with: {words}" if words else "")


def _way_on(run: Run, state: State) -> str:
    if state == "comparing":
        return "The adapter is saved; resume makes the comparison again."
    if run.checkpoints.is_dir() and any(run.checkpoints.iterdir()):
        return "Resume goes on from the last checkpoint."
    return "There is no checkpoint yet: resume starts it again."


def _last_words(run: Run) -> str:
    try:
        with run.log_path.open("rb") as file:
            file.seek(max(0, run.log_path.stat().st_size - 2000))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
