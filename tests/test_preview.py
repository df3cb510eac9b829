"""What the tab Preview shows and does, without a browser."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from finetune.dataset.example import Example
from finetune.dataset.finding import Finding
from finetune.dataset.readiness.questions import Questions
from finetune.dataset.splitting.split import Split
from finetune.errors import Cancelled, FinetuneError
from finetune.ui import ask, charts, desk, exact, findings, pictures
from finetune.ui.source import Rows
from finetune.ui.tokens import exact_view
from finetune.ui.work import Job, Jobs


@pytest.fixture
def examined(tmp_path: Path):
    lines = [f"<b>text</b> number {number} of {'ab'[number % 2] * 4},{'ab'[number % 2]}" for number in range(80)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["text,category", *lines, lines[0], "no label,"]) + "\n", encoding="utf-8")
    return desk.examined_of(desk.open_files([str(path)]))


def finding(rows: int, **fields) -> Finding:
    return Finding("near_duplicate", "note", tuple(range(1, rows + 1)), "message", "fix", **fields)


def test_a_finding_shows_few_of_many_rows_and_tells_of_all(examined) -> None:
    html = findings.one(finding(70, examined=70), Rows(examined))
    assert html.count("data-row=") == findings.FIRST + findings.MORE
    assert "show the 70 rows" in html and "70 of 81 rows were looked at" in html
    assert "&lt;b&gt;text" in html and "<b>text" not in html


def test_of_a_large_cluster_the_first_rows_are_shown(examined) -> None:
    html = findings.one(finding(70, clusters=(tuple(range(1, 51)), tuple(range(51, 71)))), Rows(examined))
    assert html.count("data-row=") == 2 * findings.OF_CLUSTER
    assert "and 44 more like them" in html and "in 2 groups" in html


def test_a_row_that_is_no_example_is_shown_as_it_came(examined) -> None:
    found = Finding("empty", "warning", (82,), "message", "fix", mends=("applied",))
    html = findings.one(found, Rows(examined))
    assert "text: no label · category: (empty)" in html and "left out already" in html


def test_the_tick_that_was_changed_counts_where_two_findings_offer_one_mend() -> None:
    ticked = findings.Findings.ticked
    offered = [("drop_long",), ("drop_long", "mask_personal"), ("applied",), ()]
    assert ticked(None, offered, [["drop_long"], [], [], []], ()) == ("drop_long",)
    assert ticked(None, offered, [[], ["drop_long"], [], []], ("drop_long",)) == ()
    assert ticked(None, offered, [[], [], [], None], ("keep_one",)) == ("keep_one",)


@dataclass
class Token:
    text: str
    part: str


def test_the_middle_of_a_long_prompt_is_folded_and_the_answer_is_not() -> None:
    html = exact_view([*(Token("p", "prompt") for _ in range(9000)), Token("yes", "answer"), Token("</s>", "end")])
    assert "8,660 more tokens" in html and "and 5,660 more" in html
    assert html.endswith('title="the end, trained on">&lt;/s&gt;</span></div>')
    assert "<details>" not in exact_view([Token("p", "prompt")] * 400)


def test_rows_are_walked_through_in_a_round(examined) -> None:
    report = SimpleNamespace(findings=examined.findings, removed=())
    step = lambda walk, row, by: exact.step(report, examined, walk, row, by)  # noqa: E731
    assert [step(exact.ALL, row, 1) for row in (1, 81, 500, None)] == [2, 1, 1, 1]
    assert [step(exact.ALL, row, -1) for row in (2, 1)] == [1, 81]
    assert step("exact_duplicate", None, 0) == 1 and step("exact_duplicate", 40, 1) == 81
    assert step("exact_duplicate", 81, 1) == 1 and step("exact_duplicate", 40, -1) == 1
    longest = exact.walked(report, examined, exact.LONGEST)
    assert longest[0] == 11 and step(exact.LONGEST, 11, 1) == longest[1]  # the first with two digits


def test_answers_come_in_points_and_an_emptied_one_takes_its_default() -> None:
    form = ask.Ask({})
    assert form.answers([2000, "weekly", "", 2.5]) == Questions(2000, "weekly", "some", 0.025)
    assert form.answers([None, None, None, None]) == Questions()
    with pytest.raises(FinetuneError, match="want"):
        form.answers([1, "never", "little", 90])


def test_of_many_labels_the_largest_are_drawn_under_names_that_differ() -> None:
    labels = [f"balance_not_updated_after_{name}" for name in "abcdefghijklmno"]
    rows = [Example(number, "text", label) for number, label in enumerate(labels * 2 + labels[:3], 1)]
    split = Split(tuple(rows), (), (), labels=tuple(labels))
    counts = {label: 3 if label in labels[:3] else 2 for label in labels}
    frame = charts.balance(split, counts)
    assert frame["label"].nunique() == charts.LABELS_SHOWN and frame["label"].str.len().max() < 20
    assert f"{charts.LABELS_SHOWN} largest of 15 labels" in charts.balance_sentence(split, counts)


def test_what_is_beyond_the_cut_has_another_colour(examined) -> None:
    from finetune.dataset.checks.lengths import measure

    lengths = measure(examined.examples, lambda rows: ([row.row for row in rows], [0] * len(rows)), max_tokens=60)
    frame, width = pictures.lengths_frame(lengths.histogram)
    assert frame["rows"].sum() == 81 and frame.loc[frame["part"] == pictures.CUT, "rows"].sum() == 21
    assert frame["length"].is_monotonic_increasing and width >= 1
    assert "21 rows are longer than the 60" in pictures.lengths_sentence(lengths, 60)


def test_a_suspect_is_drawn_once_more_as_a_ring_on_top(examined) -> None:
    import numpy as np

    suspects = SimpleNamespace(flagged=np.array([4]), suggested=("b",))
    seen = SimpleNamespace(indices=np.arange(81), xy=np.full((81, 2), 9.0), total=81, by_labels=True)
    looked = SimpleNamespace(examples=examined.examples, mapping=examined.mapping, suspects=suspects)
    frame, colours = pictures.map_frame(seen, looked)
    assert len(frame) == 82 and frame.iloc[-1]["label"] == pictures.SUSPECT and frame.iloc[-1]["row"] == "5"
    assert "reads like b" in frame.iloc[-1]["output"] and frame["x"].max() == pictures.EDGE
    assert set(frame["label"]) <= set(colours)
    assert "1 row with a doubtful label is ringed" in pictures.map_sentence(seen, frame, colours)


def test_a_cancelled_job_ends_its_thread_and_says_so() -> None:
    started, ended = threading.Event(), threading.Event()

    def work(tell):
        started.set()
        try:
            while True:
                tell("on", 0.2)
        except Cancelled:
            ended.set()
            raise

    jobs = Jobs()
    old = jobs.begin("visitor", "old data", work)
    started.wait(5)
    stranger = jobs.begin("stranger", "old data", lambda tell: "theirs")
    assert jobs.begin("visitor", "new data", lambda tell: "made").result() == "made"
    assert ended.wait(5) and stranger.result() == "theirs"
    with pytest.raises(Cancelled):
        old.result()


def test_who_goes_before_the_end_has_cancelled_the_job_and_what_it_raises_is_raised() -> None:
    def forever(tell):
        while True:
            tell("on", 0.5)

    with Job(forever, "") as job:
        assert next(job.beats()) == ("on", 0.5)
    with pytest.raises(Cancelled):
        job.result()
    with pytest.raises(ZeroDivisionError):
        Job(lambda tell: 1 / 0, "").result()
    assert list(Job(lambda tell: "soon", "").beats()) == []
