"""One row in full: all texts uncut, every system's answer with its scores, and the examples that a system was shown."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.dataset.example import Example
from finetune.dataset.finding import plural
from finetune.errors import FinetuneError
from finetune.evidence.alternatives.documents import PASSAGES_FILE, Passage, read_passages
from finetune.runs.store import Run
from finetune.ui.compare import cells, rows
from finetune.ui.compare.difference import plain
from finetune.ui.compare.scores import name_of
from finetune.ui.notice import escape

MEASURES = {"exact_match": "exact match", "token_f1": "word F1", "rouge_l": "ROUGE-L", "chrf": "chrF"}
LIKELIEST = 5  # labels
EXAMPLE = 400  # characters of an example; the rest is under a fold


def whole(run: Run, line: dict, against: str, *, labelled: bool) -> str:
    """HTML of the row with all systems that answered, the two that are compared first."""
    numbers = {number for shown in (line.get("shown") or {}).values() for number in shown}
    train = {one.row: one for one in run.examples("train") if one.row in numbers} if numbers else {}
    passages = _passages(run) if line.get("shown", {}).get("passages") else []
    systems = "".join(
        _system(line, system, labelled, train, passages)
        for system in rows.ordered(rows.present([line]), against)
        if line["outputs"][system] is not None
    )
    earlier = next((one.context[:-1] for one in run.examples("test") if one.row == line["row"]), ())
    turns = "".join(f"<p><b>{escape(role)}</b> {plain(text)}</p>" for role, text in earlier)
    before = f'<h4>Earlier in the talk</h4><div class="text">{turns}</div>' if turns else ""
    return (
        f'<div class="whole">{before}<h4>Input</h4><div class="text">{plain(str(line["input"]))}</div>'
        f'<h4>Expected</h4><div class="text">{plain(str(line["expected"]))}</div><div class="said">{systems}</div></div>'
    )


def _system(line: dict, system: str, labelled: bool, train: dict[int, Example], passages: Sequence[Passage]) -> str:
    tone, sign = cells.mark(line, system)
    notes = [*cells.facts(line, system, labelled, whole=True), *_measured(line, system)]
    told = "".join(f"<li>{note}</li>" for note in notes)
    return (
        f'<section class="{tone}"><h4>{sign} {escape(name_of(system))}</h4>'
        f'<div class="text">{cells.answer(line, system, labelled)}</div>{f"<ul>{told}</ul>" if told else ""}'
        f"{shares(line.get('probabilities', {}).get(system))}"
        f"{examples(line.get('shown', {}).get(system) or (), train)}"
        f"{documents(line.get('shown', {}).get('passages') or (), passages) if system == 'retrieval' else ''}</section>"
    )


def _measured(line: dict, system: str) -> list[str]:
    found = (line.get("metrics") or {}).get(system) or {}
    said = [f"{name} {found[key]:.0%}" for key, name in MEASURES.items() if isinstance(found.get(key), int | float)]
    likely = (line.get("likelihood") or {}).get(system)
    return ([", ".join(said)] if said else []) + (
        [f"log-likelihood of the expected answer {likely:.2f} a token; nearer to 0 is surer"]
        if likely is not None
        else []
    )


def shares(found: dict[str, float] | None) -> str:
    """HTML of the likeliest labels as bars; the others are summed up."""
    if not found:
        return ""
    ordered = sorted(found.items(), key=lambda pair: -pair[1])
    top, rest = ordered[:LIKELIEST], ordered[LIKELIEST:]
    bars = "".join(
        f'<li><span>{escape(label)}</span><i style="--share:{share:.1%}"></i><b>{share:.0%}</b></li>'
        for label, share in top
    )
    if rest:
        name = f"{len(rest):,} other {plural('label', 'labels', len(rest))} together"
        bars += f"<li><span>{name}</span><i></i><b>{sum(share for _, share in rest):.0%}</b></li>"
    return f'<ul class="shares">{bars}</ul>'


def examples(numbers: Sequence[int], train: dict[int, Example]) -> str:
    """HTML of the training rows that a system was shown, under a fold."""
    if not numbers:
        return ""
    told = "".join(
        f"<li><b>row {number:,}</b> {plain(train[number].input, EXAMPLE)} <b>→</b> {plain(train[number].output, EXAMPLE)}</li>"
        if number in train
        else f"<li><b>row {number:,}</b>, which is no longer among the training rows</li>"
        for number in numbers
    )
    count = len(numbers)
    return (
        f"<details><summary>was shown {count} training {plural('row', 'rows', count)}</summary>"
        f'<ul class="shown">{told}</ul></details>'
    )


def documents(places: Sequence[int], passages: Sequence[Passage]) -> str:
    """HTML of the passages of the user's documents that a system was shown, under a fold."""
    if not places:
        return ""
    told = "".join(
        f"<li><b>{escape(passages[place].source)}, part {passages[place].place}</b> {plain(passages[place].text, EXAMPLE)}</li>"
        if place < len(passages)
        else f"<li><b>passage {place + 1}</b>, whose document was replaced since</li>"
        for place in places
    )
    count = len(places)
    return (
        f"<details><summary>was shown {count} {plural('passage', 'passages', count)} of your documents</summary>"
        f'<ul class="shown">{told}</ul></details>'
    )


def _passages(run: Run) -> list[Passage]:
    try:
        return read_passages(run.directory / PASSAGES_FILE)
    except FinetuneError:
        return []  # the passages are then told by their numbers
