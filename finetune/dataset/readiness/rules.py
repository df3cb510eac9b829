"""The rules of thumb of fine-tuning, each applied to this data, and the order in which they decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Decision = Literal["fine_tune", "pilot_first", "prompt_first", "retrieval", "collect_data"]
Topic = Literal[
    "rows", "quality", "privacy", "balance", "narrowness", "terminology", "knowledge", "volume", "baseline",
    "sensitivity", "test_size",
]  # fmt: skip

FEWEST, FEW, ENOUGH = 50, 100, 500  # rows
FAULTY, UNUSABLE = 0.10, 1 / 3  # share of the rows with one and the same fault
LOPSIDED = 0.90  # share of the rows that one label has
THIN = 10  # rows of a label
FIXED = 1 / 3  # different outputs as a share of the rows
SHORT_ANSWER, LONG_ANSWER = 30, 200  # words
LABEL_WORDS, LABELS = 5, 100  # answers of so few words, and so few of them, are labels
SPECIALIST = 0.10  # share of the words that the base hardly knows
RARE_USE, MUCH_USE = 100, 1000  # requests a day
EASY = 0.95  # score of a classical model
BLIND = 0.20  # smallest difference that the test part can show

# From the first that applies comes the decision; () stands for every topic. The most cautious lean does not simply win:
# knowledge that changes comes before the number of rows, because no number of rows makes up for it, and an answer that
# can be looked up needs neither rows nor training.
PRECEDENCE: tuple[tuple[Decision, tuple[Topic, ...], str], ...] = (
    ("retrieval", ("knowledge",), "The right answers change every week or every day, whatever the rows."),
    (
        "collect_data",
        ("rows", "quality", "balance"),
        f"Under {FEWEST} different rows; or a third of the rows or more contradict each other or have a doubtful label; "
        f"or more than half of the labels have fewer than {THIN} rows; or one label has more than {LOPSIDED:.0%} and all "
        f"others together have fewer than {FEWEST} rows.",
    ),
    (
        "retrieval",
        ("narrowness",),
        "Free answers that repeat: at most a third as many different ones as rows, and too long to be labels.",
    ),
    (
        "prompt_first",
        ("rows", "volume"),
        f"Under {FEW} different rows; or under {RARE_USE} requests a day with short answers, unless a mistake costs much.",
    ),
    (
        "pilot_first",
        (),
        f"Anything that holds back: under {ENOUGH} rows; a fault in more than {FAULTY:.0%} of the rows; one label with "
        f"more than {LOPSIDED:.0%}; a tenth of the labels with fewer than {THIN} rows; answers of more than "
        f"{LONG_ANSWER} words; free answers that change every month; under {MUCH_USE:,} requests a day; a classical "
        f"model that reaches {EASY:.0%}, or leaves less to gain than is wanted, or learns nothing; a test that shows "
        f"differences of more than {BLIND * 100:.0f} points alone, or where a mistake costs much, not the one that is wanted.",
    ),
    ("fine_tune", (), "Nothing stands against it."),
)
# Before training nothing says "a classical model is enough". A pilot is the nearest to it: its comparison has that
# model as one of the alternatives, and costs minutes.
RULES = "\n".join(
    ["The first of these that applies is the decision:"]
    + [f"{number}. {decision.replace('_', ' ')}: {text}" for number, (decision, _, text) in enumerate(PRECEDENCE, 1)]
)

THUMB = {
    "rows": f"Rule of thumb: {FEWEST} to {FEW} rows at least, {ENOUGH} or more recommended; under {FEW}, prompting often wins.",
    "quality": "Rule of thumb: quality comes before quantity.",
    "privacy": "What is trained on can come out again: personal data is masked before training.",
    "balance": f"Rule of thumb: a class with more than {LOPSIDED:.0%} of the rows will be over-predicted.",
    "narrowness": "Rule of thumb: a narrow, well-defined task is what a fine-tune is good at.",
    "terminology": "Rule of thumb: a vocabulary of its own speaks for a fine-tune.",
    "knowledge": "Rule of thumb: knowledge that changes often belongs in retrieval, not in a model.",
    "volume": "Rule of thumb: a fine-tune pays with thousands of requests.",
    "baseline": "What a classical model does as well needs no language model.",
    "sensitivity": "The dearer a mistake, the more test rows the proof needs, and a person for the doubtful answers.",
    "test_size": "A gain that is smaller than the test can show stays unseen.",
}


@dataclass(frozen=True)
class Point:
    """One topic, looked at.

    Attributes:
        leans: what it would decide by itself.
        value: the figure it rests on.
        reason: what is so in this data, a sentence or two with the figures.
        rule: the rule behind it.
    """

    topic: Topic
    leans: Decision
    value: float | int | str
    reason: str
    rule: str


def decide(points: Sequence[Point]) -> tuple[Decision, tuple[Point, ...]]:
    """The decision by PRECEDENCE, and the points that made it."""
    for decision, topics, _ in PRECEDENCE:
        made = tuple(one for one in points if one.leans == decision and (not topics or one.topic in topics))
        if made:
            return decision, made
    raise ValueError("no point leans anywhere")


# What a topic says: topic, lean, value, reason.
Said = Iterator[tuple[Topic, Decision, float | int | str, str]]


def in_points(share: float) -> str:
    """0.05 → `5 points`, of a hundred."""
    number = f"{share * 100:.3g}"
    return f"{number} {'point' if number == '1' else 'points'}"
