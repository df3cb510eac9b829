"""Which of the encodings from before UTF-8 some bytes are in: the one under which they read most like a language.

Detectors made for whole pages are wrong on a few short rows (“Oů est ma carte?”). Here every encoding is read with the
letters of its languages, and the likelihood of the bytes decides: letters that no one language has together, capitals
inside a word, signs between letters and scripts mixed in a word are what a wrong encoding looks like.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from finetune.dataset.reading import letters
from finetune.errors import FinetuneError

_SAMPLE = 16_384
# What every language writes beside its letters.
_SIGNS = frozenset("“”„‘’–—…•€£°«»·§©®™´ª\xa0")
_WIDE_SIGNS = frozenset("，。、？！：；（）「」『』《》【】“”‘’…—·～　・ー")
# Log-likelihoods: of a letter that the language does not have, of a sign, of another character, of what is no text.
_STRANGE, _SIGN, _RARE, _NEVER = math.log(3e-4), math.log(1e-2), math.log(1e-4), math.log(1e-7)
_WIDE_STRANGE, _WIDE_NEVER = math.log(2.5e-5), math.log(1e-7)
_ASCII = -3.0
_WORD = re.compile(r"\w+")
# Below this, a foreign character, nothing reads like a language (a right one has about 0, rare ideographs -4):
# charset-normalizer is asked.
_DOUBTFUL = -4.5


@dataclass(frozen=True)
class _Codepage:
    """An encoding, the languages written in it, and how much rarer than Windows-1252 it is in files (log)."""

    encoding: str
    languages: tuple[str, ...]
    prior: float
    script: str = "latin"  # "latin", "other" or "wide" (two bytes a character)


_WEST = ("french", "german", "spanish", "portuguese", "italian", "swedish", "danish", "dutch", "icelandic", "english")
_CENTRAL = ("polish", "czech", "slovak", "hungarian", "romanian", "croatian", "german")
_CYRILLIC = ("russian", "ukrainian", "bulgarian", "serbian")
# In order of preference among equals.
_CODEPAGES = (
    _Codepage("cp1252", _WEST, 0.0),
    _Codepage("cp1250", _CENTRAL, -1.5),
    _Codepage("cp1251", _CYRILLIC, -1.0, "other"),
    _Codepage("cp932", ("japanese",), -1.0, "wide"),
    _Codepage("gb18030", ("simplified",), -1.0, "wide"),
    _Codepage("big5hkscs", ("traditional",), -1.5, "wide"),
    _Codepage("cp949", ("korean",), -1.0, "wide"),
    _Codepage("cp1254", ("turkish",), -1.5),
    _Codepage("koi8-r", ("russian",), -1.5, "other"),
    _Codepage("cp1253", ("greek",), -1.5, "other"),
    _Codepage("cp1255", ("hebrew",), -2.0, "other"),
    _Codepage("cp1256", ("arabic",), -2.0, "other"),
    _Codepage("cp874", ("thai",), -2.0, "other"),
    _Codepage("cp1257", ("lithuanian", "latvian", "estonian"), -2.5),
    _Codepage("euc_jp", ("japanese",), -2.0, "wide"),
    _Codepage("iso8859-2", _CENTRAL, -2.5),
    _Codepage("iso8859-15", _WEST, -3.0),
    _Codepage("koi8-u", ("ukrainian",), -3.0, "other"),
    _Codepage("cp866", _CYRILLIC, -3.0, "other"),
    _Codepage("iso8859-5", _CYRILLIC, -4.0, "other"),
    _Codepage("iso8859-7", ("greek",), -4.0, "other"),
    _Codepage("mac-roman", _WEST, -4.0),
    _Codepage("cp850", _WEST, -4.0),
    _Codepage("cp852", _CENTRAL, -5.0),
    _Codepage("mac-cyrillic", ("russian",), -5.0, "other"),
)  # fmt: skip


def guess_encoding(sample: bytes) -> str:
    """The likeliest encoding of some lines that are not UTF-8, as Python names it.

    Raises:
        FinetuneError: nothing that is known reads like text.
    """
    sample = sample[:_SAMPLE]
    scored = [(_score(sample, codepage), codepage) for codepage in _CODEPAGES]
    (score, _), best = max(scored, key=lambda pair: pair[0][0])
    foreign = next(count for (_, count), codepage in scored if codepage is best)
    if score - best.prior >= _DOUBTFUL * foreign:
        return best.encoding
    from charset_normalizer import from_bytes  # only the rare file that reads like nothing pays for the import

    other = from_bytes(sample).best()
    if other is None:
        raise FinetuneError("The encoding of the file cannot be told.", hint="Save it as UTF-8 and load it again.")
    return other.encoding


def _score(sample: bytes, codepage: _Codepage) -> tuple[float, int]:
    """Log-likelihood of the bytes, and the number of characters beyond ASCII among them.

    The ASCII bytes count too: what follows the first byte of a Chinese character may look like one.
    """
    text = sample.decode(codepage.encoding, errors="replace")
    # Words in capitals count as small letters; so do all capitals of other scripts, but for where they stand.
    plain = {"latin": lambda: _WORD.sub(_quietly, text), "other": text.lower, "wide": lambda: text}[codepage.script]()
    foreign = Counter(plain)
    ascii_ = sum(foreign.pop(character) for character in list(foreign) if character.isascii())
    count = foreign.total()
    likely = max(
        sum(n * known.get(c, _of_other(c, codepage.script)) for c, n in foreign.items())
        for known in map(_likelihoods, codepage.languages)
    )
    penalty = 0.0 if codepage.script == "wide" else _oddities(text, codepage.script)
    return codepage.prior + likely - penalty + _ASCII * ascii_ - _ASCII * len(sample), count


def _quietly(word: re.Match[str]) -> str:
    """A word all in capitals, some of them ASCII, in small letters."""
    text = word.group()
    return text.lower() if text.isupper() and re.search("[A-Z]", text) else text


def _of_other(character: str, script: str) -> float:
    """The log-likelihood of a character that is no letter of the language."""
    if character == "\ufffd" or "\x80" <= character <= "\x9f" or "\ue000" <= character <= "\uf8ff":
        return _WIDE_NEVER if script == "wide" else _NEVER
    if script == "wide":
        return _SIGN if character in _WIDE_SIGNS else _WIDE_STRANGE if _is_ideograph(character) else _NEVER
    return _SIGN if character in _SIGNS else _STRANGE if character.isalpha() else _RARE


def _is_ideograph(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3" or "\u3040" <= character <= "\u30ff"


def _oddities(text: str, script: str) -> float:
    """What a wrong encoding does to words, as a loss of log-likelihood."""
    loss = 0.0
    run = 0
    before = " "
    for character, after in zip(text, text[1:] + " ", strict=True):
        if character.isascii():
            run = 0
        elif character.isalpha():
            run += 1
            if character.isupper() and before.islower():
                loss += 3
            if script == "latin":
                loss += 0 if run < 2 else 0.5 if run == 2 else 3
            elif character.isupper() and not before.islower():
                loss += 0.6 if before.isupper() else 1
            elif character == "ς" and after.isalpha():
                loss += 3
            elif (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha()):
                loss += 4
        else:
            run = 0
            # An apostrophe or a soft dash stands between letters, other signs do not.
            if before.isalpha() and after.isalpha() and character not in "’‘´·–—\xad":
                loss += 4
        if character.isascii() and character.isupper() and before.islower() and not before.isascii():
            loss += 3
        before = character
    return loss


@cache
def _likelihoods(language: str) -> dict[str, float]:
    """Letter → log-likelihood among the characters beyond ASCII, by its rank (Zipf), small and capital letters."""
    groups = letters.LETTERS[language]
    found: dict[str, float] = {}
    for share, ranked in groups:
        weights = [1 / (rank + 3) for rank in range(len(ranked))]
        total = sum(weights)
        for letter, weight in zip(ranked, weights, strict=True):
            likely = math.log(0.85 * share * weight / total)
            found[letter] = max(likely, found.get(letter, -math.inf))
            if letter.upper() != letter and len(letter.upper()) == 1:
                found.setdefault(letter.upper(), likely - 2.5)
    return found
