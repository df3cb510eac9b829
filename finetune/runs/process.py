"""The process of a run: which one it is (`worker.json`), and whether it still lives."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

# The moment of boot is rounded anew whenever it is read. No pid comes round again within this time.
TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True)
class Process:
    """One process, and no later one with its number.

    Attributes:
        pid: its process number.
        process_start: seconds from the machine's boot to its start, see `process_start`.
    """

    pid: int
    process_start: float

    def exists(self) -> bool:
        """Whether this very process is still in the system's table, be it as a zombie; not another with its number."""
        try:
            return abs(process_start(self.pid) - self.process_start) < TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return False

    def alive(self) -> bool:
        """Whether it runs. A zombie does not."""
        return self.exists() and self._condition() not in (None, psutil.STATUS_ZOMBIE)

    def suspended(self) -> bool:
        """Whether somebody has halted it (Ctrl-Z, a debugger): it lives, and does nothing."""
        return self._condition() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)

    def _condition(self) -> str | None:
        try:
            return psutil.Process(self.pid).status()
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True)
class Worker(Process):
    """One start of a run's worker, which leads a process group and a session of its own.

    Attributes:
        phase: what it was started for, "train" or "compare".
        events_offset: size of `events.jsonl` at its start in bytes; what stands before was said by an earlier worker.
        stop_asked: unix time at which a stop was asked for.
    """

    phase: str
    events_offset: int
    stop_asked: float | None = None


def process_start(pid: int) -> float:
    """Seconds from the machine's boot to the start of the process: with the pid, the identity of a process.

    Not the unix time of the start: that one moves with every correction of the clock, and a run would look dead after
    the machine has set its clock.
    """
    return psutil.Process(pid).create_time() - psutil.boot_time()


def recorded(directory: Path) -> Worker | None:
    """The last worker of the run in this directory; None if none was ever started."""
    try:
        return Worker(**json.loads((directory / "worker.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def record(directory: Path, worker: Worker) -> None:
    write_json(directory / "worker.json", asdict(worker))


def write_json(path: Path, data: dict) -> None:
    """Replace the file as `write_text` does."""
    write_text(path, json.dumps(data))


def write_text(path: Path, text: str) -> None:
    """Replace the file at once: whoever reads meanwhile sees the old content or the new, never half of it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
