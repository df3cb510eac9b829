"""A finished run on fresh labelled rows: whether it still answers as well as on its own test rows, and what has moved."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from finetune.dataset.checks.likeness import text_of
from finetune.dataset.example import Example
from finetune.dataset.tell import Tell, silent
from finetune.errors import FinetuneError
from finetune.evidence.later import checked
from finetune.evidence.later.drift import Shift, label_moves, limit_rows, score_of_mix, shift, unseen_words, word_moves
from finetune.evidence.later.fresh import Data, Fresh, read_fresh
from finetune.evidence.later.tuned import Progress, Said, Stop, answers
from finetune.evidence.systems import FINE_TUNED
from finetune.runs import ledger
from finetune.runs.store import Run, default_root, open_run
from finetune.runs.supervise import WaitStopped, lease
from finetune.training.choose import settled
from finetune.training.plan import choose_rows

FILE = "checks.jsonl"
# Texts whose words are counted, on either side: of more, a sample tells the same.
MOST_TEXTS = 20_000
MOST_WORDS = 100  # kept of those that moved
WORST = 20  # answers kept of a task without labels; of one with labels, all wrong ones are


def check(
    run: Run | Path | str,
    data: Data,
    *,
    root: Path | None = None,
    input: Sequence[str] | str | None = None,
    output: str | None = None,
    below: float | None = None,
    tell: Tell = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict | None:
    """Score a finished run on fresh rows and compare with its own test score; one more line in its `checks.jsonl`.

    The own score is that of its comparison; where there is none, the test rows are asked now.

    Args:
        data: a file, several, `hub:owner/name`, or a table.
        root: where the run is looked for by its id; None takes the default one.
        input, output: columns, where the file names them otherwise than the data of the run did.
        below: the score under which the run is to be trained again, 0..1; None judges by the own score alone.
        tell: hears what is done and the share that is done; may raise `Cancelled`.
        should_stop: asked while the model answers and while another run has the device.

    Returns:
        The check as it stands in `checks.jsonl`, or None when it was stopped; nothing is written then.

    Raises:
        FinetuneError: there is no such run, it has no adapter, or the file cannot be used (as `read_fresh`).
    """
    run = run if isinstance(run, Run) else open_run(run, root or default_root())
    run.weights()
    if below is not None and not 0 < below < 1:
        raise FinetuneError(f"A limit of {below:g} is no score.", hint="Give a share such as 0.85.")
    tell("Reading the new rows", 0.0)
    fresh = read_fresh(run, data, input=input, output=output)
    recipe, record = run.recipe(), run.record()
    asked = choose_rows(fresh.rows, recipe.compare_rows, record["task"], recipe.seed)
    progress = Progress(tell, should_stop)
    waits = {"on_wait": progress.behind, "should_stop": progress.stop_asked_for}
    try:
        with lease(run.root, f"a check of {run.id}", **waits):
            own = _compared(run)
            test = [] if own else choose_rows(run.examples("test"), recipe.compare_rows, record["task"], recipe.seed)
            said = _ask(run, [*asked, *test], progress)
            if own is None:
                own = _Own.of(said.part(len(asked), len(said.texts)), test)
            elif own.metric != said.metric:
                # It was compared by another measure: the same rows by this one, whose answers are kept.
                test = [row for row in run.examples("test") if row.row in own.numbers]
                own = _Own.of(_ask(run, test, progress), test)
    except (Stop, WaitStopped):
        return None
    tell("Looking for what has moved", 0.95)
    found = _result(run, fresh, asked, said.part(0, len(asked)), own, below)
    ledger.append(run.directory / FILE, found)
    return found


def _ask(run: Run, rows: Sequence[Example], progress: Progress) -> Said:
    progress.begin(len(rows))
    return answers(run, rows, progress.tick, progress.stop_asked_for)


@dataclass(frozen=True)
class _Own:
    """The scores of the run's own test rows.

    Attributes:
        source: "comparison", or "asked now".
        numbers: source rows; `labels` the expected answers of each.
    """

    source: str
    metric: str
    scores: np.ndarray
    labels: tuple[str, ...]
    numbers: frozenset[int]

    @classmethod
    def of(cls, said: Said, rows: Sequence[Example]) -> _Own:
        kept = np.flatnonzero(~np.isnan(said.scores))
        if not kept.size:
            raise FinetuneError("This run has no test row to compare with.", hint="Train it with a test share.")
        return cls(
            "asked now", said.metric, said.scores[kept], tuple(rows[place].output for place in kept),
            frozenset(rows[place].row for place in kept),
        )  # fmt: skip


def _compared(run: Run) -> _Own | None:
    """From the comparison, which may have judged only some of the test rows."""
    made, outputs = run.comparison(), run.outputs()
    lines = [line for line in outputs if FINE_TUNED in line.get("scores", {})]
    if made is None or not lines:
        return None
    return _Own(
        "comparison", made["metric"], np.array([float(line["scores"][FINE_TUNED]) for line in lines]),
        tuple(line["expected"] for line in lines), frozenset(line["row"] for line in lines),
    )  # fmt: skip


def _result(run: Run, fresh: Fresh, asked: Sequence[Example], said: Said, own: _Own, below: float | None) -> dict:
    recipe, record = settled(run), run.record()
    places = [place for place in range(len(asked)) if said.texts[place] is not None]
    if not places:
        raise FinetuneError(
            f"Every row is longer than {recipe.max_tokens} tokens with its instruction and earlier turns alone.",
            hint="Give shorter rows.",
        )
    rows, scores = [asked[place] for place in places], said.scores[places]
    compared = shift(own.scores, scores, seed=recipe.seed)
    classification = record["task"] == "classification"
    parts = {part: run.examples(part) for part in ("train", "validation", "test")}
    trained_on = choose_rows(parts["train"], recipe.rows, record["task"], recipe.seed)
    before = [example for examples in parts.values() for example in examples]
    labels: list[dict] = []
    if classification:
        labels = label_moves(
            record["labels"], Counter(row.output for row in before), Counter(row.output for row in fresh.rows),
            _by_label(own.labels, own.scores), _by_label([row.output for row in rows], scores),
        )  # fmt: skip
    old, new = _texts(before, recipe.seed), _texts(fresh.rows, recipe.seed)
    learned = _texts(trained_on, recipe.seed)
    moved = word_moves(old, new)
    found: dict = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run.id,
        "data": {"name": fresh.name, "sha256": fresh.sha256, "rows": fresh.read},
        "columns": fresh.columns,
        "rows": len(rows),
        "left_out": fresh.left_out | {"too_long": len(asked) - len(rows), "not_asked": len(fresh.rows) - len(asked)},
        "other_answer": fresh.other_answer,
        "read_as": fresh.read_as,
        "unknown_labels": fresh.unknown,
        "cut_inputs": int(said.cut.sum()),
        "metric": said.metric,
        "score": compared.now,
        "interval": list(compared.interval),
        "own_score": compared.own,
        "own_interval": list(compared.own_interval),
        "own_rows": len(own.scores),
        "own_source": own.source,
        "difference": compared.difference,
        "difference_interval": list(compared.difference_interval),
        "p_value": compared.p_value,
        "decision": compared.decision,
        "small": compared.small,
        "detectable": compared.detectable,
        "rows_needed": compared.rows_needed,
        "floor": compared.floor,
        "limit": _limit(compared, scores, below),
        "labels": labels,
        "score_of_mix": score_of_mix(labels) if classification else None,
        "words": moved[:MOST_WORDS],
        "words_moved": len(moved),
        "new_words": unseen_words(learned, new),
        "new_words_before": unseen_words(learned, _texts(parts["test"], recipe.seed)),
        "worst": _worst(rows, [said.texts[place] for place in places], scores, classification),
        "checks_before": len(history(run)),
    }
    limit = found["limit"]
    found["retrain"] = (
        limit["decision"] == "below" or (found["decision"] == "drifted" and limit["decision"] != "not_below")
        if limit
        else found["decision"] == "drifted" and not compared.small
    )
    return found | {"reason": checked.reason(found), "next_steps": checked.next_steps(found)}


def _limit(compared: Shift, scores: np.ndarray, below: float | None) -> dict | None:
    """The user's own limit, judged by the interval of the score too."""
    if below is None:
        return None
    low, high = compared.interval
    decision = "below" if high < below else "not_below" if low >= below else "unclear"
    needed = limit_rows(scores, below) if decision == "unclear" else None
    return {"below": below, "decision": decision, "rows_needed": needed}


def _by_label(labels: Sequence[str], scores: np.ndarray) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for label, score in zip(labels, scores, strict=True):
        found[label].append(float(score))
    return found


def _texts(examples: Sequence[Example], seed: int) -> list[str]:
    if len(examples) > MOST_TEXTS:
        examples = random.Random(seed).sample(list(examples), MOST_TEXTS)
    return [text_of(example) for example in examples]


def _worst(rows: Sequence[Example], texts: Sequence[str | None], scores: np.ndarray, labelled: bool) -> list[dict]:
    """The rows that it got wrong, with labels all of them, else those of the lowest scores; inputs as their beginnings."""
    places = np.flatnonzero(scores < 1) if labelled else np.argsort(scores, kind="stable")[:WORST]
    return [
        {"row": rows[place].row, "input": rows[place].input[:300], "expected": rows[place].output,
         "answered": texts[place], "score": float(scores[place])}
        for place in places.tolist()
    ]  # fmt: skip


def history(run: Run) -> list[dict]:
    """The checks of a run, the first first. Lines that cannot be read are passed over."""
    return [
        entry
        for entry in ledger.read(run.directory / FILE)
        if entry is not None and {"time", "score", "decision"} <= entry.keys()
    ]


def check_lines(found: dict) -> list[str]:
    """A check for the terminal: the decision first, then what it rests on."""
    return checked.lines(found)
