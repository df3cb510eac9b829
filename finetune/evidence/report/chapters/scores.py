"""The scores of all systems, row by row against each other, what was lost, and what a request takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finetune.dataset.finding import plural
from finetune.evidence.report.chapters.figures import (
    SHOWN,
    TEXT,
    head_of,
    interval,
    name_of,
    p_value,
    percent,
    points,
    points_interval,
    short,
)
from finetune.evidence.report.layout import Block, Drawn, Facts, Small, Table, Text, Verbatim
from finetune.evidence.report.plain import METRICS
from finetune.evidence.systems import FINE_TUNED, SYSTEMS

EXPLAINED = {
    "accuracy": "Accuracy is the share of the test rows that are answered right.",
    "rouge_l": "ROUGE-L counts the words that an answer has in common with the expected one, in their order: 100% is the "
    "expected answer word for word. A fluent answer can be false and score well, so read some answers too.",
    "field_f1": "Fields right is the share of the fields of the expected JSON object that the answer fills as expected.",
}


def scores(comparison: dict) -> Iterator[Block]:
    systems, against = comparison["systems"], comparison["paired"]["against"]
    names = [name for name in SYSTEMS if name in systems]
    metric = comparison["metric"]
    macro = any(systems[name].get("classes") for name in names)
    rows = []
    for name in names:
        found = systems[name]
        low, high = found.get("interval") or (found["score"], found["score"])
        macro_f1 = (found.get("classes") or {}).get("macro_f1")
        rows.append([
            head_of(name) + (" (strongest)" if name == against else ""), percent(found["score"]),
            Drawn(low, found["score"], high), interval((low, high)), *([percent(macro_f1)] if macro else []),
            percent(found.get("validation_score")),
        ])  # fmt: skip
    head = [
        "system",
        METRICS.get(metric, metric),
        "0 to 100%",
        "95% interval",
        *(["macro-F1"] if macro else []),
        "on validation",
    ]
    strong = [place for place, name in enumerate(names) if name in (FINE_TUNED, against)]
    yield Table(head, rows, strong=strong)
    named = [f"{head_of(name)}: {name_of(name)}" for name in names if name not in ("base", FINE_TUNED)]
    yield Text(f"{'; '.join(named)}.", quiet=True)
    if metric in EXPLAINED:
        yield Text(EXPLAINED[metric], quiet=True)
    told = f"{comparison['test_rows']:,} test rows"
    if comparison.get("test_rows_left_out"):
        told += f"; {comparison['test_rows_left_out']:,} more were not compared, to save time"
    if comparison.get("validation_rows"):
        told += f". The strongest alternative was chosen on {comparison['validation_rows']:,} validation rows"
    yield Text(f"{told}.", quiet=True)
    for name in names:
        yield from _setting(name, systems[name].get("setting") or {})


def _setting(name: str, setting: dict) -> Iterator[Block]:
    told = []
    if setting.get("count"):
        told.append(f"{setting['count']:,} {plural('example', 'examples', setting['count'])} in the prompt")
    if setting.get("tried"):
        tried = ", ".join(f"{one['count']}: {one['score']:.3f}" for one in setting["tried"])
        told.append(f"tried by {setting['tried'][0].get('by', 'score')}: {tried}")
    if told:
        yield Text(f"{head_of(name)}: {'; '.join(told)}.", quiet=True)
    if setting.get("prompt"):
        yield Text(f"{head_of(name)}: its instruction was", quiet=True)
        yield Verbatim(setting["prompt"])


def paired(comparison: dict) -> Iterator[Block]:
    pair = comparison["paired"]
    yield Text(
        f"Against {name_of(pair['against'])}, the fine-tuned model is better on {pair['wins']:,} test rows, worse on "
        f"{pair['losses']:,} and the same on {pair['ties']:,}."
    )
    every = comparison.get("paired_all") or [pair]
    reach = max(max(map(abs, one["interval"])) for one in every) or 1.0
    rows = [
        [
            head_of(one["against"]), points(one["difference"]),
            Drawn(one["interval"][0], one["difference"], one["interval"][1], -reach, reach), points_interval(one["interval"]),
            f"{one['wins']:,}", f"{one['losses']:,}", f"{one['ties']:,}", p_value(one["p_value"]),
        ]
        for one in every
    ]  # fmt: skip
    head = ("against", "difference", "worse | better", "95% interval", "won", "lost", "same", "p")
    yield Table(head, rows, strong=[place for place, one in enumerate(every) if one["against"] == pair["against"]])
    yield Text("Differences are in points of the score; p is how often luck alone would give one as large.", quiet=True)


def regressions(comparison: dict, outputs: Sequence[dict]) -> Iterator[Block]:
    found = comparison.get("regressions")
    if found is None:
        return
    count, of = len(found["rows"]), found["of"]
    if not of:
        yield Text("The base had no test row fully right, so there was nothing to lose.")
    elif not count:
        yield Text(f"Nothing: all {of:,} test rows that the untrained base had right are right still.")
    else:
        had = f"{of:,} test {plural('row', 'rows', of)} that the untrained base had right"
        yield Text(f"Of {had}, {count:,} {plural('is', 'are', count)} wrong after the fine-tune.")
    lines = {line["row"]: line for line in outputs}
    shown = [lines[row] for row in found["rows"] if row in lines]
    if not shown:
        return
    rows = [
        [str(line["row"]), *(short(text) for text in (line["input"], line["expected"], *_both(line)))]
        for line in shown[:SHOWN]
    ]
    yield Table(("row", "input", "expected", "base", "fine-tuned"), rows, words=5, numbered=True)
    told = "Row is its number in the file."
    if any(cell.endswith("…") for row in rows for cell in row):
        told += f" Texts that end in “…” are shortened to {TEXT} characters."
    if len(shown) > SHOWN:
        told += f" The first {SHOWN} of {len(shown):,}; the page shows all of them."
    yield Text(told, quiet=True)


def _both(line: dict) -> Iterator[str]:
    for name in ("base", FINE_TUNED):
        yield str(line["outputs"].get(name, "–"))


def forgetting(comparison: dict) -> Iterator[Block]:
    found = comparison.get("forgetting") or {}
    if "loss_before" not in found:
        return
    if found.get("message"):
        yield Text(found["message"])
    before, after = found["loss_before"], found["loss_after"]
    yield Text(
        f"Loss on general text ({found.get('tokens', 0):,} tokens): {before:.3f} before, {after:.3f} after "
        f"({after - before:+z.3f}). Higher is worse."
    )
    lost = [one for one in found.get("prompts", ()) if one["passed_before"] and not one["passed_after"]]
    if lost:
        yield Small(f"General questions that it could answer before: {len(lost):,} of {len(found['prompts']):,} lost")
        rows = [[short(one[name]) for name in ("prompt", "before", "after")] for one in lost[:SHOWN]]
        yield Table(("question", "before", "after"), rows, words=3)


def cost(comparison: dict) -> Iterator[Block]:
    systems, cost = comparison["systems"], comparison.get("cost") or {}
    requests = max(comparison["test_rows"], 1)
    rows = []
    for name in (name for name in SYSTEMS if name in systems):
        found = systems[name]
        tokens = [
            f"{found[key] / requests:,.0f}" if found.get("tokens") and key in found else "–"
            for key in ("tokens_in", "tokens_out")
        ]
        if "tokens_in" not in found and found.get("tokens"):  # before, reading and writing were counted together
            tokens = [f"{found['tokens'] / requests:,.0f} in all", "–"]
        latency = found.get("latency") or {}
        taken = found.get("seconds")
        rows.append([
            head_of(name), *tokens, "–" if taken is None else f"{taken / requests:.3f}",
            "–" if latency.get("p50") is None else f"{latency['p50']:.3f}",
        ])  # fmt: skip
    yield Table(("a request", "tokens in", "tokens out", "seconds, many at once", "seconds, alone"), rows)
    facts = []
    if cost.get("training_seconds") is not None:
        cards = cost.get("training_cards", 1)
        facts.append(
            ("training", f"{cost['training_seconds']:,.0f} seconds" + (f" on {cards} GPUs" if cards > 1 else ""))
        )
    if cost.get("training_tokens"):
        facts.append(("tokens trained on", f"{cost['training_tokens']:,}"))
    if cost.get("peak_memory_bytes"):
        facts.append(("memory at most", f"{cost['peak_memory_bytes'] / 1024**3:.1f} GiB"))
    if speed := comparison.get("speed"):
        told = f"base {speed['base']:,.1f}, fine-tuned {speed['fine_tuned']:,.1f} tokens a second"
        facts.append(("speed of writing", f"{told} ({100 * (speed['fine_tuned'] / speed['base'] - 1):+z.0f}%)"))
    yield Facts(facts)
