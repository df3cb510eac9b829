"""Blind judgements by a person: which of two answers is better, without knowing whose they are, kept with the run."""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from filelock import Timeout
from scipy import stats

from finetune.errors import FinetuneError
from finetune.evidence.measures.metrics import interval
from finetune.evidence.systems import FINE_TUNED
from finetune.runs import ledger
from finetune.runs.store import Run

FILE = "preferences.jsonl"
ALPHA, POWER = 0.05, 0.8

Choice = Literal["fine_tuned", "other", "equal", "both_bad"]


@dataclass(frozen=True)
class Pair:
    """Two answers to one row, in the order in which they are shown.

    Attributes:
        row: source row.
        first, second: the answers, A and B.
        tuned_first: whether A is the fine-tuned model's.
        answers: hash of both; a judgement holds for these texts alone.
    """

    row: int
    input: str
    first: str
    second: str
    tuned_first: bool
    answers: str

    def choice(self, said: Literal["a", "b", "equal", "both_bad"]) -> Choice:
        """What it means to call A or B the better one."""
        if said in ("a", "b"):
            return "fine_tuned" if (said == "a") == self.tuned_first else "other"
        return said


@dataclass(frozen=True)
class Standing:
    """How far one pass of one rater has come.

    Attributes:
        pairs: all rows with two different answers, in the order in which they are judged.
        same: rows that are passed over because both answers are the same text.
        judged: row → choice, in the order in which they were judged.
        rater: the pass, 1 = the first.
        changed: judgements that do not count, because another comparison has changed the answers.
    """

    pairs: tuple[Pair, ...]
    same: int
    judged: dict[int, Choice]
    rater: int
    changed: int

    @property
    def left(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair.row not in self.judged]


@dataclass(frozen=True)
class Result:
    """What the judgements come to.

    Attributes:
        wins: rows on which the fine-tuned answer was preferred; `losses` the other one.
        equal, both_bad: rows without a preference.
        share: wins among wins and losses, with its 95% interval (Wilson); None before the first preference.
        p_value: of the exact two-sided sign test against one half.
        needed: further judgements that would settle it, about; None where it is settled or no number can be given.
    """

    wins: int
    losses: int
    equal: int
    both_bad: int
    share: float | None
    interval: tuple[float, float] | None
    p_value: float
    needed: int | None

    @property
    def settled(self) -> bool:
        """Whether luck is no longer an explanation, by the interval and by the test."""
        return self.interval is not None and self.p_value < ALPHA and not self.interval[0] <= 0.5 <= self.interval[1]


def pairs(outputs: Sequence[dict], against: str, *, seed: int, rater: int = 1) -> tuple[list[Pair], int]:
    """The rows to be judged, and how many are passed over as both answers are the same but for spaces.

    Both the rows' order and which answer comes first are drawn by the seed, so that whoever stops in the middle has
    judged a random part of the rows, and neither place nor order gives away a system.
    """
    found, same = [], 0
    for line in outputs:
        tuned, other = (line["outputs"].get(system) for system in (FINE_TUNED, against))
        if tuned is None or other is None:
            continue
        if str(tuned).split() == str(other).split():
            same += 1
            continue
        drawn = _hash(seed, rater, against, line["row"])
        tuned_first = bool(int(drawn[-1], 16) % 2)
        first, second = (tuned, other) if tuned_first else (other, tuned)
        found.append(
            Pair(line["row"], str(line["input"]), str(first), str(second), tuned_first, _hash(tuned, other)[:16])
        )
    random.Random(_hash(seed, rater, against)).shuffle(found)
    return found, same


def standing(run: Run, outputs: Sequence[dict], against: str) -> Standing:
    """Where the pass that was begun last stands."""
    entries = _entries(run, against)
    return _standing(run, outputs, against, entries, entries[-1]["rater"] if entries else 1)


def passes(run: Run, outputs: Sequence[dict], against: str) -> list[Standing]:
    """All passes in which something was judged, the first first."""
    entries = _entries(run, against)
    raters = sorted({entry["rater"] for entry in entries})
    found = (_standing(run, outputs, against, entries, rater) for rater in raters)
    return [one for one in found if one.judged or one.changed]


def judge(run: Run, against: str, rater: int, pair: Pair, choice: Choice) -> None:
    """Keep one judgement; of several on one row of one pass the last counts. Raises FinetuneError."""
    _append(run, {"against": against, "rater": rater, "row": pair.row, "choice": choice, "answers": pair.answers})


def take_back(run: Run, against: str, rater: int, row: int) -> None:
    """The row counts as not judged in this pass. Raises FinetuneError."""
    _append(run, {"against": against, "rater": rater, "row": row, "choice": None})


def begin(run: Run, against: str, rater: int) -> None:
    """Turn to a pass: a new one, by another person or the same one again, or back to one before. Raises FinetuneError."""
    _append(run, {"against": against, "rater": rater, "row": None, "choice": None})


def result(judged: Sequence[Choice]) -> Result:
    """What the judgements come to."""
    wins, losses, equal, bad = (judged.count(kind) for kind in ("fine_tuned", "other", "equal", "both_bad"))
    preferred = wins + losses
    if not preferred:
        return Result(0, 0, equal, bad, None, None, 1.0, None)
    bounds = interval(np.repeat([1.0, 0.0], [wins, losses]), seed=0)
    p_value = float(stats.binomtest(wins, preferred, 0.5).pvalue)
    found = Result(wins, losses, equal, bad, wins / preferred, bounds, p_value, None)
    if found.settled or wins == losses:
        return found
    more = max(1, math.ceil(_preferences(wins / preferred) * len(judged) / preferred) - len(judged))
    return Result(wins, losses, equal, bad, wins / preferred, bounds, p_value, more)


def agreement(first: Standing, second: Standing) -> tuple[int, int]:
    """(rows that two passes judged the same way, rows that both judged)."""
    both = first.judged.keys() & second.judged.keys()
    return sum(first.judged[row] == second.judged[row] for row in both), len(both)


def with_scores(judged: dict[int, Choice], outputs: Sequence[dict], against: str) -> tuple[int, int]:
    """(rows on which the higher score is the preferred answer, rows with a preference whose scores differ)."""
    agreed = both = 0
    for line in outputs:
        choice = judged.get(line["row"])
        gain = (line["scores"].get(FINE_TUNED) or 0) - (line["scores"].get(against) or 0)
        if choice in ("fine_tuned", "other") and abs(gain) > 1e-9:
            both += 1
            agreed += (gain > 0) == (choice == "fine_tuned")
    return agreed, both


def told(found: Result, left: int) -> list[str]:
    """The result in plain sentences.

    Args:
        left: rows that are not judged yet.
    """
    without = [f"{count:,} {name}" for count, name in ((found.equal, "equal"), (found.both_bad, "both bad")) if count]
    aside = f" Not counted in that: {' and '.join(without)}." if without else ""
    if found.share is None or found.interval is None:
        return [f"No preference yet: {' and '.join(without)}." if without else "Nothing is judged yet."]
    preferred = found.wins + found.losses
    low, high = (round(100 * bound) for bound in found.interval)
    lines = [
        f"The fine-tuned answer was preferred on {found.wins:,} of the {preferred:,} rows with a preference, "
        f"{found.share:.0%}.{aside}",
        f"Over very many such rows that share would, with 95% confidence, lie between {low}% and {high}%.",
    ]
    if found.settled:
        whose = "fine-tuned" if found.share > 0.5 else "other"
        lines[1] += f" Even the less favourable end says that the {whose} answers are preferred: it is settled."
        return lines
    lines[1] += (
        f" That is not enough to rule out luck: tossing coins gives a split at least as uneven {_often(found.p_value)}."
    )
    if found.needed is None:
        lines.append("So far it is even, and no number of further judgements can be named that would settle it.")
    else:
        about = float(f"{found.needed:.2g}")
        enough = (
            f"{left:,} are left"
            if found.needed <= left
            else f"only {left:,} left here, too few"
            if left
            else "none is left here"
        )
        lines.append(f"If it goes on like this, about {about:,.0f} more judgements would settle it; {enough}.")
    return lines


def _often(p_value: float) -> str:
    return "nearly always" if p_value > 0.95 else f"in {p_value:.0%} of all cases"


def _preferences(share: float) -> int:
    """Preferences with which the exact sign test tells this share from one half in `POWER` of all cases.

    The normal approximation (Fleiss 1981) says where to begin; the exact test, being discrete, takes some more.
    """
    z, power = stats.norm.ppf(1 - ALPHA / 2), stats.norm.ppf(POWER)
    # With fewer than six preferences no sign test comes below 5%.
    count = max(6, math.ceil(((z * 0.5 + power * math.sqrt(share * (1 - share))) / (share - 0.5)) ** 2))
    while _power(count, share) < POWER:
        count += 1
    return count


def _power(count: int, share: float) -> float:
    lost = int(stats.binom.ppf(ALPHA / 2, count, 0.5)) - 1  # so few wins, or losses, come below half the level
    return float(stats.binom.cdf(lost, count, share) + stats.binom.sf(count - lost - 1, count, share))


def _standing(run: Run, outputs: Sequence[dict], against: str, entries: list[dict], rater: int) -> Standing:
    found, same = pairs(outputs, against, seed=int(run.record()["seed"]), rater=rater)
    answers = {pair.row: pair.answers for pair in found}
    judged: dict[int, Choice] = {}
    changed: set[int] = set()
    for entry in entries:
        row = entry["row"]
        if entry["rater"] != rater or row is None:
            continue
        judged.pop(row, None)
        changed.discard(row)
        if entry["choice"] is not None:
            if entry.get("answers") == answers.get(row):
                judged[row] = entry["choice"]
            else:
                changed.add(row)
    return Standing(tuple(found), same, judged, rater, len(changed))


def _entries(run: Run, against: str) -> list[dict]:
    """What was written down about this pair of systems. Lines that cannot be read are passed over."""
    found = []
    for entry in ledger.read(run.directory / FILE):
        try:
            known = entry["choice"] in (None, *get_args(Choice)) and isinstance(entry["row"], int | None)
            if entry["against"] == against and known and int(entry["rater"]) >= 1:
                found.append(entry)
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _append(run: Run, entry: dict) -> None:
    path = run.directory / FILE
    try:
        ledger.append(path, {"time": time.time(), **entry}, timeout=10)
    except (OSError, Timeout) as error:
        raise FinetuneError(
            "The judgement could not be kept.", hint=f"Look whether {path} can be written to, then judge the row again."
        ) from error


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
