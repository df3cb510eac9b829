"""A Parquet file becomes rows of cells, a part at a time; a process of its own reads it, which damage may end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.dataset.reading.arrow import Batches
from finetune.dataset.reading.content import Content
from finetune.dataset.reading.records import MAX_BYTES, MAX_COLUMNS, MAX_ROWS, Records
from finetune.dataset.tell import Tell
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
            expected = _number(child)
            for batch in _written(child) if expected else ():
                batches.add(batch)
                if batches.held > 2 * MAX_BYTES:
                    raise _too_much(f"more than {2 * MAX_BYTES / 1e6:,.0f} MB of values")
                if tell:
                    tell("Reading the rows", min(0.99, batches.objects.result.count / max(expected, 1)))
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            child.kill()
            raise _damaged(str(error)) from None
        finally:
            if child.poll() is None and sys.exc_info()[0] is not None:
                child.kill()
        assert child.stderr is not None
        said = child.stderr.read().decode("utf-8", "replace").strip()
    if child.returncode or batches.objects.result.count != expected:
        if said.startswith(_TOO_MUCH):
            raise _too_much(said.removeprefix(_TOO_MUCH))
        # Ended by a signal it has said nothing, or what C++ says last.
        raise _damaged(said if child.returncode == 3 else said.rpartition("what():")[2])
    result = batches.objects.finish()
    result.notes += batches.notes()
    return result


def _number(child: subprocess.Popen) -> int:
    """The rows that the child is going to write; 0 where it has nothing to write."""
    assert child.stdout is not None
    line = child.stdout.readline()
    return int(line) if line.strip().isdigit() else 0


def _written(child: subprocess.Popen) -> Iterator[pa.RecordBatch]:
    """The batches that the child writes; why they break off is told by its status, not here."""
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(child.stdout) as stream:
            while True:
                yield stream.read_next_batch()
    except StopIteration:
        return
    except (pa.ArrowInvalid, OSError):
        return


def _damaged(why: str) -> FinetuneError:
    why = " ".join(why.split())[:200].rstrip(".") or "it cannot be read"
    return FinetuneError(
        f"The Parquet file is damaged: {why}.", hint="Write or download it again, or save it as JSONL."
    )


def _too_much(what: str) -> FinetuneError:
    return FinetuneError(
        f"The Parquet file has {what}; {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {2 * MAX_BYTES / 1e6:,.0f} MB of "
        "values are read.",
        hint="Take a part of it: a few thousand rows are enough to fine-tune.",
    )
