"""One example token by token: what the model reads, what it is trained on, where it ends, what is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from finetune.ui.notice import escape

PARTS = {
    "prompt": "read, not trained on",
    "answer": "trained on",
    "end": "the end, trained on",
    "cut": "cut, the model never sees it",
}
SHOWN = 1500  # tokens; a longer row is shown to here


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
    shown = "".join(_token(token.text, token.part) for token in tokens[:SHOWN])
    rest = f'<p class="quiet">… and {len(tokens) - SHOWN:,} more tokens</p>' if len(tokens) > SHOWN else ""
    return f'<div class="legend">{legend}</div><div class="tokens">{shown}</div>{rest}'


def _token(text: str, part: str) -> str:
    visible = escape(text).replace("\r", "").replace("\n", '<u>↵</u><br class="keep">')
    return f'<span class="token {part}" title="{PARTS.get(part, part)}">{visible or "<u>∅</u>"}</span>'
