"""The natural languages of texts, judged offline on a sample, and only where a text says enough."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

# fmt: off
# py3langid's codes of the languages that are told; its others are rare, and mostly wrong where it names them.
_NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "kn": "Kannada", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian",
    "mk": "Macedonian", "ml": "Malayalam", "mr": "Marathi", "ms": "Malay", "nl": "Dutch", "no": "Norwegian",
    "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak",
    "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai",
    "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}
# Languages that short texts don't keep apart count as one.
_GROUPS = {
    "no": "da", "ms": "id", "sk": "cs", "sr": "hr", "mr": "hi", "ca": "es", "ur": "fa", "mk": "bg",
}
# fmt: on
_CHARACTERS, _WORDS = 40, 6
# A text is of a language when this much of the probability is on it; it is foreign when its own language has little.
_SURE, _LITTLE = 0.7, 0.05
_PILOT = 400
# A text with this share of words that the pilot's texts in the main language have in common is of that language too.
_FAMILIAR = 0.5


@dataclass(frozen=True)
class Languages:
    """What a sample says.

    Attributes:
        judged: texts of the sample that were long enough.
        main: name of the commonest language; "" when hardly any text was clear.
        foreign: place among the texts → name of its language, where it is surely another.
    """

    judged: int
    main: str
    foreign: dict[int, str]


def languages(texts: Sequence[str], *, seed: int = 0, sample: int = 20_000) -> Languages:
    """Judges a seeded sample of the texts that have 40 characters or 6 words.

    Four hundred of them give the main language and its common words; of the rest, py3langid's model (naive Bayes on byte
    n-grams, Lui & Baldwin 2011) is asked only about those with few of these words, as it takes some 50 µs a text.
    """
    draw = random.Random(seed)
    places: Sequence[int] = range(len(texts))
    if len(texts) > sample:
        places = draw.sample(places, sample)
    long = [place for place in places if _says_enough(texts[place])]
    pilot = draw.sample(long, min(_PILOT, len(long)))  # not the first ones: files are sorted
    groups: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    foreign: dict[int, str] = {}
    scored = {place: _scores(texts[place]) for place in pilot}
    for scores in scored.values():
        best = max(scores, key=scores.__getitem__)
        if scores[best] >= _SURE:
            groups[best] += 1
    if not groups or groups.total() < len(scored) / 2:
        return Languages(len(long), "", {})
    main = groups.most_common(1)[0][0]
    for place, scores in scored.items():
        if scores.get(main, 0.0) >= _SURE:
            counts.update(set(texts[place].lower().split()))
    common = {word for word, count in counts.items() if count >= 3}
    for place in long:
        scores = scored.get(place)
        if scores is None:
            words = texts[place].lower().split()
            if sum(map(common.__contains__, words)) >= _FAMILIAR * len(words):
                continue
            scores = _scores(texts[place])
        best = max(scores, key=scores.__getitem__)
        if best != main and scores[best] >= _SURE and scores.get(main, 0.0) <= _LITTLE:
            foreign[place] = _NAMES[best]
    return Languages(len(long), _NAMES[main], foreign)


def prepare() -> None:
    """Loads the model, which can be done by a thread while other things are looked at."""
    _identifier()


def _says_enough(text: str) -> bool:
    return len(text) >= _CHARACTERS or text.count(" ") >= _WORDS - 1


def _scores(text: str) -> dict[str, float]:
    """Group of languages → probability."""
    together: dict[str, float] = {}
    for language, probability in _identifier().rank(text[:1000]):
        group = _GROUPS.get(language, language)
        together[group] = together.get(group, 0.0) + probability
    return together


@cache
def _identifier() -> Any:
    """The model of py3langid, which takes 0.6 s and 60 MB to load."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(_NAMES))
    return identifier
