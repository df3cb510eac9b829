"""What the rows themselves say for or against a fine-tune: one function a topic."""

from __future__ import annotations

import math

from finetune.dataset.finding import plural, rows_text
from finetune.dataset.readiness.facts import Facts, Fault
from finetune.dataset.readiness.rules import (
    ENOUGH,
    FAULTY,
    FEW,
    FEWEST,
    FIXED,
    LABEL_WORDS,
    LABELS,
    LONG_ANSWER,
    LOPSIDED,
    SPECIALIST,
    THIN,
    UNUSABLE,
    Decision,
    Said,
)  # fmt: skip


def _rows(facts: Facts) -> Said:
    rows = facts.different_rows
    said = rows_text(facts.rows)
    if rows < facts.rows:
        said += f", {rows:,} of them different"
    few = (
        " Few rows are soon known by heart: 95% right in training against 80% in validation is overfitting (rule of "
        "thumb). Early stopping, dropout and weight decay work against it and are on."
    )
    if rows < FEWEST:
        yield (
            "rows", "collect_data", rows,
            f"{said}: a fine-tune needs {FEWEST} to {FEW} at the very least (rule of thumb). Use prompting meanwhile.",
        )  # fmt: skip
    elif rows < FEW:
        yield "rows", "prompt_first", rows, f"{said}: under {FEW}, a good prompt often wins (rule of thumb)."
    elif rows < ENOUGH:
        yield (
            "rows", "pilot_first", rows,
            f"{said}: enough for a pilot; {ENOUGH} or more are recommended (rule of thumb).{few}",
        )  # fmt: skip
    else:
        yield "rows", "fine_tune", rows, f"{said}: {ENOUGH} or more are recommended (rule of thumb)."


# What the rows of a kind of finding do, for more rows and for one.
_DO = {
    "conflicting_output": ("contradict another: a model cannot learn both", "contradicts another"),
    "near_input": ("read nearly like another with a different output", "reads nearly like another"),
    "suspect_label": ("have a doubtful label", "has a doubtful label"),
    "label_spelling": ("spell their label in another way than the rest", "spells its label in another way"),
    "exact_duplicate": ("repeat another and teach nothing new", "repeats another"),
    "near_duplicate": ("nearly repeat another and teach little new", "nearly repeats another"),
    "leakage": ("stand in the test rows too, so the score would flatter", "stands in the test rows too"),
    "encoding": ("have something wrong with their characters or language", "has something wrong with its characters"),
    "too_long": ("are longer than the model reads", "is longer than the model reads"),
    "empty": ("have an input or an answer that teaches nothing", "has an input or an answer that teaches nothing"),
    "bad_row": ("could not be read", "could not be read"),
}


def _quality(facts: Facts) -> Said:
    small: list[Fault] = []
    held = False
    for fault in facts.faults:
        if fault.kind == "personal_data" or fault.note:
            continue
        if fault.share <= FAULTY:
            small.append(fault)
            continue
        held = True
        unsound = fault.kind in ("conflicting_output", "suspect_label")
        unsound = unsound and fault.check not in ("near_input", "label_spelling") and fault.share >= UNUSABLE
        told = f" {fault.message}" if fault.kind == "conflicting_output" else ""
        yield (
            "quality", "collect_data" if unsound else "pilot_first", round(fault.share, 4),
            f"{_have(fault)}. Mend that first: quality comes before quantity (rule of thumb).{told}",
        )  # fmt: skip
    if small:
        worst = max(fault.share for fault in small)
        each = "; ".join(_have(fault) for fault in sorted(small, key=lambda fault: -fault.share))
        told = "".join(f" {fault.message}" for fault in small if fault.kind == "conflicting_output")
        yield (
            "quality", "fine_tune", round(worst, 4),
            f"{each}. No fault is in more than {FAULTY:.0%} of the rows, but quality comes before quantity (rule of "
            f"thumb), so mend what you can.{told}" if not held else f"Besides: {each}.{told}",
        )  # fmt: skip
    elif not held:
        yield (
            "quality", "fine_tune", 0.0,
            "No fault holds back the rows that are used. A look at 20 of them by eye is still worth it, for "
            "quality comes before quantity (rule of thumb).",
        )  # fmt: skip


def _have(fault: Fault) -> str:
    many, one = _DO.get(fault.check) or _DO[fault.kind]
    seen = f" of {fault.examined:,} that were looked at" if fault.examined is not None else ""
    # 0.4% of the rows must not read "0%".
    return f"{rows_text(fault.rows)}{seen} ({_percent(fault.share)}) {plural(one, many, fault.rows)}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.02 else f"{share:.1%}" if share >= 0.001 else "under 0.1%"


def _privacy(facts: Facts) -> Said:
    for fault in facts.faults:
        if fault.kind == "personal_data":
            leans: Decision = "pilot_first" if fault.share > FAULTY and not fault.note else "fine_tune"
            has = plural("holds", "hold", fault.rows)
            yield (
                "privacy", leans, round(fault.share, 4),
                f"{rows_text(fault.rows)} ({_percent(fault.share)}) {has} personal data. Mask it before training: a "
                "model can repeat what it was trained on.",
            )  # fmt: skip


def _balance(facts: Facts) -> Said:
    if not facts.labels:
        return
    number = sum(labels for _, labels in facts.labels)
    rows = sum(size * labels for size, labels in facts.labels)
    share, others = facts.labels[0][0] / rows, rows - facts.labels[0][0]
    name = facts.profile.labels.largest[:60] if facts.profile.labels else ""
    if share > LOPSIDED:
        yield (
            "balance", "collect_data" if others < FEWEST else "pilot_first", round(share, 4),
            f"“{name}” has {share:.0%} of the rows: it will be over-predicted (rule of thumb: over {LOPSIDED:.0%}), and "
            f"always answering it scores {share:.0%}. All other labels together have {rows_text(others)}.",
        )  # fmt: skip
    thin = sum(labels for size, labels in facts.labels if size < THIN)
    if thin > number / 2:
        yield (
            "balance", "collect_data", thin,
            f"{thin:,} of {number:,} labels have fewer than {THIN} rows: too few to learn from.",
        )  # fmt: skip
    elif thin:
        have = plural("has", "have", thin)
        yield (
            "balance", "pilot_first" if thin >= number / 10 else "fine_tune", thin,
            f"{thin:,} of {number:,} labels {have} fewer than {THIN} rows and will be guessed badly.",
        )  # fmt: skip


def _narrowness(facts: Facts) -> Said:
    shape, outputs = facts.profile, facts.profile.outputs
    if shape.labels is not None:
        labels = shape.labels
        each, digits = facts.rows / labels.count, 0 if labels.effective >= 10 else 1
        yield (
            "narrowness", "fine_tune", round(labels.effective, 1),
            f"{labels.count:,} labels, as hard to tell apart as {labels.effective:.{digits}f} equally common ones "
            f"({labels.entropy:.1f} of at most {math.log2(labels.count):.1f} bits), "
            f"with {each:,.0f} rows each on average: a narrow, well-defined task (rule of thumb).",
        )  # fmt: skip
        return
    different = round(facts.distinct * facts.rows)
    words = f"half of them up to {shape.output_words.p50:,} words, 95% up to {shape.output_words.p95:,}"
    if facts.distinct <= FIXED:
        if shape.output_words.p95 <= LABEL_WORDS and different <= LABELS:
            yield (
                "narrowness", "fine_tune", different,
                f"{facts.rows:,} inputs share {different:,} short answers: they are labels. Choose classification as the "
                "task, and it is scored as one. It is narrow and well-defined (rule of thumb).",
            )  # fmt: skip
        else:
            yield (
                "narrowness", "retrieval", different,
                f"{facts.rows:,} inputs share {different:,} fixed answers ({words}): looking the answer up may be enough.",
            )  # fmt: skip
        return
    kinds = [
        f"{share:.0%} {what}"
        for share, what in ((outputs.json, "are JSON"), (outputs.extractive, "are copied from the input"))
        if share and share >= 0.05
    ]
    if shape.output_vocabulary and shape.output_vocabulary.variety:
        kinds.append(f"{shape.output_vocabulary.variety * 1000:.0f} different words in every 1,000")
    answers = f"{different:,} different answers, {words}" + "".join(f"; {kind}" for kind in kinds)
    if shape.output_words.p95 > LONG_ANSWER and (outputs.json or 0) < 0.9:
        yield (
            "narrowness", "pilot_first", shape.output_words.p95,
            f"{answers}: long, open answers are a broad task, and a narrow, well-defined one is what a fine-tune is good "
            "at (rule of thumb).",
        )  # fmt: skip
    else:
        yield (
            "narrowness", "fine_tune", shape.output_words.p95,
            f"{answers}: a way of answering that can be learned, narrow enough (rule of thumb).",
        )  # fmt: skip


def _terminology(facts: Facts) -> Said:
    share, terms = facts.profile.terminology, facts.profile.terms
    if share is not None and share > SPECIALIST:
        yield (
            "terminology", "fine_tune", round(share, 4),
            f"The base hardly knows {share:.0%} of the words, such as {', '.join(f'“{term}”' for term in terms[:4])}: "
            "unique terminology speaks for a fine-tune (rule of thumb).",
        )  # fmt: skip


TOPICS = (_rows, _quality, _privacy, _balance, _narrowness, _terminology)
