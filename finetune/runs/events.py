"""What a run says about itself: `events.jsonl`, append-only, one JSON object a line."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Emit = Callable[..., Any]  # takes the kind of an event and its fields

KINDS = frozenset(
    {
        *("queued", "started", "plan", "progress", "evaluated", "warning", "log", "checkpoint", "curve", "compared"),
        *("finished", "stopped", "failed"),
    }
)

# Some 300 events: enough to hold the last word of a run without reading the whole of a long one every second.
TAIL_BYTES = 64 * 1024


class EventLog:
    """The writing end. One at a time for a run; any number of readers may poll meanwhile.

    Opening it again goes on with the next `seq`. Threads may share it. A signal handler should set a flag rather than
    emit: a line of its own could then stand before one with a smaller `seq`.
    """

    def __init__(self, path: Path):
        last = tail(path) or read(path)[0]
        self._seq = max((event["seq"] for event in last), default=0)
        self._file = path.open("ab", buffering=0)
        # A writer that was killed inside a line left a torn one. Ending it keeps it apart from the next event.
        self._torn = _torn(path)
        # Reentrant, so that a signal handler that emits all the same does not wait for itself for ever.
        self._lock = threading.RLock()

    def emit(self, kind: str, **fields: Any) -> dict:
        """Append one event and return it as written.

        Args:
            kind: one of `KINDS`.
            fields: JSON values; NaN and infinities become null, numpy and torch scalars numbers, all else its text.

        Raises:
            ValueError: a kind that no reader knows.
            OSError: the disk is full or gone; a later emit may succeed.
        """
        if kind not in KINDS:
            raise ValueError(f"no event kind {kind!r}")
        with self._lock:
            self._seq += 1
            event = _plain({"seq": self._seq, "time": time.time(), "kind": kind, **fields})
            # ASCII alone: a tokenizer can hand out half a surrogate pair, which UTF-8 refuses.
            line = json.dumps(event).encode() + b"\n"
            rest = b"\n" + line if self._torn else line
            self._torn = True
            while rest:
                rest = rest[self._file.write(rest) :]
            self._torn = False
        return event

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path, offset: int = 0) -> tuple[list[dict], int]:
    """The events from a byte offset on, and the offset to ask from next time.

    Only whole lines are taken: a line that is still being written is left for the next call, so a caller that hands the
    offset back sees every event once. A missing file is an empty one. A whole line that cannot be read comes as
    `{"kind": "log", "text": "unreadable line …"}` with seq 0 and the time of the event before it.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    events: list[dict] = []
    for line in whole.split(b"\n"):
        if line.strip():
            events.append(_event(line, events[-1]["time"] if events else 0.0))
    return events, offset + len(whole)


def tail(path: Path, since: int = 0) -> list[dict]:
    """The last events, at most `TAIL_BYTES` of them and none from before the byte offset `since`."""
    try:
        start = max(since, path.stat().st_size - TAIL_BYTES)
        if start > since:
            with path.open("rb") as file:
                file.seek(start)
                start += len(file.readline())  # most likely the middle of a line
    except FileNotFoundError:
        return []
    return read(path, start)[0]


def _torn(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read() not in (b"", b"\n")


def _event(line: bytes, time_before: float) -> dict:
    try:
        event = json.loads(line)
        if isinstance(event, dict) and {"seq", "time", "kind"} <= event.keys():
            return event
    except ValueError:
        pass
    text = line[:200].decode("utf-8", "replace")
    return {"seq": 0, "time": time_before, "kind": "log", "text": f"unreadable line {text}"}


def _plain(value: Any) -> Any:
    """The value as JSON can hold it."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if getattr(value, "ndim", None) == 0:
        return _plain(value.item())
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
