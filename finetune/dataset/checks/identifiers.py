"""Numbers with a check of their own: payment cards, IBANs, US social security numbers, public IP addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from sys import maxsize

# Bare, or in the groups that are printed on the card. A number in longer rows of groups is none.
_CARD = re.compile(
    r"[2-6](?<![A-Za-z0-9_.@-][2-6])(?<![0-9] [2-6])(?:"
    r"[0-9]{11,18}"
    r"|[0-9]{3}(?P<sign>[ \u00a0-])[0-9]{4}(?P=sign)[0-9]{4}(?P=sign)[0-9]{4}(?:(?P=sign)[0-9]{3}(?![0-9]))?"
    r"|(?<=3)[0-9]{3}(?P<other>[ \u00a0-])[0-9]{6}(?P=other)[0-9]{4,5}"
    r")(?![A-Za-z0-9_])(?![ -][0-9]{4})"
)
# First digits and lengths of the schemes (ISO/IEC 7812 and their own pages).
_SCHEMES = re.compile(
    r"4(?:[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}"  # Diners Club
    r"|(?:6011|65[0-9]{2}|64[4-9][0-9])[0-9]{12}(?:[0-9]{3})?"  # Discover
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|62[0-9]{14,17}"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{12,15}"  # Maestro
)
# The lengths of old cards are those of the numbers of goods (EAN): they count where they are called a card.
_OLD_SCHEMES = re.compile(r"4[0-9]{12}|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{8,11}")
_CALLED_A_CARD = re.compile(r"(?i)card|visa|maestro|debit|credit|kart|carte|tarjeta|carta|cart[ãa]o")
_NOT_A_CARD = re.compile(
    r"(?i)\b(?:order|invoice|ref(?:erence)?|ticket|tracking|parcel|shipment|imei|serial|isbn|ean|sku|transaction|"
    r"bestell\w*|rechnungs?\w*|sendungs?\w*|commande|facture|pedido|factura|colis)\b"
    r"[\s.:#-]*(?:(?:number|no|nr|num|id|code|is|was)\b[\s.:#-]*){0,2}$"
)
# Characters of an IBAN by country (SWIFT's registry, release 99).
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
# These start with a digit, and look back from it, for the speed of `re`.
_IBAN_START = re.compile(
    r"[0-9][0-9](?<=[A-Za-z]{2}[0-9]{2})(?<![A-Za-z0-9-][A-Za-z]{2}[0-9]{2})(?=[ \u00a0]?[A-Za-z0-9])"
)
_SECURITY = re.compile(
    r"[0-9](?<![0-9A-Za-z-][0-9])(?<!9)[0-9]{2}(?<!000)(?<!666)([- ]?)(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![0-9A-Za-z-])"
)
_SECURITY_NAMED = re.compile(r"(?i)\bssn\b|social[ -]security")
_IP4 = re.compile(r"[0-9](?<![0-9A-Za-z_.-][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z_-]|\.[0-9])")
_IP6 = re.compile(r"(?<![0-9A-Za-z:.])(?:[0-9A-Fa-f]{1,4}:(?::?[0-9A-Fa-f]{1,4}:?){2,7})(?<!:)(?![0-9A-Za-z:])")
_IP_NAMED = re.compile(r"(?i)\bip(?:v[46])?(?:[ -]?addr(?:ess|esse)?)?\b")
_VERSION = re.compile(
    r"(?i)\b(?:v|ver|version|release|section|chapter|clause|paragraph|art(?:icle)?|part|step|build|firmware|driver|kernel|"
    r"update|upgraded? to|abschnitt|kapitel|secci[óo]n|rule|appendix|table|figure)\.?\s*(?:no\.?\s*)?$|[§#]\s*$"
)
_WINDOW = 40


def cards(text: str, start: int = 0, end: int = maxsize) -> Iterator[tuple[int, int]]:
    """(start, end) of each payment card number: a scheme's first digits and length, and the check digit (Luhn) right.

    One in ten of random numbers passes, so what is called an order, a parcel or the like right before counts as none.
    """
    for match in _CARD.finditer(text, start, end):
        digits = re.sub("[^0-9]", "", match[0])
        first, last = match.span()
        if len(digits) == 19 and match["sign"] and not (_SCHEMES.fullmatch(digits) and luhn(digits)):
            digits, last = digits[:16], last - 4  # three more digits are the security code
        before = text[max(0, first - _WINDOW) : first]
        known = _SCHEMES.fullmatch(digits) or (_OLD_SCHEMES.fullmatch(digits) and _CALLED_A_CARD.search(before))
        if known and luhn(digits) and not _NOT_A_CARD.search(before):
            yield first, last


def luhn(digits: str) -> bool:
    """Is the last digit right, by ISO/IEC 7812-1, annex B?"""
    double = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    total = sum(map(int, digits[-1::-2])) + sum(double[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0


def ibans(text: str, start: int = 0, end: int = maxsize) -> Iterator[tuple[int, int]]:
    """(start, end) of each international bank account number, with spaces or without: length and check digits right."""
    for match in _IBAN_START.finditer(text, start, end):
        first = match.start() - 2
        length = _IBAN_LENGTHS.get(text[first : first + 2].upper())
        if length is None:
            continue
        place, characters = first, []
        while place < len(text) and len(characters) < length:
            character = text[place]
            if character.isascii() and character.isalnum():
                characters.append(character)
            elif character not in " \u00a0" or not text[place - 1].isalnum():
                break
            place += 1
        whole = len(characters) == length and not (
            text[place : place + 1].isascii() and text[place : place + 1].isalnum()
        )
        if whole and mod97("".join(characters).upper()) == 1:
            yield first, place


def mod97(iban: str) -> int:
    """The remainder of ISO 7064, which is 1 when the check digits are right. `iban`: upper case, without spaces."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97


def security_numbers(text: str, start: int = 0, end: int = maxsize) -> Iterator[tuple[int, int]]:
    """(start, end) of each US social security number that is called one within 40 characters before."""
    if "ocial" not in text and "OCIAL" not in text and "ssn" not in text.lower():
        return
    for match in _SECURITY.finditer(text, start, end):
        if _SECURITY_NAMED.search(text, max(0, match.start() - _WINDOW), match.start()):
            yield match.span()


def addresses(text: str, start: int = 0, end: int = maxsize) -> Iterator[tuple[int, int]]:
    """(start, end) of each public IP address.

    Four numbers with dots are also versions and sections: they count when no such word stands before them, and when they
    have 10 characters or the word “IP” does.
    """
    for match in _IP4.finditer(text, start, end) if text.count(".") > 2 else ():
        before = text[max(0, match.start() - _WINDOW) : match.start()]
        if not _VERSION.search(before) and (len(match[0]) >= 10 or _IP_NAMED.search(before)) and _is_public(match[0]):
            yield match.span()
    if text.count(":") > 2:
        for match in _IP6.finditer(text, start, end):
            if _is_public(match[0]):
                yield match.span()


def _is_public(text: str) -> bool:
    try:
        return ip_address(text).is_global
    except ValueError:
        return False
