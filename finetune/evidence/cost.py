"""What a run cost and what a request costs, as measured."""

from __future__ import annotations

from collections.abc import Mapping


def measured(
    *, training_seconds: float | None, rows: int, seconds: Mapping[str, float], tokens: Mapping[str, int]
) -> dict:
    """The "cost" of a comparison.

    Args:
        training_seconds: wall-clock time of the training; None if it is not known.
        rows: requests that each system answered.
        seconds: system → wall-clock seconds for all of them.
        tokens: system → tokens read and written for all of them; 0 for a system without a language model.
    """
    if rows < 1:
        raise ValueError("a cost per request needs at least one request")
    return {
        "training_seconds": training_seconds,
        "tokens_per_request": {system: total / rows for system, total in tokens.items()},
        "seconds_per_request": {system: total / rows for system, total in seconds.items()},
    }
