"""Reports, events and comparisons as lines of text, for a terminal."""

from __future__ import annotations

from finetune.evidence.money.payback import lines as cost_lines
from finetune.evidence.systems import NAMES
from finetune.runs.queue import Line, place_words
from finetune.runs.recipes import HASH_SHOWN, Compared, told
from finetune.training.forecast import curve_words
from finetune.training.recipe import Recipe

REASONS = 3  # of one finding; all of them with --json


def report_lines(report: dict) -> list[str]:
    """What `inspect` says, the decision first."""
    readiness = report["readiness"]
    lines = [readiness["decision"].replace("_", " ").upper(), *(f"  {reason}" for reason in readiness["reasons"])]
    if readiness["would_change"]:
        lines += ["what would change this:", *(f"  {change}" for change in readiness["would_change"])]
    columns = report["columns"]
    lines.append(f"{report['rows']} rows, {report['task']}: {columns['input']} → {columns['output']}")
    for part, entry in report["split"].items():
        labels = ", ".join(f"{label} {count}" for label, count in list(entry["labels"].items())[:8])
        more = f", … {len(entry['labels']) - 8} more" if len(entry["labels"]) > 8 else ""
        lines.append(f"  {part:<11}{entry['rows']:>7}  {labels}{more}")
    lines.append(report["split_made"]["how"])
    lines += [f"  {note}" for note in (*report["split_made"]["notes"], *report["representative"]["warnings"])]
    if tokens := report["tokens"]:
        lines.append(
            f"tokens a row: half up to {tokens['p50']}, 95% up to {tokens['p95']}, longest {tokens['max']}; "
            f"{tokens['truncated_rows']} rows would be cut"
            + (f" (lengths from a sample of {tokens['examined']:,} rows)" if "examined" in tokens else "")
        )
    lines += [f"    note: {note}" for note in report["file"]["notes"]]
    for finding in report["findings"]:
        lines.append(f"{finding['severity']:>8}: {finding['message']} {finding['fix']}")
        lines += [f"{'':>10}row {row}: {reason}" for row, reason in list(finding.get("reasons", {}).items())[:REASONS]]
    if report["mended"]:
        lines.append("mended: " + "; ".join(f"{reason}: {count:,}" for reason, count in report["mended"].items()))
    if report["left_out"]:
        lines.append(f"{len(report['left_out'])} rows are left out:")
        lines += [f"  row {entry['row']}: {entry['reason']}" for entry in report["left_out"][:10]]
        if len(report["left_out"]) > 10:
            lines.append(f"  … and {len(report['left_out']) - 10} more (all of them with --json)")
    return lines


def event_line(event: dict) -> str:
    """One event of a run, or nothing where it is of no interest on a terminal."""
    match event["kind"]:
        case "queued":
            words = f", {words}" if (words := place_words(event.get("place"), event.get("of"))) else ""
            return f"waiting for the GPU behind {event.get('behind') or 'another run'}{words}"
        case "plan":
            return "\n".join(
                f"{choice['name']} = {choice['value']}  because {choice['reason']}" for choice in event["choices"]
            )
        case "progress" if event.get("phase") == "compare":
            return f"compare {event['step']}/{event['steps']}: {event.get('text', '')}"
        case "progress" if event.get("phase") == "curve":
            return f"learning curve, part {event['part']}/{event['parts']}: step {event['step']}/{event['steps']}"
        case "progress" if event.get("phase") == "sweep":
            return f"trying learning rates {event['step']}/{event['steps']}"
        case "progress":
            left = event.get("eta_seconds")
            left = ", {}:{:02d} left".format(*divmod(round(left), 60)) if left is not None else ""
            loss = f"{event['loss']:.3f}" if event.get("loss") is not None else "?"
            return f"step {event['step']}/{event['steps']}: loss {loss}, {event.get('tokens_per_second') or 0:.0f} tokens/s{left}"
        case "curve":
            return curve_words(event)
        case "evaluated":
            return f"validation loss {event['loss']:.4f}" if event.get("loss") is not None else ""
        case "log" | "warning":
            return event.get("text", "")
        case "stopped":
            return event.get("reason", "")
        case "failed":
            return ""  # said once, by the error that follows
    return ""


def verdict_lines(answer: dict) -> list[str]:
    """The decision, its reason and what to do next."""
    verdict = answer["verdict"]
    return [
        verdict["decision"].replace("_", " ").upper(),
        verdict["reason"],
        *(f"  - {step}" for step in verdict["next_steps"]),
    ]


def comparison_lines(comparison: dict) -> list[str]:
    """The verdict, then the scores that it rests on."""
    lines = [*verdict_lines(comparison), "", f"{comparison['metric']} on {comparison['test_rows']} test rows:"]
    for name, entry in comparison["systems"].items():
        low, high = entry["interval"]
        count = (entry.get("setting") or {}).get("count")
        shown = f", {count} examples" if count else ""
        lines.append(f"  {NAMES.get(name, name):<40} {entry['score']:>6.1%}  ({low:.1%} to {high:.1%}){shown}")
    if found := comparison.get("regressions"):
        lines.append(
            f"Of {found['of']} rows that the base had right, the fine-tuned model has {len(found['rows'])} wrong."
        )
    if looked := comparison.get("looks"):
        lines.append(f"Models compared on these test rows so far: {looked['models']}; comparisons: {looked['total']}.")
    if priced := (comparison.get("cost") or {}).get("priced"):
        lines += ["", *cost_lines(priced), ""]
    if message := (comparison.get("forgetting") or {}).get("message"):
        lines.append(message)
    proof = "equals" if comparison["adapter_off_equals_base"] else "DOES NOT EQUAL"
    return [*lines, f"With the adapter off the model {proof} the untouched base.", f"run: {comparison['run']}"]


def run_line(entry: dict) -> str:
    """One run of the list."""
    steps = f" {entry['step']}/{entry['steps']}" if entry["step"] is not None and entry["steps"] else ""
    decision = f" · {entry['decision'].replace('_', ' ')}" if entry["decision"] else ""
    return f"{entry['run']}  {entry['base']}  {entry['state']}{steps}{decision}  {entry['message']}".rstrip()


def queue_lines(line: Line) -> list[str]:
    """Who has the device, and who waits for it."""
    if line.at_work is None:
        return ["Nobody is at work, and nobody waits."]
    lines = [f"at work  {line.at_work.name or 'another run'}"]
    lines += [f"{number:>7}  {place.name}" for number, place in enumerate(line.waiting, start=1)]
    return lines if line.waiting else [*lines, "Nobody waits."]


def record_lines(record: dict) -> list[str]:
    """The recipe of a run, a field a line, then what the run recorded beside it."""
    data = record.get("data") or {}
    beside = {
        "made": f"{record.get('name', '')}, {record['created'][:19].replace('T', ' ')} UTC",
        "task": record["task"],
        "data": f"{data.get('name')}, SHA-256 {data.get('sha256')}",
        "versions": ", ".join(f"{name} {version}" for name, version in (record.get("versions") or {}).items()),
    }
    fields = Recipe.from_json(record).as_json()
    return [f"{name:<18}{told(value)}" for name, value in (fields | beside).items()]


def difference_lines(found: Compared) -> list[str]:
    """Two recipes side by side, only what differs; then the data, the versions and what came of both."""
    rows = [("", found.this, found.other), *((one.name, told(one.this), told(one.other)) for one in found.fields)]
    lines = _columns(rows) if found.fields else [f"The recipes of {found.this} and {found.other} are the same."]
    lines += ["", *data_sentences(found)]
    if found.versions:
        lines += ["", *_columns([(one.name, told(one.this), told(one.other)) for one in found.versions])]
    if found.verdict:
        rows = [
            ("verdict", *(str(decision).replace("_", " ") for decision in (found.verdict.this, found.verdict.other)))
        ]
        rows += [(NAMES.get(one.name, one.name), _percent(one.this), _percent(one.other)) for one in found.scores]
        lines += ["", *_columns(rows)]
    return lines


def data_sentences(found: Compared) -> list[str]:
    """Whether both runs had the same data, and where the libraries did not differ, that."""
    this, other = found.data.this, found.data.other
    if found.same_data:
        said = [f"The data is the same: {this['name']}, SHA-256 {str(this['sha256'])[:HASH_SHOWN]}."]
    else:
        one, two = (f"{data['name']}, SHA-256 {str(data['sha256'])[:HASH_SHOWN]}" for data in (this, other))
        said = [f"The data is not the same: {one}; {two}."]
    return said if found.versions else [*said, "The versions of the libraries are the same."]


def _percent(score: float | None) -> str:
    return "–" if score is None else f"{score:.1%}"


def _columns(rows: list[tuple[str, str, str]]) -> list[str]:
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"{name:<{first}}  {this:<{second}}  {other}".rstrip() for name, this, other in rows]
