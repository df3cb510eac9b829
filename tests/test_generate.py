"""Answers written in batches equal those that transformers writes one by one; base and fine-tuned may share a batch."""

from __future__ import annotations

import pytest
import torch
from test_likelihood import PROMPTS
from transformers import GenerationConfig

from finetune.evidence.models import decoding
from finetune.evidence.models.pair import Stopped

MANY = [[*PROMPTS[0][:5], *range(20 + row, 22 + row + 3 * (row % 4))] for row in range(14)]


def alone(pair, prompt: list[int], most: int) -> tuple[str, int, bool]:
    """One answer by transformers' own generation."""
    ids = torch.tensor([prompt])
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=most, eos_token_id=sorted(pair.ends),
        pad_token_id=pair.prompt.tokenizer.pad_token_id,
    )  # fmt: skip
    with torch.no_grad():
        out = pair.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    tokens = out[0, len(prompt) :].tolist()
    return (
        pair.prompt.tokenizer.decode(tokens, skip_special_tokens=True).strip(),
        len(tokens),
        tokens[-1] not in pair.ends,
    )


@pytest.fixture
def pair(make_pair, monkeypatch):
    """One whose answers differ in length: a token that is often written counts as an end."""
    made = make_pair()
    often = [token for row in MANY for token in made_tokens(made, row)]
    end = max(set(often), key=often.count)
    monkeypatch.setattr(made.prompt, "end", end)
    assert end in made.ends
    return made


def made_tokens(pair, prompt: list[int]) -> list[int]:
    made = decoding.Decoding(pair, [prompt], 12, None, frozenset())
    list(made.passes())
    return made.written[0]


@pytest.mark.parametrize("slots", [64, 3, 1])
def test_batches_equal_row_by_row(pair, monkeypatch, slots):
    monkeypatch.setattr(decoding, "GENERATION_ROWS", slots)
    told: list[int] = []
    made = pair.generate(MANY, 12, told.append)
    expected = [alone(pair, prompt, 12) for prompt in MANY]
    assert list(zip(made.texts, made.tokens, made.cut, strict=True)) == expected
    assert len({tokens for _, tokens, _ in expected}) > 2, "the rows should end at different times"
    assert {cut for _, _, cut in expected} == {True, False}
    assert sum(told) == len(MANY) and (made.seconds > 0).all()
    with pair.only_base():
        assert pair.generate(MANY, 12).texts == [alone(pair, prompt, 12)[0] for prompt in MANY]


@pytest.mark.parametrize("prompts", [MANY, [[7, 9], [30, 31, 32, 33, 34, 35, 36]]], ids=["shared", "nothing shared"])
def test_base_and_fine_tuned_in_one_batch(pair, monkeypatch, prompts):
    monkeypatch.setattr(decoding, "GENERATION_ROWS", 5)
    tuned = [row % 3 == 0 for row in range(len(prompts))]
    expected = []
    for prompt, adapted in zip(prompts, tuned, strict=True):
        if adapted:
            expected.append(alone(pair, prompt, 12))
        else:
            with pair.only_base():
                expected.append(alone(pair, prompt, 12))
    made = pair.generate(prompts, 12, tuned=tuned)
    assert list(zip(made.texts, made.tokens, made.cut, strict=True)) == expected
    *_, last = pair.stream_many(prompts, tuned, 12)
    assert last == made.texts
    # An adapter that cannot share a batch is switched instead.
    monkeypatch.setattr(type(pair), "mixes", False)
    assert pair.generate(prompts, 12, tuned=tuned).texts == made.texts
    assert list(pair.stream_many(prompts, tuned, 12))[-1] == made.texts


def test_a_model_that_takes_no_masks_writes_all_the_same(pair, monkeypatch):
    expected = pair.generate(MANY, 12).texts
    monkeypatch.setattr("finetune.model.attention.layer_kinds", lambda config: {"linear_attention"})
    pair.__dict__.pop("takes_masks")
    assert not pair.takes_masks
    assert pair.generate(MANY, 12).texts == expected
    *_, last = pair.stream_many(MANY, [True] * len(MANY), 12)
    assert last == expected


def test_a_stop_ends_it_within_a_token(pair):
    passes = 0

    def stop() -> bool:
        nonlocal passes
        passes += 1
        return passes == 3

    with pytest.raises(Stopped):
        pair.generate(MANY, 12, should_stop=stop)
    assert passes == 3


def test_a_stream_grows_and_ends_with_its_reader(pair, monkeypatch):
    passes = 0
    honest = decoding.masked_pass

    def counted(*given):
        nonlocal passes
        passes += 1
        return honest(*given)

    monkeypatch.setattr(decoding, "masked_pass", counted)
    stream = pair.stream_many(MANY[:2], [False, True], 12)
    first, second = next(stream), next(stream)
    assert all(after.startswith(before) for before, after in zip(first, second, strict=True))
    stream.close()
    assert passes == 2
    # What the reader left behind changes nothing.
    assert pair.generate(MANY[:1], 12).texts == [alone(pair, MANY[0], 12)[0]]


def test_speed_is_measured_in_turns_without_an_end(pair, monkeypatch):
    switched = []
    honest = decoding.masked_pass

    def watched(model, ids, *rest):
        switched.append(pair._adapted[0].disable_adapters)
        return honest(model, ids, *rest)

    monkeypatch.setattr(decoding, "masked_pass", watched)
    speed = pair.decode_speed(PROMPTS[0], tokens=5)
    assert set(speed) == {"base", "fine_tuned"} and all(value > 0 for value in speed.values())
    turns = switched[3:]  # after the first, untimed round
    assert turns == [True] * 6 + [False] * 12 + [True] * 6


def test_no_rows(pair):
    assert pair.generate([], 5).texts == []
