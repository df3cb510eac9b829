"""Training in several processes: the others beside the first one, their start, their end and what is said of it.

The worker itself is the first process. It decides, tells, looks and saves; for each further card it starts one process of
this module in its own group of processes, hands it what it needs, and ends it with the training. Not `accelerate launch`:
that one puts every process into a session of its own, where a kill of the run's group would miss them, and on a stop it
kills them after 30 seconds, in the middle of a step or a look. Nothing here imports torch as it is loaded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.errors import FinetuneError
from finetune.model.prompt import Encoded
from finetune.runs.supervise import worker_environment
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe
from finetune.training.recover import is_out_of_memory

if TYPE_CHECKING:
    from finetune.training.together import Together

COMMAND: tuple[str, ...] = (sys.executable, "-m", "finetune.training.others")
LOOK_SECONDS = 0.1
# The first process notices the end of another one by itself, in the next thing that they do together. If it is still
# there after this time, it hangs.
PATIENCE_SECONDS = 120.0
GOODBYE_SECONDS = 15.0


MEET = "meet"  # said in the store when all are ready: one may have loaded the base minutes before another


class Lost(FinetuneError):
    """One of the processes of a training ended before its time."""


@dataclass(frozen=True)
class Part:
    """What a process needs to take part; handed to it as it starts.

    Attributes:
        number: of the process, from 1: the first one, 0, is the worker itself.
        folder: of the base.
        rows: all training rows; each process takes its own of every step.
        directory: of the run.
        pad: token id that fills shorter rows.
        resume: checkpoint to go on from.
        store: file by which the processes find each other.
    """

    recipe: Recipe
    plan: Plan
    folder: Path
    rows: Sequence[Encoded]
    directory: Path
    pad: int
    resume: Path | None
    number: int = 0
    store: Path = Path()


class Others:
    """The processes beside the first one.

    Args:
        parts: what each is handed.
        tell_end: called with a sentence when one has ended and the first process hangs all the same; does not return.
        command: starts one of them.
        patience_seconds: time after which the first process is taken to hang.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        tell_end: Callable[[Lost], None],
        *,
        command: Sequence[str] = COMMAND,
        patience_seconds: float = PATIENCE_SECONDS,
    ):
        self.parts, self.store = parts, parts[0].store
        self._children: list[subprocess.Popen] = []
        self._over = threading.Event()
        self._tell_end, self._patience = tell_end, patience_seconds
        self._together: Together | None = None
        try:
            for part in parts:
                self._children.append(_start(part, command))
            for part, child in zip(parts, self._children, strict=True):
                # A child that has ended before it read this is found by who waits for it.
                with contextlib.suppress(BrokenPipeError):
                    pickle.dump(part, child.stdin)
                    child.stdin.flush()
        except BaseException:
            self.end()
            raise

    def join(self) -> Together:
        """Waits until all are ready to train, and meets them. Raises what `reason` gives, if one of them ends before."""
        from torch.distributed import FileStore

        from finetune.training.together import Together

        store = FileStore(str(self.store), len(self.parts) + 1)
        ready = [f"ready-{part.number}" for part in self.parts]
        while not store.check(ready):
            if self._dead():
                raise self.reason()
            time.sleep(LOOK_SECONDS)
        self.watch()
        store.set(MEET, "")
        self._together = Together(store, 0, len(self.parts) + 1)
        return self._together

    def watch(self) -> None:
        """From now on the end of one of them is told even where the first one hangs. Before, it has not to wait for any."""
        threading.Thread(target=self._watch, name="the other processes", daemon=True).start()

    def reason(self) -> Exception:
        """Why the processes have parted: the error to raise in the first one."""
        deadline = time.monotonic() + GOODBYE_SECONDS
        while not (dead := self._dead()) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        if not dead:
            return Lost("The connection between the processes of the training broke.", hint=_AGAIN)
        said = self._said(dead[0])
        who = f"process {dead[0] + 1} of {len(self.parts) + 1}"
        if said.get("out_of_memory"):
            # As if it had happened here: the training goes on with fewer rows at a time.
            return MemoryError(f"out of memory in {who}")
        if not (how := said.get("message")):
            code = self._children[dead[0] - 1].returncode
            how = f"it was killed by signal {-code}" if code < 0 else f"it ended with status {code}"
            if code == -signal.SIGKILL:
                how += ", which the system does too where memory runs out"
        return Lost(f"The training ended because {who} did: {how}.", hint=_AGAIN)

    def end(self) -> None:
        """Ends them all, and returns when they have ended."""
        self._over.set()
        for child in self._children:
            with contextlib.suppress(OSError):
                child.stdin.close()  # they end by themselves with it
        deadline = time.monotonic() + GOODBYE_SECONDS
        for child in self._children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._together:
            self._together.close()

    def _dead(self) -> list[int]:
        return [
            part.number
            for part, child in zip(self.parts, self._children, strict=True)
            if child.poll() is not None or _last_word(self.store, part.number).exists()
        ]

    def _said(self, number: int) -> dict:
        try:
            return json.loads(_last_word(self.store, number).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            if self._dead():
                if not self._over.wait(self._patience):
                    error = self.reason()
                    self._tell_end(error if isinstance(error, Lost) else Lost(f"The training ended: {error}."))
                return


_AGAIN = "What it said stands in worker.log; the last checkpoint is kept: resume goes on from there."


@contextlib.contextmanager
def beside(part: Part, tell: Callable[..., Any]) -> Iterator[Others | None]:
    """The processes beside this one for the time of the block, which is a training by `part.plan`; None where there are none.

    Args:
        part: of the first process; number and store of the others are set here.
        tell: emits an event.

    Raises:
        Lost: one of them has ended.
        MemoryError: for want of memory.
    """
    if part.plan.processes == 1:
        yield None
        return

    def tell_end(error: Lost) -> None:
        tell("failed", cause="crashed", message=error.message, hint=error.hint)
        os._exit(1)

    folder = Path(tempfile.mkdtemp(prefix="finetune-"))
    parts = [dataclasses.replace(part, number=n, store=folder / "store") for n in range(1, part.plan.processes)]
    from finetune.training.together import Parted

    tell("log", text=f"starting {len(parts)} more beside this one: {part.plan.processes} processes train together")
    try:
        with _threads(part.plan):
            company = Others(parts, tell_end)
            try:
                yield company
            except Parted:
                raise company.reason() from None
            finally:
                company.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _threads(plan: Plan) -> Iterator[None]:
    """On a CPU the processes share the cores."""
    import torch

    before = torch.get_num_threads()
    if plan.device == "cpu":
        torch.set_num_threads(max(1, before // plan.processes))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _start(part: Part, command: Sequence[str]) -> subprocess.Popen:
    environment = worker_environment()
    if part.plan.cards:
        environment["CUDA_VISIBLE_DEVICES"] = part.plan.cards[part.number]
    else:
        import torch

        environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    # A stop is sent to the whole group; when it ends is decided by the first process. What is blocked here stays so there.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        return subprocess.Popen([*command], stdin=subprocess.PIPE, stdout=2, env=environment)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _last_word(store: Path, number: int) -> Path:
    return store.with_name(f"failed-{number}.json")


def main() -> int:
    """One of the others: reads its part from standard input and trains along until that is closed."""
    part: Part = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    try:
        from finetune.training.together import follow

        follow(part)
        threading.Event().wait()  # the first process looks and saves once more, and ends this one then
    except Exception as error:
        traceback.print_exc()
        last = {"out_of_memory": is_out_of_memory(error), "message": f"{type(error).__name__}: {str(error)[:300]}"}
        _last_word(part.store, part.number).write_text(json.dumps(last), encoding="utf-8")
        return 1
    return 0


def _end_with_the_first() -> None:
    sys.stdin.buffer.read()
    # The pipe is closed when the first process has ended too, however that happened. Nothing here is worth saving.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
