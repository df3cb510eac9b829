"""From scores to a decision, by rules that are fixed here before any score is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from finetune.dataset.readiness.power import detectable_difference
from finetune.errors import FinetuneError
from finetune.evidence.judging.scores import Scores, checked_part
from finetune.evidence.measures.metrics import Paired, paired
from finetune.evidence.systems import ALTERNATIVES, FINE_TUNED, NAMES

Decision = Literal[
    "use_fine_tuned",
    "prompting_enough",
    "retrieval_enough",
    "classical_enough",
    "collect_more_data",
    "no_clear_difference",
]

ALPHA = 0.05
WORTHWHILE = 0.02
WIDE = 0.10
FEWEST_ROWS = 20
# One-sided 5% for each alternative that validation did not choose: the fine-tuned model has to pass this test against
# the truly best one too, so a false gain stays at 5% or less even where few validation rows chose the wrong one.
ALPHA_OTHERS = 0.10

RULES = f"""\
1. The strongest alternative is the one with the highest score on the validation rows (the simpler one if equal).
   It alone is compared with the fine-tuned model on the test rows, row by row.
2. Under {FEWEST_ROWS} test rows: collect more data.
3. Use the fine-tuned model if the {1 - ALPHA:.0%} interval of its gain lies above 0 and p is below {ALPHA:g}, and if
   it is ahead of every other alternative on the test rows too, with p below {ALPHA_OTHERS:g} for each.
4. The alternative is enough if it is better by the same two measures, or if the interval rules out a gain of
   {WORTHWHILE * 100:g} points. Where the strongest is beaten but another is not (rule 3), that other one is enough if the
   interval of the gain over it, at {ALPHA:.0%} divided by the number of alternatives not chosen, rules out
   {WORTHWHILE * 100:g} points.
5. Otherwise, if the interval reaches more than {WIDE * 100:g} points to either side: collect more data.
6. Otherwise: no clear difference.
Without validation rows the strongest of several alternatives has to be found on the test rows; then the level of
{ALPHA:g} is divided by the number of alternatives (Bonferroni).
Where several fine-tuned models were compared on the same test rows, both levels are divided by their number (Bonferroni):
of many tries one looks good by luck.
Where the model with the adapter off does not equal the untouched base, no verdict is given."""

_ENOUGH: dict[str, Decision] = {
    "majority": "classical_enough",
    "tfidf": "classical_enough",
    "base": "prompting_enough",
    "prompted": "prompting_enough",
    "few_shot": "prompting_enough",
    "retrieval": "retrieval_enough",
}


@dataclass(frozen=True)
class Verdict:
    """The decision, one sentence with every number it rests on, and what to do next, the most useful first.

    Attributes:
        level: share of nulls that may be called a difference; 0.05 where one model was compared once.
        detectable_difference: smallest true difference that rows as many and as alike as these show four times in five
            at this level, 0..1.
        rows_needed: test rows that would settle it if the difference seen is real; None where it is settled.
    """

    decision: Decision
    reason: str
    next_steps: tuple[str, ...]
    level: float = ALPHA
    detectable_difference: float | None = None
    rows_needed: int | None = None

    def as_json(self) -> dict:
        return {
            "decision": self.decision,
            "reason": self.reason,
            "next_steps": list(self.next_steps),
            "level": self.level,
            "detectable_difference": self.detectable_difference,
            "rows_needed": self.rows_needed,
        }


def decide(
    scores: Scores,
    *,
    labels: int | None = None,
    train_rows: int | None = None,
    seed: int = 0,
    models: int = 1,
    trustworthy: bool = True,
) -> tuple[Verdict, Paired]:
    """The verdict by `RULES`, and the comparison on the test rows that it rests on.

    Args:
        scores: part ("validation", "test") → system → scores (n,) in 0..1; in a part, the same rows in the same order
            for every system. An alternative that was not run is left out; validation may be absent.
        labels: number of labels, for classification; only for the advice.
        train_rows: rows the model learned from; only for the advice.
        seed: of the bootstrap and of the permutation test.
        models: different fine-tuned models that were compared on these test rows, this one included.
        trustworthy: whether the model with the adapter off equals the untouched base.

    Raises:
        FinetuneError: no test rows, no fine-tuned scores, no alternative, an unknown system, scores that are missing,
            outside 0..1 or not of one length, an alternative without validation scores while others have some.
    """
    test, validation = checked_part(scores, "test"), checked_part(scores, "validation")
    alternatives = [name for name in ALTERNATIVES if name in test]
    if FINE_TUNED not in test:
        raise FinetuneError(f"There are no test scores for {NAMES[FINE_TUNED]}.", hint=f"Name it “{FINE_TUNED}”.")
    if not alternatives:
        raise FinetuneError(
            f"There is nothing to compare {NAMES[FINE_TUNED]} with.",
            hint=f"Give test scores for at least one of: {', '.join(ALTERNATIVES)}.",
        )
    unranked = [name for name in alternatives if validation and name not in validation]
    if unranked and len(alternatives) > 1:
        raise FinetuneError(
            f"There are test scores but no validation scores for {', '.join(unranked)}.",
            hint="Score every alternative on the validation rows: that is where the strongest is chosen.",
        )

    tuned, rows = test[FINE_TUNED], test[FINE_TUNED].size
    chosen_on = validation or test
    # max keeps the first of equals, and ALTERNATIVES has the simplest first.
    name = alternatives[0] if len(alternatives) == 1 else max(alternatives, key=lambda other: chosen_on[other].mean())
    picked = 1 if validation else len(alternatives)
    looks = picked * max(models, 1)
    pair = paired(tuned, test[name], name=name, seed=seed)
    # The table shows 95% intervals; the decision holds itself to a stricter level where the test rows also chose.
    judged = paired(tuned, test[name], name=name, seed=seed, level=1 - ALPHA / looks) if looks > 1 else pair
    low, high = judged.interval
    sure = judged.p_value < ALPHA / looks
    ahead = sure and low > 0
    others = [paired(tuned, test[other], name=other, seed=seed) for other in alternatives if other != name]
    rivals = [other for other in others if other.difference <= 0 or other.p_value >= ALPHA_OTHERS / max(models, 1)]
    beaten = name
    if ahead and rivals and (as_good := _as_good(tuned, test, rivals, len(others) * max(models, 1), seed)):
        name = max(as_good, key=lambda other: chosen_on[other].mean())
        pair = next(rival for rival in rivals if rival.against == name)

    if rows < FEWEST_ROWS:
        decision: Decision = "collect_more_data"
        so = f"but {rows} test row{'s are' if rows > 1 else ' is'} too few to decide on ({FEWEST_ROWS} are the least)"
    elif ahead and not rivals:
        decision, so = "use_fine_tuned", "so the gain is very unlikely to be luck"
    elif name != beaten:
        decision = _ENOUGH[name]
        so = (
            f"and a gain of {WORTHWHILE * 100:g} points or more is as good as ruled out. It did beat {NAMES[beaten]} "
            f"({test[beaten].mean():.1%}), the strongest on the validation rows"
        )
    elif sure and high < 0:
        decision, so = _ENOUGH[name], "so the fine-tuned model is worse, and that is very unlikely to be luck"
    elif high < WORTHWHILE:
        decision, so = _ENOUGH[name], f"so a gain of {WORTHWHILE * 100:g} points or more is as good as ruled out"
    elif (high - low) / 2 > WIDE:
        decision, so = "collect_more_data", "so the interval is too wide to tell which of the two is better"
    else:
        decision, so = "no_clear_difference", "so this cannot be told from luck"
    if ahead and rivals and name == beaten and rows >= FEWEST_ROWS:
        close = " and ".join(f"{NAMES[rival.against]} ({test[rival.against].mean():.1%})" for rival in rivals)
        did = (
            "did better"
            if any(rival.difference < 0 and rival.p_value < ALPHA for rival in rivals)
            else "came too close"
        )
        so = f"but another alternative, {close}, {did} on the same rows" + (
            " to call it a gain" if did != "did better" else ""
        )

    reason = _reason(pair, float(tuned.mean()), float(test[name].mean()), rows, so)
    if picked > 1:
        reason += (
            f" There are no validation rows, so the strongest of {picked} alternatives was chosen on the test rows"
            f" themselves; the decision therefore asked for p below {ALPHA / looks:.2g} instead of {ALPHA:g}."
        )
    if models > 1:
        reason += (
            f" {models} fine-tuned models were compared on these test rows, and of many tries one looks good by luck:"
            f" the decision therefore asked for p below {ALPHA / looks:.2g} instead of {ALPHA:g}."
        )
    needed = _rows_needed(tuned - test[name], ALPHA / looks)
    steps = _next_steps(decision, name, pair, rows, needed, labels, train_rows)
    if picked > 1:
        steps = (*steps, "Score the systems on validation rows too, and choose the alternative there.")
    if not trustworthy:
        decision = "no_clear_difference"
        reason = (
            "No verdict: with the adapter off, the model does not equal the untouched base, so what was measured as the "
            f"base is not the base. What would have been said: {reason}"
        )
        steps = ("Run the comparison again; if this stays, the base or its adapter is damaged: train anew.",)
    settled = not trustworthy or decision not in ("collect_more_data", "no_clear_difference")
    smallest = _detectable(tuned - test[name], ALPHA / looks, [chosen_on[other].mean() for other in alternatives])
    return Verdict(decision, reason, steps, ALPHA / looks, smallest, None if settled else needed), pair


def _as_good(
    tuned: np.ndarray, test: dict[str, np.ndarray], rivals: list[Paired], families: int, seed: int
) -> list[str]:
    """The alternatives over which a worthwhile gain is ruled out, at a level for all that validation did not choose."""
    level = 1 - ALPHA / max(families, 1)
    again = [paired(tuned, test[rival.against], name=rival.against, seed=seed, level=level) for rival in rivals]
    return [pair.against for pair in again if pair.interval[1] < WORTHWHILE]


def all_paired(scores: Scores, seed: int = 0) -> list[Paired]:
    """The fine-tuned model against each alternative on the test rows, at the plain 95%."""
    test = checked_part(scores, "test")
    return [paired(test[FINE_TUNED], test[name], name=name, seed=seed) for name in ALTERNATIVES if name in test]


def _reason(pair: Paired, tuned: float, other: float, rows: int, so: str) -> str:
    a, b, gain, low, high = _figures(tuned, other, pair)
    return (
        f"The fine-tuned model scored {a}% on {rows:,} test row{'s' * (rows > 1)} against {b}% "
        f"({NAMES[pair.against]}): {gain} points, 95% interval {low} to {high}; "
        f"{pair.wins:,} won, {pair.losses:,} lost, {pair.ties:,} the same; "
        f"luck alone would give a difference this large {_luck(pair.p_value)}, {so}."
    )


def _figures(tuned: float, other: float, pair: Paired) -> list[str]:
    """Both scores, the gain and its interval in points, with as many decimals as keep the sum right and the signs true.

    94.6 - 81.4 = 13.2 must not read "95% against 81%: +13", nor an end of +0.3 "0", nor 1.8 "2" where 2 is the rule.
    """
    bounds = pair.interval
    for digits in (0, 1, 2):
        a, b, gain, low, high = (round(100 * x, digits) + 0.0 for x in (tuned, other, pair.difference, *bounds))
        true_ends = all(
            np.sign(shown) == np.sign(end) and (shown < 100 * WORTHWHILE) == (end < WORTHWHILE)
            for shown, end in zip((low, high), bounds, strict=True)
        )
        if abs(a - b - gain) < 1e-6 and true_ends:
            break
    return [f"{a:.{digits}f}", f"{b:.{digits}f}", *(f"{x:+.{digits}f}" for x in (gain, low, high))]


def _luck(p_value: float) -> str:
    if p_value < 0.0001:
        return "less than once in 10,000 tries (p < 0.0001)"
    shown = f"{p_value:.2g}"
    if float(shown) == ALPHA != p_value:
        shown = f"{p_value:.3g}"  # on which side of the limit it lies must be seen
    if p_value < 0.15:
        often = f"about once in {_two_digits(1 / p_value):,} tries"
    else:
        often = f"about {p_value * 10:.0f} times in 10" if p_value < 0.95 else "nearly always"
    return f"{often} (p = {shown})"


def _detectable(differences: np.ndarray, level: float, alternatives: list[float]) -> float:
    """The smallest true gain that ends in “use the fine-tuned” four times in five, 0..1.

    The fine-tuned model has to beat every alternative that may be as strong as the chosen one, so the 20% that may fail
    are shared out among them (the union bound); and the exact test asks for one row more than the formula, which is that
    of the plain one.

    Args:
        alternatives: their scores on the rows that chose.
    """
    rows, spread = differences.size, float((differences**2).mean())
    near = 2 * detectable_difference(rows, spread, alpha=level)
    rivals = sum(score > max(alternatives) - near for score in alternatives)
    return min(1.0, detectable_difference(rows, spread, power=1 - 0.2 / rivals, alpha=level) + 1 / rows)


def _rows_needed(differences: np.ndarray, level: float = ALPHA) -> int:
    """Test rows that would show the difference seen, or one of `WORTHWHILE` if that is larger, with 80% power.

    Connor (1987), Biometrics 43: n = (z_α/2 √ψ + z_β √(ψ - d²))² / d², where ψ, for 0/1 scores the share of rows that
    differ, is for other scores the mean square of the differences.
    """
    effect = max(abs(float(differences.mean())), WORTHWHILE)
    # For 0/1 scores a difference of `effect` needs at least that share of rows that differ.
    square = max(float((differences**2).mean()), effect)
    z_alpha, z_beta = stats.norm.ppf(1 - level / 2), stats.norm.ppf(0.8)
    n = (z_alpha * math.sqrt(square) + z_beta * math.sqrt(square - effect**2)) ** 2 / effect**2
    return max(_two_digits(n), FEWEST_ROWS)


def _two_digits(number: float) -> int:
    """Rounded to two significant digits: an estimate should not look more exact than it is."""
    step = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return round(number / step) * step


def _next_steps(
    decision: Decision, name: str, pair: Paired, rows: int, needed: int, labels: int | None, train_rows: int | None
) -> tuple[str, ...]:
    if decision == "use_fine_tuned":
        small = pair.difference < WORTHWHILE
        return (
            *([f"The gain is under {WORTHWHILE * 100:g} points: see whether it pays for a model of your own."] * small),
            "Use the adapter: it stands in the folder of the run, under adapter.",
            *(["Before you trust it, read the test rows on which it did worse."] * (pair.losses > 0)),
            "Score fresh rows now and then, and train again when the score falls.",
        )
    if decision in _ENOUGH.values():
        return (
            f"Use what does at least as well without a fine-tune: {NAMES[name]}.",
            *_improve(labels, train_rows, "If you still want more from a fine-tune: "),
        )
    target = round(max(abs(pair.difference), WORTHWHILE) * 100, 1)
    more = (
        f"Hold out more labelled rows for the test: some {needed:,} would show a difference of {target:g} points,"
        f" if it is real, four times in five (now {rows:,})."
    )
    return ((more,) if needed > rows else ()) + _improve(labels, train_rows, "")


def _improve(labels: int | None, train_rows: int | None, opening: str) -> tuple[str, ...]:
    """What to change, in the order that helps most often: data, quality, base or task."""
    if train_rows is None or train_rows >= 500:
        data = "add training rows, above all of the kinds that it gets wrong."
    else:
        each = f", about {max(1, round(train_rows / labels))} for each label" if labels else ""
        rule = "under 100 a prompt often wins, and 500 or more are" if train_rows < 100 else "500 or more are"
        data = f"add training rows first: it learned from {train_rows}{each}; {rule} recommended."
    steps = f"{opening}{data}"
    return (
        steps[0].upper() + steps[1:],
        "Then quality: mend wrong and contradictory answers in the training rows.",
        "Then try a larger base model, or make the task narrower.",
    )
