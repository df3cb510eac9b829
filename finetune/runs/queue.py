"""Who stands in line for the one device: `queue.json` under the root, read and changed under a lock.

The line decides who may try the lease next; the lease itself is a lock of the operating system (`supervise.lease`). So a
line that is lost or damaged costs an order and never the device: whoever waits finds itself missing and stands again where
it had come. A place is its process's: it falls away when that one dies.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from finetune.errors import FinetuneError
from finetune.runs import process
from finetune.runs.process import Process

Move = Literal["first", "up", "down"]

LOCK_SECONDS = 60.0
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Place(Process):
    """One that stands in line.

    Attributes:
        name: what the others are told they wait behind: the id of a run, or what else is done.
        directory: of the run, where it is one; a check of a run, for instance, is none.
        since: unix time at which it came.
        ahead: it takes seconds and goes before all that are not; it is not counted among those who wait.
        key: of this place and no other. That of a run follows from its process: the place that is kept for it as it is
            started is the one that it takes itself later.
    """

    name: str
    directory: str | None = None
    since: float = field(default_factory=time.time)
    ahead: bool = False
    key: str = field(default_factory=lambda: secrets.token_hex(4))

    @classmethod
    def of(cls, name: str, pid: int, directory: Path | None = None, *, ahead: bool = False) -> Place:
        """A new place of a living process. Raises psutil.NoSuchProcess where it does not live."""
        began = process.process_start(pid)
        if directory is None:
            return cls(pid, began, name, ahead=ahead)
        return cls(pid, began, name, str(directory), ahead=ahead, key=f"run-{pid}")


@dataclass(frozen=True)
class Turn:
    """Where one stands in line.

    Attributes:
        behind: the one right before it, who is at work where it is the next; None where that one is not known yet.
        number: 1 for the next.
        of: how many wait.
    """

    behind: str | None
    number: int = 1
    of: int = 1

    @property
    def words(self) -> str:
        """`third of four`; nothing where one waits alone."""
        return place_words(self.number, self.of)


@dataclass(frozen=True)
class AtWork:
    """Who has the device, or takes it right now.

    Attributes:
        directory: of the run, where it is one.
        since: unix time at which it took the device; None where it is about to.
    """

    name: str | None
    directory: str | None = None
    since: float | None = None


@dataclass(frozen=True)
class Line:
    """The line as it stood at one moment, the next one first."""

    at_work: AtWork | None
    waiting: tuple[Place, ...]

    def turn_of(self, place: Place) -> Turn:
        """Where a place of this line stands."""
        keys = [other.key for other in self.waiting]
        if place.key not in keys:  # it goes ahead of them
            return Turn(self.at_work.name if self.at_work else None)
        number = keys.index(place.key)
        before = self.waiting[number - 1].name if number else self.at_work.name if self.at_work else None
        return Turn(before, number + 1, len(self.waiting))

    def as_json(self) -> dict:
        """`{"at_work": {"name", "run", "since"} | null, "waiting": [{"place", "name", "run", "since"}, …]}`.

        `run` is the directory of the run, null for what is none; `since` is ISO, UTC: since when it has the device (null:
        it takes it right now), or waits for it.
        """
        busy = self.at_work
        return {
            "at_work": busy and {"name": busy.name, "run": busy.directory, "since": _iso(busy.since)},
            "waiting": [
                {"place": number, "name": place.name, "run": place.directory, "since": _iso(place.since)}
                for number, place in enumerate(self.waiting, start=1)
            ],
        }

    def find(self, wanted: str) -> Place:
        """The one that waits under this key, id, name, or directory.

        Raises:
            FinetuneError: nobody does, or several.
        """
        directory = str(Path(wanted).absolute())
        found = [place for place in self.waiting if wanted in (place.key, place.name) or place.directory == directory]
        if not found:
            raise FinetuneError(
                f"“{wanted}” does not wait for the device (any more).", hint="`python -m finetune queue` says who does."
            )
        if len(found) > 1:
            raise FinetuneError(f"{len(found)} that are called “{wanted}” wait.", hint="Name the directory of the run.")
        return found[0]


def place_words(number: int | None, of: int | None) -> str:
    """`third of four`; nothing where there are no others, or where it is not known."""
    if not number or not of or of < 2:
        return ""
    return f"{ORDINALS[number - 1]} of {NUMBERS[of - 1]}" if of <= len(ORDINALS) else f"number {number} of {of}"


def line_of(root: Path) -> Line:
    """Who has the device of this root and who waits for it.

    Raises:
        filelock.Timeout: the line was held by another process for `LOCK_SECONDS`.
    """
    if not root.is_dir():
        return Line(None, ())
    with changing(root) as standing:
        return standing.line()


def waits(root: Path) -> bool:
    """Whether anybody may stand in line: cheap enough to ask every second, and no lock is taken."""
    return bool(_read(root))


def move(root: Path, wanted: str, to: Move) -> Line:
    """Let one that waits go to the front, or up or down by one; the line as it stands then.

    What is at its end already stays there. It is the order of this moment that counts, whatever the caller saw.

    Raises:
        FinetuneError: it does not wait (any more).
    """
    with changing(root) as standing:
        line = standing.line()
        place = line.find(wanted)
        order = [other.key for other in line.waiting]
        old = order.index(place.key)
        new = {"first": 0, "up": max(0, old - 1), "down": min(len(order) - 1, old + 1)}[to]
        order.insert(new, order.pop(old))
        standing.order(order)
        return standing.line()


@contextmanager
def changing(root: Path, timeout: float = LOCK_SECONDS) -> Iterator[Standing]:
    """The line, which nobody else changes meanwhile. It is written at the end of the block, where it has changed.

    Raises:
        filelock.Timeout: another process held it all that time.
    """
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / "queue.lock", timeout=timeout):
        standing = Standing(root)
        yield standing
        standing.write()


class Standing:
    """The line in the hands of the one who holds its lock."""

    def __init__(self, root: Path):
        self.root = root
        self._before = _read(root)
        # A dead worker's place falls away.
        self.places = [place for place in self._before if place.alive()]

    def write(self) -> None:
        """Write it down, where it has changed. Raises OSError."""
        if self.places == self._before:
            return
        path = self.root / "queue.json"
        try:
            process.write_json(path, {"places": [asdict(place) for place in self.places]})
        except OSError:
            # A place that was left and still stands there would block all others. Without the file only the order is
            # lost, and to remove it takes no room on a full disk.
            path.unlink(missing_ok=True)
            raise

    def enter(self, place: Place) -> None:
        """Stand at the end; where it stands already, nothing.

        One that had stood there before, and was lost with a damaged file, comes before all that came after it.
        """
        if any(place.key == other.key for other in self.places):
            return
        number = len(self.places)
        for at, other in enumerate(self.places):
            if (place.ahead and not other.ahead) or (place.ahead == other.ahead and place.since < other.since):
                number = at
                break
        self.places.insert(number, place)

    def leave(self, place: Place) -> None:
        self.places = [other for other in self.places if other.key != place.key]

    def order(self, keys: list[str]) -> None:
        """Put those into this order; who goes ahead of all stays in front."""
        rank = {key: number for number, key in enumerate(keys)}
        self.places.sort(key=lambda place: rank.get(place.key, -1))

    def next(self) -> Place | None:
        """Who takes the device once it is free. One whose process was halted lets the others go by."""
        return next((place for place in self.places if not place.suspended()), None)

    def line(self, *, free: bool | None = None, upcoming: Place | None = None) -> Line:
        """The line as it is told.

        Args:
            free: whether nobody has the device; None finds out.
            upcoming: whose turn it is then, where that was asked already: a process may be halted between two looks.
        """
        if free is None:
            free = self._free()
        upcoming = (upcoming or self.next()) if free else None
        waiting = tuple(place for place in self.places if not place.ahead and place is not upcoming)
        if not free:
            return Line(_holder(self.root), waiting)
        return Line(AtWork(upcoming.name, upcoming.directory) if upcoming else None, waiting)

    def _free(self) -> bool:
        # All who try for the device hold the line's lock as they do: this one moment is in nobody's way.
        try:
            with FileLock(self.root / "gpu.lock", timeout=0):
                return True
        except Timeout:
            return False


def took(root: Path, place: Place) -> None:
    """Write down who has the device. It is true only while its lock is taken, and stays when that is given back."""
    told = {"holder": place.name, "directory": place.directory, "pid": os.getpid(), "since": time.time()}
    process.write_json(root / "gpu.json", told)


def _iso(time: float | None) -> str | None:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds") if time else None


def _holder(root: Path) -> AtWork:
    """Who took the device last."""
    try:
        told = json.loads((root / "gpu.json").read_text(encoding="utf-8"))
        return AtWork(told["holder"], told.get("directory"), told.get("since"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return AtWork(None)


def _read(root: Path) -> list[Place]:
    """What stands in the file; of a damaged one, what can be read."""
    try:
        entries = json.loads((root / "queue.json").read_text(encoding="utf-8"))["places"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    found = [place for entry in entries if (place := _place(entry))] if isinstance(entries, list) else []
    return list({place.key: place for place in found}.values())


def _place(entry: object) -> Place | None:
    try:
        place = Place(**entry)
        # As they are used: a text for a number would fail far from here.
        texts = (place.name, place.key, place.directory or "")
        whole = isinstance(place.pid, int) and all(isinstance(text, str) for text in texts)
        return place if whole and place.process_start + place.since > 0 else None
    except TypeError:
        return None
