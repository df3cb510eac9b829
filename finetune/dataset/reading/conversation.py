"""A cell that holds a conversation, as OpenAI or ShareGPT write it, becomes turns, and turns become one exchange."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from finetune.dataset.reading.values import as_text, is_conversation, parse

_ROLES = {
    "human": "user", "prompter": "user", "customer": "user", "gpt": "assistant", "bot": "assistant",
    "model": "assistant", "ai": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant",
    "agent": "assistant", "developer": "system",
}  # fmt: skip
_TOOLS = frozenset(
    ("tool", "function", "observation", "functioncall", "function_call", "function_response", "tool_call", "ipython")
)
_CALLS = ("tool_calls", "function_call")
# Columns, or keys beside the turns, that describe tools; they are no part of what is learned.
TOOL_COLUMNS = ("tools", "functions", "paralleltoolcalls", "toolchoice", "functioncall")
# What a list of turns that Python printed (pandas writes one so into a CSV) begins with.
_PRINTED = ("[{'role'", "[{'from'", "[{'content'", "[{'value'", '[{"role"', '[{"content"')

Turn = tuple[str, str]


def as_conversation(cell: Any) -> list[dict] | None:
    """The turns of a cell that holds a conversation, as a list or as text of one in a CSV; else None."""
    if isinstance(cell, str):
        text = cell.lstrip()
        if not text.startswith("["):
            return None
        try:
            cell = parse(text)
        except ValueError:
            cell = _printed(text)
    return cell if is_conversation(cell) else None


def spoken(cell: Any) -> list[Turn]:
    """(role, content) of each turn that says something; roles are user, assistant, system, or as they stand."""
    return said(as_conversation(cell) or ())


def said(turns: Sequence[dict]) -> list[Turn]:
    """`spoken`, of turns that are known to be a conversation."""
    found = [(_role(turn), _content(turn)) for turn in turns]
    return [(role, content) for role, content in found if content]


def exchange(turns: Sequence[Turn]) -> tuple[tuple[Turn, ...], str]:
    """The turns up to the user's last one before the assistant's last one, and what that says; ((), "") without both.

    Turns of tools are left out. Chat templates want the sides to alternate, so two turns in a row by one side are one.
    """
    merged: list[Turn] = []
    for role, content in turns:
        if role in _TOOLS:
            continue
        if merged and merged[-1][0] == role:
            merged[-1] = (role, f"{merged[-1][1]}\n\n{content}")
        else:
            merged.append((role, content))
    answer = max((place for place, (role, _) in enumerate(merged) if role == "assistant"), default=0)
    question = max((place for place, (role, _) in enumerate(merged[:answer]) if role == "user"), default=-1)
    if question < 0:
        return (), ""
    return tuple(merged[: question + 1]), merged[answer][1]


def ends_in_silence(turns: Sequence[dict]) -> bool:
    """Whether the last turn is the assistant's and says nothing: then an earlier answer is not what was meant."""
    spoken = [turn for turn in turns if _role(turn) not in _TOOLS]
    if not spoken or _role(spoken[-1]) != "assistant" or any(spoken[-1].get(key) for key in _CALLS):
        return False
    return not _content(spoken[-1])


@dataclass(frozen=True, slots=True)
class Ignored:
    """What of a conversation is not learned: turns of tools and calls of them, and parts that are no text."""

    tools: int = 0
    parts: int = 0


def ignored(turns: Sequence[dict]) -> Ignored:
    """How much of a conversation `said` and `exchange` leave out."""
    tools = parts = 0
    for turn in turns:
        tools += _role(turn) in _TOOLS or any(turn.get(key) for key in _CALLS)
        value = turn.get("content", turn.get("value"))
        if isinstance(value, list):
            parts += sum(isinstance(part, dict) and not _text_of(part) for part in value)
    return Ignored(tools, parts)


def stripped(text: str) -> str:
    """Without white space at its ends; str.strip knows the no-break space but not the marks that have no width."""
    return text.strip().strip("\ufeff\u200b").strip()


def _printed(text: str) -> Any:
    """The list that Python printed, or None; only text that looks like one is tried."""
    if not text.startswith(_PRINTED):
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _role(turn: dict) -> str:
    role = str(turn.get("role") or turn.get("from")).strip().lower()
    return _ROLES.get(role, role)


def _content(turn: dict) -> str:
    value = turn.get("content", turn.get("value"))
    if isinstance(value, list):  # OpenAI's parts, of which the texts are taken
        texts = (_text_of(part) if isinstance(part, dict) else as_text(part) for part in value)
        value = "\n".join(filter(None, texts))
    return stripped(as_text(value).replace("\0", "\ufffd"))


def _text_of(part: dict) -> str:
    """The text of a part of a content: {"type": "text", "text": …}; "" of an image, a sound, a file."""
    return as_text(part.get("text"))
