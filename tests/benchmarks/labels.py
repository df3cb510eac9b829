"""How well suspect labels and spellings of labels are found, and how fast: `python tests/benchmarks/labels.py --help`."""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from finetune.dataset.checks.spellings import spellings  # noqa: E402
from finetune.dataset.checks.suspects import find_suspects  # noqa: E402
from finetune.dataset.checks.tfidf import tfidf  # noqa: E402

Rows = tuple[list[str], list[str]]


def read(path: Path, text: str, label: str) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]
    return [row[text] for row in rows], [row[label] for row in rows]


def only(rows: Rows, labels: Sequence[str]) -> Rows:
    kept = [(text, label) for text, label in zip(*rows, strict=True) if label in labels]
    return [text for text, _ in kept], [label for _, label in kept]


def farthest(rows: Rows, count: int) -> list[str]:
    """The first label of the alphabet, then again and again the one whose centroid is least like those taken."""
    texts, labels = rows
    names = sorted(set(labels))
    vectors, number = tfidf(texts), np.array([names.index(label) for label in labels])
    centroids = np.vstack([np.asarray(vectors[number == place].mean(0)).ravel() for place in range(len(names))])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    alike, taken = centroids @ centroids.T, [0]
    while len(taken) < count:
        nearest = alike[taken].max(0)
        nearest[taken] = np.inf
        taken.append(int(nearest.argmin()))
    return [names[place] for place in taken]


def flipped(labels: Sequence[str], share: float, seed: int) -> tuple[list[str], np.ndarray]:
    """The labels with a share of them changed to any other one, and which."""
    draw, names = random.Random(seed), sorted(set(labels))
    changed = np.zeros(len(labels), bool)
    changed[draw.sample(range(len(labels)), round(len(labels) * share))] = True
    wrong = [draw.choice([name for name in names if name != label]) for label in labels]
    return [wrong[row] if changed[row] else label for row, label in enumerate(labels)], changed


def area(doubt: np.ndarray, changed: np.ndarray) -> float:
    """The area under the ROC curve, ties counting half."""
    _, place, count = np.unique(doubt, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    ones = changed.sum()
    return float((rank[changed].sum() - ones * (ones + 1) / 2) / (ones * (len(doubt) - ones)))


def planted_flips(rows: Rows, seeds: int, share: float = 0.05) -> dict[str, float]:
    """Means over seeds; precision and recall also at their worst."""
    figures: dict[str, list[float]] = {name: [] for name in ("flagged", "precision", "recall", "area")}
    for seed in range(seeds):
        labels, changed = flipped(rows[1], share, 1_000 + seed)
        found = find_suspects(rows[0], labels, seed=seed)
        if found is None:
            raise SystemExit("The labels could not be judged.")
        right = changed[found.flagged].sum()
        figures["flagged"].append(len(found.flagged))
        figures["precision"].append(right / max(len(found.flagged), 1))
        figures["recall"].append(right / changed.sum())
        figures["area"].append(area(found.doubt, changed[found.examined]))
    means = {name: statistics.fmean(values) for name, values in figures.items()}
    return means | {"least precision": min(figures["precision"]), "least recall": min(figures["recall"])}


def slip(word: str, draw: random.Random) -> str:
    """The word with one letter doubled, left out, swapped with the next, or hit beside it; not the first one."""
    beside = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiooysdfghjkllxcvbnmm", strict=True))
    while True:
        at, kind = draw.randrange(1, len(word) - 1), draw.choice(("double", "leave", "swap", "beside"))
        if kind == "double":
            made = word[:at] + word[at] + word[at:]
        elif kind == "leave":
            made = word[:at] + word[at + 1 :]
        elif kind == "swap":
            made = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        else:
            made = word[:at] + beside.get(word[at], word[at]) + word[at + 1 :]
        if made != word:
            return made


def planted_spellings(names: Sequence[str], seed: int) -> tuple[list[str], dict[str, str]]:
    """Labels, one a row, with variants of a third of the names in them: half certain ones, half slips."""
    draw = random.Random(seed)
    labels, planted = [], {}
    for name in names:
        rows = draw.randrange(30, 200)
        labels += [name] * rows
        if draw.random() > 1 / 3:
            continue
        if draw.random() < 0.5:
            ways = (
                name.upper(),
                name.title(),
                f" {name} ",
                name.replace("_", " "),
                name.replace("_", "-"),
                name.replace("_", "  ").capitalize(),
                f"{name}.",
                f"“{name}”",
                name.replace("_", "\u00a0"),
                "".join(chr(ord(letter) + 0xFEE0) if letter.isalnum() else letter for letter in name),
            )
            variant, times = draw.choice([way for way in ways if way != name]), draw.randrange(1, rows // 2)
        else:
            words = name.split("_")
            long = [place for place, word in enumerate(words) if len(word) >= 5 and word.isalpha()]
            if not long:
                continue
            at = draw.choice(long)
            variant = "_".join([*words[:at], slip(words[at], draw), *words[at + 1 :]])
            times = draw.randrange(1, max(rows // 10, 2))
        if variant not in names and variant not in planted:
            labels += [variant] * times
            planted[variant] = name
    draw.shuffle(labels)
    return labels, planted


def spelling_figures(names: Sequence[str], seeds: Sequence[int]) -> tuple[int, float, float]:
    """Variants planted, precision and recall over all seeds; one counts as found with the right label alone."""
    planted, found, right = 0, 0, 0
    for seed in seeds:
        labels, truth = planted_spellings(names, seed)
        said = spellings(labels)
        planted, found = planted + len(truth), found + len(said)
        right += sum(truth.get(variant) == label for variant, label in said.items())
    return planted, right / max(found, 1), right / max(planted, 1)


CHILD = """
import csv, json, sys, time
text, label = sys.argv[2:4]
with open(sys.argv[1], encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file)) if sys.argv[1].endswith(".csv") else [json.loads(line) for line in file]
times = int(sys.argv[4])
texts, labels = [row[text] for row in rows] * times, [row[label] for row in rows] * times
del rows
wall, processor = time.perf_counter(), time.process_time()
from finetune.dataset.{module} import {name}
{name}(texts, labels)
print(time.perf_counter() - wall, time.process_time() - processor)
"""


def seconds(path: Path, columns: tuple[str, str], module: str, name: str, times: int = 1) -> tuple[float, float]:
    """Wall and processor seconds of a call with texts and labels in a fresh process, imports included; best of 3.

    Args:
        times: the rows so many times over.
    """
    child = [sys.executable, "-c", CHILD.format(module=module, name=name), str(path), *columns, str(times)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    runs = [subprocess.run(child, env=environment, capture_output=True, check=True, text=True) for _ in range(3)]
    return min(tuple(map(float, run.stdout.split())) for run in runs)  # type: ignore[return-value]


def flips_line(name: str, rows: Rows, seeds: int) -> str:
    figures = planted_flips(rows, seeds)
    return (
        f"| {name} | {len(rows[0]):,} | {len(set(rows[1]))} | {figures['flagged']:.0f} "
        f"| {figures['precision']:.2f} ({figures['least precision']:.2f}) "
        f"| {figures['recall']:.2f} ({figures['least recall']:.2f}) | {figures['area']:.3f} |"
    )


def as_they_are_line(name: str, rows: Rows) -> str:
    found = find_suspects(*rows)
    if found is None:
        return f"| {name} | not judged | | |"
    low, high = found.interval
    return (
        f"| {name} | {len(found.flagged):,} ({len(found.flagged) / len(found.examined):.1%}) "
        f"| {1 - found.accuracy:.1%} ({1 - high:.1%} to {1 - low:.1%}) | {found.majority:.0%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--banking77", type=Path, help="a CSV with the columns text and category; else examples/ alone")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="leave the times out")
    options = parser.parse_args()
    sets = {
        "examples/tickets.csv": (ROOT / "examples/tickets.csv", "text", "category"),
        "examples/contracts.jsonl": (ROOT / "examples/contracts.jsonl", "text", "label"),
    }
    data = {name: read(*where) for name, where in sets.items()}
    names = sorted({label for _, labels in data.values() for label in labels})
    if options.banking77:
        sets["Banking77"] = (options.banking77, "text", "category")
        whole = data["Banking77"] = read(*sets["Banking77"])
        names = sorted(set(whole[1]))
        data["Banking77, first 8 of the file"] = only(whole, list(dict.fromkeys(whole[1]))[:8])
        data["Banking77, first 8 of the alphabet"] = only(whole, names[:8])
        data["Banking77, the 8 farthest apart"] = only(whole, farthest(whole, 8))

    print(f"5% of the labels flipped, means (and worst) of {options.seeds} seeds\n")
    print("| data | rows | labels | flagged | precision | recall | area under the curve of the doubt |")
    print("|---|---|---|---|---|---|---|")
    for name, rows in data.items():
        print(flips_line(name, rows, options.seeds), flush=True)

    print("\nThe labels as they are\n")
    print("| data | flagged | the classifier disagrees (95% interval) | commonest label |\n|---|---|---|---|")
    for name, rows in data.items():
        print(as_they_are_line(name, rows), flush=True)

    planted, precision, recall = spelling_figures([name.replace(" ", "_") for name in names], range(20))
    print(f"\nSpellings: {planted:,} planted; precision {precision:.3f}, recall {recall:.3f}")

    if not options.fast:
        print("\n| seconds, imports included | rows | wall | processor |\n|---|---|---|---|")
        for name, (path, *columns) in sets.items():
            rows = len(data[name][0])
            for module, call in (("suspects", "find_suspects"), ("rowmap", "row_map")):
                wall, processor = seconds(path, tuple(columns), module, call)
                print(f"| {call}, {name} | {rows:,} | {wall:.2f} | {processor:.2f} |", flush=True)
        times = -(-1_000_000 // rows)
        wall, processor = seconds(path, tuple(columns), "suspects", "find_suspects", times)
        print(f"| find_suspects, {name}, {times} times over | {rows * times:,} | {wall:.2f} | {processor:.2f} |")


if __name__ == "__main__":
    main()
