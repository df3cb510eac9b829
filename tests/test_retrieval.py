"""Similar rows and passages, the documents they come from, and what each system is asked."""

from __future__ import annotations

import pytest

from finetune.dataset.example import Example
from finetune.errors import FinetuneError
from finetune.evidence.alternatives.asking import Asking, default_prompt
from finetune.evidence.alternatives.documents import (
    PASSAGES_FILE,
    Passage,
    read_documents,
    read_passages,
    write_passages,
)
from finetune.evidence.alternatives.retrieval import Retriever
from finetune.evidence.models.kept import Kept

TEXTS = ["the cat sat", "a dog barked loudly", "cat and dog", "天気がいい"]
TRAIN = [
    Example(1, "my card is lost", "card"),
    Example(2, "the card was stolen", "card"),
    Example(3, "send money abroad", "transfer"),
    Example(4, "transfer to Spain", "transfer"),
]


def test_the_best_comes_first_and_what_shares_nothing_does_not_come():
    found = Retriever(TEXTS).find(["cat", "dog cat", "zebra", "天気"], 2)
    assert found == [[0, 2], [2, 0], [], [3]]
    assert Retriever([]).find(["x"], 3) == [[]]


def test_documents_are_cut_at_sentences_and_no_word_is_lost(tmp_path):
    long = " ".join(f"This is sentence number {number}." for number in range(200))
    (tmp_path / "a.md").write_text(f"# Head\n\n{long}")
    (tmp_path / "b.csv").write_text("question,answer\nwhen?,at nine\n")
    found = read_documents([tmp_path / "a.md", tmp_path / "b.csv"])
    text = " ".join(passage.text for passage in found if passage.source == "a.md")
    assert text == f"# Head {long}"
    assert all(len(passage.text.split()) <= 150 and passage.text[-1] == "." for passage in found[:-1])
    assert found[-1] == Passage("question: when?\nanswer: at nine", "b.csv", 1)
    write_passages(tmp_path / PASSAGES_FILE, found)
    assert read_passages(tmp_path / PASSAGES_FILE) == found


def test_a_text_without_spaces_is_cut_too(tmp_path):
    (tmp_path / "a.txt").write_text("天気がいい。" * 2000, encoding="utf-8")
    found = read_documents([tmp_path / "a.txt"])
    assert len(found) > 5 and "".join("".join(passage.text.split()) for passage in found) == "天気がいい。" * 2000


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [("a.exe", b"x", "not a document"), ("a.txt", b"", "no text"), ("a.txt", b"\xff\xfe\xff", "UTF-8")],
)
def test_a_document_that_cannot_be_read_is_told(tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FinetuneError, match=word):
        read_documents([tmp_path / name])


def test_passages_that_were_torn_are_told(tmp_path):
    (tmp_path / PASSAGES_FILE).write_text('{"text": "a", "sou')
    with pytest.raises(FinetuneError, match="damaged"):
        read_passages(tmp_path / PASSAGES_FILE)


@pytest.fixture
def asking(tiny_model):
    from transformers import AutoTokenizer

    from finetune.model.prompt import Prompt

    prompt = Prompt(AutoTokenizer.from_pretrained(tiny_model), "classification", ["card", "transfer"], "", 256)
    passages = [Passage("A lost card is blocked by phone.", "help.md", 1)]
    return Asking(prompt, TRAIN, labels=["card", "transfer"], seed=0, instruction="Sort it.", passages=passages)


def test_no_row_is_shown_its_own_copy(asking):
    for system in ("few_shot", "retrieval"):
        for asked, row in zip(asking.ask(system, TRAIN, 3, 8), TRAIN, strict=True):
            assert row.row not in asked.rows


def test_the_most_similar_row_stands_nearest_and_the_document_is_there(asking):
    (asked,) = asking.ask("retrieval", [Example(9, "I lost my card", "card")], 3, 8)
    assert asked.rows[-1] == 1 and asked.passages == (0,)
    text = asking.prompt.tokenizer.decode(asked.prompt)
    assert "blocked by phone" in text and text.index("blocked by phone") < text.rindex("I lost my card")


def test_prompted_puts_its_own_instruction_in_the_place_of_the_runs(asking):
    rows = [Example(9, "hello", "card")]
    base, prompted = (asking.ask(system, rows, 0, 8)[0].prompt for system in ("base", "prompted"))
    decode = asking.prompt.tokenizer.decode
    assert "Sort it." in decode(prompted) and "Sort it." not in decode(base)
    assert asking.prompt.instruction in decode(base) and asking.prompt.instruction not in decode(prompted)
    assert "- card\n- transfer" in default_prompt("classification", ["card", "transfer"])
    assert default_prompt("instruction", []) == ""


def test_a_long_input_is_cut_and_counted(asking):
    long = Example(9, "word " * 2000, "card")
    (asked,) = asking.ask("prompted", [long], 0, 8)
    assert asked.cut > 0


def test_examples_and_passages_that_are_cut_are_counted(asking):
    question = [Example(9, "I lost my card", "card")]
    assert asking.ask("retrieval", question, 3, 8)[0].shortened == 0
    long = Asking(
        asking.prompt, [Example(1, "I lost my card " * 200, "card"), *TRAIN[1:]], labels=asking.labels, seed=0,
        passages=[Passage("A lost card is blocked. " * 200, "help.md", 1)],
    )  # fmt: skip
    (asked,) = long.ask("retrieval", question, 3, 8)
    assert 1 in asked.rows and asked.shortened == 2 and asked.cut == 0


def test_answers_are_found_by_what_they_were_computed_from(tmp_path):
    kept, other = Kept(tmp_path, "weights"), Kept(tmp_path, "other weights")
    name = kept.name("text", [1, 2], 8)
    kept.keep([(name, ["said", 3.0], 0.5)])
    assert kept.find([name, "x"]) == {name: (["said", 3.0], 0.5)}
    assert len({name, kept.name("text", [1, 2], 9), kept.name("text", [1], 28), other.name("text", [1, 2], 8)}) == 4
