"""Personal data and secrets in the texts: a model that was trained on them can repeat them word for word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from finetune.dataset.checks.identifiers import addresses, cards, ibans, security_numbers
from finetune.dataset.checks.keys import keys
from finetune.dataset.checks.telephone import telephones
from finetune.dataset.checks.texts import listed, places, suspects
from finetune.dataset.example import Example
from finetune.dataset.finding import Finding, Severity, plural, rows_text
from finetune.dataset.tell import Tell

EMAIL, TELEPHONE, CARD, IBAN, KEY = "e-mail", "telephone", "card number", "IBAN", "key"
SECURITY, ADDRESS = "social security number", "IP address"
_MANY = {
    EMAIL: "e-mail addresses", TELEPHONE: "telephone numbers", CARD: "card numbers", IBAN: "IBANs",
    KEY: "keys or passwords", SECURITY: "social security numbers", ADDRESS: "IP addresses",
}  # fmt: skip

_BETWEEN = r"[ ().\-/\u00a0\u202f\u2010\u2011\u2013]{0,3}"
# Full-width, Arabic, Persian and Devanagari digits, and full-width signs.
_OTHER_DIGITS = "\uff10-\uff19\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\uff20\uff0b"
_WIDE = re.compile(f"[{_OTHER_DIGITS}]")
_TO_ASCII = {
    start + digit: ord("0") + digit for start in (0xFF10, 0x0660, 0x06F0, 0x0966) for digit in range(10)
} | str.maketrans("\uff20\uff0b\uff0d\u2212", "@+--")
# Every kind has one of these: @, six digits with at most signs between them, a digit beside a letter, an assignment,
# "(at)", digits of other scripts, or the beginning of a key that may do without any digit. It starts with one set of
# characters, which `re` is quickest at: 0.5 µs a text.
FIRST = re.compile(
    rf"[0-9@:=(\[_{_OTHER_DIGITS}]"
    rf"(?:(?<![0-9_])|(?<=hf_)|(?<=live_)|(?<=[A-Za-z_][0-9])|(?=[A-Za-z_])|(?:{_BETWEEN}[0-9]){{5}})"
)
_NUMBER = re.compile(rf"[0-9](?:{_BETWEEN}[0-9]){{5,}}")
# Kind, search, characters that its longest row of digits has at least.
_NUMBERED = (
    (IBAN, ibans, 6), (CARD, cards, 12), (SECURITY, security_numbers, 9), (ADDRESS, addresses, 6),
    (TELEPHONE, telephones, 7),
)  # fmt: skip

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9À-ɏ._%+@-])[A-Za-z0-9À-ɏ_](?:[A-Za-z0-9À-ɏ.!#$%&'*+=?^_~-]{0,62}[A-Za-z0-9À-ɏ_+-])?"
    r"(?:@| ?[(\[](?:at|@)[)\]] ?)"
    r"(?:[A-Za-z0-9À-ɏ](?:[A-Za-z0-9À-ɏ-]{0,61}[A-Za-z0-9À-ɏ])?(?:\.| ?[(\[](?:dot|\.)[)\]] ?)){1,8}"
    r"(?P<top>[A-Za-z]{2,24}|xn--[a-z0-9-]{2,59})(?![A-Za-z0-9-])",
    re.IGNORECASE,
)
# icon@2x.png and style@media.css are files; git@github.com:owner/name is where a program is, not a person.
_FILES = frozenset({
    "png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "pdf", "json", "xml", "yaml", "yml", "html", "htm", "css",
    "js", "ts", "jsx", "tsx", "txt", "csv", "exe", "log",
})  # fmt: skip
# Kind → the places where it stands.
Where = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Span:
    """Personal data at text[start:end]; `kind` is the word that `mask` puts in its place."""

    kind: str
    start: int
    end: int


def personal_findings(examples: Sequence[Example], *, tell: Tell | None = None) -> list[Finding]:
    """The rows with personal data or secrets in any text, and in a finding of their own those with IP addresses alone.

    Made-up data counts too: addresses at example.com, 555-0123, the test card 4242…, "AKIA…EXAMPLE". A program can't know
    whether it stands for a person, and a model learns just as well to answer with it. What is no address at all, such
    as "xxx@xxx" or "foo@bar", and what is masked already, as in "4111 **** **** 1111", does not count.

    The reasons name the kind and the place, never the data.
    """
    found: dict[int, Where] = {}
    for example in suspects(examples, FIRST.search, tell=tell, doing="Looking for personal data"):
        where: Where = {}
        for place, text in places(example):
            for kind in dict.fromkeys(span.kind for span in find(text)):
                if place not in where.setdefault(kind, []):
                    where[kind].append(place)
        if where:
            found[example.row] = where
    weak = {row: where for row, where in found.items() if set(where) == {ADDRESS}}
    strong = {row: where for row, where in found.items() if row not in weak}
    findings = []
    if strong:
        message = f"{rows_text(len(strong))} {plural('holds', 'hold', len(strong))} personal data: {_counted(strong)}."
        fix = "A model that was trained on it can repeat it word for word. Mask it, or leave these rows out."
        findings.append(_finding("warning", strong, message, fix, "personal_data", ("mask_personal", "drop_personal")))
    if weak:
        message = f"{rows_text(len(weak))} {plural('holds', 'hold', len(weak))} a public IP address."
        fix = "It may lead to a person or a machine. Mask it if it does."
        findings.append(_finding("note", weak, message, fix, "ip_address", ("mask_personal",)))
    return findings


def find(text: str) -> list[Span]:
    """Every piece of personal data in a text, from left to right, none over another.

    E-mail addresses (also "ann (at) example.com"), telephone numbers, payment cards, IBANs, keys and passwords, US
    social security numbers, public IP addresses.
    """
    if not FIRST.search(text):
        return []
    if not text.isascii() and _WIDE.search(text):
        text = text.translate(_TO_ASCII)  # one character for one: the places stay
    spans: list[Span] = []
    for kind, start, end in _candidates(text):
        if all(end <= span.start or start >= span.end for span in spans):
            spans.append(Span(kind, start, end))
    return sorted(spans, key=lambda span: span.start)


def mask(text: str) -> str:
    """The text with "[e-mail]", "[telephone]", "[card number]", "[IBAN]", "[key]", … in place of the data."""
    for span in reversed(find(text)):
        text = f"{text[: span.start]}[{span.kind}]{text[span.end :]}"
    return text


def _candidates(text: str) -> Iterator[tuple[str, int, int]]:
    """The surest first: what overlaps an earlier one is part of it."""
    for start, end in keys(text):
        yield KEY, start, end
    for start, end in _emails(text):
        yield EMAIL, start, end
    numbers = [match.span() for match in _NUMBER.finditer(text)]
    if numbers:
        # Only what is around them is read again: each reading of the whole text costs as much as the first.
        start, end = max(0, numbers[0][0] - 24), numbers[-1][1] + 48
        longest = max(last - first for first, last in numbers)
        for kind, where, length in _NUMBERED:
            if longest >= length:
                for first, last in where(text, start, end):
                    yield kind, first, last
    elif text.count(".") > 2 or text.count(":") > 2:
        for first, last in addresses(text):
            yield ADDRESS, first, last


def _emails(text: str) -> Iterator[tuple[int, int]]:
    spelled = "(" in text or "[" in text
    if "@" not in text and not (spelled and ("at)" in (lower := text.lower()) or "at]" in lower)):
        return
    # The pattern is slow to skip text: it starts at the word of the first @.
    place = text.find("@")
    start = 0 if spelled else max(text.rfind(" ", 0, place), text.rfind("\n", 0, place)) + 1
    for match in _EMAIL.finditer(text, start):
        if match["top"].lower() not in _FILES and not match[0].lower().startswith("git@"):
            yield match.span()


def _counted(found: dict[int, Where]) -> str:
    counts = Counter(kind for where in found.values() for kind in where)
    return listed([f"{_MANY[kind]} in {count:,}" for kind, count in counts.most_common()], len(_MANY))


def _finding(
    severity: Severity, found: dict[int, Where], message: str, fix: str, check: str, mends: tuple[str, ...]
) -> Finding:
    reasons = {
        row: "; ".join(f"{kind} in {listed(where)}" for kind, where in kinds.items()) for row, kinds in found.items()
    }
    rows = tuple(sorted(found))
    return Finding("personal_data", severity, rows, message, fix, mends=mends, check=check, reasons=reasons)
