"""Labels that are one label, written in two ways: by case, space, punctuation, or by a slip of the hand."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from finetune.dataset.finding import Finding, plural

# More different labels than this are no labels but texts.
MOST_LABELS = 20_000
# A likely variant has at most this share of the rows of the label that it stands for, which has at least so many.
_RARE, _LEAST = 0.1, 10
# Letters that the other words of two labels have in common, from which short words and first letters count too.
_MUCH_IN_COMMON = 5
# Pairs of words that may be compared letter by letter; of more, slips are not looked for.
_MOST_PAIRS = 4_000_000

_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff\x00-\x08]")
_SEPARATORS = re.compile(r"[\s_\-\u2010-\u2015]+")
# Not + * # % < > or a leading full stop: A+, C#, 5%, >50K and .5 mean something else than A, C, 5, 50K and 5. Nor do
# -1 and A- mean 1 and A, though a hyphen is no more than a space elsewhere.
_OPENING, _CLOSING = "\"'“”‘’«»„`¿¡([{", "\"'“”‘’«»`.,;:!?…)]}"
_SIGN_BEFORE, _SIGN_AFTER = re.compile(r"-\.?\d"), re.compile(r"\w\w?-")
_DIGITS_APART = re.compile(r"(?<=\d) (?=\d)")
_WORDS = re.compile(r"[^\W_]+")

_NEAR_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "qaz", "wsx", "edc", "rfv", "tgb", "yhn", "ujm", "ik", "ol")
_SAME_SOUND = ("aeiouy", "ckqs", "sz", "vw", "fv", "mn", "bp", "dt", "gj")
# Parts of words that turn the sense round while few letters change.
_OPPOSED = (("macro", "micro"), ("hyper", "hypo"), ("inter", "intra"), ("maxi", "mini"), ("pre", "pro"), ("ab", "ad"))
# Endings that make another word of the same stem (employer, employee), a plural s not being one of them.
_ENDINGS = frozenset(
    ["", "e", "d", "ed", "r", "er", "or", "ee", "y", "ly", "al", "n", "en", "ion", "ing", "st", "th", "t", "h"]
)
# A plural, but not "news", "status", "analysis" or "access"; the group where a "y" is put in its place.
_PLURAL = re.compile(r"(?:(?<=[a-z]{2})(ies)|(?<=ch|sh|ss|[a-z]x|[a-z]z)es|(?<=[a-z]{3}[^\W\d_sui])s)(?![^\W_])")


def spellings(labels: Iterable[str] | Mapping[str, int], *, likely: bool = True) -> dict[str, str]:
    """Each label that is a variant → the commonest spelling of the same.

    Of those as common, the one without white space at its ends, then the first in the alphabet.

    Certain: they differ by case, white space, underscore, hyphen, Unicode form (NFKC), or punctuation at the ends.
    Likely, and only where the rarer has at most a tenth of the rows of the other: they differ by accents, by "&" for
    "and", by a plural s, or one word of 5 letters or more has a typing slip (a letter left out, doubled or too many,
    two swapped, or one that lies beside it on the keyboard or sounds alike; two slips from 10 letters). Digits must be
    equal, and a word that other labels use too is no slip.

    Args:
        labels: one a row, or the rows of each label.
        likely: False leaves the likely ones out.
    """
    return {variant: label for variant, (label, _) in _variants(labels, likely).items()}


def spelling_finding(labels: Sequence[str], rows: Sequence[int]) -> Finding | None:
    """The rows whose label is a variant of a commoner one, or None.

    Args:
        labels: one a row; rows: their source rows.
    """
    variants = _variants(labels, likely=True)
    if not variants:
        return None
    found = {row: label for row, label in zip(rows, labels, strict=True) if label in variants}
    sure = [_pair(variant, label) for variant, (label, certain) in variants.items() if certain]
    unsure = [_pair(variant, label) for variant, (label, certain) in variants.items() if not certain]
    parts = []
    if sure:
        what = plural("label is another one", "labels are others", len(sure))
        parts.append(f"{len(sure):,} {what} but for case, space or punctuation: {_some(sure)}.")
    if unsure:
        what = plural("label looks", "labels look", len(unsure))
        parts.append(f"{len(unsure):,} {what} like another one mistyped: {_some(unsure)}.")
    reasons = {}
    for row, variant in sorted(found.items()):
        label, certain = variants[variant]
        how = "is, but for case, space or punctuation," if certain else "is probably"
        reasons[row] = f"“{variant[:60]}” {how} “{label[:60]}”"
    fix = "Write each label in one way; as they stand they count as different ones."
    if unsure:
        fix += " Look at the mistyped ones first: they are guesses."
    return Finding(
        "suspect_label",
        "warning",
        tuple(reasons),
        " ".join(parts),
        fix,
        mends=("merge_labels",),
        check="label_spelling",
        reasons=reasons,
        outputs={row: variants[variant][0] for row, variant in sorted(found.items())},
    )


def label_key(label: str) -> str:
    """Labels with the same one are the same for certain, see `spellings`."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", label)).lower()
    bare = text.strip().lstrip(_OPENING).rstrip(_CLOSING).strip(" \t\r\n_")
    if not any(character.isalnum() for character in bare):
        return " ".join(text.split())  # ":)" and "?" are what they are
    before, after = ("-" if sign else "" for sign in (_SIGN_BEFORE.match(bare), _SIGN_AFTER.fullmatch(bare)))
    # A separator between digits stays: 1-2 is not 12.
    spaced = _DIGITS_APART.sub("\0", _SEPARATORS.sub(" ", bare).strip())
    return before + spaced.replace(" ", "").replace("\0", " ") + after


def _variants(labels: Iterable[str] | Mapping[str, int], likely: bool) -> dict[str, tuple[str, bool]]:
    """Variant → (commonest spelling, whether that is certain)."""
    counts = Counter(labels)
    if len(counts) > MOST_LABELS:
        return {}
    groups: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts, key=lambda label: (-counts[label], label != label.strip(), label)):
        groups[label_key(label)].append(label)
    found = {label: (first, True) for first, *others in groups.values() for label in others}
    if not likely:
        return found
    rows = {members[0]: sum(counts[label] for label in members) for members in groups.values()}
    stands_for = _likely(rows)
    for first, *others in groups.values():
        if first in stands_for:
            found[first] = (stands_for[first], False)
            found.update((label, (stands_for[first], False)) for label in others)
    return found


def _likely(rows: Mapping[str, int]) -> dict[str, str]:
    """Label → the commoner one that it is probably meant to be, none of which is itself a variant."""
    common = sorted((label for label in rows if rows[label] >= _LEAST), key=lambda label: (-rows[label], label))
    if not common:
        return {}
    rare = sorted(label for label in rows if rows[label] <= _RARE * rows[common[0]])
    same: dict[str, list[str]] = defaultdict(list)
    for label in common:
        same[_loose_key(label)].append(label)
    candidates = {label: list(same.get(_loose_key(label), ())) for label in rare}
    for label, other in _slips(rare, common, rows):
        candidates[label].append(other)
    found = {}
    for label in rare:
        fitting = [other for other in candidates[label] if rows[label] <= _RARE * rows[other]]
        if fitting:
            found[label] = min(fitting, key=lambda other: (-rows[other], other))
    return {label: other for label, other in found.items() if other not in found}


def _loose_key(label: str) -> str:
    """The key without accents on Latin letters, "&" and plurals."""
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", label).lower().replace("&", " and "))
    plain = re.sub(r"(?<=[a-z])[\u0300-\u036f]+", "", decomposed)
    return label_key(_PLURAL.sub(lambda match: "y" if match[1] else "", plain))


def _slips(rare: Sequence[str], common: Sequence[str], rows: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    """(rare label, common label) of which one word is a slip of the other's."""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import cdist

    words = {label: _WORDS.findall(unicodedata.normalize("NFKC", label).lower()) for label in {*rare, *common}}
    used = Counter(word for label in rows for word in set(words.get(label, ())))
    # Labels of as many words, equal but for the one at the same place.
    meet: dict[tuple, tuple[list, list]] = defaultdict(lambda: ([], []))
    for side, labels in enumerate((rare, common)):
        for label in labels:
            for place, word in enumerate(words[label]):
                if not (word.isalpha() and word.upper() != word):
                    continue
                rest = (*words[label][:place], None, *words[label][place + 1 :])
                if sum(map(len, filter(None, rest))) >= _MUCH_IN_COMMON:
                    meet[rest, ""][side].append((word, label))
                elif len(word) >= 4:
                    meet[rest, word[0]][side].append((word, label))
    if sum(len(few) * len(many) for few, many in meet.values()) > _MOST_PAIRS:
        return
    for (_, first), (few, many) in meet.items():
        if not few or not many:
            continue
        distance = cdist([word for word, _ in few], [word for word, _ in many], scorer=OSA.distance, score_cutoff=2)
        for one, other in zip(*((distance == 1) | (distance == 2)).nonzero(), strict=True):
            (slip, label), (word, meant) = few[one], many[other]
            if label == meant or used[slip] > 1:
                continue
            if _is_slip(slip, word, int(distance[one, other])) or (not first and _is_short_slip(slip, word)):
                yield label, meant


def _is_slip(slip: str, word: str, distance: int) -> bool:
    """Whether the first word, one or two letters from the second, is likely a slip for it and not another word."""
    shorter, longer = sorted((slip, word), key=len)
    if len(longer) < 5 or (distance == 2 and len(shorter) < 10):
        return False
    one, other = slip.removesuffix("s"), word.removesuffix("s")
    start = _shared_start(one, other)
    inflected = one != other and {one[start:], other[start:]} <= _ENDINGS and longer != shorter + shorter[-1]
    if inflected or _opposed(slip, word):
        return False
    swapped = [slip[:at] + slip[at + 1] + slip[at] + slip[at + 2 :] for at in range(1, len(slip) - 1)]
    if distance == 1:
        return word in swapped or _near_edits(slip, word, 1)
    return any(_near_edits(made, word, distance - (made != slip)) for made in (slip, *swapped))


def _is_short_slip(slip: str, word: str) -> bool:
    """Whether a letter was lost, doubled or swapped, where all other words of two long labels agree.

    A letter in the place of another would be too little to go by in words so short.
    """
    start = _shared_start(slip, word)
    if len(slip) == len(word):
        swapped = slip[start + 1 : start + 2] + slip[start : start + 1] + slip[start + 2 :]
        return len(word) >= 4 and word[start:] == swapped
    shorter, longer = sorted((slip, word), key=len)
    if len(longer) != len(shorter) + 1 or {shorter + "s", shorter + "e"} & {longer}:
        return False
    lost = longer[:start] + longer[start + 1 :] == shorter
    doubled = start > 0 and start < len(longer) and longer[start] == longer[start - 1]
    # A first letter makes another word more often than one within: old and gold.
    return lost and (doubled or len(longer) >= (5 if start == 0 else 4))


def _near_edits(slip: str, word: str, most: int) -> bool:
    """Whether so many letters make the difference, and those in the place of another are near it."""
    from rapidfuzz.distance import Levenshtein

    edits = Levenshtein.editops(slip, word)
    return len(edits) <= most and all(
        edit.tag != "replace" or _near(slip[edit.src_pos], word[edit.dest_pos]) for edit in edits
    )


def _opposed(one: str, other: str) -> bool:
    """Whether the words are equal but for parts at their beginning that turn the sense round."""
    for left, right in (*_OPPOSED, *(pair[::-1] for pair in _OPPOSED)):
        if one.startswith(left) and other.startswith(right) and one[len(left) :] == other[len(right) :]:
            return True
    return False


def _near(one: str, other: str) -> bool:
    """Whether two letters lie side by side on a keyboard, or sound alike; accents are left out."""
    one, other = (unicodedata.normalize("NFD", letter)[0] for letter in (one, other))
    beside = any(one + other in keys or other + one in keys for keys in _NEAR_KEYS)
    return one == other or beside or any(one in sounds and other in sounds for sounds in _SAME_SOUND)


def _shared_start(one: str, other: str) -> int:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length


def _pair(variant: str, label: str) -> str:
    return f"“{variant[:60]}” for “{label[:60]}”"


def _some(pairs: Sequence[str]) -> str:
    return ", ".join(pairs[:5]) + (", …" if len(pairs) > 5 else "")
