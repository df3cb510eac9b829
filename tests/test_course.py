"""A training as the tab Train shows it: scores, answers by step, what it costs, and what is expected before the start."""

from __future__ import annotations

import pytest
from compared import HOSTILE, make_run

from finetune.model.prompt import Encoded
from finetune.runs.events import EventLog
from finetune.runs.store import Status
from finetune.training.expected import seconds_of, span, typical
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe
from finetune.ui import charts, sampled
from finetune.ui.progress import bar
from finetune.ui.story import Story, where


def answers(step: int, said: str, prompt: str = "where is my parcel") -> list[dict]:
    return [{"row": 7, "prompt": prompt, "expected": "delivery", "answer": said}]


@pytest.fixture
def story(tmp_path) -> Story:
    """Two looks, a resume that makes the second again, and one more."""
    run = make_run(tmp_path)
    run.events_path.unlink()
    price = {"per_second": 5.2e-6, "of": "your own computer: 100 W at $0.187 a kWh"}
    with EventLog(run.events_path) as log:
        log.emit("started", phase="train")
        log.emit("plan", choices=[], steps=20, expected_seconds=250.0, price=price)
        shown = {"metric": "accuracy", "split": "validation"}
        log.emit("evaluated", step=0, loss=4.0, score=0.25, train_score=0.2, sampled=answers(0, HOSTILE), **shown)
        log.emit("evaluated", step=5, loss=3.0, score=0.5, train_score=0.6, sampled=answers(5, "refund"), **shown)
        log.emit("evaluated", step=5, loss=2.0, score=0.75, train_score=0.7, sampled=answers(5, "delivery"), **shown)
        log.emit("evaluated", step=10, loss=1.5, score=0.8, train_score=0.9, sampled=[], **shown)
        log.emit("progress", phase="train", step=10, steps=20, loss=1.0, learning_rate=0.0012, cost=0.00131, celsius=71.0,
                 watts=312.4, seconds=250.0, eta_seconds=240.0)  # fmt: skip
    told = Story(run)
    told.follow()
    return told


def test_scores_and_answers_by_step_the_later_word_holds(story):
    assert story.course() == ([(0, 0.25), (5, 0.75), (10, 0.8)], [(0, 0.2), (5, 0.7), (10, 0.9)])
    assert story.answers()[-1] == (10, [])
    assert [(step, found[0]["answer"]) for step, found in story.answers()[:-1]] == [(0, HOSTILE), (5, "delivery")]
    frame = charts.scores(*story.course())
    assert list(frame.columns) == ["step", "right", "curve"]
    assert frame[frame.curve == "validation"]["right"].tolist() == [25.0, 75.0, 80.0]
    assert "step 5: validation loss 2.000; 75% of the labels right" in "\n".join(story.log)


def test_a_curve_is_in_the_chart_before_it_has_points_and_a_chart_is_shown_once_it_has_two():
    """Gradio's chart never draws a curve that is not among those of its first value."""
    frame = charts.losses([], [(0, 3.0), (5, 2.0)])
    assert frame.groupby("curve")["loss"].count().to_dict() == {"training": 0, "validation": 2}
    frame = charts.losses([(1, 3.0), (2, 2.5)], [(0, 3.0)])
    assert frame.groupby("curve")["loss"].count().to_dict() == {"training": 2, "validation": 1}
    seen = [charts.drawn(charts.losses([], points)) for points in ([], [(0, 3.0)], [(0, 3.0), (5, 2.0)])]
    # Gradio does not take numpy's True for one: what is hidden stays so.
    assert seen[0] is False and seen[1] is False and seen[2] is True


def test_the_table_of_answers_marks_what_is_right_and_runs_no_code(story):
    shown = sampled.table(story.answers())
    assert shown.count("✓") == 1 and "before" in shown and "step 5" in shown
    assert "1 look did not ask, to save time." in shown and "not shown" not in shown
    assert "<img" not in shown and "&lt;img" in shown
    assert sampled.table([]) == sampled.table([(0, []), (5, [])]) == ""


def test_of_many_looks_the_first_and_the_latest_are_shown():
    shown = sampled.table([(step, answers(step, str(step))) for step in range(0, 100, 5)])
    steps = [step for step in range(0, 100, 5) if f">step {step}<" in shown]
    assert "before" in shown and steps == [70, 75, 80, 85, 90, 95]
    assert "13 looks after the first are not shown" in shown


def test_an_answer_of_nothing_is_said_and_another_row_leaves_a_gap():
    shown = sampled.table([(0, [{**answers(0, "x")[0], "row": 9}]), (5, answers(5, ""))])
    assert sampled.EMPTY in shown and "<td></td>" in shown


def test_the_bar_names_rate_sensors_and_the_cost_with_its_price(story):
    shown = bar(story, Status("running", 10, 20, 1.0, 240.0))
    for fact in ("rate 0.0012", "GPU 71 °C", "312 W", "4:00 left"):
        assert fact in shown
    assert "cost so far: about $0.0013 (your own computer: 100 W at $0.187 a kWh)" in shown
    over = bar(story, Status("stopped", 10, 20, 1.0))
    assert "GPU" not in over and "cost so far" in over


def test_before_the_first_step_it_says_what_is_expected(story):
    shown = bar(story, Status("running"))
    assert "about 4 min in all" in shown
    story.expected_seconds = None
    assert "the model is loaded first" in bar(story, Status("running"))
    assert "loaded" not in bar(story, Status("stopping")) and "Stopping" in bar(story, Status("stopping"))


def test_what_is_counted_is_named_in_every_state(story, tmp_path):
    with EventLog(story.run.events_path) as log:
        log.emit("progress", phase="sweep", step=3, steps=12)
        story.follow()
        assert "trying learning rates" in bar(story, Status("running", 3, 12)) and story.unit == "step"
        assert where(story, Status("running", 3, 12))[0] == "trying learning rates"
        log.emit("progress", phase="compare", step=120, steps=300)
        log.emit("stopped", step=None, reason="Stopped during the comparison; the adapter is saved.")
        story.follow()
    for state in ("comparing", "stopping", "stopped", "failed", "lost"):
        assert "answer 120 of 300" in bar(story, Status(state, 120, 300)), state
    assert story.log[-1].endswith("stopped: Stopped during the comparison; the adapter is saved.")
    with EventLog(story.run.events_path) as log:
        log.emit("started", phase="train")
        story.follow()
    assert story.expected_seconds is None


def test_the_pass_that_is_timed_is_as_long_as_they_are_on_average():
    plan = Plan("cpu", "float32", "none", 4, 2, False, 0.01, 50, 10, None, ())
    rows = [Encoded(number, [1] * 10, [2], 0) for number in range(90)]
    rows += [Encoded(number, [1] * 210, [2], 0) for number in range(90, 105)]
    # Of 27 passes the four with the long rows are 20 times as long: no pass is as long as the mean, and a short one nearest.
    assert {len(row) for row in typical(rows, plan)} == {11}
    rows = [Encoded(number, [1] * (10 + number**2 // 40), [2], 0) for number in range(104)]
    (longest,) = {max(map(len, typical(rows, plan)))}
    mean, middle = sum(map(len, rows)) / len(rows), len(rows[52])
    assert mean <= longest < mean * 1.25 and longest > 1.1 * middle


def test_the_expected_time_follows_steps_passes_and_the_time_box():
    plan = Plan("cpu", "float32", "none", 4, 2, False, 0.01, 50, 10, None, ())
    assert seconds_of(Recipe(), plan, 0.5) == pytest.approx(1.2 * 5 * 0.5 * 50 * 2)
    assert seconds_of(Recipe(max_minutes=1.0), plan, 0.5) == 60
    assert [span(seconds) for seconds in (0.2, 40, 250, 9000)] == [
        "about 1 s",
        "about 40 s",
        "about 4 min",
        "about 2.5 h",
    ]
