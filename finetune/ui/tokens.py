"""One example token by token: what the model reads, what it is trained on, where it ends, what is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from finetune.ui.notice import escape

PARTS = {
    "prompt": "read, not trained on",
    "answer": "trained on",
    "end": "the end, trained on",
    "cut": "cut, the model never sees it",
}
# Tokens at the beginning and at the end of each part that are shown at once; those between them are under a fold, so
# that the answer is in sight below the longest prompt.
ENDS = {"prompt": (140, 200), "answer": (600, 100), "end": (1, 0), "cut": (60, 40)}
FOLDED = 3000  # tokens under one fold; of more the rest is counted


def exact_view(tokens: Sequence) -> str:
    """HTML of the tokens of one example, with a legend that counts them.

    Args:
        tokens: objects with `text` and `part` (prompt, answer, end or cut).
    """
    counts = Counter(token.part for token in tokens)
    legend = "".join(
        f'<span><i class="token {part}"></i>{label} <b>{counts[part]:,}</b></span>'
        for part, label in PARTS.items()
        if counts[part]
    )
    runs = "".join(_run(list(run), part) for part, run in groupby(tokens, key=lambda token: token.part))
    return f'<div class="legend">{legend}</div><div class="tokens">{runs}</div>'


def _run(tokens: Sequence, part: str) -> str:
    """Tokens of one part in a row, the middle of many under a fold."""
    first, last = ENDS.get(part, (600, 100))
    middle = tokens[first : len(tokens) - last]
    if len(middle) < first:  # a fold would save nothing
        return "".join(map(_token, tokens))
    rest = f"<i>… and {len(middle) - FOLDED:,} more</i>" if len(middle) > FOLDED else ""
    fold = (
        f"<details><summary>… {len(middle):,} more tokens …</summary>"
        f"{''.join(map(_token, middle[:FOLDED]))}{rest}</details>"
    )
    return f"{''.join(map(_token, tokens[:first]))}{fold}{''.join(map(_token, tokens[len(tokens) - last :]))}"


def _token(token) -> str:
    visible = escape(token.text).replace("\r", "").replace("\n", '<u>↵</u><br class="keep">')
    return (
        f'<span class="token {token.part}" title="{PARTS.get(token.part, token.part)}">{visible or "<u>∅</u>"}</span>'
    )
