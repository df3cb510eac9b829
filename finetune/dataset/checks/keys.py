"""Keys, tokens and passwords in running text: those with a form of their own, and what is named as one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

# The forms that services publish, so that leaked keys can be told. Each ends where its alphabet does.
_FORMS = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[^-]{0,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
    r"|(?<![A-Za-z0-9_-])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # Amazon
    r"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255}|gl(?:pat|dt|rt)-[\w-]{20,}"  # GitHub, GitLab
    r"|sk-(?=[\w-]*[0-9])(?:(?:proj|svcacct|admin|ant|or|lf)-)?[\w-]{20,}"  # OpenAI and those that follow it
    r"|(?:gsk|xai|r8|hf|npm)[_-](?=[A-Za-z]*[0-9A-Z])[A-Za-z0-9]{30,}|pypi-[\w-]{40,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{20,}"  # Slack
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"  # Google
    r"|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}"  # Stripe
    r"|SG\.[\w-]{16,}\.[\w-]{30,}|(?:AC|SK)[0-9a-f]{32}(?![0-9A-Za-z])|dop_v1_[0-9a-f]{64}|dapi[0-9a-f]{32}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"
    r"|[0-9]{8,10}:AA[\w-]{33}(?![\w-])"  # Telegram
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"  # JSON Web Token
    r"|(?<=://)[^\s:/@?#]{1,64}:[^\s:/@?#]{3,128}(?=@[\w.-]+)"  # user:password@host of an address
    r")"
)
_BEARER = re.compile(r"(?i)\b(?:bearer|basic)\s+([\w.~+/-]{20,}=*)")
# A name, a sign of assignment, a value.
_ASSIGNED = re.compile(
    r"""(?ix)
    (?P<name> (?<![a-z]) (?:[a-z0-9]{1,20}[_-]){0,3}
        (?: pass(?:word|wort|phrase|code|wd) | pass(?=\s?=)
          | pwd | kennwort | contrase[ñn]a | senha | mot\ de\ passe | has[łl]o | wachtwoord
          | secret | (?:api|access|secret|private|auth|client|account|license|encryption|signing)[ _-]?(?:key|token|secret)
          | token | apikey | accountkey )
    )
    ["'`*]{0,3} \s{0,2} (?: (?P<sign> := | => | [:=：] ) | \s(?:is|ist|est|es|[èe]|é|to)(?:\s?:)?\s )
    \s{0,2} ["'`*<]{0,3} (?P<value> [^\s"'`<>]{4,256} )
    """
)
_PLACEHOLDER = re.compile(
    r"(?i)[x*.•_-]{3,}\W*$|^[\[{(<$%]|your|example|placeholder|change.?me|redacted|hidden|insert|none|null|true|false|"
    r"undefined|\benv\b|environ|getenv|process\.|os\.|config|settings|self\.|required|optional|string|https?:"
)
_PASSWORD = re.compile(r"(?i)pass|pwd|kennwort|contrase|senha|has[łl]o|wachtwoord")
_TAIL = ".,;:!?)]}'\"`*"


def keys(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each key, token or password; the word that names it is not part of it.

    Those of a known service are told by their form; a bearer token by the word; any other only where it is named and
    assigned (`api_key = …`, `password: …`) and looks like one: 12 characters or more with 3 bits of entropy each, for
    passwords 6 or more with a digit or sign among letters. Values that only stand for one (`<your key>`, `****`) don't
    count.
    """
    if max(map(len, text.split()), default=0) >= 20:
        for match in _FORMS.finditer(text):
            yield match.span()
        for match in _BEARER.finditer(text):
            if any(character.isdigit() for character in match[1]):
                yield match.span(1)
    elif "-----BEGIN" in text:
        for match in _FORMS.finditer(text):
            yield match.span()
    if _names_one(text.lower()):
        for match in _ASSIGNED.finditer(text):
            value = match["value"].rstrip(_TAIL)
            if _looks_secret(match["name"], value, bool(match["sign"])):
                start = match.start("value")
                yield start, start + len(value)


def _names_one(lower: str) -> bool:
    # Written out: a loop over the names takes ten times as long, and the pattern as well.
    return (
        "key" in lower or "pass" in lower or "token" in lower or "secret" in lower or "pwd" in lower or "senha" in lower
        or "kennwort" in lower or "contrase" in lower or "hasł" in lower or "haslo" in lower or "wachtwoord" in lower
    )  # fmt: skip


def _looks_secret(name: str, value: str, assigned: bool) -> bool:
    if _PLACEHOLDER.search(value):
        return False
    digits = sum(character.isdigit() for character in value)
    letters = sum(character.isalpha() for character in value)
    if _PASSWORD.search(name):
        # "My password is incorrect": without a sign of assignment, it takes a digit.
        signs = len(value) - digits - letters
        mixed = letters and (digits or (assigned and signs and not value[-1].isalnum()) or (assigned and signs > 1))
        return len(value) >= 6 and bool(mixed) and "(" not in value
    long = len(value) >= (16 if digits == 1 else 12)
    return long and digits > 0 and letters > 1 and "(" not in value and entropy(value) >= 3


def entropy(text: str) -> float:
    """Bits a character, by how often each stands in it (Shannon 1948): 0 for "aaaa", 4 for 16 different ones."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values())
