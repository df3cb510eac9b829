"""Rows of four kinds, each unlike all before it, and the copies, look-alikes and personal data that are planted."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import identifiers
from edits import SHORT, Likeness, edited, slip, words
from prose import PARAGRAPHS, chat, paragraph, question_and_answer
from wording import FILL, QUERIES, query

DISTINCT = 0.6
KINDS = ("queries", "documents", "passages", "chats")  # the first two have labels, the others answers
TASKS = {"queries": "classification", "documents": "classification", "passages": "instruction", "chats": "chat"}
LOOSE = (*FILL["noun"], *FILL["city"], *FILL["kin"], "never", "always", "perhaps", "quite", "soon", "indeed")
VOCABULARY = [word for word in LOOSE if len(words(word)) == 1]  # what takes the place of one word is one word


@dataclass(frozen=True)
class Record:
    """One row: what the model reads as (role, content) turns, the last one the user's, and what it should answer."""

    turns: tuple[tuple[str, str], ...]
    output: str

    @property
    def input(self) -> str:
        """All turns in one text, which is what is compared; a system message is nobody's turn, and often every row's."""
        return "\n".join(content for role, content in self.turns if role != "system")


class Source:
    """Rows of one kind, each unlike all before it."""

    def __init__(self, kind: str, seed: int):
        self.kind = kind
        self.draw = random.Random(f"{kind} {seed}")
        self.labels = list(QUERIES if kind == "queries" else PARAGRAPHS)
        self._seen = Likeness()

    def fresh(self, change: Callable[[Record], Record] = lambda record: record, label: str | None = None) -> Record:
        """A new row, after the change, that shares less than DISTINCT of its words with every row before."""
        for _ in range(400):
            record = change(self._any(label))
            if self._seen.texts == 0 or self._seen.with_earlier(record.input).max() < DISTINCT:
                self._seen.add(record.input)
                return record
        raise RuntimeError(f"No room for more {self.kind}: {self._seen.texts} rows.")

    def lookalike(self, record: Record) -> Record | None:
        """The row with about one word in three changed: alike, and no copy. None where it came out too like another."""
        for _ in range(20):
            turns = tuple((role, text if role == "system" else self._third(text)) for role, text in record.turns)
            other = Record(
                turns, self._any(record.output).output if self.kind in ("passages", "chats") else record.output
            )
            if self._seen.with_earlier(other.input).max() < DISTINCT:
                self._seen.add(other.input)
                return other
        return None

    def other_output(self, record: Record) -> str:
        """An output that contradicts the row's own."""
        if TASKS[self.kind] == "classification":
            return self.draw.choice([label for label in self.labels if label != record.output])
        while len(set(words(other := self._any(None).output)) & set(words(record.output))) > 0.6 * len(words(other)):
            pass
        return other

    def copy(self, record: Record, edit: str, *, light: bool) -> Record:
        """The row with its turns edited. The output stays, or differs in case and space alone.

        Args:
            edit: one of EDITS, or "same" or "case and space"; turns too short for an edit of words get another.
            light: no word is touched, whatever the edit.
        """
        turns = [(role, text if role == "system" else self._edit(text, edit, light)) for role, text in record.turns]
        output = record.output
        if TASKS[self.kind] != "classification" and edit != "same" and self.draw.random() < 0.5:
            output = edited(output, self.draw.choice(("case", "space")), self.draw, VOCABULARY)
        return Record(tuple(turns), output)

    def _edit(self, text: str, edit: str, light: bool) -> str:
        if edit == "same":
            return text
        if edit == "case and space":
            return edited(edited(text, "case", self.draw, VOCABULARY), "space", self.draw, VOCABULARY)
        if edit in ("words", "all") and (light or len(words(text)) < SHORT):
            edit = self.draw.choice(("case", "punctuation", "space"))
        return edited(text, edit, self.draw, VOCABULARY)

    def _third(self, text: str) -> str:
        parts = text.split()
        for place in self.draw.sample(range(len(parts)), max(1, round(len(parts) * 0.36))):
            parts[place] = self.draw.choice(VOCABULARY)
        return " ".join(parts)

    def _any(self, label: str | None) -> Record:
        label = label or self.draw.choice(self.labels)
        if self.kind == "queries":
            return Record((("user", query(label, self.draw)),), label)
        if self.kind == "documents":
            return Record((("user", paragraph(label, self.draw)),), label)
        if self.kind == "passages":
            question, answer = question_and_answer(self.draw)
            text = paragraph(self.draw.choice(self.labels), self.draw)
            return Record(
                (("user", f"{text}\n{question}" if self.draw.random() < 0.5 else f"{question} {text}"),), answer
            )
        return Record(*chat(self.draw))


def with_text(record: Record, text: str, draw: random.Random, *, anywhere: bool) -> Record:
    """The row with a few words added to a turn, or to the answer of the kinds that have one."""
    places = [place for place, (role, _) in enumerate(record.turns) if role != "system"]
    if anywhere and draw.random() < 0.25:
        return replace(record, output=joined(record.output, text, draw))
    place = draw.choice(places)
    turns = list(record.turns)
    turns[place] = (turns[place][0], joined(turns[place][1], text, draw))
    return replace(record, turns=tuple(turns))


def joined(text: str, more: str, draw: random.Random) -> str:
    """Two texts as one, in either order."""
    if draw.random() < 0.25:
        return f"{more[0].upper()}{more[1:]}. {text}"
    return f"{text.rstrip('.')}{draw.choice(('. ', ', ', ' - ', '; '))}{more}{draw.choice(('', '.'))}"


def variant(label: str, draw: random.Random) -> str:
    """A label as somebody else would write it: case, space, underscore or hyphen, and in long ones a slip of a finger."""
    ways = [label.upper(), label.title(), label.capitalize(), label.replace(" ", "  "), label.replace(" ", "_"),
            label.replace(" ", "-"), label.title().replace(" ", "_")]  # fmt: skip
    if len(label) >= 10:
        ways += [slip(label, draw) for _ in range(4)]
    return draw.choice([way for way in ways if way != label])


def personal_row(source: Source, kind: str) -> Record:
    """A new row that holds a kind of PERSONAL or of DECOYS."""
    make = identifiers.personal if kind in identifiers.PERSONAL else identifiers.decoy

    def change(record: Record) -> Record:
        text = identifiers.carried(kind, make(kind, source.draw), source.draw)
        return with_text(record, text, source.draw, anywhere=TASKS[source.kind] != "classification")

    return source.fresh(change)
