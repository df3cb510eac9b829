"""For answers in free text: several measures of likeness to the expected answer, and JSON answers field by field."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from finetune.evidence.metrics import exact_match, rouge_l, words

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
    return bool(outputs) and sum(isinstance(_read(text), dict) for text in outputs) >= JSON_SHARE * len(outputs)


def fields(output: str, expected: str) -> dict[str, Any] | None:
    """A JSON answer against the expected one, field by field; None where the expected answer is no JSON object.

    Returns:
        "json": whether the answer is a JSON object; "fields": path of each expected field → 1.0 where the answer has
        the same value there; "f1": F1 of the pairs (path, value), so that invented fields cost too.
    """
    wanted = _read(expected)
    if not isinstance(wanted, dict):
        return None
    found = _read(output)
    pairs, said = _pairs(wanted), _pairs(found) if isinstance(found, dict) else Counter()
    same = pairs & said
    paths: dict[str, float] = {}
    for (path, value), count in pairs.items():
        paths[path] = min(paths.get(path, 1.0), float(same[path, value] == count))
    total = pairs.total() + said.total()
    return {
        "json": isinstance(found, dict),
        "fields": paths,
        "f1": 2 * same.total() / total if total else float(isinstance(found, dict)),
    }


def summary(outputs: Sequence[str], expected: Sequence[str]) -> dict[str, Any]:
    """The "text" of one system: means of `measure`, the share of empty answers, and for JSON tasks the share that is
    JSON and the score of each field with the rows that have it."""
    measures = [measure(*pair) for pair in zip(outputs, expected, strict=True)]
    result: dict[str, Any] = {name: sum(one[name] for one in measures) / len(measures) for name in measures[0]}
    result["empty"] = sum(not text.strip() for text in outputs) / len(outputs)
    found = [one for pair in zip(outputs, expected, strict=True) if (one := fields(*pair)) is not None]
    if found:
        result["json_valid"] = sum(one["json"] for one in found) / len(found)
        by_path: dict[str, list[float]] = {}
        for one in found:
            for path, score in one["fields"].items():
                by_path.setdefault(path, []).append(score)
        result["fields"] = {
            path: {"f1": sum(scores) / len(scores), "rows": len(scores)} for path, scores in sorted(by_path.items())
        }
    return result


def _read(text: str) -> Any:
    """The JSON value of a text; None for what is none, and for what nests deeper than anybody's answers."""
    try:
        value = json.loads(text)
        _pairs(value)
    except (ValueError, RecursionError):
        return None
    return value


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
