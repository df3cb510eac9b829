"""Label by label, how sure the answers are, and the measures of free text: what only some tasks have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from finetune.evidence.report.chapters.figures import LISTED, SHOWN, head_of, interval, p_value, percent, rest
from finetune.evidence.report.layout import Block, Facts, Small, Table, Text
from finetune.evidence.systems import FINE_TUNED, SYSTEMS

MEASURES = {
    "exact_match": "exact match", "token_f1": "words (F1)", "rouge_l": "ROUGE-L", "chrf": "chrF",
    "length_ratio": "length", "empty": "empty answers", "json_valid": "valid JSON",
}  # fmt: skip


def classes(comparison: dict) -> Iterator[Block]:
    systems, against = comparison["systems"], comparison["paired"]["against"]
    mine = systems[FINE_TUNED].get("classes")
    if not mine:
        return
    low, high = mine.get("macro_f1_interval") or (None, None)
    around = f" (95% interval {interval((low, high))})" if low is not None else ""
    yield Text(
        f"The mean F1 over the labels (macro-F1) of the fine-tuned model is {percent(mine['macro_f1'])}{around}."
    )
    others = [name for name in dict.fromkeys(("base", against)) if (systems.get(name) or {}).get("classes")]
    f1 = {name: {one["label"]: one["f1"] for one in systems[name]["classes"]["classes"]} for name in others}
    rows = [
        [
            one["label"], f"{one['rows']:,}", percent(one["precision"]), percent(one["recall"]), percent(one["f1"]),
            *(percent(f1[name].get(one["label"])) for name in others),
        ]
        for one in mine["classes"]
    ]  # fmt: skip
    yield Table(
        ("label", "test rows", "precision", "recall", "F1", *(f"F1 of {head_of(name)}" for name in others)), rows
    )
    names = [one["label"] for one in mine["classes"]]
    mixed = Counter({
        (names[truth], names[said]): count
        for truth, line in enumerate(mine.get("confusion", ()))
        for said, count in enumerate(line)
        if truth != said and count
    })  # fmt: skip
    if mixed:
        yield Small("Mix-ups of the fine-tuned model")
        yield Table(
            ("expected", "answered", "rows"), [[*pair, f"{n:,}"] for pair, n in mixed.most_common(LISTED)], words=2
        )
        yield from rest(len(mixed))
    if moved := comparison.get("moved"):
        yield Small("Answers that the fine-tune changed")
        rows = [
            [one["expected"], one["base"], one["fine_tuned"], one["outcome"].replace("_", " "), f"{len(one['rows']):,}"]
            for one in moved[:LISTED]
        ]
        yield Table(("expected", "base", "fine-tuned", "so it is", "rows"), rows, words=4)
        yield from rest(len(moved))


def calibration(comparison: dict) -> Iterator[Block]:
    systems = comparison["systems"]
    names = [name for name in SYSTEMS if (systems.get(name) or {}).get("calibration")]
    found = comparison.get("human")
    if found:
        target = f"{100 * found['target']:.0f}%"
        if found.get("threshold") is None or found.get("accuracy") is None:
            yield Text(
                f"No confidence reaches {target} right answers on the validation rows: every answer needs a human."
            )
        else:
            yield Text(
                f"To have {target} of its answers right, let it answer where it is at least {percent(found['threshold'])} "
                f"sure, and hand the rest to a human. On the test rows it then answers {percent(found['handled'])} by "
                f"itself, and {percent(found['accuracy'])} of these are right (95% interval {interval(found['interval'])})."
            )
        rows, last = [], None
        for one in found.get("curve", ()):
            if (one["handled"], one["accuracy"]) != last:  # a higher threshold that changes nothing tells nothing
                rows.append([percent(one[name]) for name in ("threshold", "handled", "accuracy")])
            last = (one["handled"], one["accuracy"])
        if rows:
            yield Table(("at least so sure", "answered by itself", "of these right"), rows)
    if names:
        yield Small("Stated and true confidence")
        rows = [
            [
                head_of(name), *(f"{one[key]:.3f}" for key in ("ece", "brier", "log_loss")),
                f"{one['sure_but_wrong']:,}",
            ]
            for name in names for one in [systems[name]["calibration"]]
        ]  # fmt: skip
        yield Table(("system", "calibration error", "Brier", "log loss", "sure but wrong"), rows)
        yield Text(
            "Smaller is better for each. Sure but wrong: rows answered wrong with 90% confidence or more.", quiet=True
        )
    if FINE_TUNED in names:
        rows = [
            [f"{percent(one['low'])} to {percent(one['high'])}", f"{one['rows']:,}", percent(one["confidence"]),
             percent(one["accuracy"])]
            for one in systems[FINE_TUNED]["calibration"].get("bins", ()) if one["rows"]
        ]  # fmt: skip
        yield Small("Of the fine-tuned model, by confidence")
        yield Table(("confidence", "rows", "stated", "right"), rows)


def texts(comparison: dict) -> Iterator[Block]:
    systems = comparison["systems"]
    names = [name for name in SYSTEMS if (systems.get(name) or {}).get("text")]
    if not names:
        return
    shown = [name for name in MEASURES if any(name in systems[one]["text"] for one in names)]
    rows = [[head_of(one), *(percent(systems[one]["text"].get(name)) for name in shown)] for one in names]
    yield Table(("system", *(MEASURES[name] for name in shown)), rows, strong=[names.index(FINE_TUNED)])
    yield Text("Length: characters of the answers against those expected.", quiet=True)
    fields = {
        path: found["rows"] for one in names for path, found in (systems[one]["text"].get("fields") or {}).items()
    }
    if fields:
        yield Small("JSON fields filled as expected")
        rows = [
            [path, f"{count:,}", *(percent(((systems[one]["text"].get("fields") or {}).get(path) or {}).get("f1")) for one in names)]
            for path, count in list(fields.items())[:SHOWN]
        ]  # fmt: skip
        yield Table(("field", "rows", *(head_of(one) for one in names)), rows)
        if len(fields) > SHOWN:
            yield Text(f"The first {SHOWN} of {len(fields):,} fields.", quiet=True)
    if found := comparison.get("reference"):
        low, high = found["interval"]
        yield Text(
            f"How likely each finds the expected answer, as mean log-likelihood of a token: base {found['base']:.3f}, "
            f"fine-tuned {found['fine_tuned']:.3f}, difference {found['difference']:+z.3f} (95% interval {low:+z.3f} to "
            f"{high:+z.3f}, p {p_value(found['p_value'])})."
        )


def rules(comparison: dict) -> Iterator[Block]:
    options = comparison.get("options") or {}
    said = [("must contain", text) for text in options.get("must", ())]
    said += [("must not contain", text) for text in options.get("must_not", ())]
    said += [("must match", options["pattern"])] if options.get("pattern") else []
    if not said:
        return
    yield Facts(said)
    systems = comparison["systems"]
    rows = [
        [head_of(name), f"{systems[name]['rules_broken']:,} of {comparison['test_rows']:,}"]
        for name in SYSTEMS if "rules_broken" in systems.get(name, {})
    ]  # fmt: skip
    yield Table(("system", "answers that break a rule"), rows)
