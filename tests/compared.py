"""A finished run with a comparison that has every key of comparison.json and outputs.jsonl, made up, for the page."""

from __future__ import annotations

import json
import random
from pathlib import Path

from finetune.dataset.example import Example, write_examples
from finetune.evidence.systems import ALTERNATIVES, SYSTEMS
from finetune.runs.events import EventLog
from finetune.runs.store import Run
from finetune.training.recipe import Recipe

LABELS = ["billing", "delivery", "refund", "technical fault"]
ROWS = 120
SKILL = {"majority": 0.25, "tfidf": 0.62, "base": 0.45, "prompted": 0.55, "few_shot": 0.6, "retrieval": 0.66,
         "fine_tuned": 0.84}  # fmt: skip
# No machine code stands in the texts of a user, and none may be made of them.
HOSTILE = "<img src=x onerror=alert(1)> & “my order”"


def make_run(root: Path, task: str = "classification", *, decision: str = "use_fine_tuned", old: bool = False) -> Run:
    """Write a run under `root/runs`.

    Args:
        task: classification (4 labels, 120 test rows) or instruction (120 test rows with JSON answers).
        decision: of the verdict; where it is no gain, causes are told.
        old: leaves out every key that comparisons before issue 4 did not have.
    """
    draw = random.Random(7)
    directory = (root / "runs" / f"made-up-{task}-{decision.replace('_', '-')}{'-old' if old else ''}").absolute()
    for part in ("data", "checkpoints", "adapter"):
        (directory / part).mkdir(parents=True)
    labels = LABELS if task == "classification" else []
    parts = {"train": 400, "validation": 60, "test": ROWS}
    made, row = {}, 0
    for part, count in parts.items():
        made[part] = [_example(row + place + 1, labels, draw) for place in range(count)]
        row += count
        write_examples(directory / "data" / f"{part}.jsonl", made[part])
    record = Recipe(base="smollm2-135m").as_json() | {
        "name": f"made up {task}", "created": "2026-11-24T09:00:00.000000+00:00", "root": str(root.absolute()),
        "task": task, "labels": labels, "data": {"name": "tickets.csv", "sha256": "a" * 64}, "compare": True,
        "versions": {"python": "3.12.1", "torch": "2.9.0", "transformers": "4.57.0", "peft": "0.18.0"},
    }  # fmt: skip
    _json(directory / "recipe.json", record)
    _json(directory / "report.json", {
        "file": {"name": "tickets.csv", "sha256": "a" * 64, "rows": 580}, "columns": {"input": "text", "output": "label"},
        "rows": 580, "task": task, "labels": dict.fromkeys(labels, 145), "findings": [], "seed": 0,
    })  # fmt: skip
    training = {
        "seconds": 312.0, "tokens": 96_000, "tokens_per_second": 307.7, "peak_memory_bytes": 2_100_000_000,
        "estimated_memory_bytes": 2_300_000_000, "rows": 400, "epochs": 3.0, "best_step": 60, "stopped_early": False,
    }  # fmt: skip
    _events(directory / "events.jsonl", training)
    outputs = [_line(example, labels, draw) for example in made["test"]]
    comparison = _comparison(directory, task, labels, outputs, decision) | {"training": training}
    if old:
        comparison, outputs = _as_before(comparison), [_line_before(line) for line in outputs]
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in outputs)
    (directory / "outputs.jsonl").write_text(lines, encoding="utf-8")
    _json(directory / "comparison.json", comparison)
    if not old:
        _json(directory / "compare.json", comparison["options"])
    return Run(directory)


def _json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _events(path: Path, training: dict) -> None:
    with EventLog(path) as log:
        log.emit("started", device="CPU", phase="train")
        for step in range(10, 70, 10):
            log.emit("progress", phase="train", step=step, steps=60, loss=2 / step + 0.3)
            log.emit("evaluated", step=step, loss=2.2 / step + 0.35, train_loss=2 / step + 0.3)
        log.emit("finished", phase="train", step=60, best_loss=0.39, reason="", **training)
        log.emit("finished", phase="compare")


def _example(row: int, labels: list[str], draw: random.Random) -> Example:
    text = f"Message {row}: {draw.choice(['where is', 'I wait for', 'please look at', 'thanks for'])} my "
    text += draw.choice(["parcel", "invoice", "money", "router", "second letter of last week"])
    if row % 17 == 0:
        text += f" {HOSTILE} " + "and there is more to tell. " * 40
    if labels:
        return Example(row, text, draw.choice(labels))
    answer = {"kind": draw.choice(LABELS), "urgent": draw.random() < 0.4, "name": f"customer {row}"}
    return Example(row, text, json.dumps(answer))


def _line(example: Example, labels: list[str], draw: random.Random) -> dict:
    outputs, scores, probabilities, metrics, fields = {}, {}, {}, {}, {}
    for system in SYSTEMS:
        if not labels and system in ("majority", "tfidf", "prompted"):
            continue
        right = draw.random() < SKILL[system]
        if labels:
            answer = example.output if right else draw.choice([label for label in labels if label != example.output])
            outputs[system], scores[system] = answer, float(right)
            if system != "majority":
                top = draw.uniform(0.55, 0.99) if right else draw.choice([draw.uniform(0.35, 0.7), 0.95])
                rest = (1 - top) / (len(labels) - 1)
                probabilities[system] = {label: top if label == answer else rest for label in labels}
            continue
        wanted = json.loads(example.output)
        said = wanted if right else wanted | {"kind": "other", "urgent": not wanted["urgent"]}
        hits = {path: float(said[path] == value) for path, value in wanted.items()}
        fields[system], scores[system] = hits, sum(hits.values()) / len(hits)
        outputs[system] = json.dumps(said)
        metrics[system] = {"exact_match": float(right), "token_f1": 0.6 + 0.4 * right, "rouge_l": 0.55 + 0.45 * right,
                           "chrf": 0.5 + 0.5 * right, "length_ratio": 1.0}  # fmt: skip
    gain = scores["fine_tuned"] - scores["base"]
    line = {
        "row": example.row, "input": example.input, "expected": example.output, "outputs": outputs, "scores": scores,
        "outcome": "better" if gain > 1e-9 else "worse" if gain < -1e-9 else "same",
        "shown": {"few_shot": [1, 2, 3, 4], "retrieval": [5, 9], "passages": [0]}, "cut": [],
        "broken": {"base": ["must contain “please”"]} if example.row % 9 == 0 else {},
    }  # fmt: skip
    if labels:
        best = probabilities["fine_tuned"][outputs["fine_tuned"]]
        return line | {
            "generated": {"base": f" {outputs['base']}.", "fine_tuned": outputs["fine_tuned"]},
            "probabilities": probabilities, "sure_but_wrong": not scores["fine_tuned"] and best >= 0.9,
        }  # fmt: skip
    cut = ["base"] if example.row % 11 == 0 else []
    return line | {"metrics": metrics, "fields": fields, "likelihood": {"base": -1.9, "fine_tuned": -0.7}, "cut": cut}


def _comparison(directory: Path, task: str, labels: list[str], outputs: list[dict], decision: str) -> dict:
    present = list(outputs[0]["outputs"])
    classification = task == "classification"
    better = decision == "use_fine_tuned"
    pairs = [_paired(outputs, other) for other in present if other != "fine_tuned"]
    strongest = next(pair for pair in pairs if pair["against"] == "retrieval")
    was_right = [line for line in outputs if line["scores"]["base"] > 0.999]
    lost = [line["row"] for line in was_right if line["scores"]["fine_tuned"] < 0.999]
    result = {
        "run": str(directory), "model": "smollm2-135m", "base_revision": "0" * 40, "task": task, "labels": labels,
        "metric": "accuracy" if classification else "field_f1", "test_rows": len(outputs), "test_rows_left_out": 0,
        "validation_rows": 60, "systems": {name: _system(outputs, name, labels) for name in present},
        "paired": strongest, "paired_all": pairs,
        "verdict": {
            "decision": decision,
            "reason": "The fine-tuned model scores 84.2%, retrieval 65.8%: a difference of +18.3 points (95% interval "
            "+8.9 to +27.5, p 0.0004) on 120 test rows." if better else
            "The fine-tuned model scores 66.7%, retrieval 65.8%: a difference of +0.8 points (95% interval -8.3 to +9.6, "
            "p 0.91) on 120 test rows, which could have shown 11 points.",
            "next_steps": ["Read the rows it got wrong.", "Keep the test rows apart for the next comparison."] if better
            else ["Collect 300 more rows.", "Mend the labels that contradict one another."],
            "detectable_difference": 0.112, "rows_needed": None if better else 1_450, "level": 0.025,
        },
        "causes": [] if better else [
            {"kind": "conflicts", "message": "9 training rows have the same text and different labels.",
             "rows": [4, 18, 22], "fix": "Give each text one label: the finding on the Preview lists them."},
            {"kind": "still_improving", "message": "The validation loss still fell at the last look, from 0.48 to 0.41.",
             "rows": [], "fix": "Train for more passes."},
        ],
        "rules": "1. The strongest alternative is chosen on the validation rows.\n2. It is compared row by row.",
        "looks": {"total": 3, "models": 2, "runs": ["first-run", directory.name], "test": "b" * 64},
        "regressions": {"rows": lost, "of": len(was_right)},
        "adapter_off_equals_base": True, "adapter_changes_output": True,
        "proof": {"equal": True, "probes": 12, "largest_difference": 0.0, "adapter_difference": 7.41},
        "forgetting": _forgetting(), "speed": {"base": 31.2, "fine_tuned": 27.9},
        "cost": {
            "training_seconds": 312.0, "training_tokens": 96_000, "peak_memory_bytes": 2_100_000_000,
            "tokens_per_request": dict.fromkeys(present, 210), "tokens_in_per_request": dict.fromkeys(present, 200),
            "tokens_out_per_request": dict.fromkeys(present, 10),
            "seconds_per_request": {name: 0.1 + 0.05 * place for place, name in enumerate(present)},
        },
        "options": {"systems": list(ALTERNATIVES), "prompt": "", "documents": 4, "must": [], "must_not": [],
                    "pattern": ""},
        "created": "2026-11-24T09:40:00+00:00",
        "left_out": {"cut_inputs": {"few_shot": 3}, "cut_answers": {} if classification else {"base": 11}},
    }  # fmt: skip
    if classification:
        result |= {"moved": _moved(outputs), "human": _human()}
    else:
        result["reference"] = {"base": -1.9, "fine_tuned": -0.7, "difference": 1.2, "interval": [1.0, 1.4],
                               "p_value": 0.0001}  # fmt: skip
    return result


def _around(share: float, rows: int = ROWS) -> list[float]:
    half = 1.96 * (share * (1 - share) / rows) ** 0.5
    return [max(0.0, share - half), min(1.0, share + half)]


def _system(outputs: list[dict], name: str, labels: list[str]) -> dict:
    score = sum(line["scores"][name] for line in outputs) / len(outputs)
    asked = name not in ("majority", "tfidf")
    place = SYSTEMS.index(name)
    entry = {
        "score": score, "interval": _around(score), "validation_score": score - 0.02, "seconds": 12.0 + 6 * place,
        "tokens": 24_000 * asked, "tokens_in": 22_800 * asked, "tokens_out": 1_200 * asked,
        "latency": {"p50": 0.1 + 0.05 * place, "requests": 5}, "cached_rows": 40 if name == "base" else 0,
        "rules_broken": 3 if name == "base" else 0,
    }  # fmt: skip
    if name in ("few_shot", "retrieval"):
        tried = [
            {"count": count, "score": score - 0.01 * abs(count - 4), "by": "validation accuracy"} for count in (2, 4, 8)
        ]
        entry["setting"] = {"count": 4, "tried": tried}
    if name == "prompted":
        entry["setting"] = {"count": 0, "tried": [], "prompt": "Answer with one of these labels:\n" + "\n".join(labels)}
    if labels:
        entry["classes"] = _classes(outputs, name, labels)
        if name != "majority":
            entry["calibration"] = _calibration(outputs, name)
        return entry
    paths = outputs[0]["fields"][name]
    entry["text"] = {
        "exact_match": score, "token_f1": score, "rouge_l": score, "chrf": score, "length_ratio": 1.02, "rows": ROWS,
        "fields": {path: {"f1": sum(line["fields"][name][path] for line in outputs) / ROWS, "rows": ROWS} for path in paths},
        "json_valid": 0.97, "empty": 0.01, "length": 58.0,
    }  # fmt: skip
    return entry


def _classes(outputs: list[dict], name: str, labels: list[str]) -> dict:
    confusion = [
        [sum(line["expected"] == truth and line["outputs"][name] == said for line in outputs) for said in labels]
        for truth in labels
    ]
    classes = []
    for place, label in enumerate(labels):
        hits, truth, said = confusion[place][place], sum(confusion[place]), sum(row[place] for row in confusion)
        precision, recall = hits / said if said else 0.0, hits / truth if truth else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        classes.append({"label": label, "rows": truth, "precision": precision, "recall": recall, "f1": f1})
    macro = sum(entry["f1"] for entry in classes) / len(classes)
    return {
        "macro_f1": macro,
        "macro_f1_interval": _around(macro),
        "classes": classes,
        "confusion": confusion,
        "other": 0,
    }


def _calibration(outputs: list[dict], name: str) -> dict:
    sure = [max(line["probabilities"][name].values()) for line in outputs]
    hits = [line["scores"][name] for line in outputs]
    bins = []
    for place in range(10):
        low, high = place / 10, (place + 1) / 10
        inside = [(p, hit) for p, hit in zip(sure, hits, strict=True) if low < p <= high]
        bins.append({
            "low": low, "high": high, "rows": len(inside),
            "confidence": sum(p for p, _ in inside) / len(inside) if inside else None,
            "accuracy": sum(hit for _, hit in inside) / len(inside) if inside else None,
        })  # fmt: skip
    wrong = sum(p >= 0.9 and not hit for p, hit in zip(sure, hits, strict=True))
    return {"ece": 0.061, "brier": 0.24, "log_loss": 0.51, "bins": bins, "sure_but_wrong": wrong}


def _moved(outputs: list[dict]) -> list[dict]:
    found: dict[tuple, list[int]] = {}
    for line in outputs:
        base, tuned = line["outputs"]["base"], line["outputs"]["fine_tuned"]
        if base != tuned:
            found.setdefault((line["expected"], base, tuned), []).append(line["row"])
    return [
        {"expected": truth, "base": base, "fine_tuned": tuned, "rows": rows,
         "outcome": "mended" if tuned == truth else "broken" if base == truth else "still_wrong"}
        for (truth, base, tuned), rows in sorted(found.items(), key=lambda pair: -len(pair[1]))
    ]  # fmt: skip


def _human() -> dict:
    curve = [{"threshold": t / 20, "handled": 1.1 - 0.75 * (t / 20) ** 3 - 0.1, "accuracy": 0.8 + 0.19 * (t / 20) ** 2}
             for t in range(5, 20)]  # fmt: skip
    return {
        "target": 0.95,
        "threshold": 0.88,
        "handled": 0.49,
        "accuracy": 0.949,
        "interval": [0.86, 0.98],
        "curve": curve,
    }


def _paired(outputs: list[dict], other: str) -> dict:
    gains = [line["scores"]["fine_tuned"] - line["scores"][other] for line in outputs]
    mean = sum(gains) / len(gains)
    return {
        "against": other, "rows": len(gains), "wins": sum(g > 0 for g in gains), "losses": sum(g < 0 for g in gains),
        "ties": sum(g == 0 for g in gains), "difference": mean, "interval": [mean - 0.09, mean + 0.09], "p_value": 0.0004,
    }  # fmt: skip


def _forgetting() -> dict:
    prompts = [
        {"prompt": f"What is {n} plus {n + 1}?", "before": str(2 * n + 1), "after": str(2 * n + 1) if n % 6 else "billing",
         "passed_before": True, "passed_after": bool(n % 6)}
        for n in range(1, 27)
    ]  # fmt: skip
    return {
        "loss_before": 2.61, "loss_after": 2.73, "difference": 0.12, "tokens": 1_240, "prompts": prompts, "lost": 4,
        "gained": 0, "p_value": 0.125, "severity": "note",
        "message": "On general text it is now 13% less sure of the next word; 4 of 26 general questions that it could "
        "answer before it now gets wrong.",
    }  # fmt: skip


NEW = ("labels", "moved", "human", "reference", "paired_all", "causes", "looks", "regressions", "proof", "speed", "options",
       "created", "left_out")  # fmt: skip


def _as_before(comparison: dict) -> dict:
    kept = {name: value for name, value in comparison.items() if name not in NEW}
    kept["systems"] = {
        name: {key: found[key] for key in ("score", "interval", "validation_score", "seconds", "tokens")}
        for name, found in comparison["systems"].items() if name != "prompted"
    }  # fmt: skip
    kept["verdict"] = {name: comparison["verdict"][name] for name in ("decision", "reason", "next_steps")}
    kept["forgetting"] = {
        name: comparison["forgetting"][name] for name in ("loss_before", "loss_after", "difference", "tokens")
    }
    kept["cost"] = {
        name: comparison["cost"][name] for name in ("training_seconds", "tokens_per_request", "seconds_per_request")
    }
    return kept


def _line_before(line: dict) -> dict:
    names = ("row", "input", "expected", "outputs", "scores", "outcome", "generated", "probabilities")
    kept = {name: line[name] for name in names if name in line}
    for name in ("outputs", "scores"):
        kept[name] = {system: value for system, value in line[name].items() if system != "prompted"}
    return kept
