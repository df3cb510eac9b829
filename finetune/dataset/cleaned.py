"""The mended rows as a file of the same kind as the upload, and the list of what changed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from finetune.dataset.mending import MENDS
from finetune.dataset.reading.conversation import as_conversation
from finetune.dataset.report import Report


def save_cleaned(report: Report, folder: Path) -> tuple[Path, Path]:
    """Writes the rows that are used, in the columns of the upload, and a CSV of all that was changed or left out.

    A table becomes CSV (UTF-8 with a mark, which Excel wants), JSON and JSON lines become JSON lines. Columns that are
    neither input nor output stay as they are. The list has a line for each change: row, what, column, before, after,
    why; and a line for each row that was left out.

    Args:
        folder: is made where it does not exist.

    Returns:
        The paths of the rows and of the list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = Path(report.name).name.split(".")[0] or "data"
    records = _records(report)
    if report.table.format in ("csv", "parquet"):
        data = folder / f"{stem}-cleaned.csv"
        with data.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(report.table.frame.columns)
            writer.writerows([_as_cell(value) for value in record] for record in records)
    else:
        data = folder / f"{stem}-cleaned.jsonl"
        with data.open("w", encoding="utf-8") as file:
            for record in records:
                row = dict(zip(report.table.frame.columns, record, strict=True))
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return data, _save_changes(report, folder / f"{stem}-changes.csv")


def _records(report: Report) -> list[list[Any]]:
    """The cells of the rows that are used, with the changes made where they belong."""
    frame, mapping = report.table.frame, report.mapping
    names = list(frame.columns)
    used = {example.row: example for part in report.split.parts().values() for example in part}
    outputs = {change.row for change in report.mended.changes if change.column == "output"}
    touched = [*mapping.input, *filter(None, (mapping.output, mapping.messages, mapping.system))]
    records = []
    for row, cells in zip(frame.index.to_list(), frame.itertuples(index=False, name=None), strict=True):
        if row not in used:
            continue
        record = list(cells)
        for name in report.mended.texts.get(row, ()):
            change = MENDS[name].change
            for column in touched:
                place = names.index(column)
                record[place] = _changed(record[place], change)
        if row in outputs and mapping.output is not None:
            record[names.index(mapping.output)] = used[row].output
        records.append(record)
    return records


def _changed(cell: Any, change) -> Any:
    """A text with the change made; of a conversation, every turn."""
    turns = as_conversation(cell)
    if turns is None:
        return change(cell) if isinstance(cell, str) else cell
    mended = []
    for turn in turns:
        key = "content" if "content" in turn else "value"
        value = turn.get(key)
        if isinstance(value, str):
            turn = {**turn, key: change(value)}
        elif isinstance(value, list):
            parts = [
                {**part, "text": change(part["text"])}
                if isinstance(part, dict) and isinstance(part.get("text"), str)
                else part
                for part in value
            ]
            turn = {**turn, key: parts}
        mended.append(turn)
    return json.dumps(mended, ensure_ascii=False) if isinstance(cell, str) else mended


def _as_cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _save_changes(report: Report, path: Path) -> Path:
    lines = [
        (removed.row, "left out", "", "", "", removed.reason) for removed in report.removed
    ] + [
        (change.row, "changed", change.column, change.before, change.after, change.reason)
        for change in report.mended.changes
    ]  # fmt: skip
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "what", "column", "before", "after", "why"])
        writer.writerows(sorted(lines, key=lambda line: line[0]))
    return path
