"""Labels that are one label: what is found, and above all what is left alone."""

from __future__ import annotations

import pytest
from benchmarks.labels import spelling_figures

from finetune.dataset.checks.spellings import label_key, spelling_finding, spellings

# The intents of CLINC150 (Larson et al. 2019, CC-BY 3.0) that lie nearest to one another.
_INTENTS = """
accept_reservations account_blocked alarm application_status apr are_you_a_bot balance bill_balance bill_due calculator
calendar calendar_update calories cancel cancel_reservation car_rental card_declined carry_on change_accent change_ai_name
change_language change_speed change_user_name change_volume confirm_reservation cook_time credit_limit credit_limit_change
credit_score current_location damaged_card date definition direct_deposit directions distance exchange_rate
expiration_date find_phone flight_status food_last freeze_account gas gas_type goodbye greeting how_busy how_old_are_you
improve_credit_score income ingredient_substitution ingredients_list insurance insurance_change interest_rate
international_fees international_visa jump_start last_maintenance lost_luggage make_call maybe meal_suggestion
meeting_schedule min_payment mpg new_card next_holiday next_song no nutrition_info oil_change_how oil_change_when order
order_checks order_status pay_bill payday pin_change play_music plug_type pto_balance pto_request pto_request_status
pto_used recipe redeem_rewards reminder reminder_update repeat replacement_card_duration report_fraud report_lost_card
reset_settings restaurant_reservation restaurant_reviews restaurant_suggestion rewards_balance roll_dice rollover_401k
routing schedule_maintenance schedule_meeting share_location shopping_list shopping_list_update smart_home spelling
spending_history sync_device taxes tell_joke text thank_you time timer timezone tire_change tire_pressure todo_list
todo_list_update traffic transactions transfer translate travel_alert travel_notification travel_suggestion uber
update_playlist user_name vaccines w2 weather what_are_your_hobbies what_can_i_ask_you what_is_your_name what_song
where_are_you_from whisper_mode who_do_you_work_for who_made_you yes
"""
INTENTS = _INTENTS.split()
DIFFERENT = {
    "intents": INTENTS,
    "stars": ["1 star", "2 stars", "3 stars", "4 stars", "5 stars", "*", "**", "***"],
    "numbers": ["0", "1", "-1", "10", "1 0", "1.5", "15", "1-5", "0.5", ".5", "5", "5%", "01/02", "0102"],
    "codes": ["en", "es", "eu", "et", "fr", "fi", "de", "da", "USD", "AUD", "GBP", "GEL", "ISO 9001", "ISO 9002"],
    "single": ["A", "B", "C", "C++", "C#", "A+", "A-", "B+", "B-"],
    "numbered": ["card1", "card2", "class_a", "class_b", "level one", "level two", "Model X100", "Model X101"],
    "incomes": [">50K", "<=50K", "<50K", ">=50K"],
    "opposites": [
        *("positive", "negative", "happy", "unhappy", "active", "inactive", "compliant", "non-compliant"),
        *(
            "satisfied",
            "dissatisfied",
            "social",
            "antisocial",
            "macroeconomics",
            "microeconomics",
            "employer",
            "employee",
        ),
        *("hypertension", "hypotension", "internet", "intranet", "increase", "decrease", "import", "export"),
        *(
            "payer",
            "payee",
            "trainer",
            "trainee",
            "abduction",
            "adduction",
            "typical",
            "atypical",
            "relevant",
            "irrelevant",
        ),
    ],
    "words alike": [
        *("Austria", "Australia", "Iceland", "Ireland", "Slovakia", "Slovenia", "Niger", "Nigeria", "news", "new"),
        *("ordered", "order", "ordering", "failed", "fail", "reflection", "refraction", "convection", "conduction"),
        *(
            "stalactite",
            "stalagmite",
            "tuesday",
            "thursday",
            "sixteen",
            "sixty",
            "eight",
            "eighth",
            "billing",
            "filling",
        ),
    ],
    "other scripts": ["да", "нет", "мой", "мои", "退款", "退货", "か", "が", "คืนเงิน", "환불", "환전", "हाँ", "हां नहीं"],
    "signs": [":)", ":(", ":D", "?", "!", "👍", "👎"],
}


def many(counts: dict[str, int]) -> list[str]:
    return [label for label, count in counts.items() for _ in range(count)]


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_labels_stay_different(name):
    labels = DIFFERENT[name]
    assert spellings(dict.fromkeys(labels, 40)) == {}
    # The harder case: each in turn is rare, as a slip would be.
    for rare in labels:
        assert spellings({label: 3 if label == rare else 200 for label in labels}) == {}, rare


@pytest.mark.parametrize(
    "variant",
    [
        *(
            "Card Arrival",
            "card-arrival",
            "CARD_ARRIVAL",
            " card_arrival",
            "card_arrival\n",
            "card  arrival",
            "cardarrival",
        ),
        *(
            "card_arrival.",
            "“card_arrival”",
            "card\u00a0arrival",
            "card_arrival\u200b",
            "CardArrival",
            "card\u2013arrival",
        ),
        "".join(chr(ord(letter) + 0xFEE0) for letter in "card") + "_arrival",
    ],
)
def test_case_space_and_punctuation_are_certain_whatever_the_numbers(variant):
    assert spellings({"card_arrival": 60, variant: 50}, likely=False) == {variant: "card_arrival"}


@pytest.mark.parametrize(
    ("variant", "label"),
    [
        ("refnud", "refund"),
        ("refundd", "refund"),
        ("card_arival", "card_arrival"),
        ("refunds", "refund"),
        ("Terms and conditions", "Terms & Conditions"),
        ("resume upload", "résumé upload"),
        ("acommodatoin", "accommodation"),
        ("recieved", "received"),
        ("queries", "query"),
    ],
)
def test_slips_are_likely_where_they_are_rare(variant, label):
    assert spellings({label: 100, variant: 4, "other": 80}) == {variant: label}
    assert spellings({label: 100, variant: 4, "other": 80}, likely=False) == {}
    assert spellings({label: 100, variant: 40, "other": 80}) == {}


def test_a_word_of_other_labels_is_no_slip():
    assert spellings({"contract info": 300, "contact info": 10}) == {"contact info": "contract info"}
    assert spellings({"contract info": 300, "contact info": 10, "contact us": 60}) == {}


def test_every_variant_goes_straight_to_the_commonest_one():
    labels = many({"refund": 100, "Refund": 20, "refnud": 3, "Refnud": 1, "REFUND": 20, "other": 50})
    assert spellings(labels) == {"REFUND": "refund", "Refund": "refund", "refnud": "refund", "Refnud": "refund"}
    assert spellings(["b", "B", "a"]) == {"b": "B"}  # as common: the first in the alphabet


def test_the_finding_tells_certain_from_likely():
    labels = [*["refund"] * 50, "Refund ", "refnud", "other"]
    found = spelling_finding(labels, range(101, 101 + len(labels)))
    assert found is not None and found.rows == (151, 152)
    assert (found.kind, found.check, found.mends) == ("suspect_label", "label_spelling", ("merge_labels",))
    assert "but for case" in found.reasons[151] and "probably" in found.reasons[152]
    assert "“Refund ” for “refund”" in found.message and "guesses" in found.fix
    assert spelling_finding(["a", "b"], [1, 2]) is None and spelling_finding([], []) is None


def test_texts_are_no_labels():
    assert spellings(f"Answer {number}." for number in range(25_000)) == {}
    assert spellings(["", " ", "a"]) == {" ": ""}


def test_planted_variants_are_found():
    planted, precision, recall = spelling_figures(INTENTS, range(3))
    assert planted > 60 and precision >= 0.95 and recall >= 0.95


def test_keys():
    assert label_key("A/B  Test!") == label_key("a/b-test") and label_key("-1") != label_key("1")
    assert label_key("1-2") == label_key("1 2") != label_key("12")


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("git card balance", "gift card balance"),
        ("gift cadr balance", "gift card balance"),
        ("damaged oon arrival", "damaged on arrival"),
        ("damaged on rrival", "damaged on arrival"),
    ],
)
def test_short_words_and_first_letters_count_where_the_rest_agrees(slip, meant):
    assert spellings({meant: 100, slip: 2, "refund": 90}) == {slip: meant}


@pytest.mark.parametrize(
    ("one", "other"),
    [("gold card lost", "old card lost"), ("card not received", "card now received"), ("top up late", "tip up late")],
)
def test_short_words_that_are_other_words(one, other):
    assert spellings({one: 100, other: 2, "refund": 90}) == {}
