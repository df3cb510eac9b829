"""A cell that holds a conversation, as OpenAI or ShareGPT write it, becomes turns, and turns become one exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finetune.dataset.jsonl import as_text, is_conversation, parse

_ROLES = {"human": "user", "prompter": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
_TOOLS = ("tool", "function", "observation", "functioncall", "function_call", "function_response")

Turn = tuple[str, str]


def as_conversation(cell: Any) -> list[dict] | None:
    """The turns of a cell that holds a conversation, as a list or as JSON text in a CSV; else None."""
    if isinstance(cell, str):
        if not cell.lstrip().startswith("["):
            return None
        try:
            cell = parse(cell)
        except ValueError:
            return None
    return cell if is_conversation(cell) else None


def spoken(cell: Any) -> list[Turn]:
    """(role, content) of each turn that says something; roles are user, assistant, system, or as they stand."""
    turns = [(_role(turn), _content(turn)) for turn in as_conversation(cell) or ()]
    return [(role, content) for role, content in turns if content]


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


def stripped(text: str) -> str:
    """Without white space at its ends; str.strip knows the no-break space but not the marks that have no width."""
    return text.strip().strip("\ufeff\u200b").strip()


def _role(turn: dict) -> str:
    role = str(turn.get("role") or turn.get("from")).strip().lower()
    return _ROLES.get(role, role)


def _content(turn: dict) -> str:
    value = turn.get("content", turn.get("value"))
    if isinstance(value, list):  # OpenAI's parts, of which the texts are taken
        value = "\n".join(as_text(part.get("text") if isinstance(part, dict) else part) for part in value)
    return stripped(as_text(value).replace("\0", "\ufffd"))
