"""From a file to the object of `inspect --json`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from finetune.dataset.cleaned import save_cleaned
from finetune.dataset.examine import examine
from finetune.dataset.mapping.columns import guess
from finetune.dataset.reading.load import load
from finetune.dataset.report import Choices, Report, conclude, lengths_of
from finetune.errors import FinetuneError


def inspect(path, counter=None, test=None, columns=None, **choices) -> Report:
    table = load(path, test=test)
    chosen = Choices(**choices)
    examined = examine(table, guess(table, **(columns or {})), near=chosen.near)
    return conclude(examined, chosen, counter and lengths_of(examined, chosen.max_tokens, counter))


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
    found = {finding["kind"]: finding for finding in data["findings"]}
    assert [found[kind]["rows"] for kind in ("bad_row", "empty", "exact_duplicate")] == [[5], [7], [9, 11]]
    assert found["exact_duplicate"]["clusters"] == [[9, 11]]
    assert {"kind", "severity", "rows", "message", "fix"} <= set(data["findings"][0])
    assert data["left_out"] == [
        {"row": 5, "reason": "1 field where the header has 2"},
        {"row": 7, "reason": "the input or the output is empty"},
        {"row": 11, "reason": "same as row 9"},
    ]
    assert data["readiness"]["decision"] == "pilot_first"  # a word decides, which a classical model sees too
    assert 0 < data["readiness"]["detectable_difference"] < 1
    assert data["file"]["name"] == "tickets.csv" and data["seed"] == 3


def test_tokens_are_counted_by_the_caller(tickets):
    asked = []

    def counter(task, labels):
        def count(examples):
            asked.append((len(examples), task, labels))
            return [10 if example.row != 100 else 1700 for example in examples], [5] * len(examples)

        return count

    report = inspect(tickets, counter)
    assert asked == [(598, "classification", ["billing", "technical"])]
    assert report.tokens == {"p50": 10, "p95": 10, "max": 1700, "truncated_rows": 1}
    assert [finding.rows for finding in report.findings if finding.kind == "too_long"] == [(100,)]
    mended = inspect(tickets, counter, mends=("keep_one", "drop_long"))
    assert mended.rows == 596 and mended.mended.removed[-1].row == 100


def test_seed_and_mends(tickets):
    assert inspect(tickets, seed=1).split == inspect(tickets, seed=1).split != inspect(tickets, seed=2).split
    assert inspect(tickets, mends=()).rows == 598
    with pytest.raises(FinetuneError, match="no mend"):
        inspect(tickets, mends=("fly",))


def test_nothing_usable(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,category\na,\nb,\n")
    with pytest.raises(FinetuneError, match="No row has both"):
        inspect(path)
    path.write_text("text,category\na,b\n")
    with pytest.raises(FinetuneError, match="one usable row"):
        inspect(path)


WORDS = [
    "card",
    "bank",
    "transfer",
    "refund",
    "limit",
    "pin",
    "phone",
    "branch",
    "cash",
    "cheque",
    "fee",
    "app",
    "account",
    "letter",
    "queue",
    "visa",
    "salary",
    "loan",
]


def sentence(number: int) -> str:
    """Twelve words that no other number has in common to a half."""
    return " ".join(f"{word}{(number * (place + 3)) % 9973}" for place, word in enumerate(WORDS[:12]))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Rows with a customer and a day, and a test file that holds two of them, one nearly."""
    lines = ["text,label,customer,day"]
    lines += [f"{sentence(n)},{'ab'[n % 2]},c{n // 3},2024-{1 + n // 28:02d}-{1 + n % 28:02d}" for n in range(300)]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    tests = [
        lines[1 + n].replace(sentence(n), text) for n, text in ((10, sentence(10).upper()), (20, sentence(20) + "!"))
    ]
    tests += [f"{sentence(n)},{'ab'[n % 2]},x{n},2025-01-01" for n in range(1000, 1040)]
    (tmp_path / "own.csv").write_text("\n".join([lines[0], *tests]) + "\n")
    return tmp_path / "rows.csv", tmp_path / "own.csv"


def test_the_users_own_test_file(files):
    rows, own = files
    report = inspect(rows, test=own)
    assert [example.row for example in report.split.test] == list(range(301, 343))
    (leak,) = [finding for finding in report.findings if finding.kind == "leakage"]
    assert leak.rows == (11, 21) and leak.clusters == ((11, 301), (21, 302))
    trained = {example.row for part in (report.split.train, report.split.validation) for example in part}
    assert trained == set(range(1, 301)) - {11, 21}
    assert [(item.row, item.reason) for item in report.removed] == [
        (11, "in the test file too, as row 301"),
        (21, "in the test file too, as row 302"),
    ]
    assert report.rows == 340


def test_customers_and_days(files):
    rows, _ = files
    grouped = inspect(rows, columns={"group": "customer"})
    sides = [{(example.row - 1) // 3 for example in part} for part in grouped.split.parts().values()]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    timed = inspect(rows, columns={"time": "day"})
    train, validation, test = ([example.row for example in part] for part in timed.split.parts().values())
    assert max(train) < min(validation) and max(validation) < min(test)


def test_texts_made_equal_by_a_mend_stay_on_one_side(tmp_path):
    path = tmp_path / "x.csv"
    lines = [f"please write to person{n}@firma-{n}.de,{'ab'[n % 2]}" for n in range(40)]
    lines += [f"{sentence(n)},{'ab'[n % 2]}" for n in range(200)]
    path.write_text("text,label\n" + "\n".join(lines) + "\n")
    report = inspect(path, mends=("mask_personal",))
    where = {example.row: name for name, part in report.split.parts().items() for example in part}
    assert len({where[row] for row in range(1, 41)}) == 1
    assert {example.input for example in report.split.parts()[where[1]] if example.row <= 40} == {
        "please write to [e-mail]"
    }


def test_the_mended_file_and_what_changed(tmp_path):
    path = tmp_path / "rows.csv"
    lines = [f"{number},{sentence(number)},{'refund' if number % 2 else 'card'},kept {number}" for number in range(120)]
    lines[3] = "3,call ann@firma.de about it,refund,kept 3"
    lines[5] = f"5,{sentence(5)},Refund,kept 5"
    lines[8] = f"8,{sentence(6)},card,kept 8"
    path.write_text("id,text,label,note\n" + "\n".join(lines) + "\n")
    before = path.read_bytes()
    report = inspect(
        path, mends=("keep_one", "mask_personal", "merge_labels"), columns={"input": "text", "output": "label"}
    )
    rows, changes = save_cleaned(report, tmp_path / "out")
    again = load(rows).frame
    assert list(again.columns) == ["id", "text", "label", "note"] and len(again) == 119
    assert "8" not in set(again["id"]) and set(again["label"]) == {"refund", "card"}
    assert again.loc[again["id"] == "3", "text"].item() == "call [e-mail] about it"
    assert again.loc[again["id"] == "7", "note"].item() == "kept 7"
    told = load(changes).frame
    assert [(row.row, row.what, row.column) for row in told.itertuples(index=False)] == [
        ("4", "changed", "input"),
        ("6", "changed", "output"),
        ("9", "left out", ""),
    ]
    assert path.read_bytes() == before


def test_the_mended_file_of_chats(tmp_path):
    path = tmp_path / "chats.jsonl"
    with path.open("w") as file:
        for number in range(60):
            turns = [
                {"role": "user", "content": f"{sentence(number)} mail{number}@firma.de"},
                {"role": "assistant", "content": f"answer {number} of its own"},
            ]
            file.write(json.dumps({"id": number, "messages": turns}) + "\n")
    rows, _ = save_cleaned(inspect(path, mends=("mask_personal",)), tmp_path / "out")
    first = json.loads(rows.read_text().splitlines()[0])
    assert first["messages"][0] == {"role": "user", "content": f"{sentence(0)} [e-mail]"} and str(first["id"]) == "0"


def test_ten_thousand_rows(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,category\n" + "".join(f"{sentence(n)} row {n},label {n % 77}\n" for n in range(10_000)))
    start = time.perf_counter()
    report = inspect(path)
    # Two or three seconds on an idle machine; the bound only catches something quadratic.
    assert time.perf_counter() - start < 30
    assert report.rows == 10_000 and len(report.labels) == 77
