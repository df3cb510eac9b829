"""What the tab Preview shows and does, without a browser."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from finetune.dataset.example import Example
from finetune.dataset.finding import Finding
from finetune.dataset.readiness.questions import Questions
from finetune.dataset.splitting.split import Split
from finetune.errors import Cancelled, FinetuneError
from finetune.ui import ask, charts, desk, exact, findings, pictures, preview
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


def test_a_mend_that_two_findings_offer_has_one_box_under_the_first(examined) -> None:
    found = [finding(1, mends=names) for names in (("drop_long",), ("drop_long", "mask_personal"), ("applied",))]
    assert findings.offers(found) == [["drop_long"], ["mask_personal"], []]
    html = findings.one(found[1], Rows(examined), ["mask_personal"])
    assert 'aria-owns="mend-mask_personal"' in html and "“leave these rows out” above: for these rows too" in html
    assert "above" not in findings.one(found[0], Rows(examined), ["drop_long"])


def test_boxes_stand_with_their_findings_or_last_and_their_ticks_are_never_sent_with_them(examined) -> None:
    with gr.Blocks():
        made = findings.build()
    assert made.ticked(list(made.tick(["drop_rare", "mask_personal"]).values())) == ("mask_personal", "drop_rare")
    found = [finding(1, mends=("drop_long",)), finding(1, mends=("mask_personal", "drop_personal"))]
    shown = made.show(found, Rows(examined), ["keep_one", "drop_personal", "drop_rare"])
    assert not set(shown) & set(made.boxes())
    style = shown[made.head]
    assert "#mend-drop_long{order:0;" in style and "#mend-drop_personal{order:1;" in style
    assert f"#mend-drop_rare{{order:{findings.SLOTS};" in style and "#mend-keep_one{" not in style
    assert "no longer found" in shown[made.rest].value


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


def test_what_was_walked_through_stays_in_the_list_when_a_tick_has_taken_it_away(examined) -> None:
    with gr.Blocks():
        made = exact.build()

    def listed(found, removed=()) -> dict[str, str]:
        choices = made.show(SimpleNamespace(findings=found, removed=removed), examined)[made.walk].choices
        return {value: name for name, value in choices}

    before, after = listed(examined.findings), listed((), (1,))
    assert before.keys() == after.keys() and exact.LEFT_OUT in before
    assert before["exact_duplicate"] == "exact duplicates (2)" and after["exact_duplicate"] == "exact duplicates (0)"
    report = SimpleNamespace(findings=(), removed=())
    assert exact.step(report, examined, "exact_duplicate", 40, 1) == 40


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


def test_what_follows_an_answer_ends_no_other_work_and_is_ended_by_it() -> None:
    gate = threading.Event()
    jobs, wait = Jobs(), lambda tell: gate.wait(10)
    slow = jobs.begin("visitor", "shown", wait, behind=True)
    new = jobs.begin("visitor", "changed", wait)
    assert slow.over and slow.superseded and not new.over
    assert jobs.passed("shown", visitor="visitor") and not jobs.passed("changed", visitor="visitor")
    with pytest.raises(Cancelled):
        jobs.begin("visitor", "shown", wait, behind=True)
    jobs.begin("stranger", "shown", wait, behind=True)
    jobs.only(lambda about: about == "changed", visitor="visitor")
    gate.set()
    assert new.result() and not jobs.passed("shown", visitor="visitor")
    ended = jobs.begin("visitor", "more", lambda tell: threading.Event().wait(10))
    jobs.cancel(visitor="visitor")
    assert ended.over and not ended.superseded


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


def test_what_the_user_sets_is_not_sent_back(examined, tmp_path: Path) -> None:
    with gr.Blocks():
        tab = preview.build(gr.State(None), tmp_path)
    data = desk.open_files([str(tmp_path / "rows.csv")])
    asked = {tab.near: 0.8, tab.splitting.validation: 0.15, tab.splitting.test: 0.2, tab.splitting.seed: 3}
    asked |= tab.ask.show(Questions(requests_a_day=7)) | tab.findings.tick(["drop_rare"])
    assert set(asked) == set(tab.form(data))

    def adjusted(shown: tuple | None) -> dict:
        values = [asked[field] for field in tab.settings()[2:]]
        beats = tab.adjust(data, shown, *values, "base", None, 0, "", 0, visitor="me")
        return {field: update for beat in beats for field, update in beat.items()}

    updates = adjusted((data, 0))
    changed = updates[tab.data]
    assert (changed.test, changed.seed, changed.questions.requests_a_day, changed.mends) == (0.2, 3, 7, ("drop_rare",))
    assert set(updates) & set(asked) == {tab.splitting.test} and updates[tab.splitting.test].constructor_args == {
        "visible": True
    }
    # After a failure only these were seen; the others follow.
    seen = {tab.near, *tab.findings.boxes()}
    assert set(adjusted(None)) & set(asked) == set(asked) - seen
    other = desk.open_files([str(tmp_path / "rows.csv")], name="another")
    assert adjusted((other, 0)) == {}
