"""One JSON value: read, recognised as a conversation, written as the text of a cell."""

from __future__ import annotations

import json
import re
from typing import Any

_ROLES = ("role", "from")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def constant(word: str) -> Any:
    """What stands for NaN and the infinities, which Python's json reads though JSON has none."""
    return None if word == "NaN" else word


_DECODER = json.JSONDecoder(parse_constant=constant)


def parse(text: str) -> Any:
    """The JSON value; NaN is null.

    Raises:
        ValueError: not JSON, or nested deeper, or a number longer, than Python reads.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_from(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at `start`, where no white space is, and the place behind it. Raises as `parse`."""
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("nested too deep") from None


def is_conversation(value: Any) -> bool:
    """Whether the value is a list of turns, as OpenAI (role, content) or ShareGPT (from, value) write them."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and any(isinstance(turn.get(role), str) for role in _ROLES) for turn in value)
    )


def as_text(value: Any) -> str:
    """Text as it stands, null and empty lists as "", anything else as JSON writes it."""
    if isinstance(value, str):
        return mended(value)
    if value is None or value == [] or value == {}:
        return ""
    try:
        return mended(json.dumps(value, ensure_ascii=False, default=str))
    except (RecursionError, ValueError):  # at the edge of the depth or length of number that Python allows, or beyond
        return "\ufffd"


def mended(text: str) -> str:
    """Half of a surrogate pair ("\\ud800") can be written in JSON but in no file: it becomes U+FFFD, broken text."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def kind(value: Any) -> str:
    """What a value is, in a sentence on what it should have been."""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a text"
    return "null" if value is None else "true or false" if isinstance(value, bool) else "a number"
