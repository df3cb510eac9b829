"""A run as a process: started apart from the page, stopped, resumed, and given the one GPU in its turn. (POSIX.)"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import psutil
from filelock import FileLock, Timeout

from finetune.errors import FinetuneError
from finetune.runs import process, queue
from finetune.runs.process import Worker, process_start
from finetune.runs.queue import Place, Turn
from finetune.runs.store import Run, status

__all__ = ["WORKER", "WaitStopped", "alive", "cancel", "lease", "process_start", "resume", "start", "stop"]

WORKER: tuple[str, ...] = (sys.executable, "-m", "finetune.training.worker")

LOCK_SECONDS = 60.0
# A step or a look at the validation rows can take minutes on a CPU, and what is killed has saved nothing.
GRACE_SECONDS = 600.0
LAST_BREATH_SECONDS = 15.0  # from a worker's last event to its end: torch takes a while to let go of a GPU
LOOK_SECONDS = 0.05
LOOK_AT_LINE_SECONDS = 5.0


class WaitStopped(Exception):
    """A stop was asked for while a run waited for the lease. The run has not begun."""


def alive(run: Run) -> bool:
    """Whether the run's worker lives: the very process that was started, not another with its number, nor a zombie."""
    worker = process.recorded(run.directory)
    return worker is not None and worker.alive()


def start(
    run: Run,
    *,
    phase: Literal["train", "compare"] = "train",
    resume: bool = False,
    command: Sequence[str] = WORKER,
) -> int:
    """Start the run's worker, `COMMAND RUN_DIR --phase PHASE [--resume]`, in a session of its own.

    The worker outlives the caller. Its output is appended to `worker.log`; its working directory is the run's. It stands
    in line for the device from now on: who was started first comes first, however long each takes to load.

    Returns:
        Its process number.

    Raises:
        FinetuneError: the run has a living worker.
    """
    with _alone(run):
        worker = process.recorded(run.directory)
        if worker and worker.alive() and status(run).over:
            _wait_for_end(worker, LAST_BREATH_SECONDS)
        if worker and worker.alive():
            raise FinetuneError(
                f"The run {run.id} is {status(run).state} already (process {worker.pid}).",
                hint="Follow it, or stop it first.",
            )
        offset = run.events_path.stat().st_size if run.events_path.exists() else 0
        with run.log_path.open("ab") as log, queue.changing(run.root) as line:
            child = subprocess.Popen(
                [*command, str(run.directory), "--phase", phase, *(["--resume"] if resume else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=run.directory,
                env=worker_environment(),
                start_new_session=True,
            )
            process.record(run.directory, Worker(child.pid, process_start(child.pid), phase, offset))
            line.enter(Place.of(run.id, child.pid, run.directory))
    # A child that has ended stays a zombie until its parent has asked for its end.
    threading.Thread(target=child.wait, name=f"end of {run.id}", daemon=True).start()
    return child.pid


def resume(run: Run, *, command: Sequence[str] = WORKER) -> int:
    """Go on where the run ended: from the last checkpoint, or with the comparison where the training is finished.

    Raises:
        FinetuneError: it has a living worker, or there is nothing left to do.
    """
    trained, finished = run.trained(), status(run).state == "finished"
    if trained and finished:
        raise FinetuneError(f"The run {run.id} is finished.", hint="Start a new run to train again.")
    # A run that was stopped in its training may have been compared as it was: what did not end then was the comparison.
    comparing = (worker := process.recorded(run.directory)) is not None and worker.phase == "compare"
    if trained or (comparing and not finished):
        return start(run, phase="compare", command=command)
    return start(run, resume=True, command=command)


def stop(run: Run, grace_seconds: float = GRACE_SECONDS, *, wait: bool = True) -> None:
    """Ask the worker to finish its step and save (SIGTERM); after the grace end its process group (SIGKILL).

    A run that waits for the GPU is stopped in the same way; a run without a living worker is left as it is.

    Args:
        grace_seconds: time that the worker has for it.
        wait: return when it has ended. Otherwise at once: the grace is then watched by a thread of this process.

    Raises:
        FinetuneError: the process does not even end on SIGKILL (with `wait` alone).
    """
    with _alone(run):
        worker = _ask_to_stop(run)
    if worker is None:
        return
    if not wait:
        _end_later(run, worker, grace_seconds)
    elif not _end(worker, grace_seconds):
        raise FinetuneError(
            f"The process {worker.pid} of run {run.id} does not end.",
            hint="A driver holds it: look at it with your system's tools, or restart the machine.",
        )


def cancel(root: Path, wanted: str, grace_seconds: float = GRACE_SECONDS) -> Run:
    """Stop a run that waits for the device, and none that has got it meanwhile. Returns at once.

    Args:
        wanted: key of its place, id, or directory.

    Raises:
        FinetuneError: it does not wait (any more), or it is no run.
    """
    place = queue.line_of(root).find(wanted)
    if place.directory is None:
        raise FinetuneError(f"“{place.name}” is not a run.", hint="End it where it was started.")
    run = Run(Path(place.directory))
    with _alone(run), queue.changing(root) as standing:
        # Whoever takes the device needs this lock too: what still waits now cannot have begun when it is told.
        standing.leave(standing.line().find(place.key))
        worker = _ask_to_stop(run)
    if worker is not None:
        _end_later(run, worker, grace_seconds)
    return run


@contextmanager
def lease(
    root: Path,
    holder: str,
    *,
    directory: Path | None = None,
    ahead: bool = False,
    on_wait: Callable[[Turn], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    poll_seconds: float = 0.5,
) -> Iterator[None]:
    """Hold the GPU for the time of the block, after waiting for whoever has it and for all who came before.

    It is a lock of the operating system: it falls free when its holder dies, however that happens. Who may try for it
    next is said by the line (`runs.queue`).

    Args:
        root: one lease for all runs of a root, `gpu.lock`; `gpu.json` says who took it last.
        holder: what others are told they wait behind, the run's id for instance.
        directory: of the run, where it is the run itself that waits.
        ahead: goes before all who wait, behind the one at work alone: for what a person waits for and takes seconds.
        on_wait: called with the place in the line when the wait begins, and whenever that place changes.
        should_stop: asked before each try.
        poll_seconds: time between two tries.

    Raises:
        WaitStopped: `should_stop` said yes before the lease was free.
    """
    # A generator that the page iterates may end in another thread than the one it began in.
    lock = FileLock(root / "gpu.lock", thread_local=False)
    place, told = Place.of(holder, os.getpid(), directory, ahead=ahead), None
    try:
        while True:
            if should_stop and should_stop():
                raise WaitStopped  # also while the line is held
            try:
                if (turn := _try(root, lock, place, should_stop)) is None:
                    break
            except Timeout:
                turn = told  # the line could not be looked at just now
            if on_wait and turn is not None and turn != told:
                told = turn
                on_wait(turn)
            time.sleep(poll_seconds)
    except BaseException:
        lock.release()
        with suppress(OSError), queue.changing(root) as line:
            line.leave(place)
        raise
    try:
        yield
    finally:
        lock.release()


def _try(root: Path, lock: FileLock, place: Place, should_stop: Callable[[], bool] | None) -> Turn | None:
    """Take the device if it is free and this one's turn; else where it stands.

    Raises:
        Timeout: the line is held.
        WaitStopped: `should_stop` said so.
    """
    with queue.changing(root, timeout=LOOK_AT_LINE_SECONDS) as line:
        # Asked while the line is held: who was taken out of it meanwhile does not enter it again.
        if should_stop and should_stop():
            raise WaitStopped
        line.enter(place)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return line.line(free=False).turn_of(place)
        upcoming = line.next()
        if upcoming is None or upcoming.key != place.key:
            lock.release()
            return line.line(free=True, upcoming=upcoming).turn_of(place)
        line.leave(place)
        queue.took(root, place)
        return None


def _alone(run: Run) -> FileLock:
    """Nobody else starts or stops this run meanwhile: a button can be pressed twice, and on two pages."""
    return FileLock(run.directory / "worker.lock", timeout=LOCK_SECONDS)


def worker_environment() -> dict[str, str]:
    """The environment of a worker, and of the processes that a worker starts."""
    changes = {
        # The default policy makes small operations on shared cores 10-30 times slower. It is read when torch loads.
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
        # What a killed process had printed stands in the log.
        "PYTHONUNBUFFERED": "1",
    }
    source = str(Path(__file__).resolve().parents[2])
    # An installed package is found anyway, and site-packages before the standard library would shadow parts of it.
    if source not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        changes["PYTHONPATH"] = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    return os.environ | changes


def _ask_to_stop(run: Run) -> Worker | None:
    """The living worker, which has been asked to stop; None where there is none."""
    worker = process.recorded(run.directory)
    if worker is None or not worker.alive():
        return None
    process.record(run.directory, replace(worker, stop_asked=time.time()))
    _signal_group(worker, signal.SIGTERM)
    return worker


def _end_later(run: Run, worker: Worker, grace_seconds: float) -> None:
    threading.Thread(target=_end, args=(worker, grace_seconds), name=f"stop of {run.id}", daemon=True).start()


def _end(worker: Worker, grace_seconds: float) -> bool:
    """Wait for the worker's end, kill what is left of its group after the grace; whether it has ended."""
    _wait_for_end(worker, grace_seconds)
    # Also after an end in time: children that the worker left behind would hold on to the GPU's memory.
    _signal_group(worker, signal.SIGKILL)
    return _wait_for_end(worker, 5.0)


def _wait_for_end(worker: Worker, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while worker.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def _signal_group(worker: Worker, number: int) -> None:
    # The system gives no new process the number of a group that still has members. So while the number is not another
    # process's, the group of this number is the worker's or nobody's.
    if psutil.pid_exists(worker.pid) and not worker.exists():
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, number)
