"""How many planted faults `inspect` finds, and how much of what it finds was planted.

    python tests/benchmarks/faults.py [--seeds 5] [--rows 2000] [--banking77 FILE] [--details] [--misses 5]

prints a Markdown table. Duplicates are counted as pairs of rows within clusters, everything else as rows.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import identifiers
from edits import NEAR, near_pairs
from planting import COLUMNS, Planted, clean, flip, pairs, plant, write
from source import KINDS, TASKS, Record

# Intents that share little with each other, so that a flipped label is wrong beyond doubt.
EIGHT_INTENTS = (
    "age_limit", "apple_pay_or_google_pay", "card_arrival", "edit_personal_details", "exchange_rate", "passcode_forgotten",
    "Refund_not_showing_up", "terminate_account",
)  # fmt: skip
EVEN = ("invoice copy", "password reset", "opening hours", "product advice", "refund request", "delivery delay")
FLIPPED = 0.05


@dataclass
class Score:
    """Counts of one fault: planted, of these found, and found in all (without what may be either)."""

    planted: int = 0
    right: int = 0
    found: int = 0
    missed: list[Any] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, planted: Iterable, found: Iterable, neutral: Iterable = ()) -> Score:
        """Score of sets of rows or pairs; what is neutral counts neither for nor against."""
        planted, found = set(planted), set(found)
        found -= set(neutral) - planted
        return cls(len(planted), len(planted & found), len(found), sorted(planted - found), sorted(found - planted))

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def recall(self) -> float:
        return self.right / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0


Scores = dict[str, Score]


def of_kind(findings: list[dict], *kinds: str) -> list[dict]:
    return [finding for finding in findings if finding["kind"] in kinds]


def rows_of(findings: list[dict]) -> set[int]:
    return {row for finding in findings for row in finding["rows"]}


def pairs_of(findings: list[dict]) -> set[tuple[int, int]]:
    return pairs([tuple(cluster) for finding in findings for cluster in finding.get("clusters", ())])


def clustered(findings: list[dict]) -> set[int]:
    return {row for finding in findings for cluster in finding.get("clusters", ()) for row in cluster}


def about_labels(finding: dict) -> bool:
    """Whether a finding says that labels differ in case, space or spelling alone."""
    return finding.get("check") == "label_spelling"


def about_language(finding: dict) -> bool:
    """Whether a finding says that rows are in another language than the most."""
    return finding.get("check") == "mixed_languages"


def planted_scores(data: Planted, findings: list[dict]) -> Scores:
    """Score of every fault of `plant`, from the findings of `inspect --json`."""
    truth = data.truth
    exact, near, conflicts, light = (pairs(c) for c in (truth.exact, truth.near, truth.conflicts, truth.light))
    leaks = {(original, row) for row, original in truth.leaked.items()}
    duplicates = of_kind(findings, "exact_duplicate", "near_duplicate")
    contradicting = [f for f in of_kind(findings, "conflicting_output") if not about_labels(f)]
    leaking = of_kind(findings, "leakage")
    scores = {
        # A copy that differs in punctuation alone may be called exact or near.
        "exact duplicates": Score.of(exact, pairs_of(of_kind(findings, "exact_duplicate")), light | conflicts | leaks),
        "near duplicates": Score.of(near, pairs_of(duplicates), exact | conflicts | leaks),
        "conflicts": Score.of(flat(truth.conflicts), rows_of(contradicting)),
        "leakage": Score.of(truth.leaked, rows_of(leaking) | clustered(leaking), truth.leaked.values()),
        "personal data": Score.of(truth.personal, rows_of(of_kind(findings, "personal_data"))),
        "broken encoding": Score.of(
            truth.broken, rows_of([f for f in of_kind(findings, "encoding") if not about_language(f)])
        ),
    }
    for edit in sorted(set(truth.edits)):
        clusters = pairs([c for c, how in zip(truth.near, truth.edits, strict=True) if how == edit])
        scores[f"near duplicates: {edit}"] = Score.of(clusters, pairs_of(duplicates) & clusters)
    if truth.variants:
        variants = rows_of([finding for finding in findings if about_labels(finding)])
        scores["label variants"] = Score.of(truth.variants, variants, truth.own_labels)
    if truth.hollow:
        empty = {row for row, kind in truth.hollow.items() if kind == "empty"}
        nothing = of_kind(findings, "empty", "bad_row")
        scores["empty answers"] = Score.of(empty, rows_of([f for f in nothing if not f.get("check")]))
        # Answers that end without a full stop are told as well, and planted with a telephone number at their end.
        poor = [f for f in nothing if f.get("check") and f["check"] != "truncated_answer"]
        scores["boilerplate and echoed answers"] = Score.of(set(truth.hollow) - empty, rows_of(poor), empty)
    scores["another language"] = Score.of(truth.foreign, rows_of([f for f in findings if about_language(f)]))
    found = rows_of(of_kind(findings, "personal_data"))
    for kind in identifiers.PERSONAL:
        rows = {row for row, what in truth.personal.items() if what == kind}
        scores[f"personal data: {kind}"] = Score.of(rows, found & rows)
    for kind in identifiers.DECOYS:
        rows = {row for row, what in truth.decoys.items() if what == kind}
        scores[f"decoy: {kind}"] = Score.of(rows, found & rows)
    scores["decoys of personal data"] = Score.of(truth.decoys, found & set(truth.decoys))
    return scores


def flat(clusters: Iterable[tuple[int, ...]]) -> set[int]:
    return {row for cluster in clusters for row in cluster}


def across(parts: list[list[Any]]) -> list[tuple[int, int]]:
    """Pairs of source rows on two sides of a split whose inputs are near-duplicates by this benchmark's own measure."""
    examples = [(number, example) for number, part in enumerate(parts) for example in part]
    texts = [
        "\n".join(content for role, content in example.context if role != "system") or example.input
        for _, example in examples
    ]
    crossing = [pair for pair in near_pairs(texts, NEAR) if examples[pair[0]][0] != examples[pair[1]][0]]
    return [(examples[one][1].row, examples[other][1].row) for one, other in crossing]


def parts_of(report: Any) -> list[list[Any]]:
    return [list(getattr(report.split, name)) for name in ("train", "validation", "test")]


def settings(kind: str) -> dict[str, Any]:
    if kind == "chats":
        return {"task": "chat"}
    return {"input": COLUMNS[kind][0], "output": COLUMNS[kind][1], "task": TASKS[kind]}


def measure_planted(kind: str, rows: int, seed: int, look: Callable[..., Any], folder: Path) -> tuple[Scores, Planted]:
    """Plant, write, inspect and score one file; `look` is `finetune.inspect`.

    “split” counts near-duplicate pairs across our own split of the training file with no mend made, “own test file” those
    between the user's test file and the rest after the usual mends: none is planted, so `found` should be 0.
    """
    data = plant(kind, rows, seed)
    train, test = data.write(folder)
    report = look(train, test=test, **settings(kind))
    scores = planted_scores(data, report.as_json()["findings"])
    scores["near-duplicates across the user's own test file"] = Score.of((), across(parts_of(report)))
    scores["near-duplicates across our split"] = Score.of((), across(parts_of(look(train, mends=(), **settings(kind)))))
    return scores, data


def measure_flipped(kind: str, records: list[Record], seed: int, look: Callable[..., Any], folder: Path) -> Score:
    """Rows flagged as suspect after one label in twenty was flipped."""
    records, flipped = flip(records, FLIPPED, seed)
    path = folder / f"flipped_{kind}_{seed}.csv"
    write(path, kind, records)
    report = look(path, **settings(kind))
    suspects = [f for f in of_kind(report.as_json()["findings"], "suspect_label") if not about_labels(f)]
    return Score.of(flipped, rows_of(suspects))


def measure_balance(rows: int, seed: int, look: Callable[..., Any], folder: Path) -> Scores:
    """One class at 92% must be told, an even file must not; labels of one and two rows are too rare to split."""
    even = dict.fromkeys(EVEN, 1 / len(EVEN))
    lopsided = {"invoice copy": 0.92, "password reset": 0.04, "opening hours": 0.04}
    rare = {label: share * 0.99 for label, share in even.items()} | {"import duty": 1 / rows, "export duty": 2 / rows}
    found = {}
    for name, shares in (("even", even), ("lopsided", lopsided), ("rare", rare)):
        records = clean("queries", rows, seed, shares)
        path = folder / f"{name}_{seed}.csv"
        write(path, "queries", records)
        found[name] = records, look(path, **settings("queries")).as_json()["findings"]
    imbalance = {name for name, (_, findings) in found.items() if of_kind(findings, "class_imbalance")}
    few = {row for row, record in enumerate(found["rare"][0], 1) if "duty" in record.output}
    return {
        "one class at 92%": Score.of({"lopsided"}, imbalance & {"even", "lopsided"}),
        "classes of 1 and 2 rows": Score.of(few, rows_of(of_kind(found["rare"][1], "rare_class"))),
    }


def banking77(path: Path, intents: Iterable[str] = ()) -> list[Record]:
    """Banking77's rows, those of some intents alone if any are named."""
    import csv

    wanted = set(intents)
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Record((("user", row["text"]),), row["category"])
            for row in csv.DictReader(file)
            if not wanted or row["category"] in wanted
        ]


def table(scores: dict[str, dict[str, list[Score]]]) -> str:
    """Markdown: a line for each fault and kind of data, counts pooled over the seeds, the worst seed in brackets."""
    lines = [
        "| fault | data | planted | found | recall (worst seed) | precision (worst seed) |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for fault, kinds in scores.items():
        for kind, runs in kinds.items():
            total = sum(runs, Score())
            if fault.startswith("decoy") or "across" in fault:
                count = f"{total.found} found, want 0" if total.found else "0"
                lines.append(f"| {fault} | {kind} | {total.planted or ''} | {count} | | |")
                continue
            recall = f"{total.recall:.3f} ({min(run.recall for run in runs):.3f})"
            precision = f"{total.precision:.3f} ({min(run.precision for run in runs):.3f})"
            precision = "" if ": " in fault else precision  # a part of another line has its recall alone
            lines.append(f"| {fault} | {kind} | {total.planted} | {total.found} | {recall} | {precision} |")
    return "\n".join(lines)


def shown(fault: str, score: Score, data: Planted, count: int, draw: random.Random) -> str:
    """Some of the rows or pairs that were missed, and of those found that were not planted, for the eye."""
    texts = dict(enumerate([*data.records, *data.test], 1))
    lines = []
    for name, items in (("missed", score.missed), ("not planted", score.wrong)):
        for item in draw.sample(items, min(count, len(items))):
            for row in item if isinstance(item, tuple) else (item,):
                lines.append(f"  {name} {fault} row {row}: {texts[row].input!r} -> {texts[row].output!r}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--banking77", type=Path)
    parser.add_argument("--details", action="store_true", help="also each kind of edit, of personal data and of decoys")
    parser.add_argument(
        "--misses", type=int, default=0, help="how many misses of each fault to show, on standard error"
    )
    options = parser.parse_args()
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from finetune import inspect

    draw, started = random.Random(0), time.perf_counter()
    scores: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for kind in KINDS:
                found, data = measure_planted(kind, options.rows, seed, inspect, folder)
                for fault, score in found.items():
                    scores[fault][kind].append(score)
                    if options.misses and ((score.missed and not fault.startswith("decoy")) or score.wrong):
                        print(f"{kind} {seed}\n{shown(fault, score, data, options.misses, draw)}", file=sys.stderr)
            for kind in KINDS[:2]:
                records = clean(kind, options.rows, seed + 1000)
                scores["flipped labels"][kind].append(measure_flipped(kind, records, seed, inspect, folder))
            for fault, score in measure_balance(options.rows, seed, inspect, folder).items():
                scores[fault]["queries"].append(score)
            if options.banking77:
                records = banking77(options.banking77, EIGHT_INTENTS)
                flagged = measure_flipped("queries", records, seed, inspect, folder)
                scores["flipped labels"]["Banking77, 8 intents"].append(flagged)
        if options.banking77:
            whole = inspect(options.banking77, mends=(), input="text", output="category", task="classification")
            fault = "near-duplicates across our split"
            scores[fault]["Banking77"].append(Score.of((), across(parts_of(whole))))
    # What has a colon in its name is a part of another line.
    print(table({fault: kinds for fault, kinds in scores.items() if options.details or ": " not in fault}))
    print(f"\n{options.seeds} seeds of {options.rows:,} rows, {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
