"""What the checks of a run look like: the verdict of the last one, what has moved, and the history as picture and table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from finetune.dataset.finding import plural
from finetune.evidence.later import checked
from finetune.ui.findings import shorten
from finetune.ui.notice import escape

EMPTY = (
    '<p class="quiet" id="checks-empty">Not checked yet. Drop a file below: the columns are those of the training '
    "file, and rows that the run has seen before are left out by themselves.</p>"
)
TONE = {"drifted": "bad", "holds": "good", "unclear": "plain"}
WORDS = {"drifted": "worse", "holds": "holds", "unclear": "unclear"}
ROWS, WORST = 50, 50  # lines of a table; more are told
DRAWN = 24  # checks in the picture
WIDE, HIGH, LEFT, TOP, BELOW = 350, 190, 34, 12, 34  # of the picture, in its own units


def last(past: Sequence[dict]) -> str:
    """HTML of the newest check; the empty state where there is none."""
    if not past:
        return EMPTY
    found = past[-1]
    when = f"{_when(found['time'])}: {found['rows']:,} new rows of {found['data']['name']}"
    tone = "bad" if found["retrain"] else "warn" if found["decision"] == "drifted" else TONE[found["decision"]]
    again = " Train it again." if found["retrain"] else ""
    steps = "".join(f"<li>{escape(step)}</li>" for step in found["next_steps"])
    noted = "".join(f'<p class="quiet">{escape(note)}</p>' for note in checked.notes(found))
    return (
        f'<section class="banner checked {tone}"><p class="question">{escape(when)}</p>'
        f'<h4>{escape(checked.head(found))}.{again}</h4><p class="reason">{escape(found["reason"])}</p>'
        f'<ol class="steps">{steps}</ol>{_moved(found)}{noted}'
        f"{_labels(found)}{_words(found)}{_worst(found)}{_figures(found)}</section>"
    )


def _moved(found: dict) -> str:
    """The labels that moved by more than chance, and words no training row has."""
    told = []
    for move in checked.moved_labels(found)[:5]:
        name = f"“{move['label'][:60]}”"
        if not move["known"]:
            told.append(f"{name} is new: {move['share_now']:.0%} of the rows")
            continue
        if move["p_value"] < checked.SURE:
            way = "more often" if move["share_now"] > move["share_before"] else "less often"
            told.append(f"{name} comes {way}: {_share(move['share_before'])} → {_share(move['share_now'])} of the rows")
        if (move["score_p_value"] or 1.0) < checked.SURE:
            told.append(
                f"{name} is answered right in {move['score_now']:.0%} of its rows, before in {move['score_before']:.0%}"
            )
    more = len(checked.moved_labels(found)) - 5
    if more > 0:
        told.append(f"and {more:,} more {plural('label', 'labels', more)}, listed below")
    lines = "".join(f"<li>{escape(one)}</li>" for one in told)
    return f"<p class='what'>What has moved</p><ul>{lines}</ul>" if lines else ""


def _labels(found: dict) -> str:
    if not found["labels"]:
        return ""
    sure = {move["label"] for move in checked.moved_labels(found)}
    lines = sorted(found["labels"], key=lambda move: (move["label"] not in sure, -move["rows_now"]))
    body = "".join(
        f'<tr><th scope="row">{escape(shorten(move["label"], 60))}'
        f"{'<em>moved</em>' if move['label'] in sure and move['known'] else '' if move['known'] else '<em>new</em>'}</th>"
        f'<td class="n">{_share(move["share_before"])}</td><td class="n">{_share(move["share_now"])}</td>'
        f'<td class="n">{_right(move["score_before"])}</td><td class="n">{_right(move["score_now"])}</td></tr>'
        for move in lines
    )
    head = "".join(f'<th class="n">{name}</th>' for name in ("share before", "now", "right before", "now"))
    return (
        "<details><summary>label by label</summary>"
        f'<div class="scroll"><table class="plain"><thead><tr><th>label</th>{head}</tr></thead><tbody>{body}</tbody></table>'
        '</div><p class="quiet">Marked where chance alone would hardly do it, the number of labels counted in '
        "(Fisher's exact test, Holm's correction).</p></details>"
    )


def _words(found: dict) -> str:
    unseen = (
        f"Of the words in the new rows, {_share(found['new_words'])} stand in no training row; in its own test rows it is "
        f"{_share(found['new_words_before'])}."
    )
    moved = found["words"]
    if not moved:
        said = "No single word comes more or less often than chance would have it."
        return f'<details><summary>words</summary><p>{unseen}</p><p class="quiet">{said}</p></details>'
    sides = []
    for title, chosen in (
        ("More often than before", [one for one in moved if one["now"] > one["before"]]),
        ("Less often", [one for one in moved if one["now"] <= one["before"]]),
    ):
        if chosen:
            items = "".join(
                f"<li><b>{escape(one['word'][:40])}</b> {_share(one['before'])} → {_share(one['now'])}</li>"
                for one in chosen
            )
            sides.append(f"<div><h5>{title}</h5><ul>{items}</ul></div>")
    count, more = found["words_moved"], found["words_moved"] - len(moved)
    rest = f" The {len(moved):,} surest are listed." if more > 0 else ""
    return (
        f"<details><summary>{count:,} {plural('word', 'words', count)} that moved</summary><p>{unseen}</p>"
        f'<div class="moved-words">{"".join(sides)}</div><p class="quiet">The share of the rows that have the word, before '
        f"and now.{rest}</p></details>"
    )


def _worst(found: dict) -> str:
    worst = found["worst"]
    if not worst:
        return ""
    labelled = found["metric"] == "accuracy"
    lines = "".join(
        f'<tr><td class="n" data-label="row">{one["row"]:,}</td>'
        + "".join(
            f'<td data-label="{name}">{escape(shorten(str(text), 240))}</td>'
            for name, text in (
                ("input", one["input"]),
                ("right answer", one["expected"]),
                ("its answer", one["answered"]),
            )
        )
        + "</tr>"
        for one in worst[:WORST]
    )
    head = "<tr><th>#</th><th>input</th><th>right answer</th><th>its answer</th></tr>"
    count = len(worst)
    named = (
        f"the {count:,} {plural('row', 'rows', count)} it got wrong" if labelled else "the rows of the lowest scores"
    )
    more = (
        f'<p class="quiet">The first {WORST} of {count:,}; all of them stand in checks.jsonl, in the folder of the run.</p>'
        if count > WORST
        else ""
    )
    return (
        f'<details><summary>{named}</summary><div class="scroll"><table class="beside few"><thead>{head}</thead>'
        f"<tbody>{lines}</tbody></table></div>{more}</details>"
    )


def _figures(found: dict) -> str:
    return f"<details><summary>the statistics</summary><p>{escape(checked.figures(found))}</p></details>"


def past(checks: Sequence[dict]) -> str:
    """HTML of all checks: the picture, and the table under a fold. Nothing before the first."""
    if not checks:
        return ""
    body = "".join(_line(found) for found in reversed(checks[-ROWS:]))
    more = f'<p class="quiet">The newest {ROWS} of {len(checks):,}.</p>' if len(checks) > ROWS else ""
    head = (
        "<tr><th>when</th><th>file</th><th class='n'>rows</th><th class='n'>score</th><th class='n'>95% interval</th>"
        "<th></th></tr>"
    )
    count = len(checks)
    return (
        f"<h4>Over time</h4>{drawn(checks)}<details><summary>{plural('the check', f'all {count:,} checks', count)}</summary>"
        f'<div class="scroll"><table class="plain"><thead>{head}</thead><tbody>{body}</tbody></table></div>{more}</details>'
    )


def _line(found: dict) -> str:
    low, high = found["interval"]
    tone = {"drifted": "wrong", "holds": "right"}.get(found["decision"], "")
    return (
        f"<tr><td>{_when(found['time'])}</td><td>{escape(shorten(found['data']['name'], 40))}</td>"
        f'<td class="n">{found["rows"]:,}</td><td class="n">{100 * found["score"]:.1f}%</td>'
        f'<td class="n">{100 * low:.0f} to {100 * high:.0f}%</td><td class="{tone}"><i>{WORDS[found["decision"]]}</i></td></tr>'
    )


def drawn(checks: Sequence[dict]) -> str:
    """Inline SVG: each check with its interval, one after the other; the own test score as a dashed line."""
    shown = list(checks[-DRAWN:])
    own, (own_low, own_high) = shown[-1]["own_score"], shown[-1]["own_interval"]
    limit = (shown[-1].get("limit") or {}).get("below")
    lowest = min([own_low, *(one["interval"][0] for one in shown), *([limit] if limit else [])])
    bottom = max(0.0, int(10 * lowest) / 10)
    ticks = [share / 100 for share in range(round(100 * bottom), 101, 10 if bottom >= 0.5 else 20)]

    def up(share: float) -> float:
        return TOP + (HIGH - TOP - BELOW) * (1 - (share - bottom) / (1 - bottom))

    def across(place: int) -> float:
        return LEFT + (WIDE - LEFT - 8) * (place + 0.5) / len(shown)

    scale = "".join(
        f'<line x1="{LEFT}" x2="{WIDE}" y1="{up(share):.1f}" y2="{up(share):.1f}" class="frame"/>'
        f'<text x="{LEFT - 6}" y="{up(share) + 4:.1f}" text-anchor="end">{100 * share:.0f}%</text>'
        for share in ticks
    )
    band = (
        f'<rect x="{LEFT}" y="{up(own_high):.1f}" width="{WIDE - LEFT}" height="{up(own_low) - up(own_high):.1f}" '
        f'class="band"/><line x1="{LEFT}" x2="{WIDE}" y1="{up(own):.1f}" y2="{up(own):.1f}" class="even"/>'
    )
    if limit:
        band += f'<line x1="{LEFT}" x2="{WIDE}" y1="{up(limit):.1f}" y2="{up(limit):.1f}" class="limit"/>'
    dots = "".join(
        f'<g class="{one["decision"]}"><title>{escape(_when(one["time"]))}: {100 * one["score"]:.0f}%, '
        f"{one['rows']:,} rows, {WORDS[one['decision']]}</title>"
        f'<line x1="{across(place):.1f}" x2="{across(place):.1f}" y1="{up(one["interval"][0]):.1f}" '
        f'y2="{up(one["interval"][1]):.1f}"/><circle cx="{across(place):.1f}" cy="{up(one["score"]):.1f}" r="4"/></g>'
        for place, one in enumerate(shown)
    )
    few = range(len(shown)) if len(shown) < 6 else sorted({0, len(shown) // 2, len(shown) - 1})
    dates = "".join(
        f'<text x="{across(place):.1f}" y="{HIGH - BELOW + 18}" text-anchor="middle">{_day(shown[place]["time"])}</text>'
        for place in few
    )
    label = f"The score of {len(shown)} checks; the newest is {100 * shown[-1]['score']:.0f}%, its own test score {100 * own:.0f}%"
    legend = "The dashed line is its score on its own test rows, the band its interval."
    legend += " The dotted line is your limit." if limit else ""
    legend += f" The newest {DRAWN} of {len(checks):,} checks." if len(checks) > DRAWN else ""
    return (
        f'<svg class="drawn checks" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(label)}">'
        f'{band}{scale}{dots}{dates}</svg><p class="quiet">{legend}</p>'
    )


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.095 or share == 0 else f"{share:.1%}"


def _right(score: float | None) -> str:
    return "–" if score is None else f"{score:.0%}"


def _local(time: str) -> datetime:
    return datetime.fromisoformat(time).astimezone()


def _when(time: str) -> str:
    return f"{_local(time):%d %b %Y, %H:%M}".removeprefix("0")


def _day(time: str) -> str:
    return f"{_local(time):%d %b}".removeprefix("0")
