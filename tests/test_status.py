"""Where a run stands follows from its events and its process.

This process plays the living worker; a record with a wrong start time plays a dead one.
"""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from finetune.runs import process
from finetune.runs.events import EventLog
from finetune.runs.store import Run, Status, status
from finetune.training.recipe import Recipe

pytestmark = pytest.mark.timeout(10)


@pytest.fixture
def run(tmp_path):
    return make(tmp_path)


def make(root, *, compare=True):
    run = Run(root / "runs" / "tickets-1")
    run.checkpoints.mkdir(parents=True)
    (run.directory / "recipe.json").write_text(json.dumps(Recipe().as_json() | {"compare": compare}))
    return run


def started(run, *, living=True, phase="train", stop_asked=None):
    begin = process.process_start(os.getpid())
    offset = run.events_path.stat().st_size if run.events_path.exists() else 0
    worker = process.Worker(os.getpid(), begin if living else begin - 100, phase, offset, stop_asked)
    process.record(run.directory, worker)


def say(run, *said):
    with EventLog(run.events_path) as log:
        for kind, fields in said:
            log.emit(kind, **fields)


QUEUED = ("queued", {"behind": "other-1"})
STARTED = ("started", {"pid": 1})
STEP = ("progress", {"phase": "train", "step": 3, "steps": 10, "loss": 0.5, "eta_seconds": 7.0})
COMPARE = ("progress", {"phase": "compare", "step": 1, "steps": 4})
TRAINED = ("finished", {"phase": "train", "best_step": 10})
COMPARED = ("finished", {"phase": "compare"})
STOPPED = ("stopped", {"step": 3, "reason": "stopped by the user"})
FAILED = ("failed", {"cause": "out_of_memory", "message": "Too large.", "hint": "Take a smaller batch."})


@pytest.mark.parametrize(
    ("said", "alive", "dead"),
    [
        ([], "running", "lost"),
        ([QUEUED], "queued", "lost"),
        ([QUEUED, STARTED], "running", "lost"),
        ([STARTED, ("plan", {"choices": []}), STEP, ("evaluated", {"step": 3})], "running", "lost"),
        ([STARTED, STEP, STOPPED], "stopped", "stopped"),
        ([STARTED, STEP, TRAINED], "comparing", "lost"),
        ([STARTED, STEP, TRAINED, COMPARE, ("compared", {"decision": "use_fine_tuned"})], "comparing", "lost"),
        ([STARTED, STEP, TRAINED, COMPARE, COMPARED], "finished", "finished"),
        ([STARTED, STEP, FAILED, ("log", {"text": "bye"})], "failed", "failed"),
    ],
)
def test_a_state_follows_from_the_events_and_the_process(run, said, alive, dead):
    assert status(run).state == "created"
    started(run)
    say(run, *said)
    assert status(run).state == alive
    started(run, living=False)
    process.record(run.directory, dataclasses.replace(process.recorded(run.directory), events_offset=0))
    assert status(run).state == dead
    assert status(run).over


def test_a_status_carries_the_figures_of_the_moment(run):
    started(run)
    say(run, QUEUED)
    assert status(run).behind == "other-1" and "other-1" in status(run).message
    say(run, STARTED, STEP)
    assert status(run) == Status("running", 3, 10, 0.5, 7.0)
    say(run, TRAINED, COMPARE)
    assert status(run) == Status("comparing", 1, 4)
    say(run, FAILED)
    assert status(run) == Status("failed", 1, 4, message="Too large.", hint="Take a smaller batch.")


def test_training_alone_is_finished_after_training(tmp_path):
    run = make(tmp_path, compare=False)
    started(run)
    say(run, STARTED, STEP, TRAINED)
    assert status(run).state == "finished"
    started(run, phase="compare")
    assert status(run).state == "comparing"
    say(run, STARTED)
    assert status(run).state == "comparing"


def test_the_last_words_of_an_earlier_start_are_not_this_ones(run):
    started(run)
    say(run, STARTED, STEP, STOPPED)
    assert status(run).state == "stopped"
    started(run)
    assert status(run).state == "running" and status(run).step is None


def test_a_stop_shows_before_the_worker_says_so(run):
    started(run)
    say(run, STARTED, STEP)
    started(run, stop_asked=1.0)
    assert status(run).state == "stopping"
    started(run, living=False, stop_asked=1.0)
    stopped = status(run)
    assert stopped.state == "stopped" and "resume starts it again" in stopped.hint


def test_a_lost_run_says_what_is_known_and_the_way_on(run):
    started(run, living=False)
    say(run, STARTED, STEP)
    run.log_path.write_bytes(b"loading\nstep 1\rstep 2\nKilled \xff\n\n")
    lost = status(run)
    assert "gone without a last word" in lost.message and "There is no checkpoint yet" in lost.message
    assert lost.hint == "worker.log ends with: Killed \ufffd"
    (run.checkpoints / "checkpoint-3").mkdir()
    assert "goes on from the last checkpoint" in status(run).message
    say(run, TRAINED)
    assert "makes the comparison again" in status(run).message


def test_a_status_of_a_long_run_reads_its_end_alone(run, monkeypatch):
    started(run)
    say(run, STARTED, *[STEP] * 2000, *[("log", {"text": "x"})] * 5)
    monkeypatch.setattr(Run, "events", lambda *_: pytest.fail("read the whole log"))
    assert status(run).step == 3


def test_a_last_word_far_from_the_end_is_found(run):
    started(run)
    say(run, STARTED, STEP, STOPPED, *[("log", {"text": "x" * 1000})] * 100)
    assert status(run).state == "stopped"


def test_a_spoilt_worker_record_is_none(run):
    (run.directory / "worker.json").write_text('{"pid": 1')
    assert process.recorded(run.directory) is None and status(run).state == "created"
    (run.directory / "worker.json").write_text(json.dumps({"pid": 1}))
    assert process.recorded(run.directory) is None
