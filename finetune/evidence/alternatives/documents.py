"""Documents of the user's own, cut into passages that retrieval can put before a question."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.dataset.reading.load import load
from finetune.errors import FinetuneError
from finetune.runs.process import write_text

PASSAGES_FILE = "documents.jsonl"
TEXTS, TABLES = (".txt", ".md"), (".csv", ".jsonl")
WORDS, CHARACTERS = 150, 1500
MOST_BYTES = 100 * 1024**2


@dataclass(frozen=True)
class Passage:
    """A piece of a document: its text, the file's name, and which piece of the file it is (1 = the first)."""

    text: str
    source: str
    place: int


def read_documents(paths: Sequence[Path]) -> list[Passage]:
    """The passages of text files (.txt, .md: cut at paragraphs, then sentences) and tables (.csv, .jsonl: one a row).

    Raises:
        FinetuneError: a file that cannot be read, is of another kind, or is empty.
    """
    passages: list[Passage] = []
    for path in paths:
        if path.suffix.lower() not in (*TEXTS, *TABLES):
            raise FinetuneError(
                f"{path.name} is not a document that can be read.",
                hint=f"Save it as one of: {', '.join((*TEXTS, *TABLES))}.",
            )
        texts = list(_rows(path) if path.suffix.lower() in TABLES else _pieces(_text(path)))
        if not texts:
            raise FinetuneError(f"{path.name} holds no text.", hint="Leave it out, or fill it.")
        passages += [Passage(text, path.name, place) for place, text in enumerate(texts, start=1)]
    return passages


def write_passages(path: Path, passages: Sequence[Passage]) -> None:
    """Keep passages, or take the file away where there are none."""
    if not passages:
        path.unlink(missing_ok=True)
        return
    lines = (json.dumps(dataclasses.asdict(passage), ensure_ascii=False) + "\n" for passage in passages)
    write_text(path, "".join(lines))


def read_passages(path: Path) -> list[Passage]:
    """The passages that were kept; none where there is no such file."""
    if not path.exists():
        return []
    try:
        return [Passage(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except (ValueError, TypeError):
        raise FinetuneError(f"{path} is damaged.", hint="Give the documents again.") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FinetuneError(f"{path.name} is larger than {MOST_BYTES // 1024**2} MB.", hint="Split it.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FinetuneError(f"{path.name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise FinetuneError(f"{path.name} is not a text in UTF-8.", hint="Save it as UTF-8.") from None


def _rows(path: Path) -> Iterator[str]:
    frame = load(path).frame
    for values in frame.itertuples(index=False):
        told = ((name, str(value).strip()) for name, value in zip(frame.columns, values, strict=True))
        if text := "\n".join(f"{name}: {value}" for name, value in told if value):
            yield text


def _pieces(text: str) -> Iterator[str]:
    """Pieces of about `WORDS` words that end where a paragraph or a sentence does."""
    piece: list[str] = []
    count = 0
    for part in (sentence for paragraph in re.split(r"\n\s*\n", text) for sentence in _sentences(paragraph)):
        # A tenth of the characters counts as words: a text without spaces has one word.
        words = max(len(part.split()), len(part) * WORDS // CHARACTERS)
        if piece and count + words > WORDS:
            yield " ".join(piece)
            piece, count = [], 0
        piece.append(part)
        count += words
    if piece:
        yield " ".join(piece)


def _sentences(paragraph: str) -> list[str]:
    plain = " ".join(paragraph.split())
    if len(plain.split()) <= WORDS and len(plain) <= CHARACTERS:
        return [plain] if plain else []
    pieces: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+|(?<=[。！？])", plain):
        words = sentence.split()
        # A "sentence" without an end, such as a list, is cut by its words; one without spaces by its characters.
        for at in range(0, len(words), WORDS):
            piece = " ".join(words[at : at + WORDS])
            pieces += [piece[cut : cut + CHARACTERS] for cut in range(0, len(piece), CHARACTERS)]
    return pieces
