"""How the bytes of a file are to be read as text: other kinds of file are named and refused, the encoding is found."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from finetune.dataset.reading.codepage import guess_encoding
from finetune.dataset.reading.content import Content
from finetune.dataset.reading.records import MAX_LINE
from finetune.errors import FinetuneError

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
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
_FOREIGN = re.compile(rb"[\x80-\xff]+")
_LINE_END = re.compile(rb"[\r\n]")
# Bytes before and behind a place that are looked at with it.
_AROUND = 2048
_SAMPLE = 65_536
_STEP = 1 << 20
_HINT = "Save the table as CSV or JSONL and load that."


@dataclass(frozen=True)
class Text:
    """A file that is text.

    Attributes:
        encoding: as Python names it.
        notes: sentences on what was guessed. Bytes that the encoding does not know become U+FFFD, which is found
            later as broken text, row by row.
        longest: at least the bytes of its longest line, where that is beyond a megabyte.
    """

    content: Content
    encoding: str
    notes: tuple[str, ...]
    longest: int

    def open(self) -> io.TextIOWrapper:
        """The text from its start, without a byte order mark, line ends as they are."""
        stream = io.TextIOWrapper(self.content.open(), self.encoding, errors="replace", newline="")
        if stream.read(1) != "\ufeff":
            stream.seek(0)
        return stream

    def head(self, size: int) -> str:
        with self.open() as stream:
            return stream.read(size)

    def check_lines(self) -> None:
        """Raises FinetuneError where a line is longer than any row can be; whoever reads by lines asks first."""
        if self.longest > MAX_LINE:
            raise FinetuneError(
                f"The file has a line of {self.longest / 1e6:,.0f} MB; {MAX_LINE / 1e6:,.0f} MB at most are read.",
                hint="A row is a line with an input and an output: split it into rows.",
            )


def decode(content: Content) -> Text:
    """Which text it is.

    Raises:
        FinetuneError: the file is empty, binary, or of another kind.
    """
    with content.open() as file:
        head = file.read(_SAMPLE)
    refuse_other_kinds(head)
    if not head.strip(b"\0 \t\r\n") and not any(chunk.strip(b"\0 \t\r\n") for chunk in _chunks(content)):
        raise FinetuneError("The file is empty.", hint="It needs a header and at least a few dozen rows.")
    encoding = next((encoding for mark, encoding in _BOMS if head.startswith(mark)), "")
    if encoding == "utf-8-sig":
        return Text(content, encoding, _damage(_as_utf8(content)[0]), _longest(content))
    if encoding:
        return Text(content, encoding, (), _longest(content))
    if encoding := _utf16_without_mark(head):
        note = f"The file has no byte order mark; read as {encoding}."
        return Text(content, encoding, (note,), _longest(content))
    if head.count(0) > len(head) / 5 or len(_CONTROL.findall(head)) > len(head) / 50:
        raise FinetuneError("The file is binary, not text.", hint=_HINT)
    longest = _longest(content)
    broken, foreign = _as_utf8(content)
    if not broken:
        return Text(content, "utf-8", (), longest)
    if foreign - broken > broken:
        # UTF-8 with a few damaged places (cut off, or pasted from elsewhere) is not another encoding.
        return Text(content, "utf-8", _damage(broken), longest)
    encoding = guess_encoding(_foreign_lines(content))
    note = f"The file is not UTF-8; read as {encoding}. If accents look wrong, save it as UTF-8 and load it again."
    return Text(content, encoding, (note,), longest)


def _damage(broken: int) -> tuple[str, ...]:
    return (f"{broken:,} characters are not valid UTF-8 and show as “\ufffd”.",) if broken else ()


def refuse_other_kinds(head: bytes) -> None:
    """Raises FinetuneError where the first bytes of a file show that it is no text. `PAR1` is not asked about."""
    kind = next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), "")
    hint = _HINT
    if head.startswith(b"PK\x03\x04"):
        kind = "a Word document" if b"word/" in head else "a zip archive"
        hint = "Unpack it and load the file inside."
        if b"xl/" in head:
            kind, hint = "an Excel workbook", "In Excel, save the sheet as “CSV UTF-8” and load that."
    elif head[257:262] == b"ustar":
        kind, hint = "a tar archive", "Unpack it and load the file inside."
    elif "archive" in kind:
        hint = "Unpack it and load the file inside."
    start = head[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        kind = "a web page or XML"
    if kind:
        raise FinetuneError(f"The file is {kind}, whatever its name says.", hint=hint)


def _chunks(content: Content) -> Iterator[bytes]:
    with content.open() as file:
        while chunk := file.read(_STEP):
            yield chunk


def _longest(content: Content) -> int:
    """The longest stretch without a line end, in bytes, counted in whole chunks: short ones are of no interest."""
    longest = run = 0
    for chunk in _chunks(content):
        last = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        run = run + len(chunk) if last < 0 else len(chunk) - last
        longest = max(longest, run)
    return longest


def _as_utf8(content: Content) -> tuple[int, int]:
    """Places that are not UTF-8, and all characters beyond ASCII, those places among them."""
    strict = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(content):
            if not chunk.isascii() or strict.getstate()[0]:
                strict.decode(chunk)
        strict.decode(b"", final=True)
        return 0, 0
    except UnicodeDecodeError:
        pass
    loose = codecs.getincrementaldecoder("utf-8")(errors="replace")
    broken = foreign = 0
    for chunk in _chunks(content):
        text = loose.decode(chunk)
        broken += text.count("\ufffd")
        foreign += len(text) - len(text.encode("ascii", "ignore"))
    return max(1, broken), foreign


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


def _foreign_lines(content: Content) -> bytes:
    """The first lines with a byte beyond ASCII, long ones in part, up to a sample."""
    lines: list[bytes] = []
    size = 0
    for chunk in _chunks(content):
        done = 0
        for match in _FOREIGN.finditer(chunk):
            place = match.start()
            if place < done:
                continue
            before = chunk[max(done, place - _AROUND) : place]
            after = chunk[place : place + _AROUND]
            start = place - len(before) + max(before.rfind(b"\n"), before.rfind(b"\r")) + 1
            done = place + len(_LINE_END.split(after, maxsplit=1)[0])
            lines.append(chunk[start:done])
            size += done - start
            if size > _SAMPLE:
                return b"\n".join(lines)
    return b"\n".join(lines)
