"""Where the numbers come from: data, split, recipe, training, base, proof, looks, rules, and the command that repeats it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from finetune.dataset.finding import plural
from finetune.dataset.mending import MENDS
from finetune.evidence.report.chapters.figures import name_of
from finetune.evidence.report.layout import Block, Facts, Points, Section, Small, Table, Text, Verbatim
from finetune.evidence.report.repeat import changed, plainly, repeat
from finetune.evidence.systems import ALTERNATIVES
from finetune.runs.store import Run
from finetune.training.recipe import Recipe, shown


def sections(run: Run, comparison: dict) -> Iterator[Section]:
    """The chapters on how it was made."""
    report = run.report()
    yield Section("The data", tuple(_data(run, report)))
    yield Section("The training", tuple(_training(run, comparison)))
    yield Section("The comparison", tuple(_comparison(run, comparison)))
    yield Section("The rules of the verdict", tuple(_rules(comparison)))
    yield Section("To make it again", tuple(_again(run)))


def _data(run: Run, report: dict) -> Iterator[Block]:
    record, file, columns = run.record(), report.get("file", {}), report.get("columns", {})
    facts = [("file", record["data"]["name"]), ("SHA-256", record["data"]["sha256"])]
    if len(sources := file.get("sources", ())) > 1:
        facts += [
            (source["name"] + (" (test rows)" if source.get("test") else ""), source["sha256"]) for source in sources
        ]
    facts += [("task", record["task"])] + [(name, str(value)) for name, value in columns.items() if value]
    if "rows" in report:
        facts.append(("rows used", f"{report['rows']:,}"))
    facts.append(("seed", str(record["seed"])))
    yield Facts(facts)
    parts = {part: run.examples(part) for part in ("train", "validation", "test")}
    labels = record["labels"]
    shown = labels[:50]
    rows = [["all rows", *(f"{len(rows):,}" for rows in parts.values())]]
    counted = [Counter(example.output for example in rows) for rows in parts.values()]
    rows += [[label, *(f"{counts[label]:,}" for counts in counted)] for label in shown]
    yield Table(("rows", *parts), rows, strong=(0,))
    if len(labels) > len(shown):
        yield Text(f"The {len(shown)} most frequent of {len(labels):,} labels.", quiet=True)
    made = report.get("split_made") or {}
    for text in (made.get("how"), *made.get("notes", ()), *(report.get("representative") or {}).get("warnings", ())):
        if text:
            yield Text(text, quiet=True)
    if findings := report.get("findings"):
        yield Small("What was found in it")
        yield Points([f"{found['severity'].capitalize()}: {found['message']}" for found in findings])
    done = [f"{count:,} × {reason}" for reason, count in (report.get("mended") or {}).items()]
    ticked = [MENDS[name].label if name in MENDS else name for name in report.get("mends", ())]
    if ticked:
        yield Text(f"Mends that were asked for: {'; '.join(ticked)}. Done: {', '.join(done) or 'nothing had to be'}.")
    if left := Counter(entry["reason"] for entry in report.get("left_out", ())):
        yield Small(f"{left.total():,} {plural('row', 'rows', left.total())} left out")
        yield Table(("why", "rows"), [[reason, f"{count:,}"] for reason, count in left.most_common()])


def _training(run: Run, comparison: dict) -> Iterator[Block]:
    record, recipe, found = run.record(), run.recipe(), comparison.get("training") or {}
    facts = [("base", recipe.base)]
    if comparison.get("base_revision"):
        facts.append(("revision of the base", str(comparison["base_revision"])))
    facts.append(("preset", recipe.preset))
    if found.get("rows"):
        facts.append(("rows learned from", f"{found['rows']:,}"))
    if found.get("epochs"):
        facts.append(("passes over them", f"{found['epochs']:.3g}"))
    if found.get("seconds") is not None:
        facts.append(
            ("time", f"{found['seconds']:,.0f} seconds, {found.get('tokens_per_second') or 0:,.0f} tokens a second")
        )
    if found.get("peak_memory_bytes"):
        guess = found.get("estimated_memory_bytes")
        beside = f" ({guess / 1024**3:.1f} GiB estimated)" if guess else ""
        facts.append(("memory at most", f"{found['peak_memory_bytes'] / 1024**3:.1f} GiB{beside}"))
    if found.get("best_step") is not None:
        early = "; training ended early" if found.get("stopped_early") else ""
        facts.append(("adapter kept", f"of step {found['best_step']:,}{early}"))
    if versions := record.get("versions"):
        facts.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    yield Facts(facts)
    preset = Recipe.from_preset(recipe.preset)
    rows = [
        [
            name,
            plainly(shown(name, value)),
            plainly(shown(name, getattr(preset, name))),
            Recipe.__dataclass_fields__[name].metadata["help"],
        ]
        for name, value in changed(recipe)
        if name not in ("preset", "base")
    ]
    yield Small("What the recipe changes of its preset")
    if rows:
        yield Table(("name", "value", "of the preset", "what it is"), rows, words=4)
    else:
        yield Text(f"Nothing: every value is that of the preset {recipe.preset}.")
    plans = [event["choices"] for event in run.events()[0] if event["kind"] == "plan" and event.get("choices")]
    if plans:
        yield Small("What the program chose itself")
        yield Table(
            ("name", "value", "because"),
            [[one["name"], str(one["value"]), one["reason"]] for one in plans[-1]],
            words=3,
        )
    looks = {
        event["step"]: (event.get("train_loss"), event["loss"])
        for event in run.events()[0]
        if event["kind"] == "evaluated" and event.get("loss") is not None
    }
    if looks:
        yield Small("Loss at each look at the validation rows")
        rows = [
            [f"{step:,}", *("–" if loss is None else f"{loss:.4f}" for loss in losses)]
            for step, losses in looks.items()
        ]
        yield Table(("step", "training", "validation"), rows)


def _comparison(run: Run, comparison: dict) -> Iterator[Block]:
    equal = comparison.get("adapter_off_equals_base")
    if equal is not None:
        yield Text(
            "Base and fine-tuned are one loaded model with the adapter off and on. With the adapter off it "
            + (
                "equals the untouched base."
                if equal
                else "DOES NOT EQUAL the untouched base: do not trust these scores."
            )
        )
    if "largest_difference" in (proof := comparison.get("proof") or {}):
        yield Text(
            f"Measured on {proof['probes']:,} {plural('input', 'inputs', proof['probes'])}: with the adapter off the outputs "
            f"(logits) differ from the untouched base by at most {proof['largest_difference']:.3g}, with the adapter on by "
            f"{proof['adapter_difference']:.3g}."
        )
    if comparison.get("adapter_changes_output") is False:
        yield Text("The adapter changes nothing: it has not learned anything.")
    if looks := comparison.get("looks"):
        told = (
            f"These test rows were looked at {looks['total']:,} {plural('time', 'times', looks['total'])}, for "
            f"{looks['models']:,} different fine-tuned {plural('model', 'models', looks['models'])}."
        )
        if looks["models"] > 1:
            told += " Whoever tries often finds a winner by luck, so the verdict asks for a clearer result each time."
        yield Text(told)
        if len(runs := looks.get("runs", ())) > 1:
            yield Text(f"The runs: {', '.join(runs)}.", quiet=True)
    options = comparison.get("options") or {}
    off = [name_of(name) for name in ALTERNATIVES if options and name not in options.get("systems", ALTERNATIVES)]
    if off:
        yield Text(f"Not compared, because switched off: {', '.join(off)}.")
    if options.get("documents"):
        yield Text(f"Retrieval also looked things up in {options['documents']:,} passages of your own documents.")
    cut = comparison.get("left_out") or {}
    for key, said in (
        ("cut_inputs", "inputs that were too long and were cut"),
        ("cut_answers", "answers cut at the longest length"),
    ):
        if counts := {name: count for name, count in (cut.get(key) or {}).items() if count}:
            yield Text(
                f"Rows with {said}: " + ", ".join(f"{name_of(name)} {count:,}" for name, count in counts.items()) + "."
            )
    kept = {name: found["cached_rows"] for name, found in comparison["systems"].items() if found.get("cached_rows")}
    if kept:
        told = ", ".join(f"{name_of(name)} {count:,}" for name, count in kept.items())
        yield Text(
            f"Answers that were kept from an earlier comparison, to the same prompt by the same weights: {told} rows."
        )


def _rules(comparison: dict) -> Iterator[Block]:
    rules = re.split(r"\n(?=\d+\. |Without |With |Where )", comparison.get("rules", "").strip())
    listed = [" ".join(re.sub(r"^\d+\. ", "", rule).split()) for rule in rules if rule]
    if listed:
        yield Text("They were fixed in the program before any score was seen.")
        yield Points(listed, ordered=True)


def _again(run: Run) -> Iterator[Block]:
    found = repeat(run)
    yield Verbatim(found.command)
    for note in found.notes:
        yield Text(note, quiet=True)
