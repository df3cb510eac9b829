"""The report: everything that was measured, in both formats alike, safe to open anywhere, and a command that is true."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import gradio as gr
import pytest
from compared import LABELS, make_run

from finetune import jobs
from finetune.__main__ import _asked, _recipe, _report, parser
from finetune.errors import FinetuneError
from finetune.evidence.alternatives.documents import read_documents, read_passages
from finetune.evidence.options import Options, passages_of, save
from finetune.evidence.report import document, layout
from finetune.evidence.report.repeat import repeat
from finetune.runs.store import Run, create
from finetune.training.recipe import Recipe
from finetune.ui.compare import takeaway

# What a page could fetch or run; the only address that may stand in it is one of a user's text, and there it is text.
OUTSIDE = re.compile(r"<(?:script|link|img|iframe|object|base)\b|\s(?:src|href|on\w+)=\"|url\(|@import|https?://", re.I)


def plain(text: str) -> str:
    """Markdown or HTML as the words and figures that are read."""
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.S)
    text = (
        text.replace("&quot;", '"')
        .replace("&#x27;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )
    return " ".join(re.sub(r"\\(?=[\\`*_\[\]|~#+.)-])", "", text).split())


@pytest.mark.parametrize("task", ["classification", "instruction"])
def test_both_formats_hold_everything_that_was_measured(tmp_path: Path, task: str) -> None:
    run = make_run(tmp_path, task, decision="no_clear_difference")
    comparison = run.comparison()
    html, markdown = document.html(run), document.markdown(run)
    expected = [
        "No clear difference", comparison["verdict"]["reason"], *comparison["verdict"]["next_steps"], "24 November 2026",
        *(cause["message"] for cause in comparison["causes"]), comparison["forgetting"]["message"], "a" * 64, "torch 2.9.0",
        "3 times, for 2 different", "1,450 test rows are needed", "7.41", document.repeat_command(run), "tickets.csv",
        *(f"{100 * found['score']:.1f}%" for found in comparison["systems"].values()),
        *("{:.1f} to {:.1f}%".format(*(100 * end for end in found["interval"])) for found in comparison["systems"].values()),
        f"Of {comparison['regressions']['of']} test rows that the untrained base had right, {len(comparison['regressions']['rows'])}",
    ]  # fmt: skip
    if task == "classification":
        expected += ["at least 88.0% sure", "answers 49.0% by itself", "technical fault", "0.061"]
    else:
        expected += ["valid JSON", "chrF", "difference +1.200 (95% interval +1.000 to +1.400", "urgent"]
    for text in (plain(html), plain(markdown)):
        assert [piece for piece in expected if " ".join(piece.split()) not in text] == []
    for section in document.report_of(run).sections:
        assert (
            bool(section.blocks)
            == (f"<h2>{layout._escape(section.title)}</h2>" in html)
            == (f"\n## {section.title}" in markdown)
        )


def test_the_page_needs_nothing_beside_itself_and_no_text_of_a_user_becomes_markup(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    outputs = run.outputs()
    lost = run.comparison()["regressions"]["rows"][0]
    line = next(line for line in outputs if line["row"] == lost)
    line["input"] = (
        "a | b\n# c <img src=x onerror=alert(1)> [x](javascript:alert(1)) `d` **e** &lt;b&gt; </style><script>1</script>"
    )
    lines = "".join(json.dumps(line) + "\n" for line in outputs)
    (run.directory / "outputs.jsonl").write_text(lines, encoding="utf-8")
    html, markdown = document.html(run), document.markdown(run)
    assert OUTSIDE.findall(html) == [] and "default-src 'none'" in html
    assert "<img" not in markdown and "<script" not in markdown and "[x](" not in markdown
    assert r"a \| b # c &lt;img" in markdown and r"\*\*e\*\* &amp;lt;b&amp;gt;" in markdown
    # Each line of a table has as many cells as its head.
    for table in re.findall(r"(?:^\|.*\|\n)+", markdown, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_a_beginning_of_a_line_starts_no_list_and_a_fence_cannot_be_closed_from_inside() -> None:
    assert layout._markdown(layout.Text("1. not a list")) == r"1\. not a list"
    assert layout._markdown(layout.Points(["- a", ("# b", "+ c")])) == "- \\- a\n- \\# b  \n  \\+ c"
    assert layout._markdown(layout.Verbatim("a\n````\nb")).startswith("`````text\n")


@pytest.mark.parametrize("task", ["classification", "instruction"])
def test_comparisons_of_before_have_a_report_too(tmp_path: Path, task: str) -> None:
    told = document.markdown(make_run(tmp_path, task, old=True))
    assert (
        "## Use the fine-tuned model" in told and "What got worse" not in told and "Why there was no gain" not in told
    )


def test_a_failed_proof_withholds_the_verdict(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    comparison = run.comparison() | {"adapter_off_equals_base": False}
    comparison["proof"] |= {"equal": False, "largest_difference": 0.3}
    (run.directory / "comparison.json").write_text(json.dumps(comparison), encoding="utf-8")
    told = document.markdown(run)
    assert "## No verdict" in told and "## Use" not in told and "DOES NOT EQUAL" in told
    assert 'class="verdict bad"' in document.html(run)


def test_what_is_not_listed_is_counted(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    comparison = run.comparison()
    comparison["regressions"] = {"rows": [line["row"] for line in run.outputs()], "of": 120}
    comparison["causes"] = [
        {"kind": "conflicts", "area": "quality", "message": "Some.", "rows": list(range(1, 201)), "total": 431}
    ]
    (run.directory / "comparison.json").write_text(json.dumps(comparison), encoding="utf-8")
    told = document.markdown(run)
    assert "The first 50 of 120" in told and "20, and 411 more." in told and "shortened to 300 characters" in told


def test_checks_since_then_are_told_the_newest_first(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    checks = [
        {"time": f"2026-12-0{day}T10:00:00+00:00", "data": {"name": f"week{day}.csv"}, "rows": 200, "score": 0.8 - day / 20,
         "interval": [0.7, 0.8], "own_score": 0.84, "difference": -day / 20, "p_value": 0.03, "decision": "drifted",
         "reason": f"Worse on day {day}."}
        for day in (1, 2)
    ]  # fmt: skip
    lines = "".join(json.dumps(check) + "\n" for check in checks) + '{"torn'
    (run.directory / "checks.jsonl").write_text(lines, encoding="utf-8")
    told = document.markdown(run)
    assert told.index("week2.csv") < told.index("week1.csv") and "scored 3 times" in told
    assert "a line that cannot be read" in told and "-10.0" in told


def test_a_file_is_written_by_its_ending_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for name, begins in (("a.html", "<!doctype html>"), ("b/c.MD", "# Is a fine-tune worth it?")):
        assert document.write(run, tmp_path / name).read_text(encoding="utf-8").startswith(begins)
    with pytest.raises(FinetuneError, match=r"End its name in .html or .md"):
        document.write(run, tmp_path / "report.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(FinetuneError, match="cannot be written"):
        document.write(run, tmp_path / "file" / "report.md")
    (run.directory / "comparison.json").unlink()
    with pytest.raises(FinetuneError, match="not compared yet"):
        document.write(run, tmp_path / "d.md")


def test_the_page_hands_both_files_out(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with gr.Blocks():
        part = takeaway.build(gr.State(""), tmp_path)
    made = part.made(run.id)
    assert set(made) <= set(part.shown()) and set(part.view(None, {}, [])) == set(part.shown())
    files = [Path(made[button].value["path"]) for button in (part.page, part.text)]
    assert [path.name for path in files] == [f"{run.id}.html", f"{run.id}.md"]
    assert files[0].read_text(encoding="utf-8") == document.html(run)
    assert made[part.command].value == document.repeat_command(run)


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data whose names need quotes, and a test file and a document beside it; the working directory."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, first, count in (("my rows.csv", 0, 90), ("test's.csv", 90, 24)):
        lines = ["the text,-more,kind + label,who,unused"]
        lines += [
            f"text number {n} of {LABELS[n % 4]},more {n % 7},{LABELS[n % 4]},customer {n // 3},x"
            for n in range(first, first + count)
        ]
        lines += [lines[1]] if not first else []  # one row twice
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "-notes.md").write_text("A paragraph.\n\nAnother one.\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def made(root: Path, report, recipe: Recipe, options: Options, documents: list[Path]) -> Run:
    run = create(root, report=report, recipe=recipe, name="odd")
    save(run, options, passages_of(documents))
    passages = read_passages(run.directory / "documents.jsonl")
    comparison = {"options": options.as_json() | {"documents": len(passages)}}
    (run.directory / "comparison.json").write_text(json.dumps(comparison), encoding="utf-8")
    return run


def test_the_command_makes_the_same_run_again(odd: Path, tiny_model: Path, tmp_path: Path) -> None:
    recipe = Recipe.from_preset(
        "pilot", base=str(tiny_model), rows=40, max_minutes=2.5, learning_rate=0.00037, seed=7, test_share=0.2,
        instruction="Say what it's about:\n- one “kind”", quantisation="none",
    )  # fmt: skip
    report = jobs.inspect(
        "my rows.csv", test="test's.csv", input=["the text", "-more"], output="kind + label", task="classification",
        group="who", near=0.9, mends=["merge_labels", "keep_one", "keep_one_near"], recipe=recipe, root=tmp_path,
    )  # fmt: skip
    options = Options(
        systems=("majority", "base", "retrieval"), prompt="- Sort it.\nDon't explain.", must=("-", "it's"), must_not=("$HOME",),
        pattern=r"^\w+ ?\w*$",
    )  # fmt: skip
    run = made(tmp_path / "first", report, recipe, options, [Path("-notes.md")])
    command = document.repeat_command(run)
    assert command.startswith("python -m finetune run 'my rows.csv' ")

    given = parser().parse_args(shlex.split(command)[3:])
    again = _report(given, _recipe(given))
    second = create(tmp_path / "second", report=again, recipe=_recipe(given), name="odd")
    assert second.recipe() == run.recipe()
    assert second.record()["data"] == run.record()["data"] and second.record()["labels"] == run.record()["labels"]
    for part in ("train", "validation", "test"):
        path = Path("data") / f"{part}.jsonl"
        assert (second.directory / path).read_bytes() == (run.directory / path).read_bytes()
    assert second.report()["findings"] == run.report()["findings"]
    assert _asked(given, Options()) == options
    assert read_documents(given.documents) == read_passages(run.directory / "documents.jsonl")


def test_a_template_and_a_time_are_in_the_command_and_defaults_are_not(
    odd: Path, tiny_model: Path, tmp_path: Path
) -> None:
    text = (odd / "my rows.csv").read_text(encoding="utf-8").splitlines()
    dated = [text[0] + ",day", *(f"{line},2026-{1 + n % 12:02}-{1 + n % 28:02}" for n, line in enumerate(text[1:]))]
    Path("dated.csv").write_text("\n".join(dated) + "\n", encoding="utf-8")
    recipe = Recipe.from_preset("standard", base=str(tiny_model))
    report = jobs.inspect("dated.csv", template="{the text}: {-more}", output="kind + label", time="day", recipe=recipe)
    run = made(tmp_path / "first", report, recipe, Options(), [])
    command = document.repeat_command(run)
    assert not re.search(r"--(mend|near|without|set|prompt|input|max-minutes|documents)\b", command)
    given = parser().parse_args(shlex.split(command)[3:])
    again = create(tmp_path / "second", report=_report(given, _recipe(given)), recipe=_recipe(given), name="odd")
    for part in ("train", "validation", "test"):
        path = Path("data") / f"{part}.jsonl"
        assert (again.directory / path).read_bytes() == (run.directory / path).read_bytes()


def test_rows_that_no_path_leads_to_are_said_with_where_they_are_kept(
    odd: Path, tiny_model: Path, tmp_path: Path
) -> None:
    recipe = Recipe(base=str(tiny_model))
    report = jobs.inspect("my rows.csv", input="the text", output="kind + label", mends=[], recipe=recipe)
    run = made(tmp_path / "first", report, recipe, Options(), [])
    found = repeat(run)
    assert " --mend none" in found.command and "train.jsonl" in found.notes[-1]
    asked = parser().parse_args(shlex.split(found.command)[3:])
    assert _report(asked, _recipe(asked)).as_json()["split"] == report.as_json()["split"]
    # Pasted rows are given once more; those of the Hub by their name.
    told = run.report()
    told["mends"], told["file"]["name"], told["file"]["sources"][0]["name"] = (
        ["keep_one"],
        "pasted text",
        "pasted text.txt",
    )
    (run.directory / "report.json").write_text(json.dumps(told), encoding="utf-8")
    record = run.record() | {"data": {"name": "pasted text.txt", "sha256": "c" * 64}}
    (run.directory / "recipe.json").write_text(json.dumps(record), encoding="utf-8")
    assert " run - --input" in repeat(run).command and "were pasted" in repeat(run).notes[0]
    told["file"] |= {"format": "hub", "sources": [{"name": "owner/rows train", "sha256": "c" * 64, "test": False}]}
    (run.directory / "report.json").write_text(json.dumps(told), encoding="utf-8")
    assert " run hub:owner/rows --input" in repeat(run).command and "from the Hub" in repeat(run).notes[0]
