"""Who hears how far a long look at the data is, and may end it."""

from __future__ import annotations

from collections.abc import Callable

# tell(what is done, share that is done, 0..1); it may raise `Cancelled`, which ends the work.
Tell = Callable[[str, float], None]


def silent(text: str, share: float) -> None:
    """Nobody listens."""
