"""Archives: unpacked up to the cap and no further; what is cut off or damaged is told and its last row not trusted."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path

import pytest
import zstandard

from finetune.dataset.reading import compressed
from finetune.dataset.reading.load import load
from finetune.errors import FinetuneError

# Words drawn at random: text that repeats would be packed into one block, which is there whole or not at all.
DRAW = random.Random(0)
LINES = [f"{''.join(DRAW.choices('abcdefghij klmnop', k=60))} {number},label {number % 7}" for number in range(4000)]
TEXT = "text,label\n" + "".join(f"{line}\n" for line in LINES)


def zstd(data: bytes) -> bytes:
    # With a checksum, as the tool `zstd` writes: without one nobody can tell that some bytes have changed.
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


@pytest.fixture
def read(tmp_path: Path):
    def write(data: bytes, name: str):
        path = tmp_path / name
        path.write_bytes(data)
        return load(path)

    return write


@pytest.mark.parametrize(
    ("pack", "ending"),
    [
        (gzip.compress, "gz"),
        (zstd, "zst"),
        (lambda data: gzip.compress(data[:50_000]) + gzip.compress(data[50_000:]), "gz"),
        (lambda data: zstd(data[:50_000]) + zstd(data[50_000:]), "zst"),
        (lambda data: gzip.compress(data) + b"\0" * 600, "gz"),
    ],
)
def test_whole_archives(read, pack, ending):
    table = read(pack(TEXT.encode()), f"x.csv.{ending}")
    assert len(table.frame) == 4000 and not table.bad_rows and not table.notes
    assert table.format == "csv" and table.name == f"x.csv.{ending}"
    lines = "".join(json.dumps({"text": f"é {n}", "label": "a"}, ensure_ascii=False) + "\n" for n in range(50))
    table = read(pack(lines.encode()), f"x.jsonl.{ending}")
    assert len(table.frame) == 50 and table.format == "jsonl" and not table.notes
    # The content decides, whatever the name says.
    assert len(read(pack(TEXT.encode()), "x.csv").frame) == 4000


def test_zstd_of_unknown_size(read):
    packed = io.BytesIO()
    with zstandard.ZstdCompressor(write_content_size=False).stream_writer(packed, closefd=False) as writer:
        writer.write(TEXT.encode())
    assert len(read(packed.getvalue(), "x.csv.zst").frame) == 4000


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_cut_archives_give_the_rows_before_and_say_so(read, pack, share):
    packed = pack(TEXT.encode())
    table = read(packed[: int(len(packed) * share)], "x.csv.gz")
    assert 100 < len(table.frame) < 4000
    assert table.frame.iloc[-1].to_list() == LINES[len(table.frame) - 1].split(","), "no row is half"
    assert table.bad_rows[-1].row == len(table.frame) + len(table.bad_rows)
    assert any(
        "Only the beginning of the file could be unpacked (the archive is cut off)" in note for note in table.notes
    )


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_damaged_archives(read, pack):
    packed = bytearray(pack(TEXT.encode()))
    packed[len(packed) // 2 : len(packed) // 2 + 50] = bytes(50)
    try:
        table = read(bytes(packed), "x.csv.gz")
    except FinetuneError as error:
        assert "archive is damaged" in str(error)
    else:
        assert any("Only the beginning" in note for note in table.notes) and len(table.frame) < 4000
    # A wrong checksum at the end: everything was unpacked, and it cannot be trusted whole.
    packed = bytearray(gzip.compress(TEXT.encode()))
    packed[-6] ^= 0xFF
    table = read(bytes(packed), "x.csv.gz")
    assert any("archive is damaged" in note for note in table.notes) and len(table.frame) >= 3990


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(b""), "nothing is in it"),
        (gzip.compress(gzip.compress(TEXT.encode())), "a gzip archive"),
        (gzip.compress(b"PK\x03\x04....xl/workbook.xml"), "an Excel workbook"),
        (gzip.compress(TEXT.encode())[:9], "the archive is cut off"),
        (zstd(TEXT.encode())[:9], "the archive is cut off"),
    ],
    # Not named by their bytes, which hold the second in which they were packed: two processes would not agree on the tests.
    ids=["empty", "twice", "workbook", "torn", "torn zstd"],
)
def test_what_cannot_be_unpacked(read, data, said):
    with pytest.raises(FinetuneError, match=said):
        read(data, "x.csv.gz")


def bomb(pack: str, size: int) -> bytes:
    """An archive of zeros: a thousandth (gzip) or less (zstd) of what it unpacks to."""
    packed = io.BytesIO()
    writer = (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9)
        if pack == "gzip"
        else zstandard.ZstdCompressor().stream_writer(packed, closefd=False)
    )
    with writer:
        for _ in range(size // 1_000_000):
            writer.write(b"0" * 1_000_000)
    return packed.getvalue()


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_a_bomb_is_refused_while_it_is_unpacked(pack, monkeypatch):
    monkeypatch.setattr(compressed, "MAX_BYTES", 5_000_000)
    written = []

    class Sink(io.BytesIO):
        def write(self, data) -> int:
            written.append(len(data))
            return len(data)

    with pytest.raises(FinetuneError, match="archive holds more than 5 MB"):
        compressed.unpack(io.BytesIO(bomb(pack, 60_000_000)), pack, Sink())
    assert sum(written) <= 5_000_000
