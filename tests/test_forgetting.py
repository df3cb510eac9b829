"""What counts as a right answer, what counts as forgetting, and how it is told."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from finetune.evidence.forgetting.forgotten import RULES, forgetting, general_prompts, passed
from finetune.evidence.forgetting.general import PASSAGES, PROMPTS, Question

RIGHT = [question.accepted[0] for question in PROMPTS]
EVEN = {"base": (2.0, 600), "fine_tuned": (2.0, 600)}


def by_text(part: str) -> Question:
    return next(question for question in PROMPTS if part in question.text)


@pytest.mark.parametrize(
    ("question", "answer", "right"),
    [
        ("7 plus 5", "7 + 5 is 12.", True),
        ("7 plus 5", "The answer is **12**", True),
        ("7 plus 5", "Twelve!", True),
        ("7 plus 5", "12.0", True),
        ("7 plus 5", "It is 120.", False),
        ("7 plus 5", "It is 12.5.", False),
        ("7 plus 5", "1,200", False),
        ("7 plus 5", "512", False),
        ("7 plus 5", "-12", False),
        ("capital of France", "PARIS", True),
        ("capital of France", "The Parisian region", False),
        ("formula of water", "It is H2O.", True),
        ("formula of water", "HO2O", False),
        ("capital letters", "OCEAN", True),
        ("capital letters", "ocean", False),
        ("Count from 1", "1, 2, 3, 4, 5", True),
        ("Count from 1", "1\n2\n3\n4\n5", True),
        ("Count from 1", "1, 2, 4, 5", False),
        ("is fire hot", "Yes.", True),
        ("is fire hot", "Whether yes or no depends on what you mean by hot", False),
        ("Repeat exactly", "“The cat sat on the mat.”", True),
        ("Repeat exactly", "Sure! Here is the sentence again: the cat sat on the mat", False),
        ("select", "SELECT * FROM users;", True),
        ("select", "SELECT * FROM user;", False),
        ("items a list has", "Use len().", True),
        ("items a list has", "The length", False),
        ("go?", "", False),
    ],
)
def test_right_answers_are_taken_and_wrong_ones_are_not(question: str, answer: str, right: bool) -> None:
    where = "SQL query" if question == "select" else question
    assert passed(by_text(where), answer) is right


def test_the_questions_can_be_answered_and_repeating_one_is_no_answer() -> None:
    assert 24 <= len(PROMPTS) <= 30 and len({question.text for question in PROMPTS}) == len(PROMPTS)
    assert set(Counter(question.kind for question in PROMPTS)) == {
        "knowledge", "arithmetic", "language", "instruction", "code"
    }  # fmt: skip
    assert len(PASSAGES) >= 12
    for question in PROMPTS:
        assert not passed(question, question.text), question.text
        assert all(passed(question, accepted) for accepted in question.accepted), question.text


def wrong(count: int) -> list[str]:
    """Right answers, but for the first `count`."""
    return ["vendor"] * count + RIGHT[count:]


def test_losses_and_answers_are_counted() -> None:
    found = forgetting(
        {"base": (2.0, 600), "fine_tuned": (2.1, 600)}, {"base": wrong(2), "fine_tuned": ["vendor", *RIGHT[1:]]}
    )
    assert found["difference"] == pytest.approx(0.1) and found["tokens"] == 600
    assert found["less_sure"] == pytest.approx(1 - math.exp(-0.1))
    assert (found["lost"], found["gained"], found["p_value"]) == (0, 1, 1.0)
    assert [one["passed_before"] for one in found["prompts"]].count(True) == len(PROMPTS) - 2
    assert found["prompts"][1]["before"] == "vendor" and found["prompts"][1]["passed_after"]
    assert found["rules"] == RULES


@pytest.mark.parametrize(
    ("after", "lost", "severity"),
    [
        (2.0, 0, "none"),
        (1.5, 0, "none"),  # more sure than before
        (2.04, 0, "none"),  # 4% less sure
        (2.06, 0, "note"),  # 6%
        (2.0, 1, "note"),
        (2.0, 5, "note"),  # 5 against 0: p 0.0625
        (2.0, 6, "warning"),  # 6 against 0: p 0.031
        (2.24, 0, "warning"),  # 21%
    ],
)
def test_how_grave_it_is_follows_fixed_rules(after: float, lost: int, severity: str) -> None:
    found = forgetting({"base": (2.0, 600), "fine_tuned": (after, 600)}, {"base": RIGHT, "fine_tuned": wrong(lost)})
    assert found["severity"] == severity
    if lost:
        assert found["p_value"] == pytest.approx(2 * 0.5**lost if lost > 1 else 1.0)


def test_the_message_holds_the_size() -> None:
    count = len(PROMPTS)
    found = forgetting({"base": (2.0, 600), "fine_tuned": (2.5, 600)}, {"base": RIGHT, "fine_tuned": wrong(7)})
    assert f"39% less sure of the next word; 7 of the {count} general questions" in found["message"]
    assert "switch the adapter off" in found["message"]
    found = forgetting(EVEN, {"base": RIGHT, "fine_tuned": RIGHT})
    assert "as sure of the next word as before" in found["message"] and "lost none" in found["message"]
    found = forgetting({"base": (2.0, 600), "fine_tuned": (1.9, 600)})
    assert "11% more sure" in found["message"] and "questions" not in found["message"] and "prompts" not in found
    assert f"all {count} general" in forgetting(EVEN, {"base": RIGHT, "fine_tuned": wrong(count)})["message"]
    none_known = forgetting(EVEN, {"base": wrong(count), "fine_tuned": wrong(count)})
    assert "questions" not in none_known["message"] and none_known["severity"] == "none"


def test_answers_that_do_not_fit_the_questions_are_a_bug() -> None:
    with pytest.raises(ValueError):
        forgetting(EVEN, {"base": RIGHT, "fine_tuned": RIGHT[1:]})
    with pytest.raises(ValueError, match="tokens"):
        forgetting({"base": (2.0, 600), "fine_tuned": (2.0, 599)})


def test_questions_are_put_by_the_template_alone_and_never_cut(tiny_model) -> None:
    from transformers import AutoTokenizer

    from finetune.model.prompt import Prompt

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    prompt = Prompt(tokenizer, "classification", ["fruit", "tool"], "Say only fruit or tool.", max_tokens=16)
    ids = general_prompts(prompt)
    assert len(ids) == len(PROMPTS)
    for question, row in zip(PROMPTS, ids, strict=True):
        assert tokenizer.decode(row) == (f"<|im_start|>user\n{question.text}<|im_end|>\n<|im_start|>assistant\n")
