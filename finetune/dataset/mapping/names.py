"""What the name of a column says about its part in training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# fmt: off
# In order of preference; compared in lower case, with letters and digits alone.
MESSAGES = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat", "chosen")
OUTPUTS = (
    "output", "completion", "answer", "response", "reply", "labeltext", "labelname", "category", "label", "intent",
    "class", "target", "sentiment", "topic", "tag", "chosen", "summary", "translation", "expected", "answers",
    "labels", "categories", "type", "rating", "score", "stars", "verdict", "solution", "responses", "choice", "choices",
)
INPUTS = (
    "prompt", "question", "query", "text", "input", "utterance", "sentence", "message", "body", "content", "document",
    "review", "description", "comment", "post", "tweet", "email", "ticket", "article", "passage", "source", "subject",
    "title", "headline", "clause", "request",
)
LABELS = frozenset({
    "labeltext", "labelname", "category", "label", "intent", "class", "target", "sentiment", "topic", "tag", "labels",
    "categories", "type", "rating", "score", "stars", "verdict", "choice", "choices",
})
SYSTEMS = ("system", "systemprompt")
# Columns that come with many tables and are neither side unless nothing else is there.
ASIDE = frozenset({
    "id", "uuid", "guid", "index", "idx", "unnamed0", "split", "fold", "status", "language", "lang", "locale", "user",
    "userid", "author", "annotator", "annotators", "annotationid", "createdat", "updatedat", "timestamp", "date", "time",
    "rejected", "tools", "functions", "metadata", "meta", "url", "leadtime", "version", "paralleltoolcalls",
})
# Words in the name of a column that says whose a row is.
GROUPS = frozenset({
    "customer", "client", "user", "author", "account", "patient", "document", "doc", "conversation", "thread",
    "session", "case", "company", "group", "speaker", "sender", "person", "contract", "order", "dialog", "dialogue",
    "family", "subject", "site", "domain",
})
# Words in the paths of values that a program proposed to those who label.
SUGGESTED = frozenset({"suggestion", "suggestions", "prediction", "predictions"})
# fmt: on
# Columns that are read together with the main input when both are there: (earlier, later).
TOGETHER = (("instruction", "input"), ("instruction", "context"), ("context", "question"), ("passage", "question"))
TITLED = (("subject", "title", "headline"), ("body", "text", "message", "content", "description", "review", "article"))
# Last words that say less than the one before them: “answer_text”, “suggestion.label.value”.
_GENERAL = frozenset({"text", "name", "value", "str", "string", "texts", "values"})


def named(columns: Iterable[str], wanted: Sequence[str], whole: bool = False) -> str | None:
    """The column whose name is one of `wanted`, the first of these first; else one that ends with such a word."""
    columns = list(columns)
    by_name = {plain(name): name for name in reversed(columns)}
    if found := next((by_name[name] for name in wanted if name in by_name), None):
        return found
    if whole:
        return None
    by_word = {_last_word(name): name for name in reversed(columns) if words(name)}
    return next((by_word[name] for name in wanted if name in by_word), None)


def plain(name: str) -> str:
    """The name in lower case, letters and digits of ASCII alone."""
    return "".join(words(name))


def words(name: str) -> list[str]:
    """Words of a name: "ticketText", "ticket_text" and "Ticket text" are the same two."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def _last_word(name: str) -> str:
    found = words(name)
    while len(found) > 1 and found[-1] in _GENERAL:
        found.pop()
    return found[-1]
