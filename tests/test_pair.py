"""The adapter off is the base, also after it was trained, and the proof of it can fail."""

from __future__ import annotations

import pytest
import torch
from peft import PeftModel


@pytest.mark.parametrize("quantisation", ["none", "nf4"])
def test_adapter_off_equals_the_untouched_base(make_pair, quantisation):
    pair = make_pair(quantisation)
    assert pair.off_equals_base and pair.on_differs
    assert pair.proof["equal"] and pair.proof["probes"] == 2 and pair.proof["largest_difference"] == 0.0
    assert pair.proof["adapter_difference"] > 0.01


def test_the_proof_fails_when_the_base_is_touched(make_pair, monkeypatch):
    """The alarm has to ring: weights merged into the base are what it is there to find."""
    honest = PeftModel.from_pretrained

    def merged(model, folder, *rest, **more):
        adapted = honest(model, folder, *rest, **more)
        adapted.merge_adapter()
        # PEFT would unmerge when it switches the adapter off.
        for module in adapted.modules():
            if hasattr(module, "merged_adapters"):
                module.merged_adapters = []
        return adapted

    monkeypatch.setattr("finetune.evidence.models.pair.PeftModel.from_pretrained", merged)
    pair = make_pair("none")
    assert not pair.off_equals_base and pair.proof["equal"] is False
    assert pair.proof["largest_difference"] > 0.01


def test_an_adapter_that_learned_nothing_is_told(make_pair):
    assert not make_pair(adapter_scale=0.0).on_differs


def test_rows_of_a_mixed_batch_are_each_answered_as_asked(make_pair):
    pair = make_pair()
    ids = torch.tensor([[5, 6, 7, 8]] * 3)
    inner = pair.model.get_base_model()
    with torch.no_grad():
        on = inner(ids).logits
        with pair.only_base():
            off = inner(ids).logits
            with pytest.raises(RuntimeError, match="adapter is off"), pair.adapter_for([True]):
                pass
        with pair.adapter_for([False, True, False]):
            mixed = inner(ids).logits
        # An error in the block must not leave the rows' names behind.
        with pytest.raises(KeyError), pair.adapter_for([False]):
            raise KeyError
        assert torch.equal(inner(ids).logits, on)
    assert torch.equal(mixed[0], off[0]) and torch.equal(mixed[2], off[2])
    assert (mixed[1] - on[1]).abs().max() < 1e-4 < (on - off).abs().max()
    assert pair.mixes


def test_text_loss_is_that_of_the_whole_model(make_pair):
    pair = make_pair()
    texts = ["bring the hammer", "one pear, please"]
    with torch.no_grad():
        losses = []
        for text in texts:
            ids = torch.tensor([pair.prompt.tokenizer(text)["input_ids"]])
            losses.append((float(pair.model(ids, labels=ids).loss), ids.shape[1] - 1))
    count = sum(tokens for _, tokens in losses)
    loss, tokens = pair.text_loss(texts)
    assert tokens == count
    assert loss == pytest.approx(sum(one * tokens for one, tokens in losses) / count, abs=1e-5)
