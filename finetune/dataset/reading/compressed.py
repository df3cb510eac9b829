"""A .gz or .zst archive is unpacked into a file, never further than the cap; what is cut off or damaged is told."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from finetune.dataset.reading.records import MAX_BYTES
from finetune.errors import FinetuneError

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_STEP, _GZIP_STEP = 1 << 20, 1 << 16
# One byte of zstd may stand for 32 KB: so many at a time unpack to 32 MB at most.
_ZSTD_STEP = 1 << 10
# 2^27 bytes is what the format's own tool unpacks without being asked to; it bounds the memory.
_ZSTD_WINDOW = 1 << 27


def is_compressed(head: bytes) -> str:
    """ "gzip" or "zstd" where the first bytes of a file say so, else ""."""
    return "gzip" if head.startswith(GZIP) else "zstd" if head.startswith(ZSTD) else ""


def unpack(archive: BinaryIO, kind: str, into: BinaryIO) -> str:
    """Writes what the archive holds; "" when it was whole, else what is wrong with it.

    Raises:
        FinetuneError: more than MAX_BYTES are in it; told as soon as so many have been unpacked.
    """
    size = 0
    pieces = _gunzip(archive) if kind == "gzip" else _unzstd(archive)
    try:
        for piece in pieces:
            size += len(piece)
            if size > MAX_BYTES:
                raise FinetuneError(
                    f"The {kind} archive holds more than {MAX_BYTES / 1e6:,.0f} MB, which is the most that is read.",
                    hint="Take a part of it: a few thousand rows are enough to fine-tune.",
                )
            into.write(piece)
    except _Damaged as error:
        return str(error)
    return ""


class _Damaged(Exception):
    """The archive cannot be unpacked beyond this point; the message says why."""


def _gunzip(archive: BinaryIO) -> Iterator[bytes]:
    """The members of a gzip archive, one after the other. Zeros after the last are padding."""
    member = zlib.decompressobj(31)
    begun = False
    while chunk := archive.read(_GZIP_STEP):
        while chunk:
            if not begun and not (chunk := chunk.lstrip(b"\0")):
                break
            begun = True
            before = member.copy()
            try:
                piece = member.decompress(chunk, _STEP)
            except zlib.error:
                yield from _until_damage(before, chunk)
                raise _Damaged("the archive is damaged") from None
            if piece:
                yield piece
            if member.eof:
                chunk, member, begun = member.unused_data, zlib.decompressobj(31), False
            else:
                chunk = member.unconsumed_tail
    if begun:
        raise _Damaged("the archive is cut off")


def _until_damage(member: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """What a chunk gives before the place that is damaged: zlib drops it together with its error."""
    try:
        for start in range(0, len(chunk), 32):
            part = chunk[start : start + 32]
            while part:
                if piece := member.decompress(part, _STEP):
                    yield piece
                part = member.unconsumed_tail
    except zlib.error:
        return


def _unzstd(archive: BinaryIO) -> Iterator[bytes]:
    """The frames of a zstd archive, one after the other."""
    import zstandard  # loaded for the rare archive alone

    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame = unpacker.decompressobj()
    begun = False
    while chunk := archive.read(_ZSTD_STEP):
        while chunk:
            begun = True
            try:
                piece = frame.decompress(chunk)
            except zstandard.ZstdError as error:
                why = "needs more memory than is given to it" if "memory" in str(error) else "is damaged"
                raise _Damaged(f"the archive {why}") from None
            if piece:
                yield piece
            if not frame.eof:
                break
            chunk, frame, begun = frame.unused_data, unpacker.decompressobj(), False
    if begun:
        raise _Damaged("the archive is cut off")
