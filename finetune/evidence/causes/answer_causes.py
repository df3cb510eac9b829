"""Causes that lie in the rows and answers themselves: contradictions, doubtful labels, nothing left to gain, confusions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from scipy import stats

from finetune.evidence.causes.cause import Cause, Facts, name_of, percent
from finetune.evidence.measures.metrics import words
from finetune.evidence.measures.texts import is_json_task
from finetune.evidence.systems import FINE_TUNED, NAMES

# Faults in fewer training rows than this, and in a smaller share of the rows that are wrong, explain little.
SHARE, OF_WRONG, FEWEST = 0.05, 0.2, 2
NEARLY_ALL, ALL_BUT_FEW = 0.9, 0.95
CLEARLY = 0.05  # points of a score
ENOUGH_ROWS = 30  # to say that something was not learned at all
LOPSIDED = 0.8  # share of the commonest label from which on hardly anything can beat it


def conflicts(facts: Facts) -> Cause | None:
    """The same text, or nearly the same, stands with different answers."""
    groups: list[list[int]] = [
        [row for row in cluster if facts.answer_of(row) is not None]
        for finding in facts.findings("conflicting_output")
        for cluster in finding.get("clusters", ())
    ]
    same: dict[tuple, list[int]] = defaultdict(list)
    for example in facts.train:
        # What was said before belongs to the text: “yes, please” is answered by its context.
        same[example.context, *words(example.input)].append(example.row)
    groups += [rows for text, rows in same.items() if len(text) > 1 and len(rows) > 1]
    groups = [rows for rows in groups if len({facts.answer_of(row) for row in rows}) > 1]
    rows = {row for group in groups for row in group}
    in_train, wrong = rows & facts.learned.keys(), rows & {*facts.wrong}
    if len(in_train) < SHARE * len(facts.train) and not _many(len(wrong), len(facts.wrong)):
        return None
    answers = "labels" if facts.classification else "answers"
    why = "nothing can learn both" if facts.classification else "one answer cannot match both"
    message = (
        f"{len(in_train):,} of {len(facts.train):,} training rows ({percent(len(in_train) / len(facts.train))}) stand "
        f"beside a row with the same text, or nearly, and another of the {answers}: {why}."
    )
    if wrong:
        message += f" So do {len(wrong):,} of the {len(facts.wrong):,} test rows that it got wrong."
    return Cause(
        "conflicts", "quality", message,
        "Decide on one answer for each of these texts; the Preview lists them and can keep the commonest.",
        tuple(sorted(wrong)) + tuple(sorted(in_train)),
    )  # fmt: skip


def suspect_labels(facts: Facts) -> Cause | None:
    """Labels that are doubted in training, or in the very rows that it got wrong, or in those most like them."""
    doubted = {
        row
        for finding in facts.findings("suspect_label")
        for row in finding["rows"]
        if facts.answer_of(row) is not None
        and (finding.get("outputs") or {}).get(str(row)) != facts.answer_of(row)  # relabelled as suggested
    }
    in_train, wrong = doubted & facts.learned.keys(), doubted & {*facts.wrong}
    near, near_of = _nearest(facts, in_train)
    told = []
    if len(in_train) >= SHARE * len(facts.train):
        told.append(
            f"{len(in_train):,} of {len(facts.train):,} training rows ({percent(len(in_train) / len(facts.train))}) may "
            "have the wrong label: a plain word count, which never saw them, is surer of another one."
        )
    if _many(len(wrong), len(facts.wrong)):
        told.append(
            f"{len(wrong):,} of the {len(facts.wrong):,} test rows that it got wrong have a doubtful label themselves: "
            "there the model may be right."
        )
    if near:
        told.append(
            f"{len(near):,} of the {near_of:,} test rows that it got wrong resemble most a training row with a doubtful "
            "label, far more often than those it got right."
        )
    if not told:
        return None
    return Cause(
        "suspect_labels", "quality", " ".join(told),
        "Read these rows first and correct the labels that are wrong; then train again.",
        tuple(sorted(wrong | near)) + tuple(sorted(in_train)),
    )  # fmt: skip


def _nearest(facts: Facts, doubted: set[int]) -> tuple[set[int], int]:
    """Wrong test rows whose most similar training row is doubted, where that is commoner than among the right ones."""
    nearest = {
        row: shown[-1] for row, line in facts.said.items() if (shown := (line.get("shown") or {}).get("retrieval"))
    }
    wrong = {row for row in nearest if row in set(facts.wrong)}
    near = {row for row in wrong if nearest[row] in doubted}
    right_near = sum(nearest[row] in doubted for row in nearest.keys() - wrong)
    table = [[len(near), len(wrong) - len(near)], [right_near, len(nearest) - len(wrong) - right_near]]
    if len(near) < 3 or stats.fisher_exact(table, alternative="greater").pvalue >= 0.01:
        return set(), len(wrong)
    return near, len(wrong)


def _many(count: int, of: int) -> bool:
    return count >= FEWEST and count >= OF_WRONG * of


def labels_unlearnable(facts: Facts) -> Cause | None:
    """Nothing at all does better than the commonest label: the labels may not follow from the texts."""
    systems = facts.comparison["systems"]
    if not facts.classification or "majority" not in systems or len(facts.outputs) < ENOUGH_ROWS:
        return None
    majority, best = facts.score("majority"), max(found["score"] for found in systems.values())
    pair = next((one for one in facts.comparison.get("paired_all", ()) if one["against"] == "majority"), None)
    # Whoever learns from the rows has to have failed, or the texts do tell.
    learners = [name for name in ("tfidf", "few_shot", "retrieval", FINE_TUNED) if name in systems]
    if (
        majority > LOPSIDED
        or best >= majority + CLEARLY
        or len(learners) < 2
        or pair is None
        or pair["interval"][1] > 0.2
    ):
        return None
    rows = len(facts.outputs)
    hits = ", ".join(f"{NAMES[name]} {facts.wins(facts.said, name):,}" for name in learners)
    return Cause(
        "labels_unlearnable", "quality",
        f"Always giving the commonest label is right on {facts.wins(facts.said, 'majority'):,} of {rows:,} test rows, and "
        f"nothing that learned from your rows is clearly better ({hits}). The labels may not follow from the texts: they "
        "may have been mixed up, or what decides them may not stand in the text.",
        "Take ten rows, hide their labels, and try to tell them from the text alone. If you cannot, no model can: check the "
        "columns and the order of the rows, or add what is missing to the input.",
        facts.wrong,
    )  # fmt: skip


def one_answer(facts: Facts) -> Cause | None:
    """It gives nearly every row the same label, although another system tells them apart."""
    if not facts.classification or len(facts.outputs) < ENOUGH_ROWS:
        return None
    answer, count = Counter(line["outputs"][FINE_TUNED] for line in facts.outputs).most_common(1)[0]
    expected = sum(line["expected"] == answer for line in facts.outputs)
    rows = len(facts.outputs)
    behind = facts.score(facts.against) - facts.score(FINE_TUNED)
    if count < 0.95 * rows or expected > LOPSIDED * rows or behind < 2 * CLEARLY:
        return None
    return Cause(
        "one_answer", "base",
        f"It answers “{answer[:60]}” to {count:,} of {rows:,} test rows, of which {expected:,} are; {NAMES[facts.against]} "
        f"gets {facts.wins(facts.said, facts.against):,} right, so the texts do tell. The training went astray.",
        "Train again with a lower learning_rate, half of what it was (the plan on the tab Train shows it), or more epochs.",
        facts.wrong,
    )  # fmt: skip


def base_already_good(facts: Facts) -> Cause | None:
    """The strongest alternative leaves hardly anything to gain."""
    score = facts.score(facts.against)
    smallest = facts.comparison["verdict"].get("detectable_difference")
    hidden = smallest is not None and smallest >= 1 - score
    if score < NEARLY_ALL or not (hidden or score >= ALL_BUT_FEW):
        return None
    rows = len(facts.outputs)
    limit = 1.0 if facts.classification else NEARLY_ALL
    missed = tuple(row for row, line in facts.said.items() if line["scores"][facts.against] < limit)
    name = name_of(facts.against)
    if facts.classification:
        message = f"{name} already gets {rows - len(missed):,} of {rows:,} test rows right: {len(missed):,} were left to gain."
    else:
        message = f"{name} already reaches {percent(score)} of the score: {percent(1 - score)} were left to gain."
    if hidden:
        message += (
            f" This test shows differences from {100 * smallest:.0f} points on, which is more: even a model without a mistake "
            "might not have been told from luck."
        )
    fix = "Use it as it is. A fine-tune pays here only where these last rows matter much"
    # A prompt with examples in it is longer, and so dearer, than the one of the fine-tuned model.
    fix += (
        ", or where a shorter prompt saves enough." if facts.against in ("prompted", "few_shot", "retrieval") else "."
    )
    return Cause("base_already_good", "base", message, fix, missed)


def confused_pair(facts: Facts) -> Cause | None:
    """Most of what it gets wrong is one label taken for one other."""
    labels = facts.labels
    if len(labels) < 3:
        return None
    pairs: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in facts.wrong:
        line = facts.said[row]
        pairs[tuple(sorted((line["expected"], line["outputs"][FINE_TUNED])))].append(row)
    pair, rows = max(pairs.items(), key=lambda item: len(item[1]), default=((), []))
    wrong = len(facts.wrong)
    if len(rows) < 5 or len(rows) < wrong / 2:
        return None
    if stats.binomtest(len(rows), wrong, _by_chance(facts, pair), alternative="greater").pvalue >= 0.05:
        return None
    other = facts.wins(rows, facts.against)
    told_apart = other >= len(rows) / 2 and facts.against != "majority"
    fix = (
        "The texts do tell them apart: add training rows of both, above all rows that lie close to the border."
        if told_apart
        else "Read these rows. Where you cannot tell the two yourself, merge them or write down what sets them apart and "
        "label anew; else add training rows of both."
    )
    return Cause(
        "confused_pair", "task",
        f"{len(rows):,} of the {wrong:,} test rows that it got wrong are one mix-up: “{pair[0][:60]}” and “{pair[1][:60]}”. "
        f"{name_of(facts.against)} gets {other:,} of these {len(rows):,} right.",
        fix, tuple(rows),
    )  # fmt: skip


def _by_chance(facts: Facts, pair: tuple[str, ...]) -> float:
    """The share of all errors that this pair would have if answers did not depend on the texts: common labels meet often."""
    truth = Counter(line["expected"] for line in facts.outputs)
    said = Counter(line["outputs"][FINE_TUNED] for line in facts.outputs)
    one, other = pair
    met = truth[one] * said[other] + truth[other] * said[one]
    return met / (truth.total() * said.total() - sum(truth[label] * said[label] for label in truth))


def format_errors(facts: Facts) -> Cause | None:
    """Answers that are written in another form than was asked for."""
    wrong = tuple(_misshapen(facts))
    rows = len(facts.outputs)
    if len(wrong) < max(FEWEST, SHARE * rows):
        return None
    much = f"{len(wrong):,} of {rows:,} test rows ({percent(len(wrong) / rows)})"
    if facts.classification:
        message = (
            f"Left to write freely, it answers {much} with something that is none of the labels. The scores do not suffer, "
            "because they take the likeliest label; a program that reads its answers would."
        )
        fix = "Train for longer or on more rows; and take the likeliest label in use too."
    elif is_json_task([line["expected"] for line in facts.outputs]):
        message = f"Its answer to {much} is no JSON object, which is what your rows have."
        fix = "Raise max_new_tokens where answers are cut off; else train for longer, or on more rows."
    else:
        message = f"Its answer to {much} is empty."
        fix = "Look for training rows with empty or very short answers; else train for longer."
    return Cause("format_errors", "task", message, fix, wrong)


def _misshapen(facts: Facts) -> Iterator[int]:
    labels = {_plain(label) for label in facts.labels}
    as_json = not facts.classification and is_json_task([line["expected"] for line in facts.outputs])
    for row, line in facts.said.items():
        if facts.classification:
            said = (line.get("generated") or {}).get(FINE_TUNED)
            bad = said is not None and _plain(said) not in labels
        else:
            said = line["outputs"][FINE_TUNED]
            bad = not _is_object(said) if as_json else not said.strip()
        if bad:
            yield row


def _plain(text: str) -> str:
    return " ".join(text.split()).strip(" .\"'“”").casefold()


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
