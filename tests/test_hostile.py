"""Files made to break a reader: a result or one sentence comes out, never a traceback, a hang or a full memory.

2,000 of them are made with `-m slow`; without it a part of the same kinds.
"""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune.dataset.mapping.columns import examples, guess, suggest_group, suggest_time
from finetune.dataset.reading.load import load, preview
from finetune.errors import FinetuneError

SECONDS = 10

FORMULAS = ['=HYPERLINK("http://x","y")', "=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\t=1"]
WORDS = st.sampled_from(
    ["hello", "où est ma carte", "私のカード", "عربي", "😀", "\u202eevil", "a\0b", "NaN", "1e999", *FORMULAS]
)
TEXTS = st.one_of(WORDS, st.text(max_size=30), st.integers(1, 3).map(lambda n: "x" * 400_000 * n))
SMALL_TEXTS = st.one_of(WORDS, st.text(max_size=20))
ENCODINGS = st.sampled_from(
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "koi8-r", "shift_jis", "gb18030"]
)


def encoded(pair: tuple[str, str]) -> bytes:
    return pair[0].encode(pair[1], errors="replace")


def cut(data: bytes, place: float) -> bytes:
    return data[: int(len(data) * place)]


def damaged(data: bytes, place: float, junk: bytes) -> bytes:
    where = int(len(data) * place)
    return data[:where] + junk + data[where + len(junk) :]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def parquet(rows: list[dict]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


PIECES = st.sampled_from(
    [*"\",;\t|\n\r\\a\xe9\0{}[]: '\ufeff\u2028", '""', "\r\n", '{"a": "b"}', '[{"role": "user", "content": "x"}]']
    + ["sep=;\n", "=1+1", "text,label\n"]
)
SOUP = st.lists(PIECES, max_size=80).map("".join)
ROWS = st.lists(TEXTS, max_size=5) | st.tuples(TEXTS, TEXTS).map(list)
RAGGED = st.lists(ROWS, min_size=1, max_size=8).map(
    lambda rows: "\n".join(",".join(row) for row in [["text", "label"], *rows])
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | SMALL_TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SMALL_TEXTS, inner, max_size=4),
    max_leaves=10,
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "assistant", "system", "tool", "", "?"]) | VALUES,
            "from": st.sampled_from(["human", "gpt"]),
            "content": VALUES,
            "value": VALUES,
            "tool_calls": VALUES,
        },
    ),
    max_size=5,
)
KEYS = st.sampled_from(
    ["text", "label", "messages", "conversations", "prompt", "completion", "chosen", "rejected", "tools", "a.b", "a"]
    + [""]
)
OBJECTS = st.lists(st.dictionaries(KEYS, VALUES | TURNS, max_size=5) | VALUES, max_size=8)
JSONL = OBJECTS.map(lambda items: "\n".join(map(json.dumps, items)))
ARRAYS = OBJECTS.map(json.dumps)
PRETTY = st.dictionaries(KEYS, VALUES | OBJECTS, max_size=4).map(lambda value: json.dumps(value, indent=1))
DEEP = st.tuples(st.sampled_from(["[", '{"a":', '[{"a":', '"', "[[],"]), st.integers(1, 50_000), SOUP).map(
    lambda parts: parts[0] * parts[1] + parts[2]
)
WIDE = st.integers(1, 3000).map(lambda n: "," * n + "\n" + ("a," * n + "\n") * 3)
FLAT = st.dictionaries(st.sampled_from("abcd"), SMALL_TEXTS | st.none(), min_size=1, max_size=4)
TABLES = st.lists(FLAT, min_size=1, max_size=6).map(parquet)


def drawn(*strategies: tuple[int, st.SearchStrategy]) -> st.SearchStrategy:
    """One of some strategies, each as often as its weight says: `one_of` would spread them out evenly."""
    weighted = [strategy for weight, strategy in strategies for _ in range(weight)]
    return st.sampled_from(weighted).flatmap(lambda strategy: strategy)


TEXT_FILES = drawn((3, SOUP), (4, RAGGED), (4, JSONL), (2, ARRAYS), (2, PRETTY), (1, DEEP), (1, WIDE))
PLAIN = drawn((8, st.tuples(TEXT_FILES, ENCODINGS).map(encoded)), (1, st.binary(max_size=2000)), (2, TABLES))
PACKED = drawn(
    (6, PLAIN), (1, PLAIN.map(gzip.compress)), (1, PLAIN.map(zstd)), (1, PLAIN.map(lambda data: b"\x1f\x8b\x08" + data))
)
FILES = drawn(
    (3, PACKED),
    (1, st.tuples(PACKED, st.floats(0, 1)).map(lambda parts: cut(*parts))),
    (1, st.tuples(PACKED, st.floats(0, 1), st.binary(min_size=1, max_size=8)).map(lambda parts: damaged(*parts))),
)
NAMES = st.sampled_from(["f.csv", "f.tsv", "f.txt", "f.json", "f.jsonl", "f.parquet", "f.csv.gz", "f.jsonl.zst", "f"])


def survives(data: bytes, name: str) -> None:
    """Reads the file and does all that the page does with it before any choice of the user's."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            table = load(path)
            numbers = sorted([*table.frame.index, *(bad.row for bad in table.bad_rows)])
            assert numbers == list(range(1, len(numbers) + 1)), "every record has its number"
            assert table.sources[0].last == len(numbers)
            preview(table)
            suggest_group(table)
            suggest_time(table)
            made, findings = examples(table, guess(table))
            left_out = {row for finding in findings if finding.mends == ("applied",) for row in finding.rows}
            assert {example.row for example in made} | left_out == set(numbers), "no row is lost in silence"
        except FinetuneError as error:
            assert str(error).strip() and "\n" not in error.message, "one sentence"
    assert time.monotonic() - start < SECONDS


HOSTILE = {"derandomize": True, "deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


@settings(max_examples=400, **HOSTILE)
@given(FILES, NAMES)
def test_hostile_files(data, name):
    survives(data, name)


@pytest.mark.slow
@settings(max_examples=2000, **HOSTILE)
@given(FILES, NAMES)
def test_2000_hostile_files(data, name):
    survives(data, name)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 3_000_000,
        b'{"a":' * 500_000,
        b"," * 3_000_000,
        b'"' * 3_000_001,
        b"\n" * 1_000_000 + b"a,b\nc,d\n",
        b"text,label\n" + b'x","z\n' * 100_000,
        b"text,label\n" + b'"a\n' * 100_000,
        b'text,label\n"' + b"a\n" * 500_000,
        b"\n".join(b'{"k%d": {"z%d": 1}}' % (n, n) for n in range(5000)),
        b"\n".join(b'{"t": "x", "k": {"z%d": 1}}' % n for n in range(30_000)),
        b'[{"a":"' + b"x" * 5_000_000,
        b'{\n"a":[\n' + b'{"b":1},\n' * 200_000,
        b"\xff" * 1_000_000,
        b"\xe3\x81" * 500_000,
        b"text,label\n" + b"\xa4\xe9,a\n" * 100_000,
        b"\xff\xfe" + b"\0\xd8" * 100_000,
        b"A" * 5_000_000,
        b"text,label\n" + b"a" * 2_000_000 + b",b\nc,d\n",
        b"1" * 100_000 + b",2\n3,4\n",
    ],
    ids=range(19),
)
def test_large_hostile_files(data):
    for name in ("f.csv", "f.jsonl"):
        survives(data, name)


def _zeros(kind: str, size: int) -> bytes:
    """An archive of `size` bytes of rows, which are all the same."""
    packed = io.BytesIO()
    opened = (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9)
        if kind == "gz"
        else zstandard.ZstdCompressor().stream_writer(packed, closefd=False)
    )
    with opened as writer:
        for _ in range(size // 1_000_000):
            writer.write(b"0" * 1_000_000)
    return packed.getvalue()


def _same_long_value() -> bytes:
    """A small Parquet file with one value of 900,000 characters that stands in 20,000 rows: 18 GB as plain text."""
    out = io.BytesIO()
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 900_000]))
    pq.write_table(pa.table({"text": value, "label": ["a", "b"] * 10_000}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("bomb.csv.gz", lambda: _zeros("gz", 700_000_000), "holds more than 500 MB"),
        ("bomb.csv.zst", lambda: _zeros("zst", 2_000_000_000), "holds more than 500 MB"),
        ("same.parquet", _same_long_value, "MB of values"),
    ],
    ids=["gz", "zst", "parquet"],
)
def test_bombs_in_bounded_memory(tmp_path, name, data, said):
    """In a process that is given 1.5 GB beyond what the modules take, and no more."""
    path = tmp_path / name
    path.write_bytes(data())
    assert path.stat().st_size < 10_000_000
    script = (
        "import resource, sys\n"
        "import pandas, pyarrow.parquet, zstandard\n"
        "from finetune.dataset.reading.load import load\n"
        "from finetune.errors import FinetuneError\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + 1_500_000_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))\n"
        "try:\n    load(sys.argv[1])\n"
        "except FinetuneError as error:\n    print(error)\n"
    )
    root = Path(__file__).resolve().parents[1]
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=120, cwd=root
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert said in done.stdout
    assert time.monotonic() - start < 60
