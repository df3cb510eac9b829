"""The scores that a verdict is made from: the file that holds them, and what must hold for a paired comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finetune.errors import FinetuneError
from finetune.evidence.measures.metrics import as_scores
from finetune.evidence.systems import SYSTEMS
from finetune.runs.process import write_text

# part → system → scores (n,), the same n rows in the same order for every system of the part
Scores = Mapping[str, Mapping[str, np.ndarray]]


def read_scores(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """The scores of a file with one object a line: {"id", "part": "validation|test", "scores": {system: 0..1}}.

    An id stands for one row of a part, so every system of that part must be in each of its lines.

    Raises:
        FinetuneError: a file that cannot be read or is empty, or a bad line, with its row (1 = the first object).
    """
    try:
        # Split at \n alone: str.splitlines would also cut at U+2028, which JSON allows inside a string.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise FinetuneError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise FinetuneError(f"{path} is not a text in UTF-8.", hint="Give one JSON object a line.") from None
    parts: dict[str, dict[str, list[float]]] = {}
    first_row: dict[tuple[str, str], int] = {}
    for row, line in enumerate((line for line in lines if line.strip()), start=1):
        identity, part, scores = _line(line, row)
        if (part, identity) in first_row:
            raise FinetuneError(
                f"The id “{identity}” was already in row {first_row[part, identity]}.",
                hint="A row that counts twice makes the result look surer than it is: keep one.",
                row=row,
            )
        first_row[part, identity] = row
        columns = parts.setdefault(part, {name: [] for name in scores})
        if columns.keys() != scores.keys():
            differing = ", ".join(sorted(columns.keys() ^ scores.keys()))
            raise FinetuneError(
                f"This {part} row and the first {part} row do not have the same systems: {differing}.",
                hint="Systems are compared on the same rows, so each needs a score in each row.",
                row=row,
            )
        for name, score in scores.items():
            columns[name].append(score)
    if not parts:
        raise FinetuneError(f"{path} holds no scores.", hint='Give one object a line: {"id", "part", "scores"}.')
    return {part: {name: np.array(values) for name, values in columns.items()} for part, columns in parts.items()}


def write_scores(path: Path, scores: Scores, rows: Mapping[str, Sequence[int]]) -> None:
    """Write scores as `read_scores` reads them: `finetune verdict` then repeats the decision.

    Args:
        rows: part → source rows, which become the ids.
    """
    lines = [
        json.dumps({"id": row, "part": part, "scores": {name: float(of[name][place]) for name in of}})
        for part, of in scores.items()
        for place, row in enumerate(rows[part])
    ]
    write_text(path, "".join(f"{line}\n" for line in lines))


def _line(line: str, row: int) -> tuple[str, str, dict[str, float]]:
    """Id, part and scores of one line, checked."""
    shape = 'Write {"id": 7, "part": "test", "scores": {"base": 0, "fine_tuned": 1}}.'
    try:
        data: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise FinetuneError("This line is not JSON.", hint=shape, row=row) from None
    if not isinstance(data, dict):
        raise FinetuneError("This line is not an object.", hint=shape, row=row)
    identity, part, scores = data.get("id"), data.get("part"), data.get("scores")
    if not isinstance(identity, str | int) or isinstance(identity, bool):
        raise FinetuneError("The id is missing, or is neither a text nor a whole number.", hint=shape, row=row)
    if part not in ("validation", "test"):
        raise FinetuneError(f"The part is {json.dumps(part)}.", hint="It must be “validation” or “test”.", row=row)
    if not isinstance(scores, dict) or not scores:
        raise FinetuneError("The scores are missing.", hint=shape, row=row)
    for name, score in scores.items():
        if name not in SYSTEMS:
            raise FinetuneError(f"There is no system “{name}”.", hint=f"Take: {', '.join(SYSTEMS)}.", row=row)
        # NaN fails the comparison too; a whole number too long for a float is compared before it is converted.
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise FinetuneError(f"The score of {name} is not a number from 0 to 1.", row=row)
    return str(identity), part, {name: float(score) for name, score in scores.items()}


def checked_part(scores: Scores, part: str) -> dict[str, np.ndarray]:
    """The scores of one part, checked; empty if there are none.

    Raises:
        FinetuneError: an unknown system, a score that is missing or outside 0..1, systems with different row counts.
    """
    systems = scores.get(part, {})
    if unknown := [name for name in systems if name not in SYSTEMS]:
        raise FinetuneError(f"There is no system “{unknown[0]}”.", hint=f"Take: {', '.join(SYSTEMS)}.")
    checked = {name: as_scores(values, name=f"{name} ({part})") for name, values in systems.items()}
    if len({values.size for values in checked.values()}) > 1:
        counts = ", ".join(f"{name} {values.size}" for name, values in checked.items())
        raise FinetuneError(
            f"The systems were not scored on the same {part} rows: {counts}.",
            hint="Give each system one score for each row, in the same order.",
        )
    return checked
