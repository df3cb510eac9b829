"""The bytes of a file become text: other kinds of file are named and refused, the encoding is found."""

from __future__ import annotations

import codecs
import re

from finetune.errors import FinetuneError

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"{\\rtf", "an RTF document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)
_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1f\x7f]")
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_SAMPLE = 65_536


def decode(data: bytes) -> tuple[str, str, list[str]]:
    """The text, the name of its encoding, and notes on what was guessed.

    Bytes that the encoding does not know become U+FFFD, which is found later as broken text, row by row.

    Raises:
        FinetuneError: the file is empty, binary, or of another kind.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise FinetuneError("The file is empty.", hint="It needs a header and at least a few dozen rows.")
    _refuse_other_kinds(data)
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace"), encoding, []
    if encoding := _utf16_without_mark(data[:_SAMPLE]):
        return (
            data.decode(encoding, errors="replace"),
            encoding,
            [f"The file has no byte order mark; read as {encoding}."],
        )
    head = data[:_SAMPLE]
    if head.count(0) > len(head) / 5 or len(_CONTROL.findall(head)) > len(head) / 50:
        raise FinetuneError("The file is binary, not text.", hint=_HINT)
    try:
        return data.decode("utf-8"), "utf-8", []
    except UnicodeDecodeError:
        pass
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    if len(_MULTIBYTE.findall(data)) > broken:
        # UTF-8 with a few damaged places (cut off, or pasted from elsewhere) is not another encoding.
        return text, "utf-8", [f"{broken:,} characters are not valid UTF-8 and show as “\ufffd”."]
    encoding = _guess(data)
    note = f"The file is not UTF-8; read as {encoding}. If accents look wrong, save it as UTF-8 and load it again."
    return data.decode(encoding, errors="replace"), encoding, [note]


_HINT = "Save the table as CSV or JSONL and load that."


def _refuse_other_kinds(data: bytes) -> None:
    kind = next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), "")
    if data.startswith(b"PK\x03\x04"):
        kind = "an Excel workbook" if b"xl/" in data else "a Word document" if b"word/" in data else "a zip archive"
    start = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        kind = "a web page or XML"
    if kind:
        raise FinetuneError(f"The file is {kind}, whatever its name says.", hint=_HINT)


def _utf16_without_mark(head: bytes) -> str:
    """Latin text in UTF-16 has a zero in every second byte; nothing else that is text does."""
    half = len(head) // 2
    if half < 2:
        return ""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 0.7 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.7 * half and odd < 0.05 * half:
        return "utf-16-be"
    return ""


def _guess(data: bytes) -> str:
    """The likeliest encoding that is not UTF-8, from the lines that have any byte beyond ASCII."""
    lines: list[bytes] = []
    size = 0
    for match in re.finditer(rb"[^\r\n]*[\x80-\xff][^\r\n]*", data):
        lines.append(match.group()[:4096])
        size += len(lines[-1])
        if size > _SAMPLE:
            break
    sample = b"\n".join(lines)
    if _looks_western(sample):
        return "cp1252"
    from charset_normalizer import from_bytes  # only the rare file that is not UTF-8 pays for the import

    best = from_bytes(sample).best()
    if best is None:
        raise FinetuneError("The encoding of the file cannot be told.", hint="Save it as UTF-8 and load it again.")
    return best.encoding


_WESTERN = frozenset("àâäáãåæçèéêëìíîïñòóôöõøùúûüÿœßÀÂÄÁÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÖÕØÙÚÛÜŒ“”‘’„–—…•€£°«»¿¡©®™·ªº§´\xa0")


def _looks_western(sample: bytes) -> bool:
    """Whether the bytes read well as Windows-1252, by far the commonest after UTF-8.

    charset-normalizer alone takes short French or Spanish for cp1250 (“Oů est ma carte?”). Cyrillic, Greek and Chinese
    bytes are letters in Windows-1252 too, but not few of them, and not one at a time; Polish ones stand where no
    Western word has them (“tydzieñ”, “ju¿”).
    """
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    foreign = re.findall(r"[^\x00-\x7f]", text)
    return (
        _WESTERN.issuperset(foreign)
        and sum(map(str.isalpha, foreign)) <= 0.25 * sum(map(str.isalpha, text))
        and not re.search(r"[À-ÿ]{3}|[a-z][¿¡]|œ(?![ueit])|ñ\b", text)
    )
