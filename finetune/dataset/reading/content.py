"""The bytes of one file, wherever they are: on the disk, pasted, or inside an archive, which is unpacked first."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from finetune.dataset.reading.compressed import is_compressed, unpack
from finetune.dataset.reading.records import MAX_BYTES
from finetune.errors import FinetuneError

_ENDINGS = (".gz", ".zst", ".zstd", ".gzip")
_STEP = 1 << 20


@dataclass(frozen=True)
class Content:
    """What is to be read.

    Attributes:
        name: of the file, without its folder.
        suffix: ending of the name in lower case, of what is inside when it is an archive.
        size: bytes, unpacked.
        sha256: of the file as it came, archive or not.
        packed: "gzip", "zstd" or "".
        broken: what is wrong with the archive that it came in, "" when nothing is; its end is missing then.
        path: where the bytes are, or None when they are in `data`.
    """

    name: str
    suffix: str
    size: int
    sha256: str
    packed: str = ""
    broken: str = ""
    path: Path | None = None
    data: bytes = b""

    def open(self) -> BinaryIO:
        """The bytes from their start; every call gives a stream of its own."""
        return io.BytesIO(self.data) if self.path is None else self.path.open("rb")


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    """The bytes of a file; an archive is unpacked into a temporary file, which is gone at the end.

    Raises:
        FinetuneError: the file is missing, a folder, unreadable or too large, or the archive holds nothing that can be
            unpacked.
    """
    try:
        if not path.is_file():
            what = "is a folder or no ordinary file" if path.exists() else "does not exist"
            raise FinetuneError(f"The file “{path}” {what}.", hint="Name a CSV, JSONL or Parquet file.")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise too_large(size)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            packed = is_compressed(file.read(16))
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise FinetuneError(f"The file “{path.name}” cannot be read: {reason}.") from None
    if not packed:
        yield Content(path.name, path.suffix.lower(), size, digest, path=path)
        return
    with tempfile.TemporaryDirectory(prefix="finetune-") as folder:
        inner = Path(folder) / "content"
        try:
            with path.open("rb") as archive, inner.open("wb") as into:
                broken = unpack(archive, packed, into)
        except OSError as error:
            raise FinetuneError(f"The archive “{path.name}” cannot be unpacked: {error.strerror or error}.") from None
        if not inner.stat().st_size:
            why = f": {broken}" if broken else ": nothing is in it"
            raise FinetuneError(f"The file “{path.name}” cannot be unpacked{why}.", hint="Save or download it again.")
        suffix = Path(path.name.lower().removesuffix(path.suffix.lower())).suffix
        if path.suffix.lower() not in _ENDINGS:
            suffix = path.suffix.lower()
        yield Content(path.name, suffix, inner.stat().st_size, digest, packed, broken, inner)


def pasted(text: str, name: str) -> Content:
    """Text as the bytes of a UTF-8 file. Raises FinetuneError when it is too long."""
    data = text.encode("utf-8", errors="replace")
    if len(data) > MAX_BYTES:
        raise too_large(len(data))
    return Content(name, "", len(data), hashlib.sha256(data).hexdigest(), data=data)


def too_large(size: int) -> FinetuneError:
    return FinetuneError(
        f"The file has {size / 1e6:,.0f} MB; {MAX_BYTES / 1e6:,.0f} MB at most are read.",
        hint="Take a part of it: a few thousand rows are enough to fine-tune.",
    )
