"""Plays `finetune.training.worker` for test_supervise.py: `play_worker.py PART RUN_DIR --phase … [--resume]`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from finetune.runs.events import EventLog

IGNORES = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


def main() -> None:
    part, directory, *flags = sys.argv[1:]
    directory = Path(directory)
    stopped = False

    def stop(*_):
        nonlocal stopped
        stopped = True

    if part == "breaks":
        print("ModuleNotFoundError: No module named 'torch'")
        sys.exit(1)
    if part in ("stubborn", "leaves a child"):
        child = subprocess.Popen([sys.executable, "-c", IGNORES], stdout=subprocess.PIPE)
        child.stdout.readline()
        (directory / "grandchild").write_text(str(child.pid))
    signal.signal(signal.SIGTERM, signal.SIG_IGN if part == "stubborn" else stop)
    log = EventLog(directory / "events.jsonl")
    seen = {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "TOKENIZERS_PARALLELISM")}
    log.emit("log", text=json.dumps({"flags": flags, "cwd": os.getcwd(), "session": os.getsid(0), **seen}))
    print("a word on the standard output")

    def work() -> None:
        log.emit("started", pid=os.getpid())
        for step in range(1, 1200):
            log.emit("progress", phase="train", step=step, steps=1200)
            if part == "ends" and step == 3:
                log.emit("finished", phase="train")
                return
            if stopped:
                time.sleep(0.1)
                log.emit("stopped", step=step, reason="stopped by the user")
                if part == "lingers":
                    time.sleep(1)
                return
            time.sleep(0.02)

    if part != "queues":
        return work()
    from finetune.runs.store import Run
    from finetune.runs.supervise import WaitStopped, lease

    run = Run(directory)
    try:
        with lease(
            run.root,
            run.id,
            directory=directory,
            on_wait=lambda turn: log.emit("queued", behind=turn.behind, place=turn.number, of=turn.of),
            should_stop=lambda: stopped,
            poll_seconds=0.02,
        ):
            work()
    except WaitStopped:
        log.emit("stopped", step=0, reason="stopped while it waited")


main()
