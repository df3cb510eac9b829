"""A long look at the data as a job in the background: the page shows how far it is and can end it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from finetune.dataset.tell import Tell
from finetune.errors import Cancelled
from finetune.ui.notice import escape

# Nothing is shown before this: a small file is done by then, and a bar that only flashes is worse than none.
PATIENCE_SECONDS = 0.5
BEAT_SECONDS = 0.25


class Job:
    """One piece of work in a thread of its own, left as a context: who goes before its end has cancelled it.

    Args:
        make: takes a `tell` and gives the result.
        about: what it is made from; jobs of one visitor that are about something else are out of date.
        behind: it follows what is shown already, and ends no other job.

    Attributes:
        superseded: it was ended by what came later, and not by somebody who wanted it to end.
    """

    def __init__(self, make: Callable[[Tell], Any], about: Hashable, *, behind: bool = False) -> None:
        self.about, self.behind, self.began = about, behind, time.monotonic()
        self.superseded = False
        self.text, self.share = "", 0.0
        self._make = make
        self._made: Any = None
        self._error: BaseException | None = None
        self._cancelled = threading.Event()
        self._over = threading.Event()
        threading.Thread(target=self._work, daemon=True, name="look").start()

    def _work(self) -> None:
        try:
            self._made = self._make(self._tell)
        except BaseException as error:  # raised again where the result is asked for
            self._error = error
        self._over.set()

    def _tell(self, text: str, share: float) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        self.text, self.share = text, max(self.share, min(1.0, share))

    @property
    def over(self) -> bool:
        """Whether there is a result, an error, or nobody who waits for it any more."""
        return self._over.is_set()

    def cancel(self, *, superseded: bool = False) -> None:
        """Its thread ends the next time it tells something; whoever watches goes on at once."""
        self.superseded = superseded
        self._cancelled.set()
        self._over.set()

    def beats(self) -> Iterator[tuple[str, float]]:
        """What is done and the share that is done, now and then until the end; nothing for work that is soon done."""
        if self._over.wait(PATIENCE_SECONDS):
            return
        yield self.text, self.share
        while not self._over.wait(BEAT_SECONDS):
            yield self.text, self.share

    def result(self) -> Any:
        """Waits for it. Raises what the work raised, and Cancelled where it was cancelled."""
        self._over.wait()
        if self._cancelled.is_set():
            raise Cancelled
        if self._error is not None:
            raise self._error
        return self._made

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *how: object) -> None:
        if not self._over.is_set():
            self.cancel()


class Jobs:
    """The jobs of every visitor that are under way."""

    def __init__(self) -> None:
        self._under_way: dict[str, list[Job]] = defaultdict(list)
        self._lock = threading.Lock()

    def begin(self, visitor: str, about: Hashable, make: Callable[[Tell], Any], *, behind: bool = False) -> Job:
        """Starts the work and ends what this visitor has under way about something else.

        Args:
            behind: the work follows what is shown already. It may come late, so it ends only its like.

        Raises:
            Cancelled: the work is `behind`, and what is shown is about to be replaced.
        """
        with self._lock:
            for other in self._of(visitor):
                if other.about != about and behind and not other.behind:
                    raise Cancelled
                if other.about != about:
                    other.cancel(superseded=True)
            job = Job(make, about, behind=behind)
            self._under_way[visitor].append(job)
        return job

    def passed(self, about: Hashable, *, visitor: str) -> bool:
        """Whether this visitor waits for something else already."""
        with self._lock:
            return any(job.about != about and not job.behind for job in self._of(visitor))

    def cancel(self, *, visitor: str) -> None:
        """Ends all that this visitor has under way."""
        with self._lock:
            for job in self._of(visitor):
                job.cancel()

    def only(self, wanted: Callable[[Any], bool], *, visitor: str) -> None:
        """Ends what this visitor has under way about anything that is not wanted any more."""
        with self._lock:
            for job in self._of(visitor):
                if not wanted(job.about):
                    job.cancel(superseded=True)

    def _of(self, visitor: str) -> list[Job]:
        left = [job for job in self._under_way.get(visitor, ()) if not job._over.is_set()]
        self._under_way.pop(visitor, None)
        if left:
            self._under_way[visitor] = left
        return left


def silent(text: str, share: float) -> None:
    """A `tell` for what nobody follows."""


def bar(text: str, share: float, since: float | None = None) -> str:
    """HTML of a slim bar with what is being done.

    Args:
        share: 0..1.
        since: `time.monotonic()` of the start, for the time that is left; None leaves it out.
    """
    facts = [text or "Starting", f"{share:.0%}"]
    if since is not None and share >= 0.1 and (gone := time.monotonic() - since) > 3:
        left = gone / share * (1 - share)
        facts.append("a few seconds left" if left < 5 else f"about {5 * round(left / 5):.0f} s left")
    shown = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    return (
        f'<div class="progress slim" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{100 * share:.0f}" aria-label="{escape(text)}"><i style="width:{share:.1%}"></i></div>'
        f'<p class="facts">{shown}</p>'
    )
