"""Data with faults planted at known rows: four kinds of it, each with its truth.

Any two rows share less than DISTINCT of their words (multiset Jaccard) unless they were planted as copies of each
other: every row is compared with all before it when it is made. So a check may be measured against the truth alone.
"""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import identifiers
from edits import SHORT, words
from foreign import foreign_text
from source import TASKS, Record, Source, personal_row, variant

COLUMNS = {"queries": ("text", "label"), "documents": ("body", "kind"), "passages": ("passage", "answer")}
EXACT = ("same", "same", "case", "space", "case and space")
NEAR = ("punctuation", "words", "all")
BEYOND_ASCII = (
    "\u2013 next to the caf\u00e9", "(K\u00f6nig)", "for 20 \u20ac", "\u2026d\u00e9j\u00e0 vu", "\u201cas agreed\u2019",
    "\u2013 25 \u00b0C",
)  # fmt: skip
HOLLOW = {
    "empty": ("", " ", "\n"),
    "boilerplate": (
        "As an AI language model, I cannot answer that.",
        "N/A",
        "TODO",
        "I'm sorry, but I can't help with that.",
    ),
}


@dataclass
class Truth:
    """What was planted where, by source row (1 = the first data row).

    Attributes:
        exact, near, conflicts: clusters of rows that are copies of each other; the conflicts have different outputs.
        edits: how the copies of a near cluster differ, by the cluster's place in `near`.
        light: pairs within `near` and `conflicts` whose inputs differ in case, space and punctuation alone.
        leaked: row of the test file (numbered on from the training file) → the training row that it copies.
        variants: row → the label as most rows write it. own_labels: rows whose label has a variant, the variants too.
        personal, decoys: row → kind. lookalikes: pairs of rows with a third of the words changed, no copies.
        broken, foreign: rows in a wrong encoding, rows in another language. hollow: row → empty, boilerplate, echo.
        flipped: row → its true label.
    """

    exact: list[tuple[int, ...]] = field(default_factory=list)
    near: list[tuple[int, ...]] = field(default_factory=list)
    edits: list[str] = field(default_factory=list)
    conflicts: list[tuple[int, ...]] = field(default_factory=list)
    light: list[tuple[int, ...]] = field(default_factory=list)
    leaked: dict[int, int] = field(default_factory=dict)
    variants: dict[int, str] = field(default_factory=dict)
    own_labels: set[int] = field(default_factory=set)
    personal: dict[int, str] = field(default_factory=dict)
    decoys: dict[int, str] = field(default_factory=dict)
    lookalikes: list[tuple[int, ...]] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)
    foreign: set[int] = field(default_factory=set)
    hollow: dict[int, str] = field(default_factory=dict)
    flipped: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Planted:
    """A training file, a test file (empty where nothing leaks) and the truth about both."""

    kind: str
    records: list[Record]
    test: list[Record]
    truth: Truth

    def write(self, folder: Path) -> tuple[Path, Path | None]:
        """Both files in the format of the kind: CSV for labels, JSON lines for answers and chats."""
        ending = "csv" if TASKS[self.kind] == "classification" else "jsonl"
        train, test = folder / f"{self.kind}.{ending}", folder / f"{self.kind}_test.{ending}"
        write(train, self.kind, self.records)
        if self.test:
            write(test, self.kind, self.test)
        return train, test if self.test else None


def write(path: Path, kind: str, records: list[Record]) -> None:
    """Records as a file of their kind."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if TASKS[kind] == "classification":
            rows = csv.writer(file)
            rows.writerow(COLUMNS[kind])
            rows.writerows((record.input, record.output) for record in records)
            return
        for record in records:
            if kind == "chats":
                turns = [*record.turns, ("assistant", record.output)]
                row = {"messages": [{"role": role, "content": content} for role, content in turns]}
            else:
                row = dict(zip(COLUMNS[kind], (record.input, record.output), strict=True))
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def pairs(clusters: list[tuple[int, ...]]) -> set[tuple[int, int]]:
    """All pairs of rows within clusters, the smaller row first."""
    return {pair for cluster in clusters for pair in combinations(sorted(cluster), 2)}


def plant(kind: str, rows: int, seed: int) -> Planted:
    """Data of one of KINDS with every fault but flipped labels, about a quarter of the rows concerned.

    Args:
        rows: of the training file, 200-20,000; the test file has a tenth of that, a third of it leaked.
    """
    source, draw, truth = Source(kind, seed), random.Random(f"plant {kind} {seed}"), Truth()
    labelled = TASKS[kind] == "classification"
    few = max(3, rows // 60)
    units: list[tuple[str, list[Record], object]] = []  # what it is, its rows, what more the truth has to say

    for _ in range(few):
        first = source.fresh()
        copies = [source.copy(first, draw.choice(EXACT), light=True) for _ in range(draw.randint(1, 4))]
        units.append(("exact", [first, *copies], None))
    for _ in range(2 * few):
        first = source.fresh()
        edit = draw.choice(NEAR if roomy(first) else ("punctuation", "all"))
        copies = [source.copy(first, edit, light=False) for _ in range(draw.randint(1, 4))]
        units.append(("near", [first, *copies], edit))
    for _ in range(few):
        first = source.fresh()
        edit = draw.choice(("same", "case", "punctuation", "space", "words"))
        copy = replace(source.copy(first, edit, light=False), output=source.other_output(first))
        units.append(("conflicts", [first, copy], None))
    for kinds, name, count in (
        (identifiers.PERSONAL, "personal", 5 * few), (identifiers.DECOYS, "decoys", 5 * few),
    ):  # fmt: skip
        units += [(name, [personal_row(source, what := kinds[n % len(kinds)])], what) for n in range(count)]
    for _ in range(few):
        first = source.fresh()
        if other := source.lookalike(first):
            units.append(("lookalikes", [first, other], None))
    units += [("broken", [source.fresh(broken)], None) for _ in range(few)]
    if labelled:
        # Three labels have no variant at all, the two that differ by a prefix among them.
        open_labels = [label for label in source.labels if "duty" not in label][1:]
        for _ in range(2 * few):
            record = source.fresh(label=draw.choice(open_labels))
            units.append(("variants", [replace(record, output=variant(record.output, draw))], record.output))
    else:
        for number in range(few):
            what = ("empty", "boilerplate", "echo")[number % 3]
            record = source.fresh()
            while what == "echo" and len(words(record.turns[-1][1])) < 5:  # “Yes please.” may be said by both
                record = source.fresh()
            output = record.turns[-1][1] if what == "echo" else draw.choice(HOLLOW[what])
            units.append(("hollow", [replace(record, output=output)], what))
    units += [("foreign", [other_tongue(source, draw)], None) for _ in range(min(few, 40))]
    copied = [source.fresh() for _ in range(rows // 30)]
    units += [("leak", [record], None) for record in copied]
    clean = rows - sum(len(records) for _, records, _ in units)
    units += [("clean", [source.fresh()], None) for _ in range(clean)]
    test = [
        (source.copy(record, draw.choice((*EXACT, *NEAR)), light=False), number) for number, record in enumerate(copied)
    ]
    test += [(source.fresh(), None) for _ in range(rows // 10 - len(copied))]

    records, places = _shuffled(units, draw)
    leaks = [place[0] for place, (name, _, _) in zip(places, units, strict=True) if name == "leak"]
    draw.shuffle(test)
    for number, (_, original) in enumerate(test):
        if original is not None:
            truth.leaked[len(records) + number + 1] = leaks[original]
    for place, (name, _, more) in zip(places, units, strict=True):
        _tell(truth, name, place, more)
    said = [words(record.input) for record in records]
    edited_pairs = pairs(truth.near) | pairs(truth.conflicts)
    truth.light = sorted((one, other) for one, other in edited_pairs if said[one - 1] == said[other - 1])
    truth.own_labels = {row for row, record in enumerate(records, 1) if record.output in set(truth.variants.values())}
    truth.own_labels |= set(truth.variants)
    return Planted(kind, records, [record for record, _ in test], truth)


def flip(records: list[Record], share: float, seed: int) -> tuple[list[Record], dict[int, str]]:
    """The records with this share of their labels changed for another of those there are, and row → true label."""
    draw = random.Random(f"flip {seed}")
    labels = sorted({record.output for record in records})
    flipped, records = {}, list(records)
    for place in draw.sample(range(len(records)), round(share * len(records))):
        flipped[place + 1] = records[place].output
        other = draw.choice([label for label in labels if label != records[place].output])
        records[place] = replace(records[place], output=other)
    return records, flipped


def clean(kind: str, rows: int, seed: int, shares: dict[str, float] | None = None) -> list[Record]:
    """Rows without a fault; `shares` gives each label's part of them (queries and documents alone)."""
    source = Source(kind, seed)
    if shares is None:
        return [source.fresh() for _ in range(rows)]
    records = [source.fresh(label=label) for label, share in shares.items() for _ in range(round(share * rows))]
    source.draw.shuffle(records)
    return records


def broken(record: Record) -> Record:
    """The row with its last turn in UTF-8 read as Windows-1252, as happens between two programs."""
    role, text = record.turns[-1]
    text = text.translate(str.maketrans({"'": "\u2019"}))
    text = f"{text} {BEYOND_ASCII[len(text) % len(BEYOND_ASCII)]}"
    return replace(record, turns=(*record.turns[:-1], (role, text.encode().decode("cp1252"))))


def roomy(record: Record) -> bool:
    """Whether a turn that may be edited is long enough for an edit of one word in ten."""
    return any(len(words(text)) >= SHORT for role, text in record.turns if role != "system")


def other_tongue(source: Source, draw: random.Random) -> Record:
    """A row whose turns of the user are in German, French, Spanish or Polish."""
    tongue = draw.choice(("de", "fr", "es", "pl"))

    def change(record: Record) -> Record:
        turns = tuple((role, foreign_text(tongue, draw) if role == "user" else text) for role, text in record.turns)
        return replace(record, turns=turns)

    return source.fresh(change)


def _shuffled(
    units: list[tuple[str, list[Record], object]], draw: random.Random
) -> tuple[list[Record], list[list[int]]]:
    """The rows of all units in any order, and for each unit the rows (from 1) at which its records now stand."""
    order = [(unit, part) for unit, (_, records, _) in enumerate(units) for part in range(len(records))]
    draw.shuffle(order)
    places: list[list[int]] = [[0] * len(records) for _, records, _ in units]
    for row, (unit, part) in enumerate(order, 1):
        places[unit][part] = row
    return [units[unit][1][part] for unit, part in order], places


def _tell(truth: Truth, name: str, place: list[int], more: object) -> None:
    cluster = tuple(sorted(place))
    if name in ("exact", "conflicts", "lookalikes"):
        getattr(truth, name).append(cluster)
    elif name == "near":
        truth.near.append(cluster)
        truth.edits.append(str(more))
    elif name in ("personal", "decoys", "variants", "hollow"):
        getattr(truth, name)[place[0]] = more
    elif name in ("broken", "foreign"):
        getattr(truth, name).add(place[0])
