"""Who gets the one device next: in the order of arrival, changed by hand, and never held up by one that is gone."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from finetune.errors import FinetuneError
from finetune.runs import process, queue
from finetune.runs.process import process_start
from finetune.runs.queue import Place, line_of, move, place_words
from finetune.runs.store import Run, status
from finetune.runs.supervise import WORKER, WaitStopped, alive, cancel, lease, resume, start, stop
from finetune.training.recipe import Recipe

pytestmark = pytest.mark.timeout(30)

PLAYER = str(Path(__file__).with_name("play_worker.py"))


def until(condition, seconds: float = 15.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


@pytest.fixture
def make(tmp_path):
    """Starts runs that take the device in their turn; all are gone after the test."""
    runs: list[Run] = []

    def make(name: str, command=(sys.executable, PLAYER, "queues")) -> Run:
        run = Run(tmp_path / "runs" / name)
        run.checkpoints.mkdir(parents=True)
        record = Recipe().as_json() | {"root": str(tmp_path), "compare": False, "created": "", "task": "", "labels": []}
        (run.directory / "recipe.json").write_text(json.dumps(record))
        (run.directory / "data").mkdir()
        for part in ("train", "validation", "test"):
            (run.directory / "data" / f"{part}.jsonl").touch()
        start(run, command=command)
        runs.append(run)
        return run

    yield make
    for run in runs:
        stop(run, 0)


def names(root: Path) -> list[str]:
    return [place.name for place in line_of(root).waiting]


def heard(run: Run) -> list[tuple]:
    return [(event["behind"], event["place"], event["of"]) for event in run.events()[0] if event["kind"] == "queued"]


class Waiter:
    """One that waits for the device in a thread of its own, as a check from the page does."""

    def __init__(self, root: Path, name: str, order: list[str], **options):
        self.heard: list[tuple] = []
        self.stop = False
        self._thread = threading.Thread(target=self._wait, args=(root, name, order), kwargs=options, daemon=True)
        self._thread.start()
        until(lambda: self.heard)

    def _wait(self, root: Path, name: str, order: list[str], **options) -> None:
        def told(turn):
            self.heard.append((turn.behind, turn.number, turn.of))

        try:
            with lease(root, name, on_wait=told, should_stop=lambda: self.stop, poll_seconds=0.02, **options):
                order.append(name)
        except WaitStopped:
            order.append(f"{name} stopped")

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_who_comes_first_is_served_first_and_hears_of_each_change_once(tmp_path):
    order: list[str] = []
    with lease(tmp_path, "at work"):
        a, b, c = (Waiter(tmp_path, name, order) for name in "abc")
        until(lambda: c.heard == [("b", 3, 3)])
        until(lambda: a.heard[-1] == ("at work", 1, 3))
        time.sleep(0.2)  # many looks, no further word
        assert a.heard[0] == ("at work", 1, 1) and len(a.heard) == len(set(a.heard))
        assert line_of(tmp_path).at_work.name == "at work" and names(tmp_path) == ["a", "b", "c"]
        b.stop = True
        b.join()
        until(lambda: c.heard[-1] == ("a", 2, 2))
    a.join(), c.join()
    assert order == ["b stopped", "a", "c"]
    assert line_of(tmp_path) == queue.Line(None, ())


def test_a_place_is_moved_and_the_order_holds(tmp_path):
    order: list[str] = []
    with lease(tmp_path, "at work"):
        waiters = [Waiter(tmp_path, name, order) for name in "abcd"]
        assert [place.name for place in move(tmp_path, "c", "first").waiting] == ["c", "a", "b", "d"]
        move(tmp_path, "c", "up")  # it is there already
        move(tmp_path, "a", "down")
        move(tmp_path, "d", "up")
        move(tmp_path, "b", "down")
        assert names(tmp_path) == ["c", "d", "b", "a"]
        with pytest.raises(FinetuneError, match="“z” does not wait"):
            move(tmp_path, "z", "first")
        until(lambda: waiters[0].heard[-1] == ("b", 4, 4))
    for waiter in waiters:
        waiter.join()
    assert order == ["c", "d", "b", "a"]


def test_two_that_move_at_once_lose_nobody(tmp_path):
    order: list[str] = []
    with lease(tmp_path, "at work"):
        waiters = [Waiter(tmp_path, name, order) for name in "abcd"]

        def shuffle(name: str) -> None:
            for to in ("first", "down", "down", "up", "first") * 5:
                move(tmp_path, name, to)

        movers = [threading.Thread(target=shuffle, args=(name,)) for name in "bd"]
        for mover in movers:
            mover.start()
        for mover in movers:
            mover.join()
        last = names(tmp_path)
        assert sorted(last) == list("abcd")
    for waiter in waiters:
        waiter.join()
    assert order == last


@pytest.mark.parametrize(
    "spoilt",
    [
        b"", b"{", b"[1]", b'{"places": 7}', b'{"places": [1, {"pid": "x"}, {"name": "n"}, null]}', b"\xff\xfe",
        b'{"places": [{"pid": 1, "process_start": null, "name": "n"}, {"pid": 1, "process_start": 3, "name": 4}]}',
    ],
)  # fmt: skip
def test_a_damaged_line_blocks_nobody_and_the_order_is_found_again(tmp_path, spoilt):
    order: list[str] = []
    with lease(tmp_path, "at work"):
        waiters = [Waiter(tmp_path, name, order) for name in "abc"]
        with queue.FileLock(tmp_path / "queue.lock"):
            (tmp_path / "queue.json").write_bytes(spoilt)
        until(lambda: len(names(tmp_path)) == 3)
        assert names(tmp_path) == ["a", "b", "c"]
    for waiter in waiters:
        waiter.join()
    assert order == ["a", "b", "c"]


def test_the_places_of_dead_and_halted_processes_block_nobody(tmp_path):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        halted = Place.of("halted", sleeper.pid)
        stranger = Place(os.getpid(), process_start(os.getpid()) - 100, "number given anew")
        gone = Place(2**22 + 7, 5.0, "gone")
        with queue.changing(tmp_path) as line:
            for place in (gone, stranger, halted):
                line.enter(place)
        order: list[str] = []
        waiter = Waiter(tmp_path, "a", order)
        assert waiter.heard == [("halted", 1, 1)]  # nobody has the device: the first in the line is about to
        os.kill(sleeper.pid, signal.SIGSTOP)
        waiter.join()
        assert order == ["a"]
        os.kill(sleeper.pid, signal.SIGCONT)
        until(lambda: line_of(tmp_path).at_work)  # it has kept its place
        sleeper.kill()
        sleeper.wait()
        assert line_of(tmp_path) == queue.Line(None, ())
        assert json.loads((tmp_path / "queue.json").read_text())["places"] == []
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_process_that_is_halted_between_two_looks_breaks_no_turn(tmp_path, monkeypatch):
    with queue.changing(tmp_path) as line:
        before = Place(os.getpid(), process_start(os.getpid()), "before", key="before")
        line.enter(before)
    looks = []

    def suspended(place: Place) -> bool:
        looks.append(place.key)
        return place.key == "before" and looks.count("before") > 1

    monkeypatch.setattr(Place, "suspended", suspended)
    order: list[str] = []
    waiter = Waiter(tmp_path, "a", order)
    waiter.join()
    assert waiter.heard == [("before", 1, 1)] and order == ["a"]


def test_a_question_goes_before_all_who_wait_and_is_not_counted(tmp_path):
    order: list[str] = []
    with lease(tmp_path, "at work"):
        a = Waiter(tmp_path, "a", order)
        question = Waiter(tmp_path, "question", order, ahead=True)
        assert question.heard == [("at work", 1, 1)]
        b = Waiter(tmp_path, "b", order)
        assert b.heard == [("a", 2, 2)] and names(tmp_path) == ["a", "b"]
        move(tmp_path, "b", "first")
    for waiter in (a, b, question):
        waiter.join()
    assert order == ["question", "b", "a"]


def test_where_the_line_cannot_be_written_nobody_is_left_standing(tmp_path, monkeypatch):
    order: list[str] = []
    with lease(tmp_path, "at work"):
        waiter = Waiter(tmp_path, "a", order)

        def full(path, data):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(process, "write_json", full)
            waiter.stop = True
            waiter.join()
        assert not queue.waits(tmp_path)


def test_runs_wait_in_the_order_of_their_start_and_say_where(tmp_path, make):
    first = make("first-1")
    until(lambda: status(first).state == "running" and status(first).step)
    others = [make(name) for name in ("second-2", "third-3", "fourth-4")]
    # Before any of them has loaded: a place is kept from the start on.
    assert names(tmp_path) == ["second-2", "third-3", "fourth-4"]
    second, third, fourth = others
    until(lambda: [status(run).place for run in others] == [1, 2, 3])
    found = status(fourth)
    assert (found.behind, found.of) == ("third-3", 3)
    assert found.message == "Waits for the GPU behind third-3, third of three."
    move(tmp_path, str(fourth.directory), "first")
    until(lambda: heard(second)[-1] == ("fourth-4", 2, 3))
    until(lambda: heard(fourth)[-1] == ("first-1", 1, 3))
    stop(first, 10)
    until(lambda: status(fourth).step)
    assert status(second).state == status(third).state == "queued"
    until(lambda: status(second).behind == "fourth-4" and status(third).of == 2)
    assert all(word != later for word, later in itertools.pairwise(heard(third)))  # no word again and again


def test_a_waiting_run_is_cancelled_and_stands_at_the_end_when_it_is_resumed(tmp_path, make):
    with lease(tmp_path, "a prompt"):
        a, b = make("a-1"), make("b-2")
        until(lambda: status(a).state == status(b).state == "queued")
        cancel(tmp_path, "a-1")
        assert names(tmp_path) == ["b-2"]
        until(lambda: not alive(a))
        assert status(a).state == "stopped" and a.events()[0][-1]["step"] == 0
        with pytest.raises(FinetuneError, match="does not wait"):
            cancel(tmp_path, "a-1")
        resume(a, command=[sys.executable, PLAYER, "queues"])
        assert names(tmp_path) == ["b-2", "a-1"]
        check = Waiter(tmp_path, "a check of b-2", [])
        with pytest.raises(FinetuneError, match="is not a run"):
            cancel(tmp_path, "a check of b-2")
        check.stop = True
        check.join()
    until(lambda: status(b).step)
    with pytest.raises(FinetuneError, match="does not wait"):
        cancel(tmp_path, "b-2")  # it has begun meanwhile: nobody meant to stop a run at work
    assert alive(b)


def test_the_real_worker_says_where_it_stands_and_is_cancelled(tmp_path, make):
    with lease(tmp_path, "a prompt"):
        make("a-1")
        run = make("b-2", command=WORKER)
        until(lambda: heard(run) == [("a-1", 2, 2)])
        move(tmp_path, "b-2", "first")
        until(lambda: heard(run)[1:] == [("a prompt", 1, 2)])
        cancel(tmp_path, "b-2")
        until(lambda: not alive(run))
    assert status(run).state == "stopped" and "while it waited" in status(run).message


def test_a_place_in_words():
    assert place_words(3, 4) == "third of four" and place_words(1, 2) == "first of two"
    assert place_words(11, 12) == "number 11 of 12"
    assert place_words(1, 1) == place_words(None, None) == ""
