"""How long `inspect` takes and how much memory, from ten thousand rows to a million.

    python tests/benchmarks/size.py [--rows 10000 100000 1000000]

writes a CSV of rows of 5-40 words, one in fifty a duplicate or near-duplicate, one in a hundred with personal data and
one with what looks like it, and runs
`python -m finetune inspect FILE --json` on it as a process of its own. Peak memory is the greatest sum, over the process
and its children, of resident pages, sampled thirty times a second; shared pages are counted once for each process.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from edits import edited
from identifiers import DECOYS, PERSONAL, carried, decoy, personal
from source import VOCABULARY
from wording import QUERIES, query

ROOT = Path(__file__).resolve().parents[2]
LABELS = list(QUERIES)
COPIED = 0.02
SIGNED = ("-", "thanks,", "regards", "yours,", "from", "for", "asks", "signed")
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "el", "or")]


@dataclass(frozen=True)
class Measured:
    """One run: rows of the file, its size, wall and CPU time, peak resident memory of all processes, kinds of finding."""

    rows: int
    file_bytes: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    kinds: tuple[str, ...]


def write_rows(path: Path, rows: int, seed: int = 0) -> None:
    """A CSV of queries of 5-40 words; the generator makes some 30,000 rows a second."""
    draw, pool = random.Random(seed), []
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(("text", "label"))
        for _ in range(rows):
            if pool and draw.random() < COPIED:
                text, label = draw.choice(pool)
                text = edited(text, draw.choice(("case", "punctuation", "space", "all")), draw, VOCABULARY)
            else:
                text, label = varied(draw)
                if len(pool) < 5000:
                    pool.append((text, label))
            out.writerow((text, label))


def varied(draw: random.Random) -> tuple[str, str]:
    """A query of 5-40 words and its label, signed with an invented name; a third of the rows have two queries.

    The names give the file the long tail of words that real ones have, and keep apart what the frames make too alike.
    """
    while True:
        label = draw.choice(LABELS)
        text = query(label, draw)
        more = draw.random()
        if more < 0.33:
            text = f"{text} {query(label, draw)}"
        elif more < 0.35:
            kinds, make = (PERSONAL, personal) if more < 0.34 else (DECOYS, decoy)
            kind = draw.choice(kinds)
            text = f"{text}, {carried(kind, make(kind, draw), draw)}"
        text = f"{text} {draw.choice(SIGNED)} {invented(draw)} {invented(draw)}"
        if 5 <= len(text.split()) <= 40:
            return text, label


def invented(draw: random.Random) -> str:
    """A word of two or three syllables that no list holds."""
    return "".join(draw.choices(SYLLABLES, k=draw.choice((2, 3)))).title()


def measure(path: Path, rows: int) -> Measured:
    """Run `inspect` on a file as a process, and watch it and its children.

    Raises:
        RuntimeError: it failed; the message is what it said.
    """
    started, used = time.perf_counter(), cpu_of_children()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "finetune", "inspect", str(path), "--json"], cwd=ROOT, stdout=out, stderr=said
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(resident(pid) for pid in family(process.pid)))
            time.sleep(1 / 30)
        seconds = time.perf_counter() - started
        out.seek(0)
        said.seek(0)
        if process.returncode:
            raise RuntimeError(said.read().decode(errors="replace")[-2000:])
        kinds = sorted({finding["kind"] for finding in json.loads(out.read())["findings"]})
    return Measured(rows, path.stat().st_size, seconds, cpu_of_children() - used, peak, tuple(kinds))


def cpu_of_children() -> float:
    """CPU time of all processes that this one started and that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def family(pid: int) -> list[int]:
    """A process and all its descendants that live now."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue  # it has just ended
    return found


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=1, help="the quickest of so many runs is told")
    parser.add_argument("--folder", type=Path, help="where the files are kept for another time")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}\n")
    print("| rows | file | wall time | CPU time | peak memory | findings |\n|--:|--:|--:|--:|--:|---|")
    taken = {}
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for rows in options.rows:
            path = folder / f"rows_{rows}.csv"
            if not path.exists():
                write_rows(path, rows)
            best = min((measure(path, rows) for _ in range(options.repeat)), key=lambda one: one.seconds)
            taken[rows] = best.seconds
            print(
                f"| {rows:,} | {best.file_bytes / 1e6:.1f} MB | {best.seconds:.1f} s | {best.cpu_seconds:.1f} s "
                f"| {best.peak_bytes / 1e9:.2f} GB | {', '.join(best.kinds)} |",
                flush=True,
            )
    if {100_000, 1_000_000} <= set(taken):
        print(f"\nTen times the rows took {taken[1_000_000] / taken[100_000]:.1f} times as long.")


if __name__ == "__main__":
    main()
