"""Reads a Parquet file in a process of its own and writes what is in it to standard output, as a stream of Arrow.

pyarrow is C++, and damage in the right place of a file ends the process that reads it (seen: an exception that nobody
catches, while the description of a column is read). Here it ends this process, whose memory and time are bounded too.
It imports nothing of the package, so that it starts quickly: run it as `python -P parquet_child.py FILE ROWS COLUMNS BYTES`.

The first line of the output is the number of rows. Exit status 3: what is wrong stands on standard error, one line.
"""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.parquet as pq

# Bytes and rows of a batch. Few rows: a value of a megabyte that is stored once may stand in all of them.
_PART, _ROWS = 16_000_000, 256
_MEMORY, _SECONDS = 3_000_000_000, 300
TOO_MUCH = "too much: "


def main(path: str, max_rows: int, max_columns: int, max_bytes: int) -> None:
    with pq.ParquetFile(path, memory_map=False) as file:
        metadata = file.metadata
        size = sum(metadata.row_group(part).total_byte_size for part in range(metadata.num_row_groups))
        if metadata.num_rows > max_rows or metadata.num_columns > max_columns or size > max_bytes:
            raise SystemExit(
                f"{TOO_MUCH}{metadata.num_rows:,} rows, {metadata.num_columns:,} columns and {size / 1e6:,.0f} MB of values"
            )
        step = max(1, min(_ROWS, _PART * metadata.num_rows // max(size, 1)))
        out = sys.stdout.buffer
        out.write(b"%d\n" % metadata.num_rows)
        writer = None
        for batch in file.iter_batches(batch_size=step, use_threads=False):
            for column in batch.columns:
                _check(column)
            writer = writer or pa.ipc.new_stream(out, batch.schema)
            writer.write_batch(batch)
        (writer or pa.ipc.new_stream(out, file.schema_arrow)).close()
        out.flush()


def _check(column: pa.Array) -> None:
    """Raises ArrowInvalid where the values point outside of their memory; text that is no UTF-8 passes."""
    if pa.types.is_string(column.type):
        column = column.view(pa.binary())
    elif pa.types.is_large_string(column.type):
        column = column.view(pa.large_binary())
    column.validate(full=True)


def _bound() -> None:
    """Memory and time of this process, where the system knows such bounds."""
    try:
        import resource
    except ImportError:  # Windows
        return

    def limit(what: int, value: int) -> None:
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))

    limit(resource.RLIMIT_CPU, _SECONDS)
    try:
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux, where address space says little of memory
        return
    limit(resource.RLIMIT_AS, size + _MEMORY)


if __name__ == "__main__":
    _bound()
    try:
        main(sys.argv[1], *map(int, sys.argv[2:5]))
    except SystemExit as stop:
        print(stop.code, file=sys.stderr)
        sys.exit(3)
    except BrokenPipeError:  # whoever reads has had enough
        sys.exit(3)
    except Exception as error:
        print(" ".join(str(error).split())[:200] or type(error).__name__, file=sys.stderr)
        sys.exit(3)
