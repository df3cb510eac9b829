"""The marks in an answer: nothing is lost, nothing runs together, and every script is cut where it may be."""

from __future__ import annotations

import html
import random
import re

import pytest

from finetune.ui.compare.difference import LEAST_COMMON, MOST_WORDS, difference, marked, plain


def shown(expected: str, answered: str) -> str:
    pieces = difference(expected, answered)
    assert not isinstance(pieces, str)
    return html.unescape(marked(pieces))


@pytest.mark.parametrize(
    ("expected", "answered", "told"),
    [
        ("The cat sat.", "The dog sat.", "The <del>cat</del> <ins>dog</ins> sat."),
        ("a b c d", "a b c", "a b c <del>d</del>"),
        ("a b c", "a b c d", "a b c <ins>d</ins>"),
        ("one\n two", "one two", "one two"),
        (
            "It costs 1,000.50 euros",
            "It costs 1,000.75 euros",
            "It costs <del>1,000.50</del> <ins>1,000.75</ins> euros",
        ),
        ("私は猫が好きです。", "私は犬が好きです。", "私は<del>猫</del> <ins>犬</ins>が好きです。"),
        ("नमस्ते दुनिया", "नमस्ते दोस्त दुनिया", "नमस्ते <ins>दोस्त</ins> दुनिया"),
        ("all 👩‍👩‍👧 here now", "all 👨‍👩‍👧 here now", "all <del>👩‍👩‍👧</del> <ins>👨‍👩‍👧</ins> here now"),
        (
            '{"kind": "refund", "urgent": true}',
            '{"kind": "other", "urgent": true}',
            '{"kind": "<del>refund</del> <ins>other</ins>", "urgent": true}',
        ),
        # A comma that stayed between two changed words is part of the change.
        (
            "It is red, big and old",
            "It is blue, small and old",
            "It is <del>red, big</del> <ins>blue, small</ins> and old",
        ),
    ],
)
def test_what_is_marked(expected: str, answered: str, told: str) -> None:
    assert shown(expected, answered) == told


def test_both_texts_can_be_read_out_of_the_marks() -> None:
    draw = random.Random(3)
    words = ["a", "the", "cat,", "dog", "ran.", "(fast)", "猫", "è", "3.5"]
    checked = 0
    for _ in range(300):
        expected, answered = (" ".join(draw.choices(words, k=draw.randint(1, 14))) for _ in range(2))
        pieces = difference(expected, answered)
        if isinstance(pieces, str):
            continue
        checked += 1
        for kind, text in (("missing", expected), ("added", answered)):
            read = "".join(piece.text + " " for piece in pieces if piece.kind in ("same", kind))
            assert "".join(read.split()) == "".join(text.split())
    assert checked > 200


def test_why_nothing_is_marked() -> None:
    assert "hardly a word" in difference("the contract ends in May", "I can not say")
    assert "hardly a word" in difference("a, b, c", "x, y, z")  # commas are no words
    assert not isinstance(difference("a b c d", "a x y z"), str) and LEAST_COMMON < 0.25
    assert "too long" in difference("a " * (MOST_WORDS + 1), "a")


def test_text_of_users_is_escaped_and_a_fold_loses_nothing() -> None:
    text = "<img src=x onerror=alert(1)> " + "word " * 400
    for folded in (plain(text, 100), marked(difference(text, text.replace("word", "<b>", 3)), 100)):
        assert "<img" not in folded and "<b>" not in folded and "show all" in folded
        kept = re.sub(r"<summary>.*?</summary>", "", folded)
        kept = re.sub(r"<del>.*?</del>", "", kept) if "<del>" in kept else kept
        assert html.unescape(re.sub(r"<[^>]+>", "", kept)).count("word") in (400, 397)
    assert "details" not in plain("short " * 10, 100) and "empty" in plain(" \n")
