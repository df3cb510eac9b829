"""Characters that came out wrong on the way: misread encodings, lost ones, hidden ones, and leftovers of HTML."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from finetune.dataset.checks.hidden import hidden_kinds, strip_hidden
from finetune.dataset.checks.markup import has_markup, strip_markup
from finetune.dataset.checks.texts import listed, places, suspects
from finetune.dataset.example import Example
from finetune.dataset.finding import Finding, Severity, plural, rows_text

__all__ = ["encoding_findings", "repair", "strip_hidden", "strip_markup"]

# What no encoding gives: the mark of a lost character, and the C1 control characters that print nothing.
LOST = re.compile("[\ufffd\x80-\x9f]")
# The code pages that UTF-8 gets misread as, and the first bytes that letters, punctuation and emoji have in UTF-8.
_CODE_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "iso8859_2", "mac_roman", "cp437")
_FIRST_BYTES = {
    1: (0xC2, 0xC3, 0xC4, 0xC5, 0xCE, 0xCF, 0xD0, 0xD1, 0xD7, 0xD8, 0xD9),
    2: (*range(0xE0, 0xF0),),
    3: (0xF0,),
}


def encoding_findings(examples: Sequence[Example]) -> list[Finding]:
    """Rows with broken, lost and hidden characters, and with leftovers of HTML, in any text.

    Broken is what can be put right (“cafÃ©” for “café”), by ftfy's rules; lost is what cannot (“caf\ufffd”). Hidden
    characters print nothing or turn the direction of writing: instructions to a model can be hidden in them, and text can
    be made to read other than it is (Boucher & Anderson 2021, “Trojan Source”).
    """
    broken: dict[int, str] = {}
    lost: dict[int, str] = {}
    hidden: dict[int, list[str]] = {}
    markup: dict[int, str] = {}
    for example in suspects(examples, _unusual):
        for place, text in places(example):
            if not text.isascii():
                _look(example.row, place, text, broken, lost, hidden)
            if ("<" in text or "&" in text) and has_markup(text):
                markup.setdefault(example.row, f"HTML in {place}")
    for row in lost:
        broken.pop(row, None)
    findings = []
    if broken:
        message = (
            f"{rows_text(len(broken))} {plural('has', 'have', len(broken))} broken characters, such as “Ã©” for “é”."
        )
        fix = "Repair them here, or save the file as UTF-8 from the program it comes from."
        findings.append(
            _finding("warning", broken, message, fix, "broken_characters", ("repair_encoding", "drop_broken"))
        )
    if lost:
        message = (
            f"{rows_text(len(lost))} {plural('has', 'have', len(lost))} characters that are lost, such as “\ufffd”."
        )
        fix = "Save the file anew as UTF-8 from the program it comes from; or leave these rows out."
        findings.append(_finding("warning", lost, message, fix, "lost_characters", ("drop_broken",)))
    if hidden:
        counts = Counter(kind for kinds in hidden.values() for kind in set(kinds))
        kinds = listed([f"{kind} in {count:,}" for kind, count in counts.most_common()], len(counts))
        message = (
            f"{rows_text(len(hidden))} {plural('has', 'have', len(hidden))} characters that cannot be seen: {kinds}."
        )
        fix = "Take them out: a model reads them, and instructions to it can be hidden in them."
        reasons = {row: listed(list(dict.fromkeys(kinds)), len(counts)) for row, kinds in hidden.items()}
        findings.append(_finding("note", reasons, message, fix, "hidden_characters", ("strip_hidden",)))
    if markup:
        message = f"{rows_text(len(markup))} {plural('has', 'have', len(markup))} leftovers of HTML, such as “&amp;” or “<br>”."
        fix = "Turn them into plain text, unless the model is to write HTML."
        findings.append(_finding("note", markup, message, fix, "markup", ("strip_markup",)))
    return findings


def repair(text: str) -> str:
    """The text with misread UTF-8 put right, by ftfy; all else stays as it is: quotes, ligatures, widths, line breaks."""
    if text.isascii() or not is_suspect(text):
        return text
    fix, settings = _ftfy()
    after = fix(text, settings)
    # ftfy writes the mark of a lost character as this control character on the way, and leaves it so.
    return after if "\x1a" in text else after.replace("\x1a", "\ufffd")


def is_suspect(text: str) -> bool:
    """May it hold misread UTF-8, lost characters or C1 controls? Quick, and lets through too much."""
    return any(_CLOSER.match(text, match.start()) for match in MISREAD.finditer(text))


def _look(
    row: int, place: str, text: str, broken: dict[int, str], lost: dict[int, str], hidden: dict[int, list[str]]
) -> None:
    if is_suspect(text):
        after = repair(text)
        if LOST.search(after):
            lost.setdefault(row, f"lost characters in {place}")
        elif after != text:
            broken.setdefault(row, f"broken characters in {place}")
    if kinds := hidden_kinds(text):
        hidden.setdefault(row, []).extend(kinds)


def _unusual(text: str) -> bool:
    return not text.isascii() or "<" in text or "&" in text


def _finding(
    severity: Severity, reasons: dict[int, str], message: str, fix: str, check: str, mends: tuple[str, ...]
) -> Finding:
    return Finding(
        "encoding", severity, tuple(sorted(reasons)), message, fix, mends=mends, check=check, reasons=reasons
    )


@cache
def _ftfy() -> tuple[Callable[..., str], Any]:
    import ftfy

    settings = ftfy.TextFixerConfig(
        unescape_html=False, remove_terminal_escapes=False, fix_latin_ligatures=False, fix_character_width=False,
        uncurl_quotes=False, fix_line_breaks=False, fix_surrogates=False, remove_control_chars=False, normalization=None,
        replace_lossy_sequences=False, explain=False,
    )  # fmt: skip
    return ftfy.fix_encoding, settings


def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What UTF-8 looks like when it is read by a code page: a first byte's character, then as many following ones.

    Two looks, the quick one and the one that is for the texts which that lets through; both let through too much, and ftfy
    decides, at some 100 µs a text.
    """

    def characters(page: str, some: Sequence[int]) -> str:
        # Bytes without a character in the code page come out as C1 control characters.
        letters = {bytes([byte]).decode(page, "ignore") or chr(byte) for byte in some}
        if page == "cp1251":
            letters -= set("іІїЇєЄґҐёЁўЎ")  # common after other letters, in languages that are written with it
        return "".join(sorted(re.escape(letter) for letter in letters))

    firsts, nexts, ways = "", "", ["[\ufffd\x80-\x9f]", "Ã "]
    for page in _CODE_PAGES:
        following = characters(page, range(0x80, 0xC0))
        nexts += following
        for count, some in _FIRST_BYTES.items():
            first = characters(page, some)
            firsts += first
            ways.append(f"[{first}][{following}]{{{count}}}")
    # “à” loses the second of its characters, a no-break space, to programs that tidy spaces. Each starts with one set.
    quick = re.compile(f"[{firsts}\ufffd\x80-\x9f](?:(?=[{nexts}])|(?<=Ã)(?= )|(?<=[\ufffd\x80-\x9f]))")
    return quick, re.compile("|".join(ways))


MISREAD, _CLOSER = _patterns()
