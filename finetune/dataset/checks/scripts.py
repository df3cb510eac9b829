"""Rows in another script or language than the rest, and words with letters of two scripts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np

from finetune.dataset.checks.languages import languages
from finetune.dataset.checks.texts import listed, places
from finetune.dataset.example import Example
from finetune.dataset.finding import Finding, plural, rows_text

LATIN = "Latin"
# Unicode's blocks, first and last; a row in kana and Chinese characters is one script.
_BLOCKS = {
    LATIN: ((0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x24F),
            (0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF), (0xFB00, 0xFB06), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A)),
    "Greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "Cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    "Armenian": ((0x530, 0x58F),),
    "Hebrew": ((0x5D0, 0x5F2), (0xFB1D, 0xFB4F)),
    "Arabic": ((0x620, 0x64A), (0x66E, 0x6D3), (0x6FA, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF),
               (0xFE70, 0xFEFC)),
    "Devanagari": ((0x900, 0x963), (0x970, 0x97F)), "Bengali": ((0x980, 0x9FF),), "Gurmukhi": ((0xA00, 0xA7F),),
    "Gujarati": ((0xA80, 0xAFF),), "Odia": ((0xB00, 0xB7F),), "Tamil": ((0xB80, 0xBFF),), "Telugu": ((0xC00, 0xC7F),),
    "Kannada": ((0xC80, 0xCFF),), "Malayalam": ((0xD00, 0xD7F),), "Sinhala": ((0xD80, 0xDFF),),
    "Thai": ((0xE00, 0xE7F),), "Lao": ((0xE80, 0xEFF),), "Tibetan": ((0xF00, 0xFFF),),
    "Burmese": ((0x1000, 0x109F),), "Georgian": ((0x10A0, 0x10FF), (0x1C90, 0x1CBF)),
    "Korean": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF)),
    "Ethiopic": ((0x1200, 0x139F),), "Khmer": ((0x1780, 0x17FF),), "Mongolian": ((0x1800, 0x18AF),),
    "Chinese or Japanese": ((0x3005, 0x3007), (0x3041, 0x312F), (0x31A0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
                            (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x2FFFF)),
}  # fmt: skip
_SCRIPTS = ("", *_BLOCKS)
# From this share of the rows on, a script is that of the data; a row's own needs so many letters (or one ideograph).
_MAIN, _LETTERS = 0.9, 3
# From this share of other languages on, the data is meant to be in several.
_SEVERAL = 0.4
_CHUNK = 20_000
_ASCII_WORD = re.compile("[A-Za-z]{3}")
_FIX = "Leave them out if the model is not to read the like; else add rows of them."
# Letters that look the same in Latin and in the other script.
_CYRILLIC_ALIKE, _GREEK_ALIKE = "аеорсухіјѕԁһԛԝАВЕКМНОРСТУХІЈЅ", "ορνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
_LATIN_ALIKE = "aeopcyxijsABEKMHOPCTXI"
# The quick look, and the words: Latin ones with foreign letters that look Latin, Cyrillic ones with Latin letters that
# look Cyrillic. A foreign ending on a Latin word, as Russian writes it, is none: the odd letters stand before others.
ALIKE = re.compile(
    f"[{_CYRILLIC_ALIKE}{_GREEK_ALIKE}](?:(?=[A-Za-z])|(?<=[A-Za-z].))|[\u0400-\u04ff][{_LATIN_ALIKE}](?=[\u0400-\u04ff])"
)
_MIXED = re.compile(
    rf"(?<!\w)(?=\w{{3}})(?:"
    rf"(?=[A-Za-z]*[{_CYRILLIC_ALIKE}]+[A-Za-z])[A-Za-z{_CYRILLIC_ALIKE}]+"
    rf"|(?=[A-Za-z]*[{_GREEK_ALIKE}]+[A-Za-z]{{2}})(?=\w{{4}})[A-Za-z{_GREEK_ALIKE}]+"
    rf"|(?=[\u0400-\u04ff]+[{_LATIN_ALIKE}]+[\u0400-\u04ff])[\u0400-\u04ff{_LATIN_ALIKE}]+"
    rf")(?!\w)"
)


def language_findings(examples: Sequence[Example], *, seed: int = 0, sample: int = 20_000) -> list[Finding]:
    """Rows whose input is in another script or language than nearly all others, and words with letters that only look right.

    Inputs alone are judged: labels say nothing, and answers in another language than their input are translations.
    Scripts and letters are looked at in all rows, languages in a seeded sample of `sample` rows.
    """
    found = [_other_script(examples), _other_letters(examples), _other_language(examples, seed, sample)]
    return [finding for finding in found if finding is not None]


def _other_script(examples: Sequence[Example]) -> Finding | None:
    main = _main_scripts([example.input for example in examples])
    counts = np.bincount(main, minlength=len(_SCRIPTS))
    counts[0] = 0
    most = int(counts.argmax())
    other = np.flatnonzero((main != most) & (main != 0))
    if not len(other) or counts[most] < _MAIN * counts.sum():
        return None
    names = {examples[place].row: _SCRIPTS[main[place]] for place in other}
    told = listed([f"{name} ({count:,})" for name, count in Counter(names.values()).most_common()])
    message = (
        f"{rows_text(len(names))} {plural('is', 'are', len(names))} in another script than the rest, which is in "
        f"{_SCRIPTS[most]}: {told}."
    )
    reasons = {row: f"in {name} letters" for row, name in sorted(names.items())}
    return _finding(reasons, message, _FIX, "mixed_scripts")


def _other_letters(examples: Sequence[Example]) -> Finding | None:
    reasons = {}
    for example in examples:
        if example.input.isascii() and example.output.isascii() and not example.context:
            continue
        where = [place for place, text in places(example) if not text.isascii() and _has_mixed(text)]
        if where:
            reasons[example.row] = f"letters of two scripts in one word of {listed(list(dict.fromkeys(where)))}"
    if not reasons:
        return None
    message = (
        f"{rows_text(len(reasons))} {plural('has', 'have', len(reasons))} words with a letter of another script that looks "
        "the same, such as a Cyrillic “а” in a Latin word."
    )
    fix = "A model reads another word there. Write them anew, or leave the rows out; they are often made to deceive filters."
    return _finding(reasons, message, fix, "mixed_letters")


def _other_language(examples: Sequence[Example], seed: int, sample: int) -> Finding | None:
    spoken = languages([example.input for example in examples], seed=seed, sample=sample)
    if not spoken.foreign:
        return None
    examined = sample if len(examples) > sample else None
    shares = Counter(spoken.foreign.values()).most_common()
    told = listed([f"{_share(count, spoken.judged)} as {name}" for name, count in shares])
    first = "reads" if len(spoken.foreign) == 1 else "read"
    base = f"{spoken.judged:,} inputs that are long enough" + (f", in a sample of {sample:,} rows" if examined else "")
    message = f"{told.replace(' as ', f' {first} as ', 1)}, most of the others as {spoken.main} (of {base})."
    if len(spoken.foreign) > _SEVERAL * spoken.judged:
        fix = "The data is in several languages: see that each has rows enough, in the test as well."
        return Finding("encoding", "note", (), message, fix, check="mixed_languages", examined=examined)
    reasons = {examples[place].row: f"reads as {name}" for place, name in sorted(spoken.foreign.items())}
    return _finding(reasons, message, _FIX, "mixed_languages", examined)


def _finding(reasons: dict[int, str], message: str, fix: str, check: str, examined: int | None = None) -> Finding:
    rows = tuple(sorted(reasons))
    return Finding(
        "encoding", "note", rows, message, fix, mends=("drop_foreign",), check=check, reasons=reasons, examined=examined
    )


def _share(count: int, total: int) -> str:
    share = count / total
    return f"{share:.0%}" if share >= 0.01 else f"{share:.1%}" if share >= 0.001 else f"{count:,}"


def _has_mixed(text: str) -> bool:
    return bool(ALIKE.search(text) and _MIXED.search(text))


def _main_scripts(texts: Sequence[str]) -> np.ndarray:
    """Of each text, the number in _SCRIPTS of the script that most of its letters are in; 0 when it has hardly any."""
    latin = _SCRIPTS.index(LATIN)
    main = np.full(len(texts), latin, np.uint8)
    others = [place for place, text in enumerate(texts) if not text.isascii()]
    for start in range(0, len(others), _CHUNK):
        some = others[start : start + _CHUNK]
        main[some] = _count([texts[place] for place in some])
    if len(others) > len(texts) / 2:  # where most are Latin anyway, numbers alone may count as Latin too
        for place, text in enumerate(texts):
            if text.isascii() and not _ASCII_WORD.search(text):
                main[place] = 0
    return main


def _count(texts: Sequence[str]) -> np.ndarray:
    """The same, by counting: all characters of the texts at once, each text with a line break at its end."""
    points = np.frombuffer(("\n".join(texts) + "\n").encode("utf-32-le", "surrogatepass"), "<u4")
    scripts = _script_of()[np.minimum(points, 0x2FFFF)]
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    which = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    counts = np.bincount(which * len(_SCRIPTS) + scripts, minlength=len(texts) * len(_SCRIPTS))
    counts = counts.reshape(len(texts), len(_SCRIPTS))
    counts[:, 0] = 0
    best = counts.argmax(axis=1)
    return np.where(counts.max(axis=1) >= np.where(best == len(_SCRIPTS) - 1, 1, _LETTERS), best, 0)


@cache
def _script_of() -> np.ndarray:
    """Code point → number in _SCRIPTS."""
    table = np.zeros(0x30000, np.uint8)
    for number, blocks in enumerate(_BLOCKS.values(), start=1):
        for first, last in blocks:
            table[first : last + 1] = number
    return table
