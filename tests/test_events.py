"""events.jsonl: one writer, many readers; nothing lost, nothing doubled, whatever happens to the writer."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy
import pytest

from finetune.runs import events
from finetune.runs.events import EventLog, read, tail

pytestmark = pytest.mark.timeout(10)


def test_an_event_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        written = log.emit("progress", phase="train", step=1, loss=0.5)
    found, offset = read(path)
    assert found == [written]
    assert written["seq"] == 1 and written["kind"] == "progress" and abs(written["time"] - time.time()) < 5
    assert offset == path.stat().st_size


def test_the_next_read_gives_only_what_is_new(tmp_path):
    path = tmp_path / "events.jsonl"
    assert read(path) == ([], 0)
    with EventLog(path) as log:
        log.emit("log", text="one")
        _, offset = read(path)
        assert read(path, offset) == ([], offset)
        log.emit("log", text="two")
    assert [event["text"] for event in read(path, offset)[0]] == ["two"]


def test_what_json_cannot_hold_becomes_what_it_can(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.emit(
            "plan",
            loss=float("nan"),
            deep=[{"rate": float("-inf")}],
            single=numpy.float32(0.5),
            missing=numpy.float32("nan"),
            count=numpy.int64(3),
            path=tmp_path,
            text="broken \udce9 and \u2028 line",
        )
    (event,) = read(path)[0]
    assert event["loss"] is None and event["deep"] == [{"rate": None}] and event["missing"] is None
    assert event["single"] == 0.5 and event["count"] == 3 and event["path"] == str(tmp_path)
    assert event["text"] == "broken \udce9 and \u2028 line"
    assert path.read_bytes().count(b"\n") == 1


def test_a_kind_that_no_reader_knows_is_refused(tmp_path):
    with EventLog(tmp_path / "events.jsonl") as log, pytest.raises(ValueError, match="progres"):
        log.emit("progres")
    assert read(tmp_path / "events.jsonl") == ([], 0)


def test_seq_goes_on_after_reopening(tmp_path):
    path = tmp_path / "events.jsonl"
    for _ in range(3):
        with EventLog(path) as log:
            log.emit("started")
            log.emit("stopped")
    assert [event["seq"] for event in read(path)[0]] == [1, 2, 3, 4, 5, 6]


def test_a_torn_last_line_is_read_whole_later(tmp_path):
    path = tmp_path / "events.jsonl"
    line = json.dumps({"seq": 1, "time": 1.0, "kind": "log", "text": "é whole"}, ensure_ascii=False).encode() + b"\n"
    for cut in range(len(line)):
        path.write_bytes(line[:cut])
        assert read(path) == ([], 0)
    path.write_bytes(line)
    assert read(path)[0][0]["text"] == "é whole"


def test_a_line_torn_by_a_killed_writer_spoils_no_other(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.emit("log", text="before")
    with path.open("ab") as file:
        file.write(b'{"seq": 2, "kind": "pro')
    seen, offset = read(path)
    with EventLog(path) as log:
        log.emit("log", text="after")
    seen += read(path, offset)[0]
    assert [event["text"] for event in seen[:1] + seen[2:]] == ["before", "after"]
    assert seen[1]["kind"] == "log" and seen[1]["text"].startswith('unreadable line {"seq": 2')
    assert seen[2]["seq"] == 2


@pytest.mark.parametrize("rubbish", [b"\x00" * 30, b"\xff\xfe", b"[1, 2]", b'{"no": "kind"}', b"NaN"])
def test_a_corrupt_line_in_the_middle_is_told_and_passed(tmp_path, rubbish):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.emit("started")
        with path.open("ab") as file:
            file.write(rubbish + b"\n\n")
        log.emit("finished")
    found, _ = read(path)
    assert [event["kind"] for event in found] == ["started", "log", "finished"]
    assert found[1]["text"].startswith("unreadable line") and found[1]["time"] == found[0]["time"]


def test_a_full_disk_costs_one_event_only(tmp_path):
    class Full:
        def __init__(self, file):
            self.file, self.room = file, 20

        def write(self, data):
            if not self.room:
                raise OSError(28, "No space left on device")
            written = self.file.write(data[: self.room])
            self.room -= written
            return written

    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    file, log._file = log._file, Full(log._file)
    with pytest.raises(OSError, match="No space"):
        log.emit("checkpoint", step=1)
    log._file = file
    log.emit("failed", cause="disk_full")
    log.close()
    assert [event["kind"] for event in read(path)[0]] == ["log", "failed"]


def test_the_tail_of_a_long_log_is_whole_lines_and_no_older_than_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "TAIL_BYTES", 1000)
    path = tmp_path / "events.jsonl"
    assert tail(path) == []
    with EventLog(path) as log:
        for step in range(200):
            log.emit("progress", step=step)
        since = path.stat().st_size
        assert [event["step"] for event in tail(path)] == list(range(200))[-len(tail(path)) :]
        assert 5 < len(tail(path)) < 20
        log.emit("log", text="last")
    assert [event["kind"] for event in tail(path, since)] == ["log"]


def test_readers_that_poll_while_lines_arrive_in_pieces_lose_and_double_nothing(tmp_path):
    path = tmp_path / "events.jsonl"
    lines = b"".join(json.dumps({"seq": n, "time": 0.0, "kind": "log"}).encode() + b"\n" for n in range(3000))
    done = threading.Event()

    def write():
        chance, at = random.Random(0), 0
        with path.open("ab", buffering=0) as file:
            while at < len(lines):
                at += file.write(lines[at : at + chance.randrange(1, 400)])
                time.sleep(0)
        done.set()

    def follow(seen):
        offset = 0
        while True:
            last = done.is_set()
            new, offset = read(path, offset)
            seen += [event["seq"] for event in new]
            if last:
                return

    seen = [[], [], []]
    threads = [threading.Thread(target=write), *(threading.Thread(target=follow, args=(each,)) for each in seen)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [list(range(3000))] * 3


def test_threads_share_a_log(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        threads = [threading.Thread(target=lambda: [log.emit("log") for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [event["seq"] for event in read(path)[0]] == list(range(1, 401))


def test_a_writer_killed_at_any_moment_leaves_every_event_that_it_had_written(tmp_path):
    path = tmp_path / "events.jsonl"
    code = "import sys, pathlib\nfrom finetune.runs.events import EventLog\nlog = EventLog(pathlib.Path(sys.argv[1]))\n"
    code += "while True: log.emit('log', text='x' * 500)"
    offset, seen = 0, []
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
        before = len(seen)
        while len(seen) < before + 200:
            new, offset = read(path, offset)
            seen += new
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    seen += read(path, offset)[0]
    numbers = [event["seq"] for event in seen if event["seq"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert os.path.getsize(path) > 0
