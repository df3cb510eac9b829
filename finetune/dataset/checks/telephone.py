"""Telephone numbers in running text, told from order numbers, dates and amounts by how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from sys import maxsize

_HYPHEN, _SPACE = "\u2010\u2011\u2013-", " \u00a0\u202f"
# Groups of digits with single separators, and an extension. What stands before and after must not make it part of
# something longer: a word, a decimal number, a UUID, a price, a path. It starts with a set, for the speed of `re`.
_CANDIDATE = re.compile(
    rf"[+(0-9](?<![A-Za-z0-9_@#$€£¥%=*+&][+(0-9])(?<![0-9][.,:/{_HYPHEN}][+(0-9])(?<![A-Za-z]-[+(0-9])(?<!\([0-9][+(0-9])"
    r"(?:(?<=[0-9])[0-9]*+|(?<=\+)(?:\([0-9]{1,5}\)|[0-9]++)|(?<=\()[0-9]{1,5}\))"
    rf"(?:(?:[{_SPACE}]{{1,2}}| ?[{_HYPHEN}] ?|[./]| / )?(?:\([0-9]{{1,5}}\)|[0-9]++))*"
    rf"(?!(?!x[0-9])[A-Za-z0-9_@%€$£°])(?![.,:/{_HYPHEN}][0-9]|-[A-Z])"
)
_EXTENSION = re.compile(r" ?(?:x|ext\.?|extension) ?[0-9]{1,6}(?![A-Za-z0-9])")
# Forms that are written for telephone numbers and hardly for anything else: (groups, digits). Groups have the number of
# their digits in place of the digits: "(415) 555-2671" is "(3) 3-4".
_FORMS = [
    (re.compile(groups), re.compile(digits))
    for groups, digits in (
        # United States and Canada
        (r"(?:1[-. ]?)?(?:\(3\)[- ]?|3[-. /])3[-. ]4", r"1?[2-9][0-9]{2}[2-9][0-9]{6}"),
        # calls within most of Europe, India, Japan, Australia: 0, area, number
        (r"(?!2-7)(?:[2-5]|\([2-5]\))(?:(?: {1,2}|[/-]| [/-] )[2-8]){1,5}|[2-5](?:\.[2-8]){2,5}", r"0[1-9][0-9]{7,10}"),
        (r"\([2-5]\)[2-8](?:[ -][2-8]){0,2}", r"0[1-9][0-9]{7,10}"),
        # Spain, Portugal, Poland, Norway
        (r"\(?[23]\)?[ -][23][ -]2[ -]2|3-3-3", r"[4-9][0-9]{8}|(?:1[2-8]|2[2-9]|3[2-4])[0-9]{7}"),
        # mobile numbers of Italy, India, China
        (r"3[-/ .]?(?:7|3[- .]4|2[- .]2[- .]3)", r"3[1-9][0-9]{8}"),
        (r"5[ -]5", r"[6-9][0-9]{9}"),
        (r"3[ -]4[ -]4", r"1[3-9][0-9]{9}"),
        # Brazil
        (r"(?:\(2\) ?|2 )(?:[45][- ]4|1[ .]4-4)", r"[1-9]{2}(?:9[0-9]{8}|[2-5][0-9]{7})"),
        # Russia
        (r"1[- ]?(?:\(3\) ?|3[- ])3[- ]2[- ]2", r"[78][3-9][0-9]{9}"),
    )
]
# Without such a form, a word nearby has to say what the number is.
_WORD = re.compile(r"[^\W_]+")
_NAMES = frozenset({
    "phone", "phones", "phoned", "tel", "tél", "cell", "cellphone", "cellular", "cellulare", "mobile", "mob", "mobil",
    "call", "called", "calling", "ring", "reach", "text", "contact", "sms", "whatsapp", "signal", "fax", "dial",
    "dialled", "rufen", "ruf", "anrufen", "portable", "joindre", "appeler", "appelez", "móvil", "movil", "celular",
    "mobiel", "bel", "bellen", "ligar", "ligue", "telegram", "viber",
})  # fmt: skip
_NAME_STEMS = (
    "telef", "téléph", "telep", "teleph", "handy", "rufnummer", "erreich", "llam", "llám", "chiam", "komórk", "komork",
    "zadzwo", "телефон", "звон", "позвон", "फ", "मोबाइल",
)  # fmt: skip
_NAME_PHRASES = ("my number", "my new number", "my old number", "callback number", "電話", "携帯", "电话", "手机")
_NAMED_AFTER = re.compile(
    r"(?i)[ ,]{0,2}(?:is|that's|as|ist|est|es|è|é) (?:my|his|her|our|the|meine|mon|mi|il mio|o meu) (?:new |old )?"
    r"(?:phone|mobile|cell|number|tel|handy|ruf|num|portable|m[óo]vil|cellulare)"
)
# What says that the number right after it is of another kind, whatever its form; words may link the two.
_OTHERS = frozenset({
    "order", "orders", "invoice", "ref", "reference", "ticket", "tickets", "tracking", "account", "acct", "serial",
    "part", "model", "sku", "isbn", "issn", "ean", "upc", "gtin", "imei", "case", "policy", "po", "parcel",
    "shipment", "consignment", "transaction", "receipt", "booking", "reservation", "confirmation", "card", "iban",
    "vat", "tax", "version", "build", "release", "article", "item", "product", "code", "codes", "id", "ssn",
    "passport", "licence", "license", "customer", "member", "batch", "lot", "doi", "port", "zip", "postcode",
    "coordinates", "commande", "facture", "colis", "suivi", "pedido", "factura", "envío", "envio", "ordine",
    "fattura", "spedizione", "fiscal", "encomenda",
})  # fmt: skip
_OTHER_STEMS = (
    "bestell", "rechnung", "auftrag", "kunden", "sendung", "vorgang", "artikel", "factuur", "zamówieni", "zamowieni",
    "faktur", "paczk", "注文", "订单",
)  # fmt: skip
_LINKS = frozenset({
    "number", "numbers", "no", "nr", "num", "numéro", "numero", "número", "nummer", "n", "id", "code", "is", "was",
    "the", "番号",
})  # fmt: skip
_NO_TELEPHONE = re.compile(
    r"(?:19|20)[0-9]{2}[-./ ][01]?[0-9][-./ ][0-3]?[0-9](?: [0-9]{1,2})?"  # dates
    r"|[0-3]?[0-9][-./ ][01]?[0-9][-./ ](?:(?:19|20)[0-9]{2}(?: [0-9]{1,2})?|[0-9]{2})"
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"  # IP addresses
    r"|97[89](?:[ -]?[0-9]){10}|[0-9](?:[ -][0-9]+){2}[ -][0-9]"  # ISBNs
)
_AMOUNT_AFTER = re.compile(
    r"(?i)\s?(?:usd|eur|gbp|inr|jpy|brl|pln|zł|kr|€|\$|£|%|kg|km|cm|mm|ms|px|gb|mb|users|people|rows)\b"
)
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:[ .][0-9]{3})+")
_PLAIN = str.maketrans("\u2010\u2011\u2013\u00a0\u202f", "---  ")
_DIGITS = re.compile("[0-9]+")
_WINDOW = 48


def telephones(text: str, start: int = 0, end: int = maxsize) -> Iterator[tuple[int, int]]:
    """(start, end) of each telephone number, with its extension.

    Three kinds count: an international number (`+49 30 …`, `0049 30 …`) as the country's numbering plan has it; a form
    that is written for telephone numbers alone, such as `(415) 555-2671` or `06 12 34 56 78`; and 7 to 13 digits in other
    forms where a word such as “call” or “mobile” stands close before. What is called an order, an invoice or the like
    right before never counts, except in the international form. Numbers kept for fiction, such as 555-0123, count too.
    """
    for match in _CANDIDATE.finditer(text, start, end):
        found = match[0]
        digits = "".join(_DIGITS.findall(found))
        if not 7 <= len(digits) <= 17 or _NO_TELEPHONE.fullmatch(found):
            continue
        first, last = match.span()
        if not _international(found, digits):
            groups = _DIGITS.sub(lambda group: str(len(group[0])), found.translate(_PLAIN))
            formed = any(number.fullmatch(digits) for number in _numbers(groups))
            if not formed and not _may_be_named(found, groups, digits):
                continue
            before = text[max(0, first - _WINDOW) : first].lower()
            if _is_other(before) or not (formed or _is_named(before, text[last : last + 40])):
                continue
        if extension := _EXTENSION.match(text, last):
            last = extension.end()
        yield first, last


@lru_cache(4096)
def _numbers(groups: str) -> list[re.Pattern[str]]:
    """The digits that telephone numbers in such groups have; none when no such number is written so."""
    return [number for form, number in _FORMS if form.fullmatch(groups)]


def _is_other(before: str) -> bool:
    if before.rstrip().endswith(("#", "№")):
        return True
    for word in reversed(_WORD.findall(before)):
        if word in _OTHERS or word.startswith(_OTHER_STEMS):
            return True
        if word not in _LINKS:
            return False
    return False


def _is_named(before: str, after: str) -> bool:
    if _AMOUNT_AFTER.match(after):
        return False
    words = _WORD.findall(before)
    return (
        not _NAMES.isdisjoint(words)
        or any(word.startswith(_NAME_STEMS) for word in words)
        or any(phrase in before for phrase in _NAME_PHRASES)
        or _NAMED_AFTER.match(after) is not None
    )


def _may_be_named(found: str, groups: str, digits: str) -> bool:
    """May a word nearby make it a telephone number? Not of amounts such as 1 000 000."""
    if found.startswith("+"):
        return 8 <= len(digits) <= 15
    if _THOUSANDS.fullmatch(found):
        return len(digits) == 9 and digits[0] in "456789"
    if "." in found and not re.fullmatch(r"[0-9]+(?:\.[0-9]+){2,}|[0-9]{3}\.[0-9]{4}", found):
        return False  # decimal numbers
    if len(digits) < 9:
        return re.fullmatch("3[- .]4|4[- ]4|2[- ]2[- ]2[- ]2", groups) is not None
    # Longer ones without a country's code, as Brazil and India have with it, are rather the numbers of goods.
    return len(digits) <= 11 or digits.startswith(("91", "55", "0"))


def _international(found: str, digits: str) -> bool:
    if found.startswith("00") and digits[2:3] != "0":
        digits = digits[2:]
    elif not found.startswith("+"):
        return False
    for length in (1, 2, 3):
        if plan := _plan(int(digits[:length])):
            national = digits[length:]
            # +44 (0)20 …: the 0 of calls within the country, which callers from outside leave out.
            return bool(plan.fullmatch(national) or ("(0)" in found and plan.fullmatch(national[1:])))
    return False


@cache
def _plan(country: int) -> re.Pattern[str] | None:
    """What the national numbers of a calling code look like, by libphonenumber; None when there is no such code.

    The library's own parser takes some 50 µs a number and refuses those that are not given out; the pattern serves.
    """
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    regions = COUNTRY_CODE_TO_REGION_CODE.get(country)
    if not regions:
        return None
    if regions[0] == "001":
        plan = PhoneMetadata.metadata_for_nongeo_region(country, None)
    else:
        plan = PhoneMetadata.metadata_for_region(regions[0], None)
    return re.compile(plan.general_desc.national_number_pattern) if plan else None
