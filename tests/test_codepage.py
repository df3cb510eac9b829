"""Encodings from before UTF-8: told from three short rows, and from twenty."""

from __future__ import annotations

import pytest

from finetune.dataset.reading.codepage import guess_encoding
from finetune.dataset.reading.load import load

# Three short rows of each, as a table of questions has them; not those that the letters were tried on.
SHORT = {
    "cp1252": [
        ["Où est mon colis ?", "Reçu hier, déjà cassé", "C’est gênant"],
        ["Wo bleibt mein Päckchen?", "Größe passt nicht", "für die Tür"],
        ["¿Cuándo llega?", "El paquete está dañado", "Mañana por la tarde"],
        ["A devolução não foi feita", "Quero falar com alguém", "Péssimo"],
        ["Var är mitt paket?", "Kan jag ändra ordern?", "Tack så mycket"],
        ["Hvornår kommer pakken?", "Jeg ønsker at få hjælp", "på søndag"],
        ["La città è più bella", "Perché costa così tanto?", "Non è qui"],
        ["He said “no” – again", "It’s £5 too much", "Don’t"],
    ],
    "cp1250": [
        ["Gdzie jest moja paczka?", "Proszę o zwrot pieniędzy", "Nie działa łączność"],
        ["Kde je můj balík?", "Chci vrátit zboží", "Děkuji za rychlou odpověď"],
        ["Hol van a csomagom?", "Szeretném visszaküldeni", "Nem jó a méret, túl szűk"],
        ["Gdje je moj paket?", "Želim vratiti čizme", "Šaljete li i u Češku?"],
    ],
    "cp1251": [
        ["Где моя посылка?", "Хочу вернуть деньги", "Не работает"],
        ["Де моя посилка?", "Хочу повернути гроші", "Її ще немає"],
        ["Къде е пратката ми?", "Искам да върна парите", "Не работи"],
    ],
    "koi8-r": [["Где моя посылка?", "Хочу вернуть деньги", "Не работает связь"]],
    "cp866": [["Где моя посылка?", "Хочу вернуть деньги", "Не работает связь"]],
    "cp932": [
        ["荷物はどこですか", "返金してください", "動きません"],
        ["サイズが合わない", "注文を変更したい", "届かない"],
    ],
    "euc_jp": [["荷物はどこですか", "返金してください", "サイズが合いません"]],
    "gb18030": [["我的包裹在哪里", "我要退款", "打不开"], ["怎么换货", "发票没有收到", "太慢了"]],
    "big5": [["我的包裹在哪裡", "我要退款", "打不開這個頁面"]],
    "cp949": [["내 소포는 어디에 있나요", "환불해 주세요", "작동하지 않아요"]],
    "cp1254": [["Kargom nerede?", "Paramı geri istiyorum", "Şikâyetim var, çalışmıyor"]],
    "cp1253": [["Πού είναι το δέμα μου;", "Θέλω τα χρήματά μου", "Δεν δουλεύει"]],
    "cp1255": [["איפה החבילה שלי", "אני רוצה החזר", "לא עובד"]],
    "cp1256": [["أين الطرد الخاص بي", "أريد استرداد المال", "لا يعمل"]],
    "cp874": [["พัสดุของฉันอยู่ที่ไหน", "ขอเงินคืน", "ใช้งานไม่ได้"]],
    "iso8859-2": [["Gdzie jest moja paczka?", "Proszę o zwrot pieniędzy, jeśli można", "Już wysłałem"]],
    "mac-roman": [["Où est mon colis ?", "Reçu hier, déjà cassé", "très gênant"]],
}
CASES = [(encoding, rows) for encoding, many in SHORT.items() for rows in many]


@pytest.mark.parametrize(("encoding", "rows"), CASES)
@pytest.mark.parametrize("count", [3, 24])
def test_rows_are_read_as_they_were_written(tmp_path, encoding, rows, count):
    lines = [f"{number}. {rows[number % 3]}" for number in range(count)]
    path = tmp_path / "x.csv"
    path.write_bytes(
        ("nr\ttext\tlabel\n" + "".join(f"{n}\t{line}\tab\n" for n, line in enumerate(lines))).encode(encoding)
    )
    table = load(path)
    assert table.frame["text"].to_list() == lines
    assert any("not UTF-8" in note for note in table.notes)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Où"), ("cp1252", "déjà vu"), ("cp1252", "FRANÇAIS: DÉJÀ REÇU"), ("cp1252", "coração"),
        ("cp1252", "Straße"), ("cp1252", "50 €"), ("cp1250", "Příliš"), ("cp1250", "Zażółć"), ("cp1251", "Привет"),
        ("cp1251", "ГДЕ МОЯ КАРТА"), ("koi8-r", "Спасибо"), ("cp932", "ありがとう"), ("gb18030", "你好"),
        ("cp949", "안녕하세요"), ("cp1253", "Ευχαριστώ"),
    ],
)  # fmt: skip
def test_a_single_word_is_often_enough(encoding, text):
    data = text.encode(encoding)
    assert data.decode(guess_encoding(data)) == text


def test_a_character_that_the_sample_cuts_is_no_matter():
    data = ("我的包裹在哪里，我要退款。" * 2000).encode("gb18030")
    assert guess_encoding(data[:16_383]) == "gb18030"
