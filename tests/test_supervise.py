"""A run as a process: started once, apart from its starter, stopped without harm to others, in line for the GPU."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from finetune.errors import FinetuneError
from finetune.runs import process, supervise
from finetune.runs.store import Run, status
from finetune.runs.supervise import alive, lease, resume, start, stop
from finetune.training.recipe import Recipe

pytestmark = pytest.mark.timeout(20)

ROOT = Path(__file__).resolve().parents[1]


def play(part: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("play_worker.py")), part]


@pytest.fixture
def make(tmp_path):
    """Makes runs; whatever they started is gone after the test."""
    runs: list[Run] = []

    def make(name: str = "tickets-1") -> Run:
        run = Run(tmp_path / "runs" / name)
        run.checkpoints.mkdir(parents=True)
        record = Recipe().as_json() | {"root": str(tmp_path), "compare": False}
        (run.directory / "recipe.json").write_text(json.dumps(record))
        runs.append(run)
        return run

    yield make
    for run in runs:
        stop(run, 0)


def until(condition, seconds: float = 10.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


def said(run: Run, kind: str) -> list[dict]:
    return [event for event in run.events()[0] if event["kind"] == kind]


def at_work(run: Run) -> None:
    until(lambda: said(run, "progress"))


def living(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_worker_is_started_in_a_session_of_its_own(make):
    run = make()
    pid = start(run, phase="compare", resume=True, command=play("works"))
    at_work(run)
    first = json.loads(said(run, "log")[0]["text"])
    assert first == {
        "flags": ["--phase", "compare", "--resume"],
        "cwd": str(run.directory),
        "session": pid,
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
    }
    assert os.getsid(0) != pid
    assert alive(run) and process.recorded(run.directory).pid == pid
    assert "a word on the standard output" in run.log_path.read_text()


def test_a_stop_lets_the_worker_finish_its_step(make):
    run = make()
    start(run, command=play("works"))
    at_work(run)
    stop(run, 10)
    assert not alive(run)
    assert [event["kind"] for event in run.events()[0]][-2:] == ["progress", "stopped"]
    assert status(run).state == "stopped" and status(run).message == "stopped by the user"
    stop(run, 10)  # a second time does nothing


def test_a_stop_need_not_be_waited_for(make):
    run = make()
    start(run, command=play("works"))
    at_work(run)
    began = time.monotonic()
    stop(run, 10, wait=False)
    assert time.monotonic() - began < 1
    assert status(run).state in ("stopping", "stopped")
    until(lambda: not alive(run))
    assert status(run).state == "stopped"


@pytest.mark.parametrize("wait", [True, False])
def test_after_the_grace_the_whole_group_is_killed_and_no_other(make, wait):
    run, other = make("tickets-1"), make("tickets-2")
    start(other, command=play("stubborn"))
    pid = start(run, command=play("stubborn"))
    at_work(run), at_work(other)
    grandchild = int((run.directory / "grandchild").read_text())
    stop(run, 0.3, wait=wait)
    if not wait:
        assert living(pid) and status(run).state == "stopping"
    until(lambda: not living(pid) and not living(grandchild))
    assert alive(other) and living(int((other.directory / "grandchild").read_text()))
    assert status(run).state == "stopped" and "before its worker could say so" in status(run).message


def test_a_child_that_the_worker_leaves_behind_goes_with_it(make):
    run = make()
    start(run, command=play("leaves a child"))
    at_work(run)
    grandchild = int((run.directory / "grandchild").read_text())
    stop(run, 10)
    assert status(run).message == "stopped by the user"
    until(lambda: not living(grandchild))


def test_a_number_given_to_another_process_is_not_the_run(make):
    run = make()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        worker = process.Worker(stranger.pid, process.process_start(stranger.pid), "train", 0)
        process.record(run.directory, worker)
        assert alive(run)
        process.record(run.directory, dataclasses.replace(worker, process_start=worker.process_start - 60))
        assert not alive(run)
        assert status(run).state == "lost"
        stop(run, 0)
        supervise._end(process.recorded(run.directory), 0)  # nor at the end of a grace that began in the run's lifetime
        with pytest.raises(subprocess.TimeoutExpired):  # a signal takes a moment
            stranger.wait(0.2)
        start(run, command=play("ends"))
        until(lambda: status(run).state == "finished")
    finally:
        stranger.kill()
        stranger.wait()


def test_a_zombie_is_not_alive(make):
    run = make()
    child = subprocess.Popen([sys.executable, "-c", ""])
    process.record(run.directory, process.Worker(child.pid, process.process_start(child.pid), "train", 0))
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not alive(run) and status(run).state == "lost"
    child.wait()


def test_a_worker_that_ends_leaves_no_zombie(make):
    run = make()
    pid = start(run, command=play("ends"))
    until(lambda: not psutil.pid_exists(pid))
    assert not alive(run) and status(run).state == "finished"


def test_a_worker_that_cannot_begin_is_told_with_its_last_words(make):
    run = make()
    start(run, command=play("breaks"))
    assert status(run).state in ("running", "lost")
    until(lambda: not alive(run))
    assert status(run).state == "lost" and "No module named 'torch'" in status(run).hint


def test_the_worker_survives_its_starter(make):
    run = make()
    code = (
        "import sys, time, pathlib\nfrom finetune.runs.store import Run\nfrom finetune.runs.supervise import start\n"
        "print(start(Run(pathlib.Path(sys.argv[1])), command=sys.argv[2:]), flush=True)\ntime.sleep(60)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(run.directory), *play("works")],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    pid = int(starter.stdout.readline())
    at_work(run)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    step = said(run, "progress")[-1]["step"]
    until(lambda: said(run, "progress")[-1]["step"] > step + 5)
    assert alive(run) and process.recorded(run.directory).pid == pid
    stop(run, 10)
    assert status(run).state == "stopped" and said(run, "stopped")


def test_start_pressed_many_times_at_once_starts_one(make):
    run = make()
    outcomes: list = []

    def press():
        try:
            outcomes.append(start(run, command=play("works")))
        except FinetuneError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum("already" in str(outcome) for outcome in outcomes) == 5
    at_work(run)
    assert len(said(run, "started")) == 1


def test_resume_goes_on_from_the_checkpoint_or_with_the_comparison(make):
    run = make()
    start(run, command=play("works"))
    at_work(run)
    with pytest.raises(FinetuneError, match="already"):
        resume(run, command=play("works"))
    stop(run, 10)
    resume(run, command=play("ends"))
    until(lambda: status(run).state == "finished" and not alive(run))
    assert json.loads(said(run, "log")[-1]["text"])["flags"] == ["--phase", "train", "--resume"]
    with pytest.raises(FinetuneError, match="is finished"):
        resume(run, command=play("ends"))
    # A comparison that came to nothing.
    start(run, phase="compare", command=play("breaks"))
    until(lambda: not alive(run))
    resume(run, command=play("works"))
    until(lambda: len(said(run, "log")) == 3)
    assert json.loads(said(run, "log")[-1]["text"])["flags"] == ["--phase", "compare"]
    assert [event["seq"] for event in run.events()[0]] == list(range(1, len(run.events()[0]) + 1))


def test_a_comparison_of_a_run_stopped_in_training_is_what_a_resume_makes_again(make):
    run = make()
    start(run, command=play("works"))
    at_work(run)
    stop(run, 10)
    start(run, phase="compare", command=play("breaks"))
    until(lambda: not alive(run))
    resume(run, command=play("ends"))
    until(lambda: status(run).state == "finished" and not alive(run))
    assert json.loads(said(run, "log")[-1]["text"])["flags"] == ["--phase", "compare"]


def test_resume_waits_for_a_worker_that_is_about_to_end(make):
    run = make()
    first = start(run, command=play("lingers"))
    at_work(run)
    stop(run, 10, wait=False)
    until(lambda: status(run).state == "stopped")
    assert alive(run)
    assert resume(run, command=play("works")) != first
    assert not living(first)


def test_the_second_run_waits_behind_the_first_and_gets_the_gpu_when_that_is_killed(make):
    first, second = make("first-1"), make("second-2")
    pid = start(first, command=play("queues"))
    at_work(first)
    start(second, command=play("queues"))
    until(lambda: status(second).state == "queued")
    assert status(second).behind == "first-1" and not said(second, "progress")
    os.killpg(pid, signal.SIGKILL)
    at_work(second)
    assert status(first).state == "lost" and status(second).state == "running"
    assert len(said(second, "queued")) == 1
    stop(second, 10)


def test_a_run_that_waits_can_be_stopped(make, tmp_path):
    run = make()
    with lease(tmp_path, "a prompt"):
        start(run, command=play("queues"))
        until(lambda: status(run).behind == "a prompt")
        stop(run, 10)
    assert status(run).state == "stopped" and status(run).message == "stopped while it waited"
    assert not said(run, "progress")
