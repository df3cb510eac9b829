"""The sizes that are advised show what was asked for, and leave enough to train on."""

from __future__ import annotations

import pytest

from finetune.dataset.example import Example
from finetune.dataset.readiness.power import detectable_difference
from finetune.dataset.splitting.advice import advise
from finetune.dataset.splitting.split import split
from finetune.errors import FinetuneError
from finetune.training.recipe import Recipe


@pytest.mark.parametrize("rows", [150, 612, 1000, 5000, 10_003, 1_000_000])
@pytest.mark.parametrize("want", [0.3, 0.1, 0.05, 0.02])
@pytest.mark.parametrize("labels", [1, 40])
def test_what_is_advised_holds(rows, want, labels):
    advice = advise(rows, want, labels=labels)
    test, validation = int(rows * advice.test + 0.5), int(rows * advice.validation + 0.5)
    if advice.possible:
        assert test >= advice.test_rows >= labels and advice.shown <= want and validation >= labels
        assert detectable_difference(advice.test_rows) <= want
        assert advice.rows_needed <= rows
        assert advice.train_rows >= 500 or advice.train_rows >= 0.6 * rows
    else:
        assert advice.rows_needed > rows and (advice.shown > want or labels > rows * advice.test)
    # What is advised can be applied.
    Recipe(base="x", validation_share=advice.validation, test_share=advice.test)


@pytest.mark.parametrize("want", [0.3, 0.1, 0.05, 0.02, 0.003])
def test_the_rows_needed_are_the_fewest(want):
    needed = advise(10, want).rows_needed
    assert advise(needed, want).possible and not advise(needed - 1, want).possible


def test_the_shares_give_these_rows_in_a_split():
    advice = advise(1000, 0.1)
    examples = [Example(n, f"text {n}", "ab"[n % 2]) for n in range(1000)]
    parts = split(examples, "classification", validation=advice.validation, test=advice.test, seed=0)
    assert len(parts.test) >= advice.test_rows and len(parts.train) == advice.train_rows


def test_sentences():
    assert advise(1000, 0.1).sentence == (
        "A difference of 10 points takes 194 test rows; 20% of the 1,000 rows are 200. "
        "15% for validation leave 650 to train on, 65% of all."
    )
    assert "more than the 500 that are recommended" in advise(10_003, 0.02).sentence
    impossible = advise(612, 0.02)
    assert (
        "takes 4,904 test rows, and 8,1" in impossible.sentence
        and "these 612 show 12 points at best" in impossible.sentence
    )
    few = advise(150, 0.3, labels=40)
    assert not few.possible and few.shown < 0.3 and "not every label" in few.sentence and "40 labels" in few.sentence
    assert (
        "no difference can be shown" in advise(3, 0.1).sentence
        and "no difference can be shown" in advise(0, 0.1).sentence
    )


def test_more_discordant_rows_ask_for_more():
    assert advise(5000, 0.1, discordant=0.5).test_rows > advise(5000, 0.1, discordant=0.25).test_rows


@pytest.mark.parametrize("want", [0.0, -0.1, 1.0, 5.0])
def test_what_cannot_be_asked_for(want):
    with pytest.raises(FinetuneError, match="cannot be asked for"):
        advise(1000, want)
