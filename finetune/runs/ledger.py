"""A file to which lines of JSON are added over time by several processes, and which survives a writer that dies."""

from __future__ import annotations

import json
from pathlib import Path

from filelock import FileLock


def append(path: Path, entry: dict, *, timeout: float = 60) -> None:
    """Add one line.

    Args:
        timeout: seconds to wait for other writers.

    Raises:
        filelock.Timeout: another writer holds the file; OSError: it cannot be written to; ValueError: NaN in the entry.
    """
    # ASCII alone: a tokenizer can hand out half a surrogate pair, which UTF-8 refuses.
    line = json.dumps(entry, allow_nan=False).encode() + b"\n"
    with FileLock(f"{path}.lock", timeout=timeout), path.open("ab+") as file:
        # After a line that the machine died in the middle of, a new one begins.
        torn = file.seek(0, 2) > 0 and (file.seek(-1, 2), file.read(1))[1] != b"\n"
        file.write((b"\n" if torn else b"") + line)


def read(path: Path) -> list[dict | None]:
    """The entries, the first first; None for a line that is no JSON object. Empty where there is no such file."""
    entries: list[dict | None] = []
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        if line.strip():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            entries.append(entry if isinstance(entry, dict) else None)
    return entries
