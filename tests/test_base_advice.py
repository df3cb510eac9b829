"""Whether a base suits the data, from its files and the rows alone."""

from __future__ import annotations

import json

import pytest

from finetune.dataset.example import Example
from finetune.model.advice import Base, Rows, Spelling, advise, base_of, rows_of, spelling_of
from finetune.model.base import tokenizer
from finetune.model.gallery import GALLERY, MANY, find

GERMAN = [
    "Ich habe gestern meine Bestellung erhalten, aber das Paket war leider beschädigt und ein Teil fehlt.",
    "Können Sie mir bitte sagen, wann die nächste Lieferung ankommt und ob ich sie noch ändern kann?",
    "Die Rechnung stimmt nicht mit dem überein, was wir am Telefon besprochen hatten, bitte prüfen Sie das.",
]
ENGLISH = [
    "I received my order yesterday, but unfortunately the parcel was damaged and one of the parts is missing.",
    "Could you please tell me when the next delivery is going to arrive and whether I can still change it?",
    "The invoice does not agree with what we had discussed on the telephone, so please have a look at it.",
]


def kinds(found) -> set[str]:
    return {advice.kind for advice in found}


def said(found, kind: str):
    return next(advice for advice in found if advice.kind == kind)


def base(name: str = "smollm2-135m", **changes) -> Base:
    from dataclasses import replace
    from pathlib import Path

    return replace(base_of(name, Path("/nowhere")), **changes)


def rows(**changes) -> Rows:
    return Rows(
        **{"rows": 500, "task": "classification", "longest": 90, "answer_characters": 8, "language": "English"}
        | changes
    )


def test_a_base_that_suits_gets_no_word():
    assert advise(base(), rows(), Spelling(0.25, 0.0, 0.0)) == ()


def test_rows_in_a_language_that_the_base_was_not_made_for():
    told = said(advise(base(), rows(language="German")), "language")
    assert told.severity == "warning" and "German" in told.text and "English" in told.text
    assert "language" not in kinds(advise(base("llama-3.1-8b"), rows(language="German")))
    assert "language" in kinds(advise(base("llama-3.1-8b"), rows(language="Polish")))
    assert "language" not in kinds(advise(base("qwen3-8b"), rows(language="Polish")))
    # Of a folder nobody knows the languages, and of unclear rows nobody knows theirs: nothing is claimed.
    assert "language" not in kinds(advise(base(languages=()), rows(language="German")))
    assert "language" not in kinds(advise(base(), rows(language="")))


def test_several_languages_are_much_for_a_small_base():
    several = rows(language="French", others=("German",))
    assert "language" in kinds(advise(base("qwen3-0.6b"), several))
    assert "language" not in kinds(advise(base("qwen3-4b"), several))


def test_the_languages_of_the_rows_are_seen():
    examples = [Example(n, text, "x" * 700) for n, text in enumerate(GERMAN * 10)]
    found = rows_of(examples, "instruction")
    assert (found.language, found.rows, found.answer_characters) == ("German", 30, 700)
    mixed = rows_of([Example(n, text, "x") for n, text in enumerate(ENGLISH * 10 + GERMAN * 4)], "classification")
    assert (mixed.language, mixed.others) == ("English", ("German",))
    assert rows_of([], "chat").language == ""


def test_too_large_for_the_rows_and_too_small_for_the_answers():
    told = said(advise(base("llama-3.1-8b"), rows(rows=60)), "size")
    assert "60 rows" in told.text and "8.0 billion" in told.text
    assert "size" not in kinds(advise(base("llama-3.1-8b"), rows(rows=600)))
    assert "size" not in kinds(advise(base("smollm2-135m"), rows(rows=60)))
    long = rows(task="instruction", answer_characters=900)
    assert "134 million" in said(advise(base(), long), "size").text
    assert "size" not in kinds(advise(base("qwen3-1.7b"), long))


def test_rows_that_are_longer_than_the_context():
    told = said(advise(base(), rows(longest=9000)), "context")
    assert "9,000" in told.text and "8,192" in told.text
    assert "context" not in kinds(advise(base(), rows(longest=None)))
    assert "context" not in kinds(advise(base(context=None), rows(longest=9000)))


@pytest.mark.parametrize(
    ("licence", "severity"),
    [("cc-by-nc-4.0", "warning"), ("CC-BY-NC-SA-4.0", "warning"), ("mistral-research", "warning"), ("openrail", "note"),
     ("gemma", "note"), ("", "note"), ("Apache-2.0", None), ("mit", None)],
)  # fmt: skip
def test_licences(licence, severity):
    found = [advice for advice in advise(base(licence=licence), rows()) if advice.kind == "licence"]
    assert [advice.severity for advice in found] == ([severity] if severity else [])


def test_a_gated_licence_tells_its_condition():
    told = said(advise(base("llama-3.2-1b"), rows()), "licence")
    assert "Built with Llama" in told.text and "accepted" in told.text and told.severity == "note"


def test_a_tokenizer_that_splits_badly_or_does_not_know_the_letters():
    assert "tokenizer" in kinds(advise(base(), rows(), Spelling(0.9, 0.0, 0.0)))
    assert "tokenizer" not in kinds(advise(base(), rows(), Spelling(0.9, 0.0, 0.8)))  # of Chinese that is fine
    assert "tokenizer" in kinds(advise(base(), rows(), Spelling(2.1, 0.0, 0.9)))
    assert "unknown" in said(advise(base(), rows(), Spelling(0.2, 0.05, 0.0)), "tokenizer").text


def test_spelling_counts_tokens_by_the_character(tiny_model, tmp_path):
    words = tokenizer(str(tiny_model), cache=tmp_path)
    known = spelling_of(words, [Example(1, "apple pear plum cherry", "fruit")])
    strange = spelling_of(words, [Example(1, "果物と道具についての質問です。", "果物")])
    assert known.tokens_a_character < 0.4 and known.ideographs == 0
    assert strange.tokens_a_character > 2 and strange.ideographs > 0.8  # byte by byte


def test_a_folder_is_known_by_its_files(tiny_model, tmp_path):
    found = base_of(str(tiny_model), tmp_path)
    assert (found.template, found.context, found.languages, found.licence) == (True, 1024, (), "")
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"text_config": {"max_position_embeddings": 2048}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": None}))
    (folder / "README.md").write_text(
        '---\nlanguage: en\nlicense: other\nlicense_name: "some-nc-licence"\n---\n# A model\n'
    )
    found = base_of(str(folder), tmp_path)
    assert (found.template, found.context, found.licence) == (False, 2048, "some-nc-licence")
    told = advise(found, rows())
    assert {"template", "licence"} <= kinds(told) and told[0].severity == "warning"


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_damaged_files_are_not_known(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    (tmp_path / "tokenizer_config.json").write_text(text)
    (tmp_path / "README.md").write_text(text + "\n---")
    found = base_of(str(tmp_path), tmp_path)
    assert (found.template, found.context, found.shape, found.licence) == (None, None, None, "")
    advise(found, rows())


def test_every_base_of_the_gallery_has_its_context_and_a_language_that_the_check_tells():
    from finetune.dataset.checks.languages import _NAMES

    for entry in GALLERY:
        assert entry.context >= 8192
        assert entry.languages in ((), MANY) or set(entry.languages) <= set(_NAMES.values())
    assert find("llama-3.1-8b").condition
