"""Personal data: what is found and masked, what is left alone, and how often it is right on generated rows."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable

import pytest

from finetune.dataset.checks.identifiers import luhn, mod97
from finetune.dataset.checks.personal import Span, find, mask, personal_findings
from finetune.dataset.example import Example
from finetune.errors import Cancelled

Draw = random.Random


def digits(draw: Draw, form: str) -> str:
    """# is any digit, ~ one from 2 to 9; the rest stays."""
    return "".join(
        str(draw.randint(0, 9)) if sign == "#" else str(draw.randint(2, 9)) if sign == "~" else sign for sign in form
    )


PHONES = {
    "US": ["(~##) ~##-####", "~##-~##-####", "~##.~##.####", "+1 ~##-~##-####", "+1 (~##) ~##-####", "1-800-~##-####"],
    "UK": [
        "07### ######",
        "020 7### ####",
        "(0161) ### ####",
        "+44 7911 ######",
        "+44 (0)20 7### ####",
        "01632 ######",
    ],
    "DE": ["0176 ########", "030/~######", "089-~#######", "(0221) ~#####", "+49 151 ########", "0049 30 ~#######"],
    "FR": ["06 ## ## ## ##", "01.4#.##.##.##", "+33 6 ## ## ## ##", "+33 (0)1 4# ## ## ##", "07-##-##-##-##"],
    "ES": ["6## ## ## ##", "91 ### ## ##", "+34 6## ### ###", "+34 91 ### ## ##"],
    "IT": ["347 #######", "333 ### ####", "06 ~### ####", "+39 340 #######", "02 ~#######"],
    "NL": ["06-########", "020-~######", "+31 6 ########", "06 ## ## ## ##"],
    "PL": ["22 ### ## ##", "60#-###-###", "+48 60# ### ###"],
    "IN": ["98### #####", "+91 98### #####", "+91-98########", "080-~#######"],
    "BR": ["(11) 9####-####", "(21) 3###-####", "+55 11 9####-####", "11 9####-####"],
    "JP": ["03-~###-####", "090-~###-####", "+81 90-####-####", "+81 3-~###-####"],
    "others": ["+61 412 ### ###", "+86 138 #### ####", "+7 912 ###-##-##", "+41 79 ### ## ##", "138 #### ####"],
}
NAMED_PHONES = ["~##~######", "98########", "07#########", "01########", "6########", "~##-####", "60# ### ###"]
FIRST, LAST = (
    ["ann", "juan", "mehmet", "li", "zofia", "jürgen", "marie"],
    ["smith", "o'neill", "garcia", "kowalska", "wu"],
)
HOSTS = ["gmail.com", "web.de", "firma-nord.de", "mail.example.co.uk", "orange.fr", "uni.edu", "acme.io", "example.com"]
IBANS = {
    "DE": "##################", "FR": "####################A##", "ES": "####################", "NL": "INGB##########",
    "GB": "NWBK##############", "PL": "########################", "IT": "X######################", "CH": "#####A###########",
}  # fmt: skip
BASE64 = string.ascii_letters + string.digits


def telephone(draw: Draw) -> str:
    return digits(draw, draw.choice(PHONES[draw.choice(sorted(PHONES))]))


def named_telephone(draw: Draw) -> str:
    name = draw.choice(["call me on", "phone:", "Tel.", "my mobile is", "WhatsApp", "Handy:", "mon téléphone est le"])
    return f"{name} {digits(draw, draw.choice(NAMED_PHONES))}"


def email(draw: Draw) -> str:
    local = draw.choice([".", "_", "", "-"]).join((draw.choice(FIRST), draw.choice(LAST))) + draw.choice(
        ["", "82", "+shop"]
    )
    at, dot = draw.choice([("@", ".")] * 8 + [(" (at) ", "."), (" [at] ", " [dot] ")])
    return local + at + draw.choice(HOSTS).replace(".", dot)


def card(draw: Draw, right: bool = True) -> str:
    start, length = draw.choice(
        [("4", 16), ("4", 16), ("53", 16), ("2221", 16), ("37", 15), ("6011", 16), ("3530", 16)]
    )
    number = start + "".join(draw.choices(string.digits, k=length - len(start) - 1))
    number += next(d for d in string.digits if luhn(number + d) == right)
    cuts = (4, 10, 15) if length == 15 else (4, 8, 12, 16)
    groups = [number[a:b] for a, b in zip((0, *cuts), cuts, strict=False)]
    return draw.choice(["", " ", "-"]).join(groups)


def iban(draw: Draw, right: bool = True) -> str:
    country = draw.choice(sorted(IBANS))
    account = digits(draw, IBANS[country])
    check = 98 - mod97(f"{country}00{account}")  # from 2 to 98
    whole = f"{country}{check if right else check - 1:02d}{account}"
    return whole if draw.random() < 0.5 else " ".join(whole[n : n + 4] for n in range(0, len(whole), 4))


def key(draw: Draw) -> str:
    def some(count: int, alphabet: str = BASE64) -> str:
        return "1a" + "".join(draw.choices(alphabet, k=count - 2))

    return draw.choice(
        [
            lambda: "AKIA" + some(16, string.ascii_uppercase + string.digits).upper(),
            lambda: "ghp_" + some(36),
            lambda: "github_pat_" + some(22) + "_" + some(59),
            lambda: "sk-" + some(48),
            lambda: "sk-proj-" + some(60, BASE64 + "_-"),
            lambda: "xoxb-" + some(12, string.digits) + "-" + some(24),
            lambda: "AIza" + some(35, BASE64 + "_-"),
            lambda: "hf_" + some(34),
            lambda: "sk_live_" + some(24),
            lambda: f"eyJ{some(20)}.eyJ{some(60)}.{some(43, BASE64 + '_-')}",
            lambda: f"Authorization: Bearer {some(32)}",
            lambda: f"api_key = '{some(24)}'",
            lambda: f"password: {draw.choice(['hunter2', 'Tr0ub4dor&3', 'pa55-word!', 'Sommer2024!'])}",
            lambda: f"postgres://admin:{some(9)}@db.internal:5432/shop",
            lambda: f"-----BEGIN RSA PRIVATE KEY-----\n{some(64)}\n{some(40)}\n-----END RSA PRIVATE KEY-----",
        ]
    )()


PLANTED: dict[str, list[Callable[[Draw], str]]] = {
    "telephone": [telephone, telephone, named_telephone], "e-mail": [email], "card number": [card], "IBAN": [iban],
    "key": [key],
}  # fmt: skip
DECOYS: list[Callable[[Draw], str]] = [
    lambda draw: digits(draw, draw.choice(["order ~#######", "order number 4#########", "Order #1234567890", "PO ~###-###-###"])),
    lambda draw: digits(draw, draw.choice(["invoice INV-2024-00####", "Rechnung 2024-######", "invoice no. ~##-~##-####"])),
    lambda draw: digits(draw, draw.choice(["tracking 1Z999AA10########", "parcel 9400 1000 #### #### #### ##", "JD01460000########"])),
    lambda draw: f"{draw.randint(1990, 2029)}-{draw.randint(10, 12)}-{draw.randint(10, 28)} 10:30:00",
    lambda draw: f"{draw.randint(1, 28)}.{draw.randint(1, 12)}.{draw.randint(1990, 2029)}",
    lambda draw: f"{draw.randint(1, 12)}/{draw.randint(1, 28)}/{draw.randint(1990, 2029)}",
    lambda draw: "between 09:15 and 17:45:30, 2019-2024",
    lambda draw: f"{draw.choice('$€£')}{draw.randint(1, 999):,}.{draw.randint(10, 99)}",
    lambda draw: f"{draw.randint(1, 9)} {draw.randint(100, 999)} {draw.randint(100, 999)}",
    lambda draw: f"{draw.randint(10**6, 10**9):,}".replace(",", draw.choice([",", " ", "."])) + " EUR",
    lambda draw: f"{draw.uniform(-90, 90):.6f}, {draw.uniform(-180, 180):.6f}",
    lambda draw: draw.choice(["section 4.2.1.3", "version 10.12.104.22", "v2.14.0-rc.1", "lodash@4.17.21", "Python 3.11.9"]),
    lambda draw: "".join(draw.choices("0123456789abcdef", k=draw.choice([32, 40, 64]))),
    lambda draw: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
    lambda draw: digits(draw, draw.choice(["ISBN 978-3-16-######-#", "978-0-~##-#####-#", "0-306-#####-2", "EAN 40########27"])),
    lambda draw: draw.choice(["@ann_smith", "foo@bar", "xxx@xxx", "me@localhost", "icon@2x.png", "git@github.com:a/b.git"]),
    lambda draw: card(draw, right=False),
    lambda draw: iban(draw, right=False),
    lambda draw: draw.choice(["4111 **** **** 1111", "****1234", "card ending in 4242", "DE89 **** **** 00"]),
    lambda draw: draw.choice(["password: ********", "api_key = <your-key>", "my password is incorrect", "token: None"]),
    lambda draw: draw.choice(["192.168.0.12", "10.0.0.1:8080", "127.0.0.1", "ISO 9001:2015", "RFC 2119", "A4 210 x 297"]),
    lambda draw: str(draw.randint(10**4, 10**11)),
    lambda draw: draw.choice(["ratio 12:34:56", "0800-1700", "#000000", "100000 km", "lines 1204-1377", "3 4 5 6 7 8 9 10"]),
]  # fmt: skip
PROSE = (
    "please could you tell me when the thing that I wanted for my sister will arrive since nobody has answered and the "
    "shop near the station was closed again on monday although the page says it should be open until six in winter"
)
WORDS = PROSE.split()


def prose(draw: Draw, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=count))


def sentence(draw: Draw, piece: str, around: int) -> str:
    lead = draw.choice(["", "it is ", "here you go: ", "(see "])
    end = ")" if lead == "(see " else draw.choice([".", "", ", thanks", "?", "!"])
    return f"{prose(draw, draw.randint(0, around))} {lead}{piece}{end} {prose(draw, draw.randint(0, around))}".strip()


def planted(seed: int, count: int) -> tuple[list[Example], dict[int, set[str]]]:
    """Short queries, paragraphs and chats in turn; a third each with data, with decoys, and with nothing."""
    draw = random.Random(seed)
    examples, truth = [], {}
    for row in range(1, count + 1):
        pieces, kinds = [], set()
        which = row // 3 % 3
        if which == 0:
            for kind in draw.sample(sorted(PLANTED), draw.choice([1, 1, 2])):
                pieces.append(draw.choice(PLANTED[kind])(draw))
                kinds.add(kind)
        if which == 1 or draw.random() < 0.2:
            pieces += [draw.choice(DECOYS)(draw) for _ in range(draw.choice([1, 2]))]
        draw.shuffle(pieces)
        shape = row % 3
        texts = [sentence(draw, piece, (4, 25, 8)[shape]) for piece in pieces] or [prose(draw, 12)]
        if shape == 0:
            example = Example(row, " ".join(texts), "delivery")
        elif shape == 1:
            example = Example(row, prose(draw, 30), "\n\n".join(texts))
        else:
            turns = [("user", texts[0]), ("assistant", prose(draw, 6)), ("user", prose(draw, 5))]
            example = Example(row, turns[-1][1], " ".join(texts[1:]) or "yes", tuple(turns))
        examples.append(example)
        truth[row] = kinds
    return examples, truth


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_precision_and_recall_on_planted_rows(seed: int):
    examples, truth = planted(seed, 2000)
    reasons = {row: reason for finding in personal_findings(examples) for row, reason in finding.reasons.items()}
    found = {row: {part.split(" in ")[0] for part in reasons.get(row, "").split("; ") if part} for row in truth}
    pairs = {(row, kind) for row, kinds in found.items() for kind in kinds}
    right = {(row, kind) for row, kinds in truth.items() for kind in kinds}
    for kind in PLANTED:
        wanted = {pair for pair in right if pair[1] == kind}
        assert len(wanted & pairs) >= 0.95 * len(wanted) > 0, (kind, sorted(wanted - pairs)[:5])
    assert len(right & pairs) >= 0.95 * len(pairs), sorted(pairs - right)[:5]


def test_nothing_planted_is_left_after_masking():
    draw = random.Random(5)
    for kind, makers in PLANTED.items():
        for _ in range(100):
            piece = draw.choice(makers)(draw)
            masked = mask(f"here it is: {piece}, thanks")
            assert f"[{kind}]" in masked and mask(masked) == masked
            assert sum(character.isdigit() for character in masked) <= 4, (piece, masked)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ann.o'neill+x@mail.example.co.uk.", "write to [e-mail]."),
        ("ann (at) example.com and bob [at] example [dot] org", "[e-mail] and [e-mail]"),
        ("请联系zhang@example.com谢谢", "请联系[e-mail]谢谢"),
        ("call (415) 555-2671 x23 or 415.555.2671", "call [telephone] or [telephone]"),
        ("Tel.: +49 (0)30 1234567", "Tel.: [telephone]"),
        ("電話は０９０−１２３４−５６７８です", "電話は[telephone]です"),
        ("my number is 9876543210", "my number is [telephone]"),
        ("9876543210 is my mobile", "[telephone] is my mobile"),
        ("text me at 555-0123", "text me at [telephone]"),
        ("card 4242 4242 4242 4242 123 12/27", "card [card number] 123 12/27"),
        ("visa debit 4222222222222", "visa debit [card number]"),
        ("pay to de89 3704 0044 0532 0130 00 by Friday", "pay to [IBAN] by Friday"),
        ("my SSN is 123-45-6789", "my SSN is [social security number]"),
        ("seen from 84.17.52.190 and 2001:4860:4860::8888", "seen from [IP address] and [IP address]"),
        ("my IP is 84.17.5.9", "my IP is [IP address]"),
        ('{"password": "hunter2"}', '{"password": "[key]"}'),
        ("Passwort: Sommer2024!", "Passwort: [key]!"),
        ("https://user:s3cret@host.example/x", "https://[key]@host.example/x"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
    ],
)
def test_masks(text: str, masked: str):
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "order 4155552671", "my order number is 415-555-2671", "tracking no. 1Z999AA10123456784", "1 000 000 people called",
        "it cost 1,234,567.89", "52.520008, 13.404954", "section 4.2.1.3", "release 110.0.54.33, version 10.12.104.22",
        "2024-11-25 10:30:00", "25.11.2024", "call us between 2019 and 2024", "550e8400-e29b-41d4-a716-446655440000",
        "d41d8cd98f00b204e9800998ecf8427e", "ISBN 978-3-16-148410-0", "0-306-40615-2", "4242 4242 4242 4241",
        "DE89 3704 0044 0532 0130 01", "foo@bar", "xxx@xxx", "@ann", "icon@2x.png", "git@github.com:a/b.git",
        "lodash@4.17.21", "my password is incorrect", "password: ********", "api_key=<your-key-here>", "the token is expired",
        "api_key = os.environ['API_KEY_2024_PROD']", "192.168.0.12", "123-45-6789", "sk-learn is a library", "C:\\a1\\b2",
        "the pass: 3 hours", "EAN 4006381333931", "9400 1000 0000 0000 0000 00", "2001:db8::1", "", "🙂" * 50,
    ],
)  # fmt: skip
def test_is_left_alone(text: str):
    assert find(text) == [] and mask(text) == text


def test_a_pem_key_and_its_neighbours():
    text = "see\n-----BEGIN PRIVATE KEY-----\nMIIEvQ1\n-----END PRIVATE KEY-----\nann@example.com"
    assert mask(text) == "see\n[key]\n[e-mail]"
    assert find("a@b.de c@d.de") == [Span("e-mail", 0, 6), Span("e-mail", 7, 13)]


def test_findings_name_kind_and_place_and_never_the_data():
    turns = (("system", "be kind"), ("user", "I am ann@example.com"), ("assistant", "hello"), ("user", "and now?"))
    examples = [
        Example(3, "nothing here", "label 12"),
        Example(5, "ann@example.com, card 4242424242424242", "call 415-555-2671"),
        Example(8, "and now?", "ann@example.com", turns),
        Example(9, "from 84.17.52.190", "network"),
    ]
    told, addresses = personal_findings(examples)
    assert told.kind == addresses.kind == "personal_data"
    assert (told.check, told.severity, told.rows) == ("personal_data", "warning", (5, 8))
    assert told.mends == ("mask_personal", "drop_personal")
    assert told.reasons == {
        5: "e-mail in the input; card number in the input; telephone in the output",
        8: "e-mail in an earlier turn and the output",
    }
    assert told.message == (
        "2 rows hold personal data: e-mail addresses in 2, card numbers in 1 and telephone numbers in 1."
    )
    assert (addresses.check, addresses.severity, addresses.rows) == ("ip_address", "note", (9,))
    assert "drop_personal" not in addresses.mends
    assert personal_findings(examples[:1]) == []


def test_progress_is_told_and_can_end_the_work():
    heard = []

    def tell(doing: str, share: float) -> None:
        heard.append(share)
        if len(heard) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        personal_findings([Example(row, "nothing", "x") for row in range(1, 120_001)], tell=tell)
    assert heard == [0.0, 50_000 / 120_000]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["1-", "a@", "a.", "1 ", "password: ", "(1)", "DE89 ", "1:", "a@b.", "[at]", "tel 06 12 34 56 7"]
)
def test_long_hostile_texts_take_no_time(piece: str):
    find((piece * 60_000)[:60_000] + " ann@example.com -----BEGIN PRIVATE KEY-----")
