"""Reports, events and comparisons as lines of text, for a terminal."""

from __future__ import annotations

from finetune.evidence.money.payback import lines as cost_lines
from finetune.evidence.systems import NAMES

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
            return f"waiting for the GPU behind {event.get('behind') or 'another run'}"
        case "plan":
            return "\n".join(
                f"{choice['name']} = {choice['value']}  because {choice['reason']}" for choice in event["choices"]
            )
        case "progress" if event.get("phase") == "compare":
            return f"compare {event['step']}/{event['steps']}: {event.get('text', '')}"
        case "progress" if event.get("phase") == "sweep":
            return f"trying learning rates {event['step']}/{event['steps']}"
        case "progress":
            left = event.get("eta_seconds")
            left = ", {}:{:02d} left".format(*divmod(round(left), 60)) if left is not None else ""
            loss = f"{event['loss']:.3f}" if event.get("loss") is not None else "?"
            return f"step {event['step']}/{event['steps']}: loss {loss}, {event.get('tokens_per_second') or 0:.0f} tokens/s{left}"
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
