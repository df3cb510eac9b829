"""The questions that data cannot answer: one definition, clear refusals."""

from __future__ import annotations

import dataclasses
import json
from typing import get_args, get_type_hints

import pytest

from finetune.dataset.readiness.questions import Questions, parse_answer
from finetune.errors import FinetuneError


def test_every_question_can_be_put_on_a_page():
    hints = get_type_hints(Questions)
    for entry in dataclasses.fields(Questions):
        told = entry.metadata
        assert told["label"] and told["help"], entry.name
        # The words of the choices and the values that the type allows cannot drift apart.
        assert tuple(told["choices"]) == get_args(hints[entry.name]), entry.name
        assert all(told["choices"].values())
        assert told["choices"] or told["low"] <= entry.default <= told["high"]


def test_json_there_and_back():
    answers = Questions(requests_a_day=20, knowledge_changes="daily", wrong_costs="much", want=0.02)
    assert Questions.from_json(json.loads(json.dumps(answers.as_json()))) == answers
    assert Questions.from_json({"want": 0.1, "of_a_newer_version": 1}) == Questions(want=0.1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"requests_a_day": 0}, "requests_a_day is 0"), ({"requests_a_day": 2.5}, "whole number"),
        ({"requests_a_day": True}, "a number"), ({"requests_a_day": "many"}, "a number"),
        ({"requests_a_day": float("nan")}, "a number"), ({"requests_a_day": None}, "a number"),
        ({"knowledge_changes": "hourly"}, "hourly"), ({"knowledge_changes": ["daily"]}, "daily"),
        ({"wrong_costs": "Much"}, "Much"), ({"want": 0.001}, "want is 0.001"), ({"want": 5}, "want is 5"),
        ({"want": float("inf")}, "a number"),
    ],
)  # fmt: skip
def test_wrong_answers_are_refused_in_a_sentence(changes, said):
    with pytest.raises(FinetuneError, match=said):
        Questions(**changes)


def test_numbers_of_a_form_are_put_right():
    answers = Questions(requests_a_day=1000.0, want=0.05)
    assert answers.requests_a_day == 1000 and isinstance(answers.requests_a_day, int)
    assert hash(answers) == hash(Questions())


def test_answers_of_the_command_line():
    assert parse_answer("requests_a_day=10,000") == ("requests_a_day", 10_000)
    assert parse_answer("want = 2%") == ("want", 0.02)
    assert parse_answer("want=0.1") == ("want", 0.1)
    assert parse_answer("knowledge_changes=weekly") == ("knowledge_changes", "weekly")
    for wrong in ("nothing=1", "want", "want=", "want=much", "wrong_costs=5", "requests_a_day=50%", "want=90%"):
        with pytest.raises(FinetuneError):
            parse_answer(wrong)
