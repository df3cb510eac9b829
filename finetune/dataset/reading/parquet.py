"""A Parquet file becomes rows of cells, a part at a time; a process of its own reads it, which damage may end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.dataset.reading.arrow import Batches
from finetune.dataset.reading.content import Content
from finetune.dataset.reading.records import MAX_BYTES, MAX_COLUMNS, MAX_ROWS, Records, Tell
from finetune.errors import FinetuneError

if TYPE_CHECKING:
    import pyarrow as pa

SIGNATURE = b"PAR1"
_CHILD = Path(__file__).with_name("parquet_child.py")
_TOO_MUCH = "too much: "  # what the child says first of a file that holds too much


def read_parquet(content: Content, tell: Tell | None = None) -> Records:
    """The rows of the file. Lists of turns stay conversations, objects are as in JSON, points in time as ISO 8601.

    Raises:
        FinetuneError: the file is damaged, encrypted, or holds more than is held here.
    """
    import pyarrow as pa

    batches = Batches()
    with subprocess.Popen(
        [sys.executable, "-P", str(_CHILD), str(content.path), str(MAX_ROWS), str(MAX_COLUMNS), str(2 * MAX_BYTES)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            for batch, share in _batches(child):
                batches.add(batch)
                if batches.held > 2 * MAX_BYTES:
                    raise _too_much(f"more than {2 * MAX_BYTES / 1e6:,.0f} MB of values")
                if tell:
                    tell("Reading the rows", share)
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            child.kill()
            raise _damaged(str(error)) from None
        finally:
            if child.poll() is None and sys.exc_info()[0] is not None:
                child.kill()
        assert child.stderr is not None
        said = child.stderr.read().decode("utf-8", "replace").strip()
    if child.returncode:
        if said.startswith(_TOO_MUCH):
            raise _too_much(said.removeprefix(_TOO_MUCH))
        # Ended by a signal it has said nothing, or what C++ says last.
        raise _damaged(said if child.returncode == 3 else said.rpartition("what():")[2] or "it cannot be read")
    result = batches.objects.finish()
    result.notes += batches.notes()
    return result


def _batches(child: subprocess.Popen) -> Iterator[tuple[pa.RecordBatch, float]]:
    """What the child writes, and the share that it is of the whole; nothing where it has nothing to write."""
    import pyarrow as pa

    assert child.stdout is not None
    rows, read = child.stdout.readline(), 0
    if not rows.strip().isdigit():
        return
    try:
        stream = pa.ipc.open_stream(child.stdout)
    except pa.ArrowInvalid:  # it ended before the first batch, and says why
        return
    with stream:
        for batch in _until_it_ends(stream, child):
            read += batch.num_rows
            yield batch, min(0.99, read / max(int(rows), 1))


def _until_it_ends(stream: pa.RecordBatchReader, child: subprocess.Popen) -> Iterator[pa.RecordBatch]:
    """The batches of a stream; one that breaks off because its writer has ended is told by that writer."""
    import pyarrow as pa

    while True:
        try:
            batch = stream.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowInvalid, OSError):
            if child.wait():
                return
            raise
        yield batch


def _damaged(why: str) -> FinetuneError:
    why = " ".join(why.split())[:200].rstrip(".") or "it breaks off"
    return FinetuneError(
        f"The Parquet file is damaged: {why}.", hint="Write or download it again, or save it as JSONL."
    )


def _too_much(what: str) -> FinetuneError:
    return FinetuneError(
        f"The Parquet file has {what}; {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {2 * MAX_BYTES / 1e6:,.0f} MB of "
        "values are read.",
        hint="Take a part of it: a few thousand rows are enough to fine-tune.",
    )
