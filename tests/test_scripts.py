"""Rows in another script or language than the rest, and words with letters of two scripts."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from finetune.dataset.checks.scripts import language_findings
from finetune.dataset.example import Example
from finetune.dataset.finding import Finding

EXAMPLES = Path(__file__).parent.parent / "examples"
FOREIGN = {
    "Spanish": [
        "Hola, quisiera saber cuándo llegará mi tarjeta nueva, gracias.",
        "donde puedo ver el saldo de mi cuenta",
    ],
    "French": [
        "Je ne peux plus payer avec ma carte depuis hier soir.",
        "ou est ce que je peux voir le solde de mon compte",
    ],
    "German": ["Warum wurde mir der gleiche Einkauf zweimal abgebucht?", "wo sehe ich den kontostand in der app bitte"],
    "Italian": ["Da ieri non riesco più a pagare con la carta nei negozi.", "dove posso vedere il saldo del mio conto"],
    "Portuguese": [
        "Não consigo pagar com o cartão desde ontem à noite.",
        "onde vejo o saldo da minha conta no aplicativo",
    ],
    "Dutch": [
        "Sinds gisteren kan ik niet meer betalen met mijn kaart.",
        "waar kan ik het saldo van mijn rekening zien",
    ],
    "Polish": ["Od wczoraj nie mogę płacić kartą w żadnym sklepie.", "jak moge zmienic pin do mojej karty prosze"],
    "Turkish": ["Dün akşamdan beri kartımla ödeme yapamıyorum, neden?"],
    "Indonesian": ["Sejak kemarin saya tidak bisa membayar dengan kartu."],
    "Vietnamese": ["Tại sao tôi bị trừ tiền hai lần cho cùng một giao dịch?"],
}


@pytest.fixture(scope="module")
def english() -> list[str]:
    with (EXAMPLES / "tickets.csv").open(encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file)]


def made(texts: list[str], outputs: list[str] | None = None) -> list[Example]:
    return [
        Example(row, text, output) for row, (text, output) in enumerate(zip(texts, outputs or texts, strict=True), 1)
    ]


def by_check(examples: list[Example], **options: int) -> dict[str, Finding]:
    findings = language_findings(examples, **options)
    assert all(finding.kind == "encoding" and finding.severity == "note" for finding in findings)
    return {finding.check: finding for finding in findings}


@pytest.mark.parametrize("name", ["tickets.csv", "messy.csv", "answers.jsonl", "contracts.jsonl"])
def test_the_examples_are_of_one_language(name: str):
    path = EXAMPLES / name
    if name.endswith("csv"):
        with path.open(encoding="utf-8") as file:
            pairs = [(row["text"] or "", row["category"] or "") for row in csv.DictReader(file)]
    else:
        pairs = [tuple(json.loads(line).values())[:2] for line in path.read_text(encoding="utf-8").splitlines()]
    assert by_check(made(*map(list, zip(*pairs, strict=True)))) == {}


def test_planted_languages_are_found_and_no_others(english: list[str]):
    draw = random.Random(0)
    texts, planted = list(english), {}
    for language, sentences in FOREIGN.items():
        for sentence in sentences:
            planted[draw.choice([place for place in range(len(texts)) if place + 1 not in planted]) + 1] = (
                language,
                sentence,
            )
    for row, (_, sentence) in planted.items():
        texts[row - 1] = sentence
    found = by_check(made(texts, ["label"] * len(texts)))
    assert set(found) == {"mixed_languages"}
    told = found["mixed_languages"]
    right = {row: f"reads as {language}" for row, (language, _) in planted.items()}
    assert len(right.items() & told.reasons.items()) >= 0.95 * len(right)
    assert set(told.rows) <= set(right) and told.mends == ("drop_foreign",) and told.examined is None
    assert "most of the others as English" in told.message and "read as" in told.message


def test_a_sample_is_told_and_repeats(english: list[str]):
    texts = [FOREIGN["Spanish"][0] if place % 10 == 0 else english[place % len(english)] for place in range(3000)]
    first, again = (by_check(made(texts), sample=500, seed=3)["mixed_languages"] for _ in range(2))
    assert first == again and first.examined == 500 and 25 <= len(first.rows) <= 80
    assert by_check(made(texts), sample=500, seed=4)["mixed_languages"].rows != first.rows
    assert "Spanish" in first.message and "in a sample of 500 rows" in first.message


def test_data_in_several_languages_has_no_foreign_rows():
    texts = [FOREIGN[language][0] for language in ("Spanish", "German", "French") for _ in range(20)]
    told = by_check(made(texts))["mixed_languages"]
    assert told.rows == () and told.mends == () and "several languages" in told.fix


def test_short_texts_codes_and_translations_say_nothing(english: list[str]):
    spanish = [FOREIGN["Spanish"][0]] * 100
    assert by_check(made(english[:100], spanish)) == {}
    texts = english[:200] + [
        "hola amigo",
        "A-1203-XZ",
        "12345",
        "SELECT a.id FROM users a JOIN orders b ON a.id = b.uid",
    ]
    assert by_check(made(texts)) == {}
    draw = random.Random(0)
    nonsense = ["".join(draw.choices("abcdefghijklmnop   ", k=80)) for _ in range(300)]
    assert by_check(made(nonsense)) == {}


def test_other_scripts():
    russian = ["Почему с меня дважды списали деньги?", "когда придёт карта", "1203", "Мой iPhone сломан, ремонт Apple?"]
    texts = ["where is my card", "how are you", "it's 5 €", "café olé", "1234"] * 10 + [
        "когда придёт карта",
        "卡",
        "？？",
    ]
    told = by_check(made(texts))["mixed_scripts"]
    assert told.rows == (51, 52) and told.mends == ("drop_foreign",)
    assert told.reasons == {51: "in Cyrillic letters", 52: "in Chinese or Japanese letters"}
    assert told.message == (
        "2 rows are in another script than the rest, which is in Latin: Cyrillic (1) and Chinese or Japanese (1)."
    )
    told = by_check(made(russian * 10 + ["where is my card"]))["mixed_scripts"]
    assert told.rows == (41,) and "which is in Cyrillic" in told.message
    # Half and half is no fault.
    assert "mixed_scripts" not in by_check(made(russian * 10 + ["where is my card"] * 30))
    assert "mixed_scripts" not in by_check(made(["こんにちは世界", "漢字", "カタカナのみ"] * 10))


@pytest.mark.parametrize(
    "text", ["log in to your pаypal now", "Сlick here", "vеrify", "подтвердите kод срoчно", "yοur bank"]
)
def test_letters_that_only_look_right(text: str):
    told = by_check(made(["all is well here", text]))["mixed_letters"]
    assert told.rows == (2,) and told.mends == ("drop_foreign",)
    turns = (("user", text), ("assistant", "x"), ("user", "y"))
    told = by_check([Example(1, "y", "z", turns)])["mixed_letters"]
    assert told.reasons == {1: "letters of two scripts in one word of an earlier turn"}


@pytest.mark.parametrize(
    "text",
    [
        "VPNа, iPhone'а, PDFка, SMSки, IT-отдел, 3D-принтер, COVIDом", "μm, Δt, λx, α-helix, TNFα, kΩ, πr²", "café naïve Ærø",
        "Москва и Paris", "日本語とEnglish", "x_а", "",
    ],
)  # fmt: skip
def test_words_that_mix_scripts_rightly(text: str):
    assert "mixed_letters" not in by_check(made([text]))
