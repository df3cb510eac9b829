"""Personal data as people write it, with right check digits, and decoys that look like it and are none.

Every value is made up at random. National check digits of an IBAN (France, Belgium) are right too, as on real ones.
"""

from __future__ import annotations

import random
import string
import uuid

from wording import FILL

PERSONAL = ("email", "phone", "card", "iban", "key")
DECOYS = (
    "order number", "date", "price", "card, wrong checksum", "IBAN, wrong checksum", "version", "UUID", "handle", "commit",
    "ISBN", "tracking number", "reading", "package at version",
)  # fmt: skip
# d is any digit, other characters stand for themselves; every prefix is in use in its country's numbering plan.
PHONES = (
    "+44 7400 dddddd", "+44 20 7946 dddd", "07400 dddddd", "020 7946 0ddd",  # United Kingdom
    "+1 212 555 dddd", "+1-415-555-dddd", "(312) 555-dddd", "646-555-dddd", "+12125554ddd",  # United States
    "+49 151 2345dddd", "+49 30 9012dddd", "0170 5dddddd", "030 / 9012dddd",  # Germany
    "+33 6 12 dd dd dd", "06 12 dd dd dd", "+33 1 42 dd dd dd",  # France
    "+34 612 ddd ddd", "+39 347 ddd dddd", "+31 6 1234dddd", "+48 601 ddd ddd", "+46 70 123 dd dd",
    "+43 664 123dddd", "+41 79 123 dd dd", "+353 87 123 dddd", "+91 98765 ddddd", "+81 90-1234-dddd",
    "+55 11 91234-dddd", "+61 412 345 ddd",
)  # fmt: skip
CARRIERS = {
    "email": "write to me at {}|you can reach {name} under {}|my mail is {}|please copy {} in|({})|answer to {}, thanks",
    "phone": "call me on {}|my number is {}|tel. {}|ring {name} at {}|mobile: {}|text {} when it's ready|phone {} after six",
    "card": "I paid with card {}|charge my card {}|the card number is {}|card {} was declined|{} is the one on file",
    "iban": "pay it back to {}|my account is {}|IBAN {}|transfer the sum to {} please|{name}'s account: {}",
    "key": "my token is {}|it fails with {}|key: {}|I set {} in the settings|curl -H 'Authorization: Bearer {}'",
    "order number": "order {}|my order number is {}|reference {}|it's about order no. {}",
    "date": "bought on {}|since {} in fact|dated {}|between {} and now",
    "price": "it cost {}|I paid {} for it|priced at {}|you took {} from me",
    "card, wrong checksum": "the serial is {}|batch {}|it is stamped {}",
    "IBAN, wrong checksum": "the label reads {}|article {}|printed underneath: {}",
    "version": "the app is at {}|firmware {}|after the update to {}",
    "UUID": "the page says error {}|request id {}|session {}",
    "handle": "I'm {} on the forum|posted by {}|as {} suggested online",
    "commit": "your build {}|fixed in commit {}|checksum {}",
    "ISBN": "the manual is ISBN {}|booklet {}|see ISBN {}",
    "tracking number": "tracking {}|parcel {}|the slip says {}",
    "reading": "the meter shows {}|coordinates {}|dimensions {}",
    "package at version": "pinned {} here|it needs {}|with {} installed",
}  # fmt: skip
HOSTS = (
    "brightwater-joinery.co.uk", "lindqvist-tak.se", "mail.osterholt.de", "hausverwaltung-krone.de",
    "petitmoulin.fr", "kowalczyk-meble.pl", "northfieldclinic.org", "gmail.com",
    "outlook.com", "posteo.de", "tarnside.io", "students.lakeland-college.ac.uk",
    "verdeazul.com.br", "kestrel-haulage.com", "bramble.studio",
)  # fmt: skip


def digits(count: int, draw: random.Random) -> str:
    return "".join(draw.choices(string.digits, k=count))


def luhn(number: str) -> int:
    """The check digit that makes number + digit pass the Luhn test (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, char in enumerate(reversed(number)):
        value = int(char) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return -total % 10


def iban_check(country: str, account: str) -> str:
    """The two check digits of an IBAN (ISO 13616: letters become 10-35, 98 minus the number modulo 97)."""
    number = "".join(str(int(char, 36)) for char in account + country + "00")
    return f"{98 - int(number) % 97:02d}"


def personal(kind: str, draw: random.Random) -> str:
    """One value of a kind of PERSONAL, in one of the ways people write it."""
    if kind == "email":
        first, last = (draw.choice(FILL["name"]) for _ in range(2))
        ways = [f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}{draw.randint(1, 99)}", f"{last}+shop", first]
        local = draw.choice(ways)
        return f"{local if draw.random() < 0.2 else local.lower()}@{draw.choice(HOSTS)}"
    if kind == "phone":
        return "".join(digits(1, draw) if char == "d" else char for char in draw.choice(PHONES))
    if kind == "card":
        return _card(draw, right=True)
    return _iban(draw, right=True) if kind == "iban" else _key(draw)


def decoy(kind: str, draw: random.Random) -> str:
    """One value of a kind of DECOYS: no person's, and no secret."""
    year, month, day = draw.randint(2015, 2026), draw.randint(1, 12), draw.randint(1, 28)
    if kind == "card, wrong checksum":
        return _card(draw, right=False)
    if kind == "IBAN, wrong checksum":
        return _iban(draw, right=False)
    ways = {
        "order number": [f"{digits(4, draw)}-{digits(6, draw)}", f"#{digits(8, draw)}", f"A{digits(9, draw)}",
                         f"PO-{year}-{digits(5, draw)}", digits(10, draw)],
        "date": [f"{year}-{month:02d}-{day:02d}", f"{day:02d}/{month:02d}/{year}", f"{day}.{month}.{year} 14:{day:02d}",
                 f"{year}-{month:02d}-{day:02d}T{day:02d}:05:00Z", f"{year}{month:02d}{day:02d}"],
        "price": [f"{day},{digits(3, draw)}.00 EUR", f"£{digits(2, draw)}.{month:02d}", f"$ 1,{digits(3, draw)},000",
                  f"{day}.{digits(3, draw)},50 €", f"{day} x {month}.99"],
        "version": [f"{month}.{day}.{digits(2, draw)}", f"v{month}.{digits(1, draw)}.{day}-rc{digits(1, draw)}",
                    f"10.{month}.{day}.{digits(4, draw)}"],
        "UUID": [str(uuid.UUID(int=draw.getrandbits(128), version=4))],
        "handle": [f"@{draw.choice(FILL['name']).lower()}_{digits(2, draw)}", f"@{draw.choice(FILL['name'])}"],
        "commit": [f"{draw.getrandbits(160):040x}", f"{draw.getrandbits(48):012x}", f"sha256:{draw.getrandbits(256):064x}"],
        "ISBN": [f"978-3-{digits(2, draw)}-{digits(6, draw)}-{digits(1, draw)}", f"979{digits(10, draw)}"],
        "tracking number": [f"1Z{digits(3, draw)}AA1{digits(10, draw)}", f"RR{digits(9, draw)}DE", f"JJD0{digits(14, draw)}"],
        "reading": [f"{digits(5, draw)}.{digits(1, draw)} kWh", f"52.{digits(4, draw)}, 13.{digits(4, draw)}",
                    f"{day * 10} x {month * 10} x {digits(3, draw)} mm"],
        "package at version": [f"lodash@{month}.{digits(2, draw)}.{day}", f"python@3.{month}", f"react@^{month}.0.0"],
    }  # fmt: skip
    return draw.choice(ways[kind])


def carried(kind: str, value: str, draw: random.Random) -> str:
    """The value in a few words that somebody would write about it."""
    carrier = draw.choice(CARRIERS[kind].split("|"))
    return carrier.replace("{name}", draw.choice(FILL["name"])).replace("{}", value)


def _card(draw: random.Random, *, right: bool) -> str:
    start, size = draw.choice((("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16)))
    body = start + digits(size - 1 - len(start), draw)
    check = luhn(body)
    number = body + str(check if right else (check + draw.randint(1, 9)) % 10)
    cuts = (4, 8, 12) if size == 16 else (4, 10)
    return _parted(number, cuts, draw.choice(("", " ", "-")))


def _iban(draw: random.Random, *, right: bool) -> str:
    country = draw.choice(("DE", "GB", "NL", "AT", "CH", "IE", "FR", "BE"))
    sizes = {"DE": 18, "AT": 16, "CH": 17}
    if country in sizes:
        account = digits(sizes[country], draw)
    elif country == "FR":
        bank, desk, number = digits(5, draw), digits(5, draw), digits(11, draw)
        account = f"{bank}{desk}{number}{97 - (89 * int(bank) + 15 * int(desk) + 3 * int(number)) % 97:02d}"
    elif country == "BE":
        number = "363" + digits(7, draw)  # a bank code that is given out; not every one is
        account = f"{number}{int(number) % 97 or 97:02d}"
    else:
        bank, size = {"GB": ("MIDL", 14), "NL": ("INGB", 10), "IE": ("AIBK", 14)}[country]
        account = bank + digits(size, draw)
    check = iban_check(country, account)
    if not right:
        check = f"{(int(check) + draw.randint(1, 90)) % 97 + 2:02d}" if int(check) < 98 else "02"
        if check == iban_check(country, account):
            check = f"{int(check) - 1:02d}"
    text = country + check + account
    return _parted(text, tuple(range(4, len(text), 4)), draw.choice(("", " ", " ")))


def _key(draw: random.Random) -> str:
    letters, low = string.ascii_letters + string.digits, string.ascii_lowercase + string.digits
    start, size, chars = draw.choice(
        (("sk-", 48, letters), ("sk-proj-", 64, letters + "_-"), ("AKIA", 16, string.ascii_uppercase + "234567"),
         ("ghp_", 36, letters), ("AIza", 35, letters + "_-"), ("sk_live_", 24, letters), ("hf_", 34, string.ascii_letters),
         ("glpat-", 20, letters), ("xoxb-", 0, ""), ("eyJhbGciOiJIUzI1NiJ9.", 0, ""))
    )  # fmt: skip
    if start == "xoxb-":
        return f"xoxb-{digits(12, draw)}-{digits(12, draw)}-" + "".join(draw.choices(letters, k=24))
    if start.startswith("eyJ"):
        return f"{start}eyJ{''.join(draw.choices(letters, k=30))}.{''.join(draw.choices(letters + '_-', k=43))}"
    # A hyphen at the end would be read as punctuation.
    return start + "".join(draw.choices(chars, k=size - 1)) + draw.choice(low if chars[0].islower() else "A7")


def _parted(text: str, cuts: tuple[int, ...], gap: str) -> str:
    places = (0, *cuts, len(text))
    return gap.join(text[start:end] for start, end in zip(places, places[1:], strict=False))
