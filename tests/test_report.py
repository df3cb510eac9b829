"""From a file to the object of `inspect --json`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from finetune.dataset.columns import guess
from finetune.dataset.load import load
from finetune.dataset.report import inspect, look
from finetune.errors import FinetuneError


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    lines = [
        f"ticket number {n} about {'money' if n % 2 else 'bugs'},{'billing' if n % 2 else 'technical'}"
        for n in range(600)
    ]
    lines[4] = "only one field"
    lines[6] = ",technical"
    lines[10] = lines[8].upper().replace("TECHNICAL", "technical")
    path = tmp_path / "tickets.csv"
    path.write_text("text,category\n" + "\n".join(lines) + "\n")
    return path


def test_the_object_of_the_contract(tickets):
    data = json.loads(json.dumps(inspect(tickets, seed=3).as_json()))
    assert {"rows", "task", "columns", "labels", "split", "tokens", "findings", "readiness"} <= set(data)
    assert data["rows"] == 597 and data["task"] == "classification"
    assert data["columns"] == {"input": "text", "output": "category"}
    assert data["labels"] == {"billing": 300, "technical": 297}
    assert sum(part["rows"] for part in data["split"].values()) == 597
    assert data["split"]["test"]["labels"] == {"billing": 45, "technical": 45}
    assert data["tokens"] is None
    assert [(f["kind"], f["rows"]) for f in data["findings"]] == [
        ("bad_row", [5]),
        ("empty", [7]),
        ("exact_duplicate", [9, 11]),
    ]
    assert data["findings"][2]["clusters"] == [[9, 11]]
    assert data["left_out"] == [
        {"row": 5, "reason": "1 field where the header has 2"},
        {"row": 7, "reason": "the input or the output is empty"},
        {"row": 11, "reason": "same as row 9"},
    ]
    assert data["readiness"]["decision"] == "fine_tune"
    assert 0 < data["readiness"]["detectable_difference"] < 1
    assert data["file"]["name"] == "tickets.csv" and data["seed"] == 3


def test_tokens_are_counted_by_the_caller(tickets):
    asked = []

    def count(examples, task, labels):
        asked.append((len(examples), task, labels))
        return [10 if example.row != 100 else 700 for example in examples]

    report = inspect(tickets, count_tokens=count)
    assert asked == [(598, "classification", ["billing", "technical"])]
    assert report.tokens == {"p50": 10, "p95": 10, "max": 700, "truncated_rows": 1}
    assert [finding.rows for finding in report.findings if finding.kind == "too_long"] == [(100,)]
    mended = inspect(tickets, count_tokens=count, mends=("keep_one", "drop_long"))
    assert mended.rows == 596 and mended.tokens["max"] == 10


def test_inspect_is_load_guess_look(tickets):
    table = load(tickets)
    assert look(table, guess(table), seed=1) == inspect(tickets, seed=1)
    assert inspect(tickets, seed=1).split != inspect(tickets, seed=2).split
    assert inspect(tickets, mends=()).rows == 598


def test_nothing_usable(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,category\na,\nb,\n")
    with pytest.raises(FinetuneError, match="No row has both"):
        inspect(path)
    path.write_text("text,category\na,b\n")
    with pytest.raises(FinetuneError, match="one usable row"):
        inspect(path)


def test_ten_thousand_rows(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "text,category\n" + "".join(f"some words that make up row {n},label {n % 77}\n" for n in range(10_000))
    )
    start = time.perf_counter()
    report = inspect(path)
    # About 0.4 s on an idle machine; the bound only catches something quadratic.
    assert time.perf_counter() - start < 10
    assert report.rows == 10_000 and len(report.labels) == 77
