"""Which texts are the same and which are nearly the same, against the plain definition."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from finetune.dataset.checks.likeness import likeness, normalised, text_of
from finetune.dataset.example import Example
from finetune.errors import FinetuneError


def bag(text: str) -> Counter:
    return Counter(re.findall(r"\w+", text.lower().replace("'", "")))


def jaccard(one: str, other: str) -> float:
    a, b = bag(one), bag(other)
    return (a & b).total() / max(1, (a | b).total())


def near_pairs(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    """The plain definition, pair by pair."""
    return {
        (i, j)
        for i, j in combinations(range(len(texts)), 2)
        if bag(texts[i]) and jaccard(texts[i], texts[j]) >= threshold - 1e-9
    }


def found_pairs(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    found = likeness(texts, threshold=threshold)
    members: dict[int, list[int]] = {}
    for place, number in enumerate(found.bag.tolist()):
        members.setdefault(number, []).append(place)
    pairs = {pair for places in members.values() for pair in combinations(places, 2)}
    for a, b in found.pairs.tolist():
        pairs |= {(min(i, j), max(i, j)) for i in members[a] for j in members[b]}
    return pairs


def corpus(rows: int, seed: int) -> list[str]:
    """Sentences of 4 to 30 words from a small vocabulary, a third of them edits of an earlier one."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 6))) for _ in range(120)]
    texts: list[str] = []
    for _ in range(rows):
        if texts and draw.random() < 0.35:
            tokens = draw.choice(texts).split()
            for _ in range(draw.randint(0, 3)):
                tokens[draw.randrange(len(tokens))] = draw.choice(words)
            text = " ".join(tokens)
            texts.append(draw.choice([text, text.upper(), text + "!", text.replace(" ", "  ", 1)]))
        else:
            texts.append(" ".join(draw.choices(words, k=draw.randint(4, 30))))
    return texts


@pytest.mark.parametrize("threshold", [0.5, 0.65, 0.8, 0.95])
def test_pairs_are_those_of_the_plain_definition(threshold):
    texts = corpus(320, seed=3)
    expected, found = near_pairs(texts, threshold), found_pairs(texts, threshold)
    assert len(expected) > 20
    assert found <= expected  # every pair is measured, so none is invented
    assert len(found) >= 0.98 * len(expected)  # the bands miss a pair at the threshold once in 250


def test_similarity_is_exact_and_counts_repeats():
    texts = ["one two three four five", "one two three four six", "one one one one two", "one two"]
    found = likeness(texts, threshold=0.5)
    assert found.pairs.tolist() == [sorted(found.bag[[0, 1]].tolist())]
    assert found.similarity.tolist() == pytest.approx([4 / 6])


def test_equal_texts_and_equal_words():
    found = likeness(["Where is it?", "where  is IT? ", "is it where", "Don't go", "dont go", "?!", "?!", "!", ""])
    assert found.exact[0] == found.exact[1] != found.exact[2]
    assert found.bag[0] == found.bag[1] == found.bag[2]
    assert found.bag[3] == found.bag[4] and found.exact[3] != found.exact[4]
    assert found.exact[5] == found.exact[6] and len({found.bag[5], found.bag[7], found.bag[8]}) == 3
    assert found.cluster.tolist() == [0, 0, 0, 3, 3, 5, 5, 7, 8]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Où est ma carte bancaire « visa » depuis hier ?", "où est MA carte bancaire visa depuis hier"),
        ("Где моя новая карта? Она не пришла вчера.", "где моя новая карта она не пришла вчера"),
        ("我的新银行卡还没有到，怎么办？", "我的新银行卡还没有到怎么办"),
        ("It isn’t working – why?", "It isn't working, why"),
    ],
)
def test_punctuation_and_case_of_other_scripts(one, other):
    found = likeness([one, other, "something else entirely"])
    assert found.bag[0] == found.bag[1] != found.bag[2]


def test_chinese_characters_count_as_words():
    found = likeness(["我的新银行卡还没有到怎么办呢", "我的新银行卡还没有到怎么办啊"], threshold=0.8)
    assert len(found.pairs) == 1 and found.similarity[0] == pytest.approx(13 / 15)


def test_an_instruction_before_every_row_makes_no_duplicates():
    frame = "Translate the following sentence into French, keep its tone: "
    texts = [frame + text for text in corpus(60, seed=5)]
    payload = [text.removeprefix(frame) for text in texts]
    found = found_pairs(texts, 0.8)
    assert found == near_pairs(payload, 0.8)
    assert len(near_pairs(texts, 0.8)) > len(found)  # with the frame counted there would be more


def test_a_crowd_of_near_equals_is_one_cluster():
    crowd = [f"please send the invoice for order {number} to my new address at once" for number in range(400)]
    found = likeness([*crowd, *corpus(100, seed=1)])
    assert set(found.cluster[:400].tolist()) == {0} and 0 not in found.cluster[400:]


def test_the_same_every_time_and_in_any_order():
    texts = corpus(200, seed=9)
    first, again = likeness(texts), likeness(texts)
    assert (first.pairs == again.pairs).all() and (first.cluster == again.cluster).all()
    order = np.random.default_rng(0).permutation(len(texts))
    moved = likeness([texts[place] for place in order])
    for i, j in combinations(range(0, len(texts), 7), 2):
        together = first.cluster[order[i]] == first.cluster[order[j]]
        assert together == (moved.cluster[i] == moved.cluster[j])


def test_few_and_none():
    assert likeness([]).cluster.tolist() == []
    assert likeness(["a"]).cluster.tolist() == [0]
    assert likeness(["", ""]).cluster.tolist() == [0, 0]


def test_a_threshold_out_of_bounds():
    with pytest.raises(FinetuneError, match="words in common"):
        likeness(["a", "b"], threshold=0.2)


def test_what_is_compared_of_an_example():
    assert text_of(Example(1, "yes", "ok")) == "yes"
    talk = (("system", "be kind"), ("user", "tea?"), ("assistant", "sure?"), ("user", "yes"))
    assert text_of(Example(1, "yes", "ok", talk)) == "user: tea?\nassistant: sure?\nuser: yes"
    assert normalised(" Where  IS\tit ") == "where is it"
