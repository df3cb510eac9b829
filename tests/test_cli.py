"""The command line: the contract of its JSON, its exit codes and its sentences."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from finetune.__main__ import main
from finetune.evidence.systems import SYSTEMS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def call(capsys, tmp_path):
    # It has to be there: a run beside a root that is gone belongs to the root of this machine.
    (tmp_path / "root").mkdir()

    def called(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--root", str(tmp_path / "root")] if arguments[0] != "recipe" else arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return called


def test_inspect_json(call, small_csv, tiny_model):
    code, out, _ = call("inspect", str(small_csv), "--model", str(tiny_model), "--json")
    assert code == 0
    report = json.loads(out)
    assert {"rows", "task", "columns", "labels", "split", "tokens", "findings", "readiness"} <= report.keys()
    assert report["rows"] == 80 and report["task"] == "classification"
    assert report["columns"] == {"input": "text", "output": "category"}
    assert report["labels"] == {"fruit": 40, "tool": 40}
    assert sum(part["rows"] for part in report["split"].values()) == 80
    assert set(report["tokens"]) == {"p50", "p95", "max", "truncated_rows"}
    assert {"decision", "reasons", "detectable_difference"} <= set(report["readiness"])
    for finding in report["findings"]:
        assert {"kind", "severity", "rows", "message", "fix"} <= finding.keys()


def test_a_test_file_beside_standard_input(call, small_csv, tmp_path, monkeypatch):
    mine = tmp_path / "mine.csv"
    mine.write_text("text,category\n" + "".join(f"a row of mine {n},{('fruit', 'tool')[n % 2]}\n" for n in range(12)))
    monkeypatch.setattr("sys.stdin", io.StringIO(small_csv.read_text()))
    code, out, _ = call("inspect", "-", "--test-file", str(mine), "--model", "no-such-model", "--json")
    assert code == 0 and json.loads(out)["split"]["test"]["rows"] == 12
    monkeypatch.setattr("sys.stdin", io.StringIO(small_csv.read_text()))
    code, _, err = call("inspect", "-", "--test-file", str(tmp_path / "none.csv"), "--model", "no-such-model")
    assert code == 2 and "none.csv" in err


def test_a_document_that_is_not_there_leaves_no_run_behind(call, small_csv, tmp_path):
    wanted = tmp_path / "out"
    code, _, err = call("run", str(small_csv), "--run-dir", str(wanted), "--documents", str(tmp_path / "manul.md"))
    assert code == 2 and "manul.md" in err and not wanted.exists()


def test_inspect_stands_without_a_tokenizer(call, small_csv):
    code, out, _ = call("inspect", str(small_csv), "--model", "no-such-model", "--json")
    report = json.loads(out)
    assert code == 0 and report["tokens"] is None
    assert "no-such-model" in report["file"]["notes"][-1]


def test_the_main_job_and_what_follows_it(call, small_csv, tiny_model, tmp_path):
    options = ["--model", str(tiny_model), "--set", "epochs=3", "--set", "batch_size=8", "--set", "rank=8"]
    code, out, err = call(
        "run", str(small_csv), *options, "--preset", "standard", "--run-dir", str(tmp_path / "mine"), "--json"
    )
    assert code == 0, err
    comparison = json.loads(out)
    assert {
        "run", "model", "task", "metric", "test_rows", "systems", "paired", "verdict", "adapter_off_equals_base",
        "forgetting", "cost", "training",
    } <= comparison.keys()  # fmt: skip
    assert set(comparison["systems"]) == set(SYSTEMS)
    for system in comparison["systems"].values():
        assert {"score", "interval", "seconds", "tokens"} <= system.keys()
    assert set(comparison["paired"]) == {"against", "difference", "interval", "p_value", "wins", "losses", "ties"}
    assert set(comparison["verdict"]) == {
        "decision", "reason", "next_steps", "level", "detectable_difference", "rows_needed",
    }  # fmt: skip
    assert comparison["adapter_off_equals_base"] is True
    assert "step" in err and "because" in err
    # Whoever doubts the verdict can make it again from the scores of every row.
    code, alone, _ = call("verdict", str(tmp_path / "mine" / "scores.jsonl"), "--json")
    assert code == 0 and json.loads(alone)["paired"] == comparison["paired"]
    assert json.loads(alone)["verdict"]["reason"] == comparison["verdict"]["reason"]
    # Its directory is a run like any other.
    code, again, _ = call("compare", str(tmp_path / "mine"), "--json")
    assert code == 0 and json.loads(again) == comparison
    code, text, _ = call("compare", str(tmp_path / "mine"))
    assert code == 0 and comparison["verdict"]["reason"] in text


def test_train_then_compare_then_list(call, small_csv, tiny_model):
    code, out, err = call(
        "train", str(small_csv), "--model", str(tiny_model), "--set", "epochs=1", "--preset", "standard", "--json"
    )
    assert code == 0, err
    trained = json.loads(out)
    assert trained["state"] == "finished" and trained["training"]["rows"] > 0
    assert not (Path(trained["run"]) / "comparison.json").exists()
    name = Path(trained["run"]).name
    code, out, _ = call("compare", name, "--json")
    assert code == 0 and json.loads(out)["run"] == trained["run"]
    code, out, _ = call("runs", "--json")
    assert [run["run"] for run in json.loads(out)["runs"]] == [name]
    code, _, err = call("resume", name)
    assert code == 2 and "finished" in err
    code, out, _ = call("stop", name, "--json")
    assert code == 0 and json.loads(out)["state"] == "finished"


def test_verdict_alone(call, tmp_path):
    path = tmp_path / "scores.jsonl"
    lines = []
    for part in ("validation", "test"):
        for number in range(200):
            scores = {"base": float(number % 2), "fine_tuned": float(number % 10 != 0)}
            lines.append(json.dumps({"id": number, "part": part, "scores": scores}))
    path.write_text("\n".join(lines))
    code, out, _ = call("verdict", str(path), "--json")
    assert code == 0 and json.loads(out)["verdict"]["decision"] == "use_fine_tuned"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "empty"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "PNG"),
        ("book.csv", b"PK\x03\x04" + bytes(200), ""),
        ("one.csv", b"text\nhello\nworld\n", "one column"),
        ("row.csv", b"text,category\nhello,a\n", ""),
        ("label.csv", b"text,category\n" + b"".join(b"row %d,same\n" % n for n in range(40)), "label"),
    ],
)
def test_bad_files_end_with_one_sentence(call, tmp_path, tiny_model, name, content, said):
    (tmp_path / name).write_bytes(content)
    code, out, err = call("inspect", str(tmp_path / name), "--model", str(tiny_model), "--json")
    error = json.loads(out)["error"]
    assert code == 2 and set(error) == {"message", "hint", "row", "column"}
    assert said.lower() in err.lower() and "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def test_mistakes_in_the_options_end_with_a_sentence(call, small_csv):
    for options, said in (
        (["--set", "preset=huge"], "huge"), (["--set", "rank=300"], "rank"), (["--set", "nothing=1"], "nothing"),
        (["--output", "colour"], "colour"),
    ):  # fmt: skip
        code, _, err = call("inspect", str(small_csv), *options)
        assert code == 2 and said in err
    assert call("compare", "no-such-run")[0] == 2
    for wrong in (
        ["inspect", str(small_csv), "--task", "poetry"],
        ["inspect", str(small_csv), "--speed", "9"],
        ["fly"],
    ):
        code, out, err = call(*wrong, "--json")
        assert code == 2 and set(json.loads(out)["error"]) == {"message", "hint", "row", "column"}
        assert len(err.strip().splitlines()) == 1


def test_as_a_process_nothing_but_json_is_on_standard_output(small_csv, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "finetune", "inspect", str(small_csv), "--model", "none", "--json", "--root", str(tmp_path)],
        capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 80
