"""What the use of the model and the test say for or against a fine-tune, and all topics together."""

from __future__ import annotations

from finetune.dataset.finding import plural
from finetune.dataset.readiness import topics_data
from finetune.dataset.readiness.facts import Facts
from finetune.dataset.readiness.power import rows_to_detect
from finetune.dataset.readiness.rules import (
    BLIND,
    EASY,
    MUCH_USE,
    RARE_USE,
    SHORT_ANSWER,
    THUMB,
    Point,
    Said,
    in_points,
)  # fmt: skip

_EVERY = {
    "never": "never",
    "yearly": "once a year",
    "monthly": "every month",
    "weekly": "every week",
    "daily": "every day",
}


def _knowledge(facts: Facts) -> Said:
    changes = facts.questions.knowledge_changes
    again = (
        "score fresh rows now and then, and train again when the score falls below what you can accept (rule of thumb)"
    )
    if changes == "never":
        yield "knowledge", "fine_tune", changes, "The right answers never change, so what is learned stays right."
    elif changes in ("weekly", "daily"):
        yield (
            "knowledge", "retrieval", changes,
            f"The right answers change {_EVERY[changes]}: knowledge that changes often belongs in retrieval (rule of "
            "thumb); a model trained today would be wrong soon, however many rows there are.",
        )  # fmt: skip
    elif changes == "monthly" and facts.task != "classification":
        yield (
            "knowledge", "pilot_first", changes,
            f"The right answers change every month: see whether retrieval is enough before training every month, and "
            f"{again}.",
        )  # fmt: skip
    else:
        yield "knowledge", "fine_tune", changes, f"The right answers change {_EVERY[changes]}: {again}."


def _volume(facts: Facts) -> Said:
    asked = facts.questions.requests_a_day
    said = f"{asked:,} {plural('request', 'requests', asked)} a day"
    short = facts.profile.output_words.p50 <= SHORT_ANSWER
    if asked >= MUCH_USE:
        yield (
            "volume",
            "fine_tune",
            asked,
            f"{said}: thousands of requests are what a fine-tune pays with (rule of thumb).",
        )
    elif asked >= RARE_USE:
        yield (
            "volume", "pilot_first", asked,
            f"{said}: it takes thousands for a fine-tune to pay for itself (rule of thumb), so see in a pilot how much "
            "better it is.",
        )  # fmt: skip
    elif facts.questions.wrong_costs == "much":
        yield (
            "volume", "pilot_first", asked,
            f"{said} are few (rule of thumb: thousands), but each mistake costs much, so a pilot is worth its minutes.",
        )  # fmt: skip
    elif not short:
        yield (
            "volume", "pilot_first", asked,
            f"{said} are few (rule of thumb: thousands); a way of writing longer answers is hard to put in a prompt, so "
            "see in a pilot.",
        )  # fmt: skip
    else:
        yield (
            "volume", "prompt_first", asked,
            f"{said} with short answers: a prompt costs next to nothing at that rate; a fine-tune pays with thousands "
            "of requests (rule of thumb).",
        )  # fmt: skip


def _baseline(facts: Facts) -> Said:
    base = facts.baseline
    if base is None:
        return
    low, high = base.interval
    said = f"{base.name} reaches {base.score:.1%} ({low:.1%} to {high:.1%}, cross-validated on these rows)"
    if low <= base.majority:
        yield (
            "baseline", "pilot_first", base.score,
            f"{said}, no more than always answering the commonest label ({base.majority:.1%}): either the words alone do "
            "not tell, or the labels are noise. Read 20 rows, then see in a pilot whether anything can be learned.",
        )  # fmt: skip
    elif base.score >= EASY or 1 - high < facts.questions.want:
        yield (
            "baseline", "pilot_first", base.score,
            f"{said}: at most {in_points(round(1 - low, 2))} are left to gain. Such a model, which needs no GPU, is likely to be enough; "
            "the comparison of a pilot has it among the alternatives and says so in minutes.",
        )  # fmt: skip
    else:
        yield (
            "baseline", "fine_tune", base.score,
            f"{said}: it leaves up to {in_points(round(1 - low, 2))} to gain, and you want {in_points(facts.questions.want)} or more.",
        )  # fmt: skip


def _sensitivity(facts: Facts) -> Said:
    costs, want = facts.questions.wrong_costs, facts.questions.want
    needed = rows_to_detect(want)
    person = "let a person answer what the model is not sure of, from a threshold that is set on the validation rows"
    if costs != "much":
        said = "little" if costs == "little" else "something, but not much"
        yield "sensitivity", "fine_tune", costs, f"A wrong answer costs {said}: the usual proof is enough."
    elif facts.detectable > want:
        yield (
            "sensitivity", "pilot_first", costs,
            f"A wrong answer costs much, and the {facts.compared:,} test rows cannot show the {in_points(want)} that you want: "
            f"{needed:,} would. Until then no score is proof enough; and {person}.",
        )  # fmt: skip
    else:
        yield (
            "sensitivity", "fine_tune", costs,
            f"A wrong answer costs much: the {facts.compared:,} test rows can show the {in_points(want)} that you want; and "
            f"{person}.",
        )  # fmt: skip


def _test_size(facts: Facts) -> Said:
    shown, want, compared = facts.detectable, facts.questions.want, facts.compared
    whose = f"The {compared:,} test rows" if compared == facts.test_rows else (
        f"The comparison takes {compared:,} of the {facts.test_rows:,} test rows, which"
    )  # fmt: skip
    said = f"{whose} can show a difference of {in_points(round(shown, 2))} or more"
    if shown > BLIND:
        yield "test_size", "pilot_first", compared, f"{said}: a smaller gain would stay unseen."
    elif shown > want:
        yield (
            "test_size", "fine_tune", compared,
            f"{said}; for the {in_points(want)} that you want to see it takes {rows_to_detect(want):,}.",
        )  # fmt: skip
    else:
        yield "test_size", "fine_tune", compared, f"{said}, and you want to see {in_points(want)}."


def points(facts: Facts) -> tuple[Point, ...]:
    """Every topic that applies to these facts."""
    topics = (*topics_data.TOPICS, _knowledge, _volume, _baseline, _sensitivity, _test_size)
    return tuple(
        Point(topic, leans, value, reason, THUMB[topic])
        for look in topics
        for topic, leans, value, reason in look(facts)
    )
