"""Trainings on parts of the rows, one after another on one loaded base: the points of the learning curve."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.model.prompt import Encoded
from finetune.runs.events import Emit
from finetune.training.alarms import Diverged
from finetune.training.forecast import Point, forecast, point_of
from finetune.training.plan import Plan, steps_of
from finetune.training.recipe import Recipe

SHARES = (0.125, 0.25, 0.5)
FEWEST_ROWS = 8  # of a part; under it nothing is learned that says something of more rows


def parts_of(count: int) -> list[int]:
    """How many rows each part of `count` rows has, all rows left out."""
    return [part for share in SHARES if (part := round(share * count)) >= FEWEST_ROWS]


def measure(
    model: Any,
    recipe: Recipe,
    plan: Plan,
    parts: Sequence[Sequence[Encoded]],
    validation: Sequence[Encoded],
    *,
    of: int,
    points: Sequence[Point] = (),
    directory: Path,
    pad: int,
    emit: Emit,
    should_stop: Callable[[], bool],
    **given: Any,
) -> list[Point] | None:
    """A fresh adapter trained on each part by the plan of the whole, with as many passes; None when it was stopped.

    A part whose training diverges is left out, and told.

    Args:
        model: the frozen base; it is left as it came.
        parts: rows of each part, ascending.
        validation: the rows of the looks, the same for all parts.
        of: rows in all; of a time box each part has its share of them.
        points: known before; their parts are not trained again.
        directory: of the run; what is written under it is deleted again.
        given: what else `train` takes.
    """
    from finetune.training.adapter import for_a_trial
    from finetune.training.train import train

    place, points = directory / "curve", list(points)
    for number, rows in enumerate(parts, 1):
        if len(rows) in [point.rows for point in points]:
            continue
        steps = steps_of(recipe, len(rows))
        emit("log", text=f"learning curve, part {number} of {len(parts)}: {len(rows)} rows, {steps} steps")
        small = dataclasses.replace(
            plan, steps=steps, steps_per_look=max(1, math.ceil(steps / max(1, recipe.epochs) / recipe.evaluations))
        )
        events: list[dict] = []

        def hear(kind: str, number: int = number, events: list[dict] = events, **fields: Any) -> None:
            events.append({"kind": kind, **fields})
            if kind == "progress":
                emit(
                    "progress", phase="curve", step=fields["step"], steps=fields["steps"], part=number, parts=len(parts)
                )

        boxed = dataclasses.replace(recipe, max_minutes=recipe.max_minutes * len(rows) / of, log_to="none")
        try:
            with for_a_trial(model, place):
                trained = train(
                    model, boxed, small, rows, validation, directory=place, pad=pad, emit=hear, should_stop=should_stop,
                    **given,
                )  # fmt: skip
        except Diverged as error:
            emit("warning", text=f"Part {number} of the learning curve is left out. {error.message}")
            continue
        if trained.asked_to_stop:
            return None
        if point := point_of(events, len(rows), len(validation)):
            points = sorted([*points, point], key=lambda one: one.rows)
            emit("curve", points=[point.as_json() for point in points])
    return points


def told(events: Iterable[Mapping]) -> list[Point]:
    """The points that a run has told of; the later word holds."""
    said = [event["points"] for event in events if event["kind"] == "curve"]
    return [Point(**point) for point in said[-1]] if said else []


def conclude(
    points: Sequence[Point], events: Sequence[Mapping], rows: int, looked_at: int, emit: Emit, seed: int
) -> None:
    """Adds what all rows came to, and tells what twice as many would bring."""
    whole = point_of(events, rows, looked_at)
    if whole is None:
        return
    points = [*(point for point in points if point.rows != rows), whole]
    expected = forecast(points, seed)
    emit(
        "curve", points=[point.as_json() for point in points],
        forecast=expected.as_json() | {"text": expected.sentence} if expected else None,
    )  # fmt: skip
