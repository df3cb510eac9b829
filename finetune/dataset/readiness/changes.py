"""What would change the decision: the rules are run again with one thing changed, and what comes out is said."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from finetune.dataset.readiness.facts import Facts, by_size
from finetune.dataset.readiness.questions import Questions
from finetune.dataset.readiness.rules import (
    ENOUGH,
    FAULTY,
    FEWEST,
    LOPSIDED,
    MUCH_USE,
    RARE_USE,
    THIN,
    Decision,
    decide,
    in_points,
)  # fmt: skip
from finetune.dataset.readiness.topics import points

# From the most willing to the most cautious, as PRECEDENCE has them.
CAUTION: tuple[Decision, ...] = ("fine_tune", "pilot_first", "prompt_first", "retrieval", "collect_data")
_WORDS: dict[Decision, str] = {
    "fine_tune": "a fine-tune",
    "pilot_first": "a pilot first",
    "prompt_first": "prompting first",
    "retrieval": "retrieval",
    "collect_data": "collecting data first",
}
_NAMES = {
    "rows": "the number of rows", "quality": "the quality of the rows", "privacy": "personal data",
    "balance": "the balance of the labels", "narrowness": "the kind of answers", "knowledge": "changing knowledge",
    "volume": "the number of requests", "baseline": "what a classical model reaches",
    "sensitivity": "the cost of a mistake", "test_size": "the size of the test",
}  # fmt: skip
_SOME_GAINS = (0.01, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Change:
    """One thing changed: the clause that says what, and the facts that it makes."""

    clause: str
    facts: Facts


def outcome(facts: Facts) -> Decision:
    return decide(points(facts))[0]


def would_change(facts: Facts) -> tuple[str, ...]:
    """Sentences, each verified by the rules: what alone would change the decision, the more willing ones first."""
    now = outcome(facts)
    found: list[tuple[int, str]] = []
    for change in _changes(facts, now):
        then = outcome(change.facts)
        if then != now:
            found.append((CAUTION.index(then), f"{change.clause} would make it {_WORDS[then]}."))
    here = CAUTION.index(now)
    better = [text for rank, text in found if rank < here]
    worse = [text for rank, text in found if rank > here]
    reached = {rank for rank, _ in found}
    if now != "fine_tune" and CAUTION.index("fine_tune") not in reached:
        against = list(dict.fromkeys(_NAMES[one.topic] for one in points(facts) if one.leans != "fine_tune"))
        if len(against) > 1:
            better.append(
                f"No one change makes it {_WORDS['fine_tune']}: {', '.join(against[:-1])} and {against[-1]} stand "
                "against it together."
            )
    return tuple(dict.fromkeys(better + worse))


def _changes(facts: Facts, now: Decision) -> Iterator[Change]:
    yield from _more_rows(facts, now)
    yield from _labels(facts, now)
    yield from _mended(facts)
    yield from _more_tested(facts, now)
    yield from _answers(facts, now)


def _more_rows(facts: Facts, now: Decision) -> Iterator[Change]:
    """The fewest rows for the next decision that is more willing, and for the most willing one that rows can reach."""
    most = max(20 * facts.rows, 10 * ENOUGH)
    best = CAUTION.index(outcome(facts.grown(most)))
    here = CAUTION.index(now)
    if best >= here:
        return
    last = _fewest(facts.rows, most, lambda rows: CAUTION.index(outcome(facts.grown(rows))) <= best)
    first = _fewest(facts.rows, last, lambda rows: CAUTION.index(outcome(facts.grown(rows))) < here)
    for rows in dict.fromkeys((first, last)):
        clause = f"{rows - facts.rows:,} more rows of the same kind, to {rows:,},"
        yield Change(clause, facts.grown(rows))


def _fewest(low: int, high: int, enough: Callable[[int], bool]) -> int:
    """The smallest number in (low, high] that is enough; `high` is, and a larger number never is when a smaller is not."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _labels(facts: Facts, now: Decision) -> Iterator[Change]:
    if not facts.labels:
        return
    sizes, rows = Counter(dict(facts.labels)), sum(size * labels for size, labels in facts.labels)
    largest = facts.labels[0][0]
    if largest > LOPSIDED * rows and largest < rows:
        second = facts.labels[1][0] if facts.labels[0][1] == 1 else largest
        seen = {now}
        for more in sorted({FEWEST - (rows - largest), math.ceil(largest / LOPSIDED) - rows}):
            if more > 0:
                # All to the second label, so that no thin one is filled by chance.
                fuller = _relabelled(facts, sizes - Counter([second]) + Counter([second + more]))
                if outcome(fuller) in seen:
                    continue
                seen.add(outcome(fuller))
                yield Change(f"{more:,} more rows of the label that is second in number", fuller)
    thin = {size: labels for size, labels in facts.labels if size < THIN}
    if thin:
        full = sizes - Counter(thin) + Counter({THIN: sum(thin.values())})
        more = sum((THIN - size) * labels for size, labels in thin.items())
        clause = f"{THIN} rows or more of every label ({more:,} more, of {sum(thin.values()):,} labels)"
        yield Change(clause, _relabelled(facts, full))


def _relabelled(facts: Facts, sizes: Counter[int]) -> Facts:
    rows = sum(size * labels for size, labels in sizes.items())
    return replace(facts.grown(rows), labels=by_size(sizes))


def _mended(facts: Facts) -> Iterator[Change]:
    """Each fault that is in too many rows put right by itself, then all of them."""
    bad = [fault for fault in facts.faults if fault.share > FAULTY and not fault.note]
    for fault in bad:
        kind = (fault.check or fault.kind).replace("_", " ")
        clause = f"Putting right the {fault.rows:,} rows with the finding “{kind}”"
        yield Change(clause, replace(facts, faults=tuple(other for other in facts.faults if other is not fault)))
    if len(bad) > 1:
        clause = f"Putting right all {len(bad)} faults that are in more than {FAULTY:.0%} of the rows"
        yield Change(clause, replace(facts, faults=tuple(fault for fault in facts.faults if fault not in bad)))


def _more_tested(facts: Facts, now: Decision) -> Iterator[Change]:
    if facts.compared < facts.test_rows:
        yield Change(f"Comparing all {facts.test_rows:,} test rows", replace(facts, compared_rows=None))

    def tested(rows: int) -> Facts:
        return replace(facts, compared_rows=None, test_rows=rows)

    # Half of the rows is the most that a test is worth.
    most, here = facts.rows // 2, CAUTION.index(now)
    if most > facts.test_rows and CAUTION.index(outcome(tested(most))) < here:
        enough = _fewest(facts.test_rows, most, lambda rows: CAUTION.index(outcome(tested(rows))) < here)
        if enough > facts.test_rows + 1 or facts.compared == facts.test_rows:
            clause = (
                f"{enough:,} test rows instead of {facts.test_rows:,}, out of the same {facts.rows:,}, all compared,"
            )
            yield Change(clause, tested(enough))


def _answers(facts: Facts, now: Decision) -> Iterator[Change]:
    """Other answers to each question, the nearest to either side that changes the decision."""
    asked, told = facts.questions, {entry.name: entry.metadata for entry in dataclasses.fields(Questions)}

    def nearest(name: str, values: tuple, clause: Callable[[Any], str]) -> Iterator[Change]:
        """The first value for each decision that is not made already."""
        seen = {now}
        for value in values:
            other = replace(facts, questions=replace(asked, **{name: value}))
            if (then := outcome(other)) not in seen:
                seen.add(then)
                yield Change(clause(value), other)

    def sides(name: str, clause: Callable[[str], str]) -> Iterator[Change]:
        values = tuple(told[name]["choices"])
        place = values.index(getattr(asked, name))
        yield from nearest(name, values[:place][::-1], clause)
        yield from nearest(name, values[place + 1 :], clause)

    changes, costs = told["knowledge_changes"]["choices"], told["wrong_costs"]["choices"]
    yield from sides(
        "knowledge_changes",
        lambda value: f"Right answers that change {changes[value]} instead of {changes[asked.knowledge_changes]}",
    )
    more = tuple(rate for rate in (RARE_USE, MUCH_USE) if rate > asked.requests_a_day)
    fewer = tuple(rate for rate in (MUCH_USE // 2, RARE_USE // 2) if rate < asked.requests_a_day)
    for rates in (more, fewer):
        yield from nearest(
            "requests_a_day", rates, lambda rate: f"{rate:,} requests a day instead of {asked.requests_a_day:,}"
        )
    yield from sides(
        "wrong_costs",
        lambda value: (
            f"Mistakes that cost {costs[value].split(':')[0]} instead of {costs[asked.wrong_costs].split(':')[0]}"
        ),
    )
    smaller = tuple(gain for gain in _SOME_GAINS[::-1] if gain < asked.want)
    larger = tuple(gain for gain in _SOME_GAINS if gain > asked.want)
    for values in (smaller, larger):
        yield from nearest(
            "want",
            values,
            lambda value: (
                f"A gain of {in_points(value)} as the smallest that counts, instead of {in_points(asked.want)},"
            ),
        )
