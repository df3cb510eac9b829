"""The texts of an example with the place of each, and the quick first pass over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from finetune.dataset.example import Example
from finetune.dataset.tell import Tell

INPUT, OUTPUT, EARLIER = "the input", "the output", "an earlier turn"
# Examples between two calls of `tell`.
STEP = 50_000


def places(example: Example) -> Iterator[tuple[str, str]]:
    """(place, text) of every text of an example, as they are read; the input of a chat is its last user turn."""
    for _, content in example.context[:-1]:
        yield EARLIER, content
    yield INPUT, example.input
    yield OUTPUT, example.output


def suspects(
    examples: Sequence[Example], hit: Callable[[str], object], *, tell: Tell | None = None, doing: str = ""
) -> Iterator[Example]:
    """The examples of which `hit` finds any text true, in order.

    It is called for every text, so it must be cheap: some 0.5 µs are half a second in a million rows. `tell` hears
    `doing` with the share done before each 50,000 rows, and may raise to end the work.
    """
    rest = iter(examples)
    for start in range(0, len(examples), STEP):
        if tell:
            tell(doing, start / len(examples))
        for example in islice(rest, STEP):
            if (
                hit(example.input)
                or hit(example.output)
                or (example.context and any(hit(content) for _, content in example.context[:-1]))
            ):
                yield example


def listed(names: Sequence[str], limit: int = 5) -> str:
    """`a, b and c`; of more than `limit`, the first ones and how many others there are."""
    shown = list(names[:limit])
    if len(names) > limit:
        shown.append(f"{len(names) - limit:,} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""
