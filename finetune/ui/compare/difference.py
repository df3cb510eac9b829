"""Where an answer differs from the expected one, word by word, by underline and strike and not by colour alone."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import regex

from finetune.evidence.measures.metrics import SPACELESS
from finetune.ui.notice import escape

# Two texts of this many words each are compared in a quarter of a second at worst; longer ones are shown unmarked.
MOST_WORDS = 1_000
# With fewer words in common than this the marks would cover everything and say nothing.
LEAST_COMMON = 0.2
TAGS = {"added": "ins", "missing": "del"}
# One word of every script with the space after it. Scripts without spaces are cut into characters; a character is kept
# with its accents, and numbers with the points in them.
_WORD = regex.compile(
    rf"(?V1)(?P<word>\p{{N}}+(?:[.,]\p{{N}}+)+|[{SPACELESS}]\p{{M}}*"
    rf"|[[\p{{L}}\p{{N}}]--[{SPACELESS}]][[\p{{L}}\p{{M}}\p{{N}}]--[{SPACELESS}]]*|\X)(?P<space>\s*)"
)
_LETTER = regex.compile(r"[\p{L}\p{N}]")


@dataclass(frozen=True)
class Piece:
    """A stretch of text: the same in both, added by the answer, or missing from it."""

    kind: Literal["same", "added", "missing"]
    text: str


def difference(expected: str, answered: str) -> list[Piece] | str:
    """The answer as pieces, with what it lacks of the expected text put in its place; spaces alone never count.

    Returns:
        In place of pieces the reason why there are none: too long, or next to nothing in common.
    """
    wanted, said = _words(expected), _words(answered)
    if max(len(wanted), len(said)) > MOST_WORDS:
        return "too long to mark the differences"
    matcher = SequenceMatcher(None, [word for word, _ in wanted], [word for word, _ in said], autojunk=False)
    codes = [list(code) for code in matcher.get_opcodes()]
    common = sum(_letters(wanted[begin:end]) for name, begin, end, _, _ in codes if name == "equal")
    if 2 * common < LEAST_COMMON * (_letters(wanted) + _letters(said)):
        return "hardly a word in common with the expected answer"
    for place in range(1, len(codes) - 1):
        # A comma that stayed between two words that did not makes the marks hard to read.
        if codes[place][0] == "equal" and not _letters(wanted[codes[place][1] : codes[place][2]]):
            codes[place][0] = "replace"
    pieces: list[Piece] = []
    missing = added = ""
    for name, begin, end, first, last in codes:
        if name != "equal":
            missing, added = missing + _text(wanted[begin:end]), added + _text(said[first:last])
            continue
        pieces += _changed(pieces, missing, added)
        missing = added = ""
        pieces.append(Piece("same", _text(said[first:last])))
    return pieces + _changed(pieces, missing, added)


def _words(text: str) -> list[tuple[str, str]]:
    return [(found["word"], found["space"]) for found in _WORD.finditer(text.strip())]


def _letters(words: Sequence[tuple[str, str]]) -> int:
    """How many of them are words and no mere points and commas."""
    return sum(bool(_LETTER.search(word)) for word, _ in words)


def _text(words: Sequence[tuple[str, str]]) -> str:
    return "".join(word + space for word, space in words)


def _changed(before: Sequence[Piece], missing: str, added: str) -> list[Piece]:
    """What is missing and then what came in its place, never run together with what stands before."""
    if missing and before and not before[-1].text[-1:].isspace() and not added:
        missing = f" {missing}"
    if missing and added and not missing[-1].isspace():
        missing += " "
    return [Piece(kind, text) for kind, text in (("missing", missing), ("added", added)) if text]


def marked(pieces: Sequence[Piece], most: int | None = None) -> str:
    """HTML of the pieces: added text underlined, missing text struck through.

    Args:
        most: characters that are shown at once; the rest is under a fold. None folds nothing.
    """
    whole = "".join(piece.text for piece in pieces)
    # A fold for a line or two would be more to read than the lines.
    if most is None or len(whole) <= most * 3 // 2:
        return "".join(map(_tagged, pieces))
    if (space := whole.rfind(" ", most * 4 // 5, most)) > 0:
        most = space + 1
    head, rest, room = [], [], most
    for piece in pieces:
        if piece.text[:room]:
            head.append(Piece(piece.kind, piece.text[:room]))
        if piece.text[room:]:
            rest.append(Piece(piece.kind, piece.text[room:]))
        room = max(0, room - len(piece.text))
    return (
        f'{"".join(map(_tagged, head))}<details class="rest"><summary><span>… show all, {len(whole) - most:,} more '
        f"characters</span><span>show less</span></summary>{''.join(map(_tagged, rest))}</details>"
    )


def plain(text: str, most: int | None = None) -> str:
    """HTML of a text that is compared with nothing, folded as `marked` folds."""
    return marked([Piece("same", text)], most) if text.strip() else '<span class="quiet">empty</span>'


def _tagged(piece: Piece) -> str:
    if piece.kind == "same":
        return escape(piece.text)
    # The space around is left outside, where it is not underlined.
    inner = piece.text.strip()
    if not inner:
        return piece.text
    before, after = piece.text.split(inner, 1)
    tag = TAGS[piece.kind]
    return f"{before}<{tag}>{html.escape(inner)}</{tag}>{after}"
