"""Characters that print nothing: where they do their duty in a script or an emoji they stay, elsewhere they are told."""

from __future__ import annotations

import re

ZERO_WIDTH, DIRECTION, SOFT_HYPHEN = "zero-width characters", "controls of the writing direction", "soft hyphens"
TAGS, SELECTORS = "invisible tags", "stray variation selectors"

_FORMAT = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
_PLANE = "\U000e0000-\U000e007f\U000e0100-\U000e01ef"
# A variation selector belongs to the character before; a second one belongs to nothing. Starts with one set, for speed.
_HIDDEN = f"[{_FORMAT}{_PLANE}\ufe00-\ufe0f](?:(?<![\ufe00-\ufe0f])|(?<=[\ufe00-\ufe0f]{{2}}))"
# Scripts whose letters are joined or kept apart: Arabic and Syriac, those of India, Tibetan, Burmese, Mongolian, Khmer.
_JOINING = "\u0600-\u074f\u0750-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc"
# Scripts without spaces between words.
_SPACELESS = "\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\ua980-\ua9df"
_EMOJI = "\u2190-\u2bff\u3030\u303d\U0001f000-\U0001faff"
_KEEP = (
    "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"  # flags of England, Scotland, Wales, …
    f"|(?<=[{_JOINING}])[\u200c\u200d]|[\u200c\u200d](?=[{_JOINING}])"
    f"|(?<=[{_EMOJI}\ufe0f\u20e3])\u200d(?=[{_EMOJI}])"
    f"|(?<=[{_SPACELESS}])\u200b|\u200b(?=[{_SPACELESS}])"
    "|(?<=[\u1800-\u18af])\u180e"
    "|(?<=[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"  # forms of an ideograph
)
# Marks of direction belong to Hebrew and Arabic.
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_MARKS = "[\u200e\u200f\u061c]"
# The quick look, and the two patterns of what goes: the group "keep" stays.
FIRST = re.compile(_HIDDEN)
_LEFT = re.compile(f"(?P<keep>{_KEEP})|{_HIDDEN}")
_RIGHT = re.compile(f"(?P<keep>{_KEEP}|{_MARKS})|{_HIDDEN}")


def strip_hidden(text: str) -> str:
    """The text without characters that print nothing.

    Joiners stay inside emoji and between letters of Arabic, Persian and Indic scripts, zero-width spaces in Thai, Khmer
    and the like, marks of direction in texts with Hebrew or Arabic, tags inside flags. Overrides and embeddings of the
    direction never stay.
    """
    if text.isascii() or not FIRST.search(text):
        return text
    return _pattern(text).sub(lambda match: match["keep"] or "", text)


def hidden_kinds(text: str) -> list[str]:
    """The kinds of characters that `strip_hidden` would take out, each once."""
    if text.isascii() or not FIRST.search(text):
        return []
    gone = {_kind(match[0]) for match in _pattern(text).finditer(text) if not match["keep"]}
    return [kind for kind in (ZERO_WIDTH, DIRECTION, SOFT_HYPHEN, TAGS, SELECTORS) if kind in gone]


def _pattern(text: str) -> re.Pattern[str]:
    return _RIGHT if _RIGHT_TO_LEFT.search(text) else _LEFT


def _kind(character: str) -> str:
    if character == "\u00ad":
        return SOFT_HYPHEN
    if character >= "\U000e0100" or "\ufe00" <= character <= "\ufe0f":
        return SELECTORS
    if character >= "\U000e0000":
        return TAGS
    if character in "\u061c\u200e\u200f" or "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069":
        return DIRECTION
    return ZERO_WIDTH
