"""Two verdicts that must come out as they do, on the real default model: labels without meaning, and a task a prompt solves.

    python tests/benchmarks/verdicts.py [--write]     about 20 minutes on 2 cores

Shuffled labels (three seeds): nothing can be learned, so “use the fine-tuned” would be wrong. A word to be copied: the base
does it from examples in the prompt, so a fine-tune cannot be worth it. With --write the scores of each row are kept in
tests/recorded, where the test suite judges them again by the rules of the day.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from finetune import jobs  # noqa: E402
from finetune.evidence.options import Options  # noqa: E402
from finetune.training.recipe import Recipe  # noqa: E402

RECORDED = ROOT / "tests" / "recorded"


def shuffled(folder: Path, seed: int) -> Path:
    """The tickets of examples/ with their labels dealt out anew."""
    with (ROOT / "examples" / "tickets.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    text, label = list(rows[0])[:2]
    labels = [row[label] for row in rows]
    random.Random(seed).shuffle(labels)
    path = folder / f"shuffled-{seed}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([[text, label], *([row[text], new] for row, new in zip(rows, labels, strict=True))])
    return path


ORDERS = (
    "Order {} has not arrived yet.", "Where is my parcel? The number is {}.", "I would like to cancel order {}, please.",
    "The lamp from order {} came broken.", "Please send the invoice for {} again.", "{} was delivered to the wrong house.",
    "My order {} is late.", "Can I still change the address of {}?", "Thank you, order {} is here and all is well.",
    "I returned order {} last week and wait for my money.",
)  # fmt: skip


def solved(folder: Path) -> Path:
    """Messages with an order number, to be taken out: after a few examples the base copies it."""
    draw = random.Random(0)
    rows = [(draw.choice(ORDERS).format(number := draw.randint(10_000, 99_999)), str(number)) for _ in range(1_200)]
    path = folder / "solved.jsonl"
    path.write_text("".join(json.dumps({"question": text, "answer": number}) + "\n" for text, number in rows))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the scores in tests/recorded")
    parser.add_argument("--only", choices=("shuffled", "solved"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pilot = Recipe.from_preset("pilot")
        cases = [(shuffled(folder, seed), pilot) for seed in range(3)] if given.only != "solved" else []
        if given.only != "shuffled":
            wanted = Recipe.from_preset(
                "pilot", compare_rows=400, test_share=0.4, max_new_tokens=12,
                instruction="Which order is it about? Answer with its number alone.",
            )  # fmt: skip
            cases.append((solved(folder), wanted))
        for path, recipe in cases:
            run = jobs.train(path, recipe=recipe, root=folder / "root", options=Options())
            comparison = run.comparison()
            print(path.stem, comparison["verdict"]["decision"], comparison["verdict"]["reason"], sep=": ", flush=True)
            print({name: round(one["score"], 3) for name, one in comparison["systems"].items()}, flush=True)
            if given.write:
                RECORDED.mkdir(exist_ok=True)
                shutil.copy(run.directory / "scores.jsonl", RECORDED / f"{path.stem}.jsonl")


if __name__ == "__main__":
    main()
