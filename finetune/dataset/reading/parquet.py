"""A Parquet file becomes rows of cells, a part at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finetune.dataset.reading.arrow import Batches
from finetune.dataset.reading.content import Content
from finetune.dataset.reading.records import MAX_BYTES, MAX_COLUMNS, MAX_ROWS, Records, Tell
from finetune.errors import FinetuneError

if TYPE_CHECKING:
    import pyarrow.parquet

SIGNATURE = b"PAR1"
# Bytes and rows that are held as an Arrow table at a time. Few rows: a value of a megabyte that is stored once may
# stand in all of them.
_PART = 16_000_000
_ROWS = 256
# Bytes a value below which a column is one of a few values that repeat.
_BYTES = 16


def read_parquet(content: Content, tell: Tell | None = None) -> Records:
    """The rows of the file. Lists of turns stay conversations, objects are as in JSON, points in time as ISO 8601.

    Raises:
        FinetuneError: the file is damaged, encrypted, or holds more than is held here.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches = Batches()
    # pyarrow tells of damage in many ways, from its own kinds of error to those of the codec behind it.
    told = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError)
    try:
        with content.open() as stream, pq.ParquetFile(stream) as file:
            metadata = file.metadata
            _check(metadata)
            few = _repeating(metadata)
        with content.open() as stream, pq.ParquetFile(stream, read_dictionary=few) as file:
            rows = 0
            for batch in file.iter_batches(batch_size=_rows_at_once(metadata), use_threads=False):
                batches.add(batch)
                rows += batch.num_rows
                if batches.held > 2 * MAX_BYTES:
                    raise _too_much(metadata, batches.held)
                if tell:
                    tell("Reading the rows", min(0.99, rows / max(metadata.num_rows, 1)))
    except told as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise FinetuneError(
            f"The Parquet file is damaged: {why.rstrip('.')}.", hint="Write or download it again, or save it as JSONL."
        ) from None
    result = batches.objects.finish()
    result.notes += batches.notes()
    return result


def _check(metadata: pyarrow.parquet.FileMetaData) -> None:
    """Raises FinetuneError where the file says that it holds too much."""
    size = _size(metadata)
    if metadata.num_rows > MAX_ROWS or metadata.num_columns > MAX_COLUMNS or size > 2 * MAX_BYTES:
        raise _too_much(metadata, size)


def _size(metadata: pyarrow.parquet.FileMetaData) -> int:
    return sum(metadata.row_group(part).total_byte_size for part in range(metadata.num_row_groups))


def _repeating(metadata: pyarrow.parquet.FileMetaData) -> list[str]:
    """The columns with a few values that repeat: read as such, each value is in memory once, however often it stands."""
    sizes: dict[str, list[int]] = {}
    for part in range(metadata.num_row_groups):
        group = metadata.row_group(part)
        for place in range(metadata.num_columns):
            column = group.column(place)
            if column.physical_type == "BYTE_ARRAY" and "." not in column.path_in_schema:
                total = sizes.setdefault(column.path_in_schema, [0, 0])
                total[0] += column.total_uncompressed_size
                total[1] += column.num_values
    return [name for name, (size, values) in sizes.items() if size < _BYTES * values]


def _rows_at_once(metadata: pyarrow.parquet.FileMetaData) -> int:
    return max(1, min(_ROWS, _PART * metadata.num_rows // max(_size(metadata), 1)))


def _too_much(metadata: pyarrow.parquet.FileMetaData, size: int) -> FinetuneError:
    return FinetuneError(
        f"The Parquet file has {metadata.num_rows:,} rows, {metadata.num_columns:,} columns and {size / 1e6:,.0f} MB of "
        f"values; {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {2 * MAX_BYTES / 1e6:,.0f} MB are read.",
        hint="Take a part of it: a few thousand rows are enough to fine-tune.",
    )
