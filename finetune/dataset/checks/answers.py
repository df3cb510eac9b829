"""Answers that teach nothing: echoes of the question, boilerplate, ends that are missing, broken JSON."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from finetune.dataset.checks.placeholders import placeholder_finding
from finetune.dataset.checks.texts import listed
from finetune.dataset.example import Example, Task
from finetune.dataset.finding import Finding, Severity, plural, rows_text

DROP = ("drop_poor_answers",)
_WORD = re.compile(r"\w+")
# What may stand around a repeated question without answering it.
_FILLERS = frozenset({
    "a", "answer", "asked", "assistant", "is", "input", "output", "q", "question", "response", "said", "says", "so",
    "text", "the", "this", "user", "was", "you", "your", "wrote",
})  # fmt: skip
# Quick look: pieces, as they are mostly written, of what the patterns below find.
PHRASES = (
    "language model", "an AI", "rtificial intelligence", "nowledge cutoff", "orem ipsum", "egenerate response", "help with",
    "assist with", "assist you", "ulfil",
)  # fmt: skip
_BOILERPLATE = (
    (
        "talk of being a language model",
        re.compile(
            r"\b(?:as|i['’]?m|i am|being)(?: just| only)? an? (?:(?:large )?language model|artificial intelligence\b(?! \w*(?:er|ist)\b)"
            r"|ai (?:language )?(?:model|assistant|chatbot|system|program)\b|ai[,.;])"
            r"|\bmy knowledge cutoff\b"
        ),
    ),
    (
        "a refusal",
        re.compile(
            r"^(?:(?:i['’]?m|i am) (?:very |so )?sorry[,.]? )?(?:but )?(?:unfortunately,? )?"
            r"(?:i|we) (?:cannot|can['’]?t|can not|won['’]?t|am not able to|am unable to|['’]?m unable to)"
            r" (?:help with|assist|fulfil).{0,120}$",
            re.DOTALL,
        ),
    ),
    ("filler text", re.compile(r"\blorem ipsum\b|(?:^|\n)regenerate response$")),
)
# Short answers repeat by their nature. Others are told from this many different inputs on, and this share of the rows.
_WORDS, _INPUTS, _SHARE = 5, 5, 0.005
# Answers shorter than this need no full stop; where this share of the others has one, its lack tells.
_LONG, _STOPPED = 80, 0.9
_LINKING = re.compile(
    r"(?:\b(?:a|an|the|and|or|but|of|to|in|on|at|by|for|with|from|as|is|are|was|were|be|been|has|have|that|which|if|your|"
    r"my|our|their|its|not|will|would|can|could|should|der|die|das|und|oder|le|la|les|et|ou|de|el|los|y|o|que)|[,(&/–])$",
    re.IGNORECASE,
)
_UNSTOPPED_LINE = re.compile(r"\s*(?:[-*•#|>+]|[0-9]+[.)]|\S+://|[A-Z][\w ]{0,30}:)")
_FENCE = "```"
_JSON_SHARE, _JSON_SAMPLE = 0.8, 500
_BLOCK = 1000


def answer_findings(examples: Sequence[Example], task: Task) -> list[Finding]:
    """Answers that teach nothing, or the wrong thing; for classification, placeholders alone.

    Warnings are sure, notes may be meant: the same answer to many inputs, and answers that seem to be cut.
    """
    found = [placeholder_finding(examples, task)]
    if task != "classification":
        echoes: dict[int, str] = {}
        phrases: dict[int, str] = {}
        hashes = np.empty(len(examples), np.int64)
        ends = _Ends()
        # In blocks that stay in the processor's cache: reading a million texts takes longer than looking at them.
        for start in range(0, len(examples), _BLOCK):
            block = examples[start : start + _BLOCK]
            answers = [example.output for example in block]
            _look_for_echoes(block, echoes)
            _look_for_phrases(block, answers, phrases)
            ends.look(block)
            hashes[start : start + len(block)] = list(map(hash, answers))
        total = len(examples)
        found += [
            _echoes(echoes, total), _boilerplate(phrases), _same(examples, hashes), ends.finding(),
            format_finding(examples),
        ]  # fmt: skip
    return [finding for finding in found if finding is not None]


def format_finding(examples: Sequence[Example]) -> Finding | None:
    """The rows whose output is not valid JSON, where at least 80% of the outputs are JSON objects or lists."""
    some = random.Random(0).sample(examples, min(_JSON_SAMPLE, len(examples)))
    if not some or sum(not _json_fault(example.output) for example in some) < _JSON_SHARE * len(some):
        return None
    reasons = {example.row: fault for example in examples if (fault := _json_fault(example.output))}
    if not reasons:
        return None
    message = (
        f"{rows_text(len(reasons))} {plural('has an output that is', 'have outputs that are', len(reasons))} not valid JSON, "
        f"while {1 - len(reasons) / len(examples):.1%} of the outputs are."
    )
    fix = "Mend the outputs in the file, or leave these rows out: a model learns to break its format."
    return _finding("bad_row", "warning", reasons, message, fix, "invalid_json", DROP)


def _look_for_echoes(block: Sequence[Example], reasons: dict[int, str]) -> None:
    for example in block:
        question, answer = example.input, example.output
        # Quick look: the middle of the question in the answer, or where they are about as long, in another case.
        middle = len(question) >> 1
        piece = question[max(0, middle - 7) : middle + 7]
        if (piece in answer or (_alike_long(question, answer) and piece.lower() in answer.lower())) and (
            reason := _echo(question, answer)
        ):
            reasons[example.row] = reason


def _alike_long(question: str, answer: str) -> bool:
    return 0.9 * len(answer) <= len(question) <= 1.1 * len(answer)


def _echoes(reasons: dict[int, str], total: int) -> Finding | None:
    if not reasons:
        return None
    often = len(reasons) > 0.1 * total
    message = f"{rows_text(len(reasons))} {plural('answers', 'answer', len(reasons))} with the question itself, and nothing more."
    fix = "Write answers for them, or leave them out" + (
        ", unless texts are to be copied or corrected." if often else "."
    )
    return _finding("empty", "note" if often else "warning", reasons, message, fix, "echo", DROP)


def _echo(question: str, answer: str) -> str:
    if len(answer) > 3 * len(question) + 40:
        return ""
    asked, said = _WORD.findall(question.lower()), _WORD.findall(answer.lower())
    if len(asked) < 3 and len(question) < 12:  # “Hello” may be answered with “hello”
        return ""
    if asked == said:
        return "the answer is the question"
    for start in range(len(said) - len(asked) + 1):
        if said[start : start + len(asked)] == asked:
            rest = said[:start] + said[start + len(asked) :]
            if rest == asked or _FILLERS.issuperset(rest):
                return "the answer repeats the question and adds nothing"
            break
    return ""


def _look_for_phrases(block: Sequence[Example], answers: list[str], reasons: dict[int, str]) -> None:
    # All answers at once: that is quicker than each by itself, and hardly any has such a phrase.
    together = "\n".join(answers)
    if phrases := [phrase for phrase in PHRASES if phrase in together]:
        for example in block:
            answer = example.output
            if any(phrase in answer for phrase in phrases) and (reason := _boilerplate_of(answer.lower())):
                reasons[example.row] = reason


def _boilerplate_of(answer: str) -> str:
    return next((reason for reason, pattern in _BOILERPLATE if pattern.search(answer)), "")


def _boilerplate(reasons: dict[int, str]) -> Finding | None:
    if not reasons:
        return None
    told = listed([f"{reason} ({count:,})" for reason, count in Counter(reasons.values()).most_common()])
    message = f"{rows_text(len(reasons))} {plural('has', 'have', len(reasons))} boilerplate for an answer: {told}."
    fix = "Write them anew or leave them out: a fine-tuned model says such phrases more often than it was taught."
    return _finding("empty", "warning", reasons, message, fix, "boilerplate", DROP)


def _same(examples: Sequence[Example], hashes: np.ndarray) -> Finding | None:
    least = max(_INPUTS, int(_SHARE * len(examples)))
    values, counts = np.unique(hashes, return_counts=True)
    often = set(values[counts >= least].tolist())
    if not often:
        return None
    together: dict[str, list[Example]] = defaultdict(list)
    for example, value in zip(examples, hashes.tolist(), strict=True):
        if value in often:
            together[example.output].append(example)
    reasons: dict[int, str] = {}
    told: list[tuple[int, str]] = []
    for answer, members in together.items():
        inputs = len({" ".join(example.input.lower().split()) for example in members})
        if inputs >= least and answer.count(" ") >= _WORDS - 1:
            told.append((inputs, answer))
            reasons.update((example.row, f"the same answer as to {inputs:,} inputs") for example in members)
    if not told:
        return None
    inputs, answer = max(told)
    shown = " ".join(answer.split())[:60]
    others = (
        f"; {len(told) - 1:,} more {plural('answer does', 'answers do', len(told) - 1)} the like" if told[1:] else ""
    )
    message = f"“{shown}{'…' if len(answer) > 60 else ''}” answers {inputs:,} different inputs{others}."
    fix = "Right where such an answer is meant; else the model learns to give it to everything."
    return _finding("empty", "note", reasons, message, fix, "same_answer", ())


class _Ends:
    """Answers that seem to be cut; how answers end as a rule is known only after the last."""

    def __init__(self) -> None:
        self.long = 0
        self.open: list[Example] = []
        self.reasons: dict[int, str] = {}

    def look(self, block: Sequence[Example]) -> None:
        for example in block:
            answer = example.output
            if len(answer) >= _LONG:
                self.long += 1
                if answer[-1].isalnum() or answer[-1] in ",-–(&/":
                    self.open.append(example)
            if _FENCE in answer and answer.count(_FENCE) % 2:
                self.reasons[example.row] = "a block of code is not closed"

    def finding(self) -> Finding | None:
        reasons = dict(self.reasons)
        if len(self.open) <= (1 - _STOPPED) * self.long:
            for example in self.open:
                if reason := _open_end(example.output):
                    reasons.setdefault(example.row, reason)
        if not reasons:
            return None
        message = f"{rows_text(len(reasons))} {plural('seems', 'seem', len(reasons))} to be cut: the answer has no end."
        fix = "Look at them: a model that learns from cut answers stops in the middle of its own."
        return _finding("empty", "note", reasons, message, fix, "truncated_answer", DROP)


def _open_end(answer: str) -> str:
    """Why an answer without a full stop seems to be cut; "" where its last line is none that needs one."""
    line = answer[answer.rfind("\n") + 1 :]
    if _FENCE in answer or len(line) < 40 or _UNSTOPPED_LINE.match(line) or "://" in line[-60:]:
        return ""
    if _LINKING.search(line):
        return "ends in the middle of a sentence"
    # One sentence without a full stop is a matter of style; after others that have theirs it is not.
    return "ends without a full stop" if re.search(r"[.!?。！？]\s", answer[:-20]) else ""


def _json_fault(text: str) -> str:
    if not text.startswith(("{", "[")):
        return "neither an object nor a list"
    try:
        json.loads(text)
    except RecursionError:
        return "nested too deeply to be read as JSON"
    except json.JSONDecodeError as error:
        return f"not JSON from character {error.pos + 1:,} on"
    except ValueError:  # a number with more digits than Python converts
        return "a number that is too long"
    return ""


def _finding(
    kind: str, severity: Severity, reasons: dict[int, str], message: str, fix: str, check: str, mends: tuple[str, ...]
) -> Finding:
    rows = tuple(sorted(reasons))
    return Finding(kind, severity, rows, message, fix, mends=mends, check=check, reasons=reasons)
