"""A short run on the tiny model, trained in this process."""

from __future__ import annotations

from pathlib import Path

from finetune.runs.events import EventLog
from finetune.runs.store import Run
from finetune.training import session
from finetune.training.recipe import Recipe


def short_recipe(base: Path, **changes) -> Recipe:
    return Recipe(**{
        "base": str(base), "epochs": 3.0, "batch_size": 8, "evaluations": 1, "max_tokens": 256, "dropout": 0.0,
        "learning_rate": 0.003, "patience": 100, "max_new_tokens": 8,
    } | changes)  # fmt: skip


def trained(run: Run, should_stop=lambda: False, *, resume: bool = False) -> bool:
    """Whether the training came to its end."""
    with EventLog(run.events_path) as log:
        return session.train_run(run, log.emit, should_stop, resume=resume)


def told(run: Run, kind: str) -> list[dict]:
    return [event for event in run.events()[0] if event["kind"] == kind]
