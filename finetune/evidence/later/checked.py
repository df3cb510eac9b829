"""A check in words: what it comes to, what to do, and the lines for the terminal."""

from __future__ import annotations

from finetune.dataset.finding import plural, rows_text
from finetune.evidence.later.drift import TOLERANCE
from finetune.evidence.later.fresh import left_out_text, listed

NO_FALL = 0.005  # a score that is so little lower is the same to anybody
SURE = 0.05  # of an adjusted p-value: beyond chance
# Below this, chance makes so large a fall less than once in a thousand checks.
NO_DOUBT = 0.001
# What the mix of labels does to the score is told from here.
MIX = 0.02
SHOWN = 8


def head(found: dict) -> str:
    """The decision in a few words."""
    if found["decision"] == "drifted":
        return "It has got a little worse" if found["small"] else "It has got worse"
    if found["decision"] == "holds":
        return "It still holds"
    return "No fall seen, but a small one could hide" if _level(found) else "Not clear yet"


def _level(found: dict) -> bool:
    return found["difference"] > -NO_FALL


def reason(found: dict) -> str:
    """Why the decision is as it is, for somebody who knows no statistics."""
    now, own = 100 * found["score"], 100 * found["own_score"]
    if found["metric"] == "accuracy":
        said = f"Of 100 new texts it gets about {now:.0f} right, of its own test texts it was {own:.0f}."
    else:
        said = (
            f"On new texts it reaches {now:.0f}, on its own test texts it was {own:.0f}, where 100 is the expected answer "
            "word for word."
        )
    return " ".join(filter(None, (said, _because(found), _limit(found), _unknown(found), _mix(found))))


def _because(found: dict) -> str:
    if found["decision"] == "drifted":
        return (
            f"The fall is hardly luck, but it is small: under {_points(TOLERANCE)}."
            if found["small"]
            else "So large a fall is hardly luck."
        )
    if found["decision"] == "holds":
        if found["difference_interval"][0] > 0:
            return "It does better on them than it did on its own."
        return f"A fall of {_points(TOLERANCE)} or more is ruled out."
    rows, smallest = rows_text(found["rows"]), found["detectable"]
    shows = (
        f"{rows} can only show a fall of {_points(smallest)} or more"
        if smallest
        else f"{rows} cannot show any fall for certain"
    )
    opening = f"A fall of {_points(TOLERANCE)} is not ruled out" if _level(found) else "That may be luck"
    if found["rows_needed"]:
        return f"{opening}: {shows}. About {found['rows_needed']:,} rows would settle it."
    return (
        f"{opening}: {shows}. More of them would not settle it: its own score rests on {found['own_rows']:,} test "
        f"rows, so that no number of new ones shows a fall under {_points(found['floor'])}."
    )


def _points(share: float) -> str:
    shown = f"{100 * share:.0f}" if share >= 0.01 else f"{100 * share:.1f}"
    return f"{shown} {'point' if shown == '1' else 'points'}"


def _limit(found: dict) -> str:
    limit = found["limit"]
    if limit is None:
        return ""
    wanted = f"your limit of {100 * limit['below']:g}%"
    if limit["decision"] == "below":
        return f"That is clearly below {wanted}."
    if limit["decision"] == "not_below":
        return f"That is not below {wanted}."
    more = f"; about {limit['rows_needed']:,} would tell" if limit["rows_needed"] else ""
    return f"Whether that is below {wanted} cannot be told from {rows_text(found['rows'])}{more}."


def _unknown(found: dict) -> str:
    unknown = found["unknown_labels"]
    if not unknown:
        return ""
    rows, labels = sum(unknown.values()), len(unknown)
    return (
        f"{rows_text(rows)} {plural('has', 'have', rows)} {plural('a label', 'labels', labels)} that it never learned "
        f"({listed(unknown)}) and {plural('counts', 'count', rows)} as wrong."
    )


def _mix(found: dict) -> str:
    mix = found["score_of_mix"]
    moved = any(move["p_value"] < SURE for move in found["labels"])
    if mix is None or not moved or found["unknown_labels"] or abs(mix - found["own_score"]) < MIX:
        return ""
    return f"The labels are mixed differently now: with each of them answered as well as before, it would be {100 * mix:.0f}."


def next_steps(found: dict) -> list[str]:
    """What to do, the most useful first."""
    steps = []
    if found["decision"] == "drifted" or found["retrain"]:
        if unknown := found["unknown_labels"]:
            steps.append(
                f"Train anew with rows of the new {plural('label', 'labels', len(unknown))} {listed(unknown)}."
            )
        steps.append("Read the rows that it got wrong: they show what is new, or that their answers are not right.")
        if found["retrain"]:
            steps.append("Put these labelled rows with the training rows, and train again.")
        elif found["decision"] == "drifted" and found["limit"]:
            steps.append("It is not below your limit: wait, and check again soon.")
        else:
            steps.append("Train again if such a small fall matters to you; otherwise check again soon.")
        if found["decision"] == "drifted" and found["p_value"] > NO_DOUBT:
            many = f" This is check {found['checks_before'] + 1} of this run." if found["checks_before"] else ""
            steps.append(
                "Before that, check once more on other new rows: of 40 checks of a model that holds, about one looks like "
                f"this by luck.{many}"
            )
    elif found["decision"] == "holds":
        steps.append("Nothing has to be done. Check again when something changes: new kinds of texts, or every month.")
    else:
        needed = found["rows_needed"]
        if needed and needed > found["rows"]:
            steps.append(f"Label more new rows, about {needed:,} in all, and check again with all of them.")
        elif needed:
            steps.append("Check again on other new rows.")
        else:
            steps.append(
                "Hold out more test rows when you train the next time, so that a smaller fall can be seen"
                + ("." if found["limit"] else "; or set a limit of your own, which needs no score of before.")
            )
    if found["other_answer"]:
        count = found["other_answer"]
        steps.append(
            f"Look at the {rows_text(count)} that {plural('stands', 'stand', count)} in the run's own data with another "
            f"answer: {plural('it was', 'they were', count)} left out, but the rules of labelling may have changed."
        )
    return steps


def figures(found: dict) -> str:
    """The statistics, for those who want them."""
    (low, high), (own_low, own_high) = found["interval"], found["own_interval"]
    worst, best = found["difference_interval"]
    p = "p < 0.0001" if found["p_value"] < 0.0001 else f"p = {found['p_value']:.2g}"
    return (
        f"{100 * found['score']:.1f}% on {found['rows']:,} new rows (95% interval {100 * low:.1f} to {100 * high:.1f}), "
        f"{100 * found['own_score']:.1f}% on {found['own_rows']:,} test rows ({100 * own_low:.1f} to {100 * own_high:.1f}); "
        f"difference {100 * found['difference']:+z.1f} points ({100 * worst:+z.1f} to {100 * best:+z.1f}), {p}."
    )


def notes(found: dict) -> list[str]:
    """What was left out, read otherwise, cut or not asked."""
    told = []
    if left := left_out_text(found["left_out"]):
        told.append(f"Of {found['data']['rows']:,} rows in {found['data']['name']}: {left}.")
    if found["read_as"]:
        pairs = ", ".join(f"“{said}” as “{label}”" for said, label in found["read_as"].items())
        told.append(f"Spelled otherwise than in the training rows, and read as meant: {pairs}.")
    if cut := found["cut_inputs"]:
        told.append(f"{rows_text(cut)} {plural('was', 'were', cut)} too long: the input was cut at the end.")
    if found["own_source"] != "comparison":
        told.append("The run has no comparison by this measure: its test rows were asked now.")
    return told


def moved_labels(found: dict) -> list[dict]:
    """The labels whose share or score moved by more than chance, or that are new."""
    return [
        move
        for move in found["labels"]
        if not move["known"] or move["p_value"] < SURE or (move["score_p_value"] or 1.0) < SURE
    ]


def lines(found: dict) -> list[str]:
    """The check for a terminal, the decision first."""
    told = [found["decision"].upper(), found["reason"], *(f"  - {step}" for step in found["next_steps"]), ""]
    told += [figures(found), *notes(found)]
    for move in moved_labels(found):
        score = ""
        if move["score_now"] is not None and move["score_before"] is not None:
            score = f"; right {move['score_before']:.0%} → {move['score_now']:.0%}"
        share = f"{move['share_before']:.1%} → {move['share_now']:.1%} of the rows"
        told.append(f"  label {move['label']}: {share}{score}{'' if move['known'] else '; never learned'}")
    if words := found["words"]:
        named = ", ".join(f"{one['word']} ({one['before']:.0%} → {one['now']:.0%})" for one in words[:SHOWN])
        more = found["words_moved"] - len(words[:SHOWN])
        told.append(f"words that moved: {named}" + (f" and {more:,} more" if more > 0 else ""))
    told.append(
        f"words never seen in training: {found['new_words']:.1%} (in its test rows {found['new_words_before']:.1%})"
    )
    return told
