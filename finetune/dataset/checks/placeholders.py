"""Inputs and outputs that only stand for something: “n/a”, “null”, “…”, spreadsheet errors and formulas."""

from __future__ import annotations

import re
from collections.abc import Sequence

from finetune.dataset.example import Example, Task
from finetune.dataset.finding import Finding, Severity, plural, rows_text

# Longer texts are none; the patterns look at nothing else.
LONGEST = 40
_ERROR = r"#(?:REF|VALUE|DIV/0|NAME|NULL|NUM|SPILL|CALC|BEZUG|WERT|ZAHL)[!?]|#N/?A|#NV|#+(?=#{4})####"
_FORMULA = r"=\$?[A-Z]{1,3}\$?[0-9]{1,7}(?:[-+*/&:]\$?[A-Z]{1,3}\$?[0-9]{1,7})*|=[A-Z]{2,12}\([^\n]*\)"
_EMPTY = (
    r"[\W_]{0,3}(?:n/a|n\.a\.?|nan|null|nil|undefined|todo|tbd|tba|fixme|placeholder|deleted|removed|redacted|"
    r"insert (?:\w+ ){0,3}here|your (?:answer|text|response|output) here|lorem ipsum[^\n]*|x{3,})[\W_]{0,3}"
    r"|[-–—_.…?*/~\s]+"
)
_TRIAL = r"[\W_]{0,2}(?:none|test(?:ing)?[ 0-9]{0,4}|asdf\w*|qwerty|dummy|sample text|blank|empty|no (?:text|content))[\W_]{0,2}"
OF_LABELS = re.compile(rf"{_ERROR}|{_FORMULA}|nan|null", re.IGNORECASE)
OF_INPUTS = re.compile(rf"{_ERROR}|{_FORMULA}|{_EMPTY}|{_TRIAL}|na", re.IGNORECASE)
# An answer may be a formula, “none”, or “test”.
OF_ANSWERS = re.compile(rf"{_ERROR}|{_EMPTY}", re.IGNORECASE)
# From this share of the rows on, such an answer is meant: “N/A” for what is not in the text.
_MEANT = 0.05


def placeholder_finding(examples: Sequence[Example], task: Task) -> Finding | None:
    """The rows whose input or output is a placeholder; of labels, errors of spreadsheets, “nan” and “null” alone."""
    reasons: dict[int, str] = {}
    is_input = OF_INPUTS.fullmatch
    for example in examples:
        if len(example.input) <= LONGEST and is_input(example.input):
            reasons[example.row] = f"the input is “{example.input}”"
    pattern, name = (OF_LABELS, "label") if task == "classification" else (OF_ANSWERS, "answer")
    short = {example.output for example in examples if len(example.output) <= LONGEST}
    if odd := {output for output in short if pattern.fullmatch(output)}:
        for example in examples:
            if example.output in odd:
                reason = f"the {name} is “{example.output}”"
                reasons[example.row] = f"{reasons[example.row]}; {reason}" if example.row in reasons else reason
    if not reasons:
        return None
    rows = tuple(sorted(reasons))
    shown = list(dict.fromkeys(reason.split("“", 1)[1].split("”")[0] for reason in reasons.values()))[:3]
    quoted = ", ".join(f"“{text}”" for text in shown)
    message = f"{rows_text(len(rows))} {plural('has', 'have', len(rows))} a placeholder for a text, such as {quoted}."
    often = len(rows) >= _MEANT * len(examples) and len(rows) >= 10
    fix = "Fill in what is missing, or leave the rows out" + (", unless the model is to say so." if often else ".")
    severity: Severity = "note" if often else "warning"
    return Finding(
        "empty", severity, rows, message, fix, mends=("drop_poor_answers",), check="placeholder", reasons=reasons
    )
