"""One GPU, one holder, whatever becomes of it. (Between two runs: test_supervise.py.)"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from finetune.runs import process
from finetune.runs.supervise import WaitStopped, lease

pytestmark = pytest.mark.timeout(20)

ROOT = Path(__file__).resolve().parents[1]


def test_the_lease_is_handed_on_and_its_holder_told_anew(tmp_path):
    told: list = []
    inside = threading.Event()

    def wait():
        with lease(tmp_path, "last", on_wait=lambda turn: told.append(turn.behind), poll_seconds=0.01):
            inside.set()

    with lease(tmp_path, "first"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        while not told:
            time.sleep(0.01)
        time.sleep(0.1)  # many looks, one word
        assert told == ["first"]
        process.write_json(tmp_path / "gpu.json", {"holder": "second"})
        while len(told) < 2:
            time.sleep(0.01)
        assert told == ["first", "second"]
        assert not inside.is_set()
    waiter.join()
    assert inside.is_set() and told == ["first", "second"]


def test_the_lease_is_given_back_when_the_block_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), lease(tmp_path, "one"):
        1 / 0  # noqa: B018
    with lease(tmp_path, "two"), pytest.raises(WaitStopped), lease(tmp_path, "three", should_stop=lambda: True):
        pass


def test_a_forked_child_does_not_keep_the_lease(tmp_path):
    code = (
        "import os, sys, time, pathlib\nfrom finetune.runs.supervise import lease\n"
        "with lease(pathlib.Path(sys.argv[1]), 'one'):\n"
        "    if os.fork() == 0: time.sleep(60)\n"
        "    print('held', flush=True)\n    time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
    )
    try:
        holder.stdout.readline()
        holder.kill()  # the parent alone, as the OOM killer would
        holder.wait()
        began = time.monotonic()
        with lease(tmp_path, "two", poll_seconds=0.01, should_stop=lambda: time.monotonic() - began > 5):
            pass
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.stdout.close()
