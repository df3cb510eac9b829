"""“Does it still hold?” on the page: what it shows of a check, and in a real Chromium that a reload loses nothing."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import gradio as gr
import pytest
from compared import HOSTILE, LABELS, make_run
from playwright.sync_api import expect

from finetune.errors import FinetuneError
from finetune.evidence.later import checked
from finetune.evidence.later.drift import label_moves
from finetune.runs.store import Run
from finetune.ui.compare import checkpage, checks
from finetune.ui.page import studio
from finetune.ui.story import Story
from finetune.ui.theme import looks
from finetune.ui.work import Job


def a_check(day: int = 1, *, score: float = 0.6, decision: str = "drifted", **changes) -> dict:
    """One check with every key, as `check` writes it; its label, word and file name are hostile."""
    own = {label: [1.0] * 18 + [0.0] * 2 for label in LABELS}
    fresh = {label: [1.0] * 3 + [0.0] * 12 for label in LABELS} | {HOSTILE: [0.0] * 9}
    now = {label: len(scores) for label, scores in fresh.items()}
    found = {
        "time": f"2026-10-{day:02d}T09:30:00+00:00", "run": "made-up",
        "data": {"name": f"{HOSTILE}.csv", "sha256": "c" * 64, "rows": 75}, "columns": {"input": "text", "output": "label"},
        "rows": 69, "left_out": {"trained_on": 4, "no_answer": 2, "no_input": 0, "unreadable": 0, "repeated": 0,
                                 "too_long": 0, "not_asked": 0},
        "other_answer": 1, "read_as": {"BILLING": "billing"}, "unknown_labels": {HOSTILE: 9}, "cut_inputs": 0,
        "metric": "accuracy", "score": score, "interval": [score - 0.1, score + 0.1], "own_score": 0.9,
        "own_interval": [0.83, 0.94], "own_rows": 80, "own_source": "comparison", "difference": score - 0.9,
        "difference_interval": [score - 1.0, score - 0.8], "p_value": 0.0000002, "decision": decision,
        "small": decision == "holds", "detectable": 0.16, "rows_needed": 400 if decision == "unclear" else None,
        "floor": 0.04, "limit": {"below": 0.85, "decision": "below", "rows_needed": None},
        "labels": label_moves(LABELS, dict.fromkeys(LABELS, 100), now, own, fresh), "score_of_mix": 0.8,
        "words": [{"word": "<b>passkey", "before": 0.0, "now": 0.2, "p_value": 0.00001}], "words_moved": 1,
        "new_words": 0.2, "new_words_before": 0.1, "checks_before": day - 1, "retrain": decision == "drifted",
        "worst": [{"row": 7, "input": f"{HOSTILE} seven", "expected": LABELS[0], "answered": LABELS[1], "score": 0.0}],
    } | changes  # fmt: skip
    return found | {"reason": checked.reason(found), "next_steps": checked.next_steps(found)}


def put(run: Run, *found: dict) -> None:
    (run.directory / "checks.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))


def opened(root: Path, run: Run) -> tuple[checks.Checks, dict]:
    with gr.Blocks():
        tab = checks.build(gr.State(""), root)
    updates = tab.view(Story(run), run.comparison(), run.outputs())
    assert set(updates) == set(tab.shown())
    return tab, updates


def test_before_the_first_check_it_explains_itself(tmp_path):
    tab, updates = opened(tmp_path, make_run(tmp_path))
    assert "Not checked yet" in updates[tab.last] and updates[tab.past] == ""
    assert updates[tab.limit] is None and not updates[tab.timer].active


def test_a_check_is_told_in_plain_words_with_its_figures_under_folds(tmp_path):
    run = make_run(tmp_path)
    put(run, a_check(1, score=0.88, decision="unclear", limit=None), a_check(2))
    tab, updates = opened(tmp_path, run)
    told, drawn = updates[tab.last], updates[tab.past]
    assert "<img" not in told + drawn and "<b>passkey" not in told
    above = told.split("<details>")[0]
    assert "It has got worse. Train it again." in above and "Of 100 new texts it gets about 60 right" in above
    assert "4 stand in the run&#x27;s own data, 2 have no answer" in above and "is new: 13% of the rows" in above
    assert "interval" not in above and " p " not in above
    assert "the 1 row it got wrong" in told and "1 word that moved" in told and "p &lt; 0.0001" in told
    assert drawn.count("<tr>") == 3 and updates[tab.limit] == 85
    unclear = checkpage.last(run_history := [a_check(1, score=0.88, decision="unclear", limit=None)])
    assert "Not clear yet" in unclear and "About 400 rows would settle it" in unclear and run_history


def test_the_picture_holds_every_check_its_interval_and_the_own_score():
    found = [
        a_check(day, score=0.5 + day / 100, decision=("drifted", "holds", "unclear")[day % 3]) for day in range(1, 31)
    ]
    told = checkpage.drawn(found)
    picture = ElementTree.fromstring(re.search(r"<svg.*</svg>", told).group())
    dots = [node for node in picture.iter() if node.tag == "circle"]
    assert len(dots) == checkpage.DRAWN and "The newest 24 of 30 checks" in told
    numbers = [float(node.get(name)) for node in picture.iter() for name in ("y", "y1", "y2", "cy") if node.get(name)]
    assert min(numbers) >= 0 and max(numbers) <= checkpage.HIGH
    assert float(dots[0].get("cy")) > float(dots[-1].get("cy"))  # a higher score stands higher
    assert "limit" in told and 'class="even"' in told
    assert checkpage.drawn([a_check(score=0.1)]).count("<circle") == 1


def test_a_run_is_checked_once_at_a_time_and_a_failure_is_told(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    tab, _ = opened(tmp_path, run)
    free = threading.Event()

    def check(run, path, tell, **rest):
        free.wait(20)
        raise FinetuneError("The file is no use.", hint="Take another.")

    monkeypatch.setattr(checks, "check", check)
    with pytest.raises(FinetuneError, match="no file"):
        tab.begin(run.id, None, None, [], None)
    updates = tab.begin(run.id, "fresh.csv", None, [], None)
    assert updates[tab.timer].active and updates[tab.stop].visible and not updates[tab.go].interactive
    with pytest.raises(FinetuneError, match="already"):
        tab.begin(run.id, "fresh.csv", None, [], None)
    free.set()
    until = time.monotonic() + 10
    while (told := tab.beat(run.id))[tab.timer].active and time.monotonic() < until:
        time.sleep(0.02)
    assert "The file is no use." in told[tab.notice].value and told[tab.go].interactive
    assert "no use" not in str(tab.beat(run.id)[tab.notice].value)  # told once


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[tuple[str, Run, dict]]:
    """The page with a check that goes on until it is let go."""
    root = tmp_path_factory.mktemp("root")
    run = make_run(root)
    gate = {"go": threading.Event(), "ended": threading.Event(), "asked": None}

    def slow(run, path, *, tell, **asked):
        gate["asked"] = asked
        try:
            while not gate["go"].wait(0.05):
                tell("Asking the model: 40 of 69 rows", 0.6)
        finally:
            gate["ended"].set()
        put(run, a_check())

    before, checks.check = checks.check, slow
    made = studio(root=root)
    _, address, _ = made.launch(prevent_thread_lock=True, quiet=True, inbrowser=False, **looks())
    yield address, run, gate
    made.close()
    checks.check = before


def test_in_the_browser_a_check_outlives_a_reload_can_be_stopped_and_ends_in_a_verdict(site, browser, tmp_path):
    address, run, gate = site
    path = tmp_path / "fresh.csv"
    path.write_text("body,kind\n" + "".join(f"message {place},{LABELS[place % 4]}\n" for place in range(12)))
    page = browser.new_page(viewport={"width": 390, "height": 844})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def arrive() -> None:
        page.goto(f"{address}?run={run.id}")
        expect(page.locator("#strip")).to_contain_text("made up", timeout=30_000)
        page.wait_for_timeout(300)
        page.get_by_role("tab", name="Compare", exact=True).click()

    arrive()
    expect(page.locator("#checks-empty")).to_be_visible(timeout=30_000)
    page.locator("#checks-go").click()
    expect(page.locator("#checks-notice")).to_contain_text("There is no file yet")
    page.locator("#checks-file input[type=file]").set_input_files(str(path))
    expect(page.locator("#checks-notice")).to_contain_text("no column “text” and “label”")
    expect(page.locator("#checks-columns input").last).to_have_value("kind")
    page.locator("#checks-limit input").fill("85")
    page.locator("#checks-go").click()
    expect(page.locator("#checks-bar")).to_contain_text("40 of 69 rows")
    arrive()
    expect(page.locator("#checks-bar")).to_contain_text("40 of 69 rows", timeout=30_000)
    assert gate["asked"] == {"input": ["body"], "output": "kind", "below": 0.85}
    page.locator("#checks-stop").click()
    expect(page.locator("#checks-notice")).to_contain_text("Stopped")
    assert gate["ended"].wait(10)
    expect(page.locator("#checks-bar")).to_be_hidden()
    page.locator("#checks-file input[type=file]").set_input_files(str(path))
    page.locator("#checks-go").click()
    gate["go"].set()
    expect(page.locator("#checks-last")).to_contain_text("It has got worse", timeout=20_000)
    expect(page.locator("#checks-past svg")).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0 and not wrong
    page.close()


def test_a_job_says_when_it_is_over():
    gate = threading.Event()
    job = Job(lambda tell: gate.wait(10), "it")
    assert not job.over
    gate.set()
    assert job.result() and job.over
