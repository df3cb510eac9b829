"""What the model reads: template, answer, end token, cut."""

from __future__ import annotations

import copy

import pytest

from finetune.dataset.example import Example
from finetune.errors import FinetuneError
from finetune.model.base import tokenizer
from finetune.model.prompt import Prompt, default_instruction

LABELS = ("fruit", "tool")


@pytest.fixture
def words(tiny_model, tmp_path):
    return tokenizer(str(tiny_model), cache=tmp_path)


def test_the_row_is_the_template_with_answer_and_end(words):
    prompt = Prompt(words, "classification", LABELS)
    encoded = prompt.encode(Example(3, "a red apple", "fruit"))
    assert words.decode(encoded.prompt + encoded.answer) == (
        f"<|im_start|>system\n{default_instruction('classification', LABELS)}<|im_end|>\n"
        "<|im_start|>user\na red apple<|im_end|>\n<|im_start|>assistant\nfruit<|im_end|>"
    )
    assert encoded.answer[-1] == words.convert_tokens_to_ids("<|im_end|>")
    assert (encoded.row, encoded.cut) == (3, 0)


def test_prompts_tokenise_the_same_with_and_without_the_answer(words):
    prompt = Prompt(words, "classification", LABELS)
    one, other = prompt.encode(Example(1, "a saw", "tool")), prompt.encode(Example(1, "a saw", "fruit"))
    assert one.prompt == other.prompt


def test_a_long_input_is_cut_at_its_end_and_the_answer_never(words):
    text = " ".join(f"apple{number}" for number in range(300))
    prompt = Prompt(words, "classification", LABELS, max_tokens=200)
    encoded = prompt.encode(Example(1, text, "fruit"))
    assert len(encoded) <= 200
    assert encoded.cut > 0
    assert words.decode(encoded.answer) == "fruit<|im_end|>"
    shown = words.decode(encoded.prompt)
    assert shown.endswith("<|im_end|>\n<|im_start|>assistant\n")
    kept = shown.partition("user\n")[2].partition("<|im_end|>")[0]
    assert text.startswith(kept) and kept
    # Nothing more is cut than has to be: with one token more the row would be too long.
    assert len(encoded) > 195


def test_what_cannot_fit_is_refused_with_its_row(words):
    with pytest.raises(FinetuneError) as caught:
        Prompt(words, "instruction", max_tokens=32).encode(Example(7, "why", "because " * 100))
    assert caught.value.row == 7


def test_lengths_count_what_encode_makes(words):
    prompt = Prompt(words, "classification", LABELS, max_tokens=10_000)
    rows = [
        Example(1, "a red apple", "fruit"),
        Example(2, "saw\nand drill, 12 €", "tool"),
        Example(3, "x" * 500, "tool"),
    ]
    assert prompt.lengths(rows) == [len(prompt.encode(row)) for row in rows]
    chat = Prompt(words, "chat", max_tokens=10_000)
    talk = [
        Example(1, "and?", "yes", (("system", "be kind"), ("user", "hi"), ("assistant", "hello"), ("user", "and?")))
    ]
    assert chat.lengths(talk) == [len(chat.encode(row)) for row in talk]


@pytest.mark.parametrize("rows", [0, 3])
def test_both_says_what_is_never_cut(words, rows):
    prompt = Prompt(words, "classification", LABELS, max_tokens=10_000)
    examples = [Example(n, "apple " * (n * 40 + 1), LABELS[n % 2]) for n in range(rows)]
    total, fixed = prompt.both(examples)
    assert total == prompt.lengths(examples) == [len(prompt.encode(row)) for row in examples]
    bare = [Example(row.row, "", row.output) for row in examples]
    assert fixed == [len(prompt.encode(row)) for row in bare]


def test_both_of_a_talk_counts_earlier_turns_as_fixed(words):
    prompt = Prompt(words, "chat", max_tokens=10_000)
    turns = (("system", "be kind"), ("user", "hi"), ("assistant", "hello"))
    talk = Example(1, "and the pear?", "yes", (*turns, ("user", "and the pear?")))
    bare = Example(1, "", "yes", (*turns, ("user", "")))
    total, fixed = prompt.both([talk])
    assert total == [len(prompt.encode(talk))] and fixed == [len(prompt.encode(bare))]


@pytest.mark.parametrize("spare", [-1, 0, 1, 40])
def test_a_row_is_refused_where_both_leaves_no_room(words, spare):
    row = Example(5, "pear " * 200, "because " * 30)
    _, (fixed,) = Prompt(words, "instruction").both([row])
    prompt = Prompt(words, "instruction", max_tokens=fixed + spare)
    if spare > 0:
        assert len(prompt.encode(row)) <= fixed + spare
    else:
        with pytest.raises(FinetuneError, match="instruction and the answer alone"):
            prompt.encode(row)


def test_counts_are_the_same_without_the_fast_way_and_in_small_batches(words, monkeypatch):
    rows = [Example(n, f"text number {n % 7}, ü €", LABELS[n % 2]) for n in range(25)]
    prompt = Prompt(words, "classification", LABELS)
    counted = prompt.both(rows)
    monkeypatch.setattr("finetune.model.prompt._BATCH", 4)
    assert prompt.both(rows) == counted
    monkeypatch.setattr(type(words), "is_fast", False)
    assert prompt.both(rows) == counted


def test_views_cover_the_row_and_mark_its_parts(words):
    text = " ".join(f"pear{number}" for number in range(200))
    prompt = Prompt(words, "classification", LABELS, max_tokens=150)
    views = prompt.tokens(Example(1, text, "fruit"))
    parts = {
        part: "".join(view.text for view in views if view.part == part) for part in ("prompt", "answer", "end", "cut")
    }
    assert parts["answer"] == "fruit" and parts["end"] == "<|im_end|>"
    assert parts["cut"] and text.endswith(parts["cut"])
    assert len([view for view in views if view.part != "cut"]) == len(prompt.encode(Example(1, text, "fruit")))
    shown = "".join(view.text for view in views)
    assert text in shown and shown == prompt.render(prompt.messages(Example(1, text, ""))) + "fruit<|im_end|>"


def test_shots_are_earlier_turns_and_do_not_count(words):
    prompt = Prompt(words, "classification", LABELS, max_tokens=100)
    shots = [Example(5, "a plum " * 20, "fruit")]
    encoded = prompt.encode(Example(1, "a saw", "tool"), shots)
    assert encoded.cut == 0
    shown = words.decode(encoded.prompt)
    assert shown.index("a plum") < shown.index("assistant\nfruit<|im_end|>") < shown.index("a saw")


def test_a_system_turn_of_the_row_replaces_the_instruction(words):
    prompt = Prompt(words, "chat", instruction="Be brief.")
    roles = [turn["role"] for turn in prompt.messages(Example(1, "hi", "x", (("system", "own"), ("user", "hi"))))]
    assert roles == ["system", "user"]
    # Solved examples come after it: a system message in the middle is refused by many templates.
    shown = prompt.messages(Example(1, "hi", "x", (("system", "own"), ("user", "hi"))), [Example(2, "yo", "y")])
    assert [turn["content"] for turn in shown] == ["own", "yo", "y", "hi"]
    assert prompt.messages(Example(1, "hi", "x", (("user", "hi"),)))[0] == {"role": "system", "content": "Be brief."}


def with_template(words, template: str | None):
    found = copy.deepcopy(words)
    found.chat_template = template
    return found


def test_a_base_without_template_gets_a_plain_one(words):
    prompt = Prompt(with_template(words, None), "classification", LABELS)
    encoded = prompt.encode(Example(1, "a saw", "tool"))
    assert prompt.plain and not Prompt(words, "classification", LABELS).plain
    assert words.decode(encoded.prompt + encoded.answer) == (
        f"### Instruction\n{default_instruction('classification', LABELS)}\n\n### Input\na saw\n\n### Answer\ntool<|im_end|>"
    )
    assert encoded.answer[-1] == words.eos_token_id
    # Solved examples end as the answer that is trained does.
    shown = words.decode(prompt.encode(Example(1, "a saw", "tool"), [Example(2, "a plum", "fruit")]).prompt)
    assert "### Input\na plum\n\n### Answer\nfruit<|im_end|>\n\n### Input\na saw\n\n### Answer\n" in shown


def test_the_plain_template_begins_as_the_tokenizer_does(words):
    from tokenizers.processors import TemplateProcessing

    plain = with_template(words, None)
    plain.bos_token = "<|endoftext|>"
    assert not Prompt(plain, "instruction").render([{"role": "user", "content": "why"}]).startswith("<|endoftext|>")
    plain.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", plain.bos_token_id)]
    )
    encoded = Prompt(plain, "instruction").encode(Example(1, "why", "because"))
    assert encoded.prompt.count(plain.bos_token_id) == 1 and encoded.prompt[0] == plain.bos_token_id


def test_the_end_that_is_trained_is_that_of_the_template_and_not_eos(words):
    other = copy.deepcopy(words)
    other.eos_token = "<|endoftext|>"  # as in many bases: the turn ends with <|im_end|> all the same
    assert Prompt(other, "instruction").end == words.convert_tokens_to_ids("<|im_end|>") != other.eos_token_id
    # A token that is added without being named among the special ones, as Phi's <|end|>.
    other.add_tokens("<|end|>")
    other.chat_template = words.chat_template.replace("<|im_end|>", "<|end|>")
    prompt = Prompt(other, "instruction")
    assert other.decode(prompt.encode(Example(1, "why", "because")).answer) == "because<|end|>"
    assert prompt.end not in other.all_special_ids


def test_a_template_whose_turns_have_no_end_gets_the_end_of_the_tokenizer(words):
    bare = with_template(
        words,
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
    )
    encoded = Prompt(bare, "instruction").encode(Example(1, "why", "because"))
    assert words.decode(encoded.answer) == "because<|im_end|>" and encoded.answer[-1] == words.eos_token_id
    bare.eos_token = None
    with pytest.raises(FinetuneError, match="no end token"):
        Prompt(bare, "instruction")


def test_answers_are_counted_with_their_end(words):
    prompt = Prompt(words, "instruction")
    rows = [Example(1, "why", "because"), Example(2, "what", "apple pear")]
    assert prompt.answer_lengths(rows) == [len(prompt.encode(row).answer) for row in rows]


def test_a_template_without_system_role_takes_the_instruction_in_the_first_turn(words):
    strict = copy.deepcopy(words)
    strict.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + words.chat_template
    )
    shown = strict.decode(Prompt(strict, "classification", LABELS).encode(Example(1, "a saw", "tool")).prompt)
    assert shown.startswith(f"<|im_start|>user\n{default_instruction('classification', LABELS)}\n\na saw<|im_end|>")
