"""Answers that teach nothing: what is told, with which reason, and what is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune.dataset.checks.answers import answer_findings, format_finding
from finetune.dataset.example import Example, Task
from finetune.dataset.finding import Finding

EXAMPLES = Path(__file__).parent.parent / "examples"
QUESTION = "Where can I print in A3?"
GOOD = [(f"What does service number {n} cost?", f"Service number {n} costs {n} euros a month.") for n in range(200)]


def by_check(pairs: list[tuple[str, str]], task: Task = "instruction") -> dict[str, Finding]:
    findings = answer_findings([Example(row, *pair) for row, pair in enumerate(pairs, start=1)], task)
    for finding in findings:
        assert finding.rows == tuple(sorted(finding.reasons)) and finding.rows
        assert ("drop_poor_answers" in finding.mends) == (finding.check != "same_answer")
    return {finding.check: finding for finding in findings}


@pytest.mark.parametrize("name", ["answers.jsonl", "contracts.jsonl"])
def test_the_examples_have_good_answers(name: str):
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    pairs = [tuple(json.loads(line).values())[:2] for line in lines]
    task: Task = "instruction" if name == "answers.jsonl" else "classification"
    assert by_check(pairs, task) == {}
    assert by_check(GOOD) == {}


@pytest.mark.parametrize(
    "answer",
    [
        QUESTION, "where can i print in a3", "WHERE CAN I PRINT IN A3???", f"“{QUESTION}”", f"You asked: {QUESTION}",
        f"Question: {QUESTION} Answer:", f"{QUESTION} {QUESTION}",
    ],
)  # fmt: skip
def test_an_echo(answer: str):
    told = by_check([*GOOD, (QUESTION, answer)])["echo"]
    assert (told.kind, told.severity, told.rows) == ("empty", "warning", (201,))
    assert told.message == "1 row answers with the question itself, and nothing more."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (QUESTION, "Where can I print in A3? At Central."),
        (QUESTION, "You can print in A3 at Central."),
        ("Hello", "Hello!"),
        ("Correct the grammar: He go home.", "He goes home."),
        ("Translate: good morning to you all", "Good morning to you all, in French: bonjour à tous."),
        ("Yes or no: is it open on Sunday?", "No"),
    ],
)
def test_no_echo(question: str, answer: str):
    assert "echo" not in by_check([*GOOD, (question, answer)])


def test_many_echoes_are_a_note_as_texts_may_be_copied_on_purpose():
    pairs = [(f"The text number {n} has no fault.", f"The text number {n} has no fault.") for n in range(50)]
    assert by_check(GOOD + pairs)["echo"].severity == "note"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("As an AI language model, I have no feelings about printers.", "talk of being a language model"),
        ("I’m just an AI, so I can't print. Try Central.", "talk of being a language model"),
        ("I am a large language model trained by a company.", "talk of being a language model"),
        ("I'm sorry, but I can't help with that.", "a refusal"),
        ("I cannot assist with that request.", "a refusal"),
        ("Sorry, it is open. Lorem ipsum dolor sit amet.", "filler text"),
    ],
)
def test_boilerplate(answer: str, reason: str):
    told = by_check([*GOOD, (QUESTION, answer)])["boilerplate"]
    assert (told.rows, told.reasons[201], told.severity) == ((201,), reason, "warning")
    assert told.message == f"1 row has boilerplate for an answer: {reason} (1)."


@pytest.mark.parametrize(
    "answer",
    [
        "She works as an AI researcher in Berlin.", "A language model predicts the next word of a text.",
        "We can help with that: bring the bike in on Monday.", "I'm sorry, I can't find your order; what is its number?",
        "Artificial intelligence was named in 1956.",
    ],
)  # fmt: skip
def test_no_boilerplate(answer: str):
    assert "boilerplate" not in by_check([*GOOD, (QUESTION, answer)])


def test_the_same_answer_to_many_inputs():
    canned = "Thank you for your message, we will be in touch soon."
    pairs = GOOD + [(f"Could you look at case {n} please?", canned) for n in range(8)]
    told = by_check(pairs)["same_answer"]
    assert told.severity == "note" and told.rows == tuple(range(201, 209)) and told.mends == ()
    assert told.message == f"“{canned}” answers 8 different inputs."
    # Repeats of one input are duplicates, and short answers repeat by their nature.
    assert by_check(GOOD + [("Same case?", canned)] * 8) == {}
    assert by_check(GOOD + [(f"Is it open on day {n}?", "Yes, it is.") for n in range(20)]) == {}


@pytest.mark.parametrize(
    "output", ["n/a", "N/A", "-", "...", "…", "null", "NaN", "TODO", "[deleted]", "#REF!", "#N/A", "xxx", "?"]
)
def test_placeholders_for_answers(output: str):
    told = by_check([*GOOD, (QUESTION, output)])["placeholder"]
    assert (told.kind, told.severity, told.rows) == ("empty", "warning", (201,))
    assert told.reasons[201] == f"the answer is “{output}”" and f"“{output}”" in told.message
    chat = Example(1, QUESTION, output, (("user", "hi"), ("assistant", "hi"), ("user", QUESTION)))
    assert [finding.check for finding in answer_findings([chat], "chat")] == ["placeholder"]


@pytest.mark.parametrize(
    "text", ["n/a", "none", "nan", "null", "-", "?", "test", "Test 2", "#REF!", "=A1", "=SUM(A1:B2)", "NA"]
)
def test_placeholders_for_inputs(text: str):
    told = by_check([*GOOD, (text, "other")], "classification")["placeholder"]
    assert told.reasons == {201: f"the input is “{text}”"}


def test_labels_are_told_only_when_they_are_surely_none():
    for label in ("none", "other", "n/a", "unknown", "test", "NA", "-", "0", "?"):
        assert by_check([*GOOD, ("Something", label)], "classification") == {}
    for label in ("nan", "NULL", "#REF!", "#N/A", "=A1"):
        assert by_check([*GOOD, ("Something", label)], "classification")["placeholder"].rows == (201,)


@pytest.mark.parametrize("answer", ["No", "None", "42", "+", "👍", "=SUM(A1:A3)", "test", "C#", "n", "A/B"])
def test_short_answers_that_are_answers(answer: str):
    assert by_check([*GOOD, ("How many are there?", answer)]) == {}


def test_a_frequent_placeholder_is_a_note():
    pairs = GOOD + [(f"Which number is named in text {n}?", "N/A") for n in range(40)]
    told = by_check(pairs)["placeholder"]
    assert told.severity == "note" and len(told.rows) == 40 and "unless" in told.fix


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("You can print in A3 at Central and at Lantern Hill, which are open on every day of the", "ends in the middle of a sentence"),
        ("Yes, that can be done at Central. It takes a few minutes, and the price is 30 cents,", "ends in the middle of a sentence"),
        ("Yes, that can be done at Central. It takes a few minutes, and the price is thirty cent", "ends without a full stop"),
        ("Like this:\n```python\nprint('A3')", "a block of code is not closed"),
    ],
)  # fmt: skip
def test_answers_that_seem_to_be_cut(answer: str, reason: str):
    pairs = [
        (question, f"{said} It was the same in the year before, and it will be so in the next.")
        for question, said in GOOD
    ]
    told = by_check([*pairs, (QUESTION, answer)])["truncated_answer"]
    assert (told.severity, told.rows, told.reasons[201]) == ("note", (201,), reason)


@pytest.mark.parametrize(
    "answer",
    [
        "These are the branches where A3 printing is on offer:\n- Central, on the first floor\n- Lantern Hill, near the door",
        "Print it at Central. The opening hours are on the page https://library.example.org/branches/central",
        "Use the following command and wait until it ends.\n```\nlp -o media=A3 report.pdf\n```\nThen fetch it",
        "You can print in A3 at Central and at Lantern Hill on every day of the week apart from Wednesday",
        "At Central (first floor)",
    ],
)
def test_answers_that_end_otherwise(answer: str):
    pairs = [
        (question, f"{said} It was the same in the year before, and it will be so in the next.")
        for question, said in GOOD
    ]
    assert by_check([*pairs, (QUESTION, answer)]) == {}


def test_where_no_answer_has_a_full_stop_none_is_cut():
    pairs = [
        (f"q {n}", f"number {n} is here. and it goes on without an end for as long as it takes to be long")
        for n in range(50)
    ]
    assert by_check(pairs) == {}


def test_broken_json_among_json():
    good = [(f"q {n}", json.dumps({"n": n, "of": [1, 2]})) for n in range(90)]
    bad = [
        ("q a", '{"n": 1, "of": [1, 2'),
        ("q b", "n is 1"),
        ("q c", "{'n': 1}"),
        ("q d", '"n"'),
        ("q e", "[" * 100_000),
    ]
    told = by_check(good + bad)["invalid_json"]
    assert (told.kind, told.severity, told.rows) == ("bad_row", "warning", (91, 92, 93, 94, 95))
    assert told.reasons[91] == "not JSON from character 21 on" and told.reasons[92] == "neither an object nor a list"
    assert told.message == "5 rows have outputs that are not valid JSON, while 94.7% of the outputs are."
    examples = [Example(row, *pair) for row, pair in enumerate(good + bad, start=1)]
    assert format_finding(examples[:90]) is None and format_finding([]) is None
    # Half and half is no rule to break.
    assert "invalid_json" not in by_check(good + GOOD)
