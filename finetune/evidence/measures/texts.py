"""For answers in free text: several measures of likeness to the expected answer, and JSON answers field by field."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from finetune.evidence.measures.metrics import exact_match, rouge_l, words

JSON_SHARE = 0.9
_PLAIN = re.compile(r"[^.\[\]\"]+")


def measure(output: str, expected: str) -> dict[str, float]:
    """Measures of one answer, 0..1 but for the last: exact match; F1 of the words (SQuAD, Rajpurkar 2016, without its
    rules for English articles); ROUGE-L (Lin 2004); chrF (Popović 2015, by sacrebleu); characters against those
    expected."""
    return {
        "exact_match": exact_match(output, expected),
        "token_f1": _word_f1(output, expected),
        "rouge_l": rouge_l(output, expected),
        "chrf": _chrf().sentence_score(output, [expected]).score / 100,
        "length_ratio": len(output) / max(1, len(expected)),
    }


def is_json_task(outputs: Sequence[str]) -> bool:
    """Whether nearly all expected answers are JSON objects: they are then scored field by field."""
    return bool(outputs) and sum(_pairs_of(text) is not None for text in outputs) >= JSON_SHARE * len(outputs)


def fields(output: str, expected: str) -> dict[str, Any] | None:
    """A JSON answer against the expected one, field by field; None where the expected answer is no JSON object.

    Returns:
        "json": whether the answer is a JSON object; "fields": path of each expected field → 1.0 where the answer has
        the same value there; "f1": F1 of the pairs (path, value), so that invented fields cost too.
    """
    pairs, found = _pairs_of(expected), _pairs_of(output)
    if pairs is None:
        return None
    said = found or Counter()
    same = pairs & said
    paths: dict[str, float] = {}
    for (path, value), count in pairs.items():
        paths[path] = min(paths.get(path, 1.0), float(same[path, value] == count))
    f1 = 2 * same.total() / (pairs.total() + said.total())  # an empty object is one pair too
    return {"json": found is not None, "fields": paths, "f1": f1}


def summary(
    outputs: Sequence[str], measures: Sequence[dict[str, float]], found: Sequence[dict[str, Any] | None]
) -> dict[str, Any]:
    """The "text" of one system: means of its measures, the share of empty answers, and for JSON tasks the share that is
    JSON and the score of each field with the rows that have it.

    Args:
        measures, found: what `measure` and `fields` said of each answer.
    """
    result: dict[str, Any] = {name: sum(one[name] for one in measures) / len(measures) for name in measures[0]}
    result["empty"] = sum(not text.strip() for text in outputs) / len(outputs)
    if said := [one for one in found if one is not None]:
        result["json_valid"] = sum(one["json"] for one in said) / len(said)
        by_path: dict[str, list[float]] = {}
        for one in said:
            for path, score in one["fields"].items():
                by_path.setdefault(path, []).append(score)
        result["fields"] = {
            path: {"f1": sum(scores) / len(scores), "rows": len(scores)} for path, scores in sorted(by_path.items())
        }
    return result


def _pairs_of(text: str) -> Counter[tuple[str, str]] | None:
    """The leaves of a JSON object; None for a text that is none, or that nests deeper than anybody's answers."""
    try:
        value = json.loads(text)
        return _pairs(value) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None


def _pairs(value: Any, path: str = "") -> Counter[tuple[str, str]]:
    """Leaves of a JSON value as (path, value); the places of a list are one path, in any order.

    A value keeps its type, "1" is not 1; numbers are the same where they are equal, 1.0 is 1.
    """
    if isinstance(value, dict) and value:
        names = {name: name if _PLAIN.fullmatch(name) else json.dumps(name) for name in value}
        return sum(
            (_pairs(one, f"{path}.{names[name]}" if path else names[name]) for name, one in value.items()), Counter()
        )
    if isinstance(value, list) and value:
        return sum((_pairs(one, f"{path}[]") for one in value), Counter())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return Counter([(path, json.dumps(" ".join(value.split()).casefold() if isinstance(value, str) else value))])


def _word_f1(output: str, expected: str) -> float:
    said, wanted = Counter(words(output)), Counter(words(expected))
    if not said or not wanted:
        return exact_match(output, expected)
    return 2 * (said & wanted).total() / (said.total() + wanted.total())


@cache
def _chrf():
    # Imported here: it brings lxml and more, which the page's start does not need.
    from sacrebleu.metrics import CHRF

    return CHRF()
