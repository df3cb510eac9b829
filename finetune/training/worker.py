"""The process that trains a run and compares it: `python -m finetune.training.worker RUN_DIR [--phase compare] [--resume]`.

It is started apart from the page and the command line and tells what it does by the run's events alone.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from finetune.errors import FinetuneError
from finetune.model import machine
from finetune.runs.events import EventLog
from finetune.runs.process import process_start
from finetune.runs.queue import Turn
from finetune.runs.store import Run, open_run
from finetune.runs.supervise import WaitStopped, lease
from finetune.training import others
from finetune.training.alarms import Diverged
from finetune.training.recover import OutOfMemory, is_out_of_memory

_stop_asked = False


def _ask_to_stop(*_: object) -> None:
    # A flag and nothing more: the step that runs is finished and saved first.
    global _stop_asked
    _stop_asked = True


def stop_asked() -> bool:
    return _stop_asked


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 finished or stopped, 1 failed."""
    parser = argparse.ArgumentParser(prog="finetune.training.worker")
    parser.add_argument("run", type=Path)
    parser.add_argument("--phase", choices=("train", "compare"), default="train")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _ask_to_stop)
    signal.signal(signal.SIGINT, _ask_to_stop)
    cards = machine.visible_cards()
    run = open_run(options.run, options.run.parent)
    with EventLog(run.events_path) as log:
        try:
            _work(run, options.phase, options.resume, log, cards)
        except WaitStopped:
            log.emit("stopped", step=0, reason="Stopped while it waited for the GPU.")
        except Exception as error:
            traceback.print_exc()
            cause, message, hint = explain(error)
            log.emit("failed", cause=cause, message=message, hint=hint)
            return 1
    return 0


def _work(run: Run, phase: str, resume: bool, log: EventLog, cards: Sequence[str]) -> None:
    def waits(turn: Turn) -> None:
        log.emit("queued", behind=turn.behind, place=turn.number, of=turn.of)

    with lease(run.root, run.id, directory=run.directory, on_wait=waits, should_stop=stop_asked):
        log.emit("started", phase=phase, pid=os.getpid(), process_start=process_start(os.getpid()), resume=resume)
        goes_on = True
        if phase == "train":
            # A stopped run may have been compared as it was. What it learns now makes that comparison a stale one.
            for name in ("comparison.json", "outputs.jsonl", "scores.jsonl"):
                (run.directory / name).unlink(missing_ok=True)
            # torch is imported here and not above, so that a run that waits for the GPU holds no memory on it.
            from finetune.training.session import train_run

            trained = train_run(run, log.emit, stop_asked, resume=resume, cards=cards)
            goes_on = trained and run.record().get("compare", True)
        if goes_on:
            from finetune.evidence.compare import compare

            result = compare(run, emit=log.emit, should_stop=stop_asked)
            if result is None:
                log.emit("stopped", step=None, reason="Stopped during the comparison; the adapter is saved.")
            else:
                verdict = result["verdict"]
                log.emit("compared", decision=verdict["decision"], reason=verdict["reason"])
                log.emit("finished", phase="compare")


def explain(error: BaseException) -> tuple[str, str, str]:
    """Typed cause, what happened, and what to do, of an error that ended a run."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, FinetuneError):
        kinds = ((OutOfMemory, "out_of_memory"), (Diverged, "diverged"), (others.Lost, "crashed"))
        cause = next(
            (name for kind, name in kinds if isinstance(error, kind)), "bad_data" if error.row else "user_error"
        )
        return cause, error.message, error.hint
    if is_out_of_memory(error):
        return (
            "out_of_memory",
            "The memory of the device was not enough.",
            "Take a smaller batch_size, max_tokens or base, or close what else uses the memory; then resume.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk_full", "The disk is full.", "Make room, then resume: the last checkpoint is kept."
    return "crashed", f"{type(error).__name__}: {text[:500]}", "This is a bug: the whole story is in worker.log."


if __name__ == "__main__":
    sys.exit(main())
