"""A dataset of the Hugging Face Hub, or a folder laid out like one, becomes a table; rows are streamed, not downloaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.dataset.reading.arrow import Batches
from finetune.dataset.reading.many import join
from finetune.dataset.reading.records import MAX_BYTES, MAX_ROWS
from finetune.dataset.reading.table import Source, Table
from finetune.dataset.tell import Tell
from finetune.errors import Cancelled, FinetuneError

if TYPE_CHECKING:
    import pyarrow as pa

# A Hub that does not answer within so many seconds counts as out of reach.
HUB_TIMEOUT = 5.0
HUB_ROWS = 100_000
_BATCH = 256
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?")
_LISTED = 20


def load_hub(
    name: str | Path,
    *,
    config: str | None = None,
    split: str = "train",
    test_split: str | None = None,
    revision: str | None = None,
    rows: int = HUB_ROWS,
    tell: Tell | None = None,
) -> Table:
    """The rows of a dataset, as `load` gives those of a file. No code that comes with a dataset is run.

    Args:
        name: "owner/name" as on the Hub; or the Path of a folder with data files. Text is never taken for a folder, so
            that a visitor of the page cannot name one.
        config: None takes the only one, or the one called "default".
        split: rows to learn from.
        test_split: rows that become the user's own test file, such as "test"; None takes none.
        revision: branch, tag or commit.
        rows: of each split at most; what is left out is told in the notes.
        tell: called with what is being read and the share that is done; it may raise Cancelled.

    Raises:
        FinetuneError: the Hub cannot be reached, has no such dataset or does not show it; the configuration has to be
            chosen; there is no such split; or the rows cannot be read.
    """
    folder = name if isinstance(name, Path) else None
    name = folder.name if folder else str(name).strip()
    rows = max(1, min(rows, MAX_ROWS))
    if test_split is not None and test_split == split:
        raise FinetuneError(
            f"The rows to learn from and the test are the same split, “{split}”.", hint="Name another one, or none."
        )
    if folder is None:
        _ask_hub(name, revision)
    elif not folder.is_dir():
        raise FinetuneError(f"There is no folder “{folder}”.", hint="Name a folder with data files.")
    try:
        return _read(str(folder or name), name, config, split, test_split, revision, rows, tell)
    except (FinetuneError, Cancelled):
        raise
    except Exception as error:
        # What reading can raise is as wide as the formats and the network behind it; all of it means the same.
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        if "scripts are no longer supported" in why:
            raise FinetuneError(
                f"The dataset “{name}” is made by a program of its own, which is not run here.",
                hint="Look on the Hub for a copy in Parquet (branch refs/convert/parquet), or load its files.",
            ) from error
        raise FinetuneError(
            f"The dataset “{name}” cannot be read: {why.rstrip('.')}.", hint="Download its files and load those."
        ) from error


def _ask_hub(name: str, revision: str | None) -> None:
    """Raises FinetuneError unless the Hub shows the dataset. Asked first: the library itself tries for half a minute."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if not _NAME.fullmatch(name):
        raise FinetuneError(
            f"“{name[:100]}” is not the name of a dataset on the Hub.", hint="It looks like owner/name."
        )
    try:
        info = HfApi().dataset_info(name, revision=revision, timeout=HUB_TIMEOUT)
    except GatedRepoError:
        raise _gated(name) from None
    except RevisionNotFoundError:
        raise FinetuneError(
            f"The dataset “{name}” has no revision “{revision}”.", hint="Name a branch or none."
        ) from None
    except RepositoryNotFoundError:
        raise FinetuneError(
            f"There is no dataset “{name}” on the Hub that is shown to you.",
            hint="Check the spelling: owner/name. For a private one run `hf auth login` here.",
        ) from None
    except HfHubHTTPError as error:
        raise FinetuneError(
            f"The Hub refused “{name}”: {str(error).splitlines()[0]}", hint="Try again later."
        ) from None
    except Exception as error:
        # Whatever the network library raises (name lookup, refused, time-out, proxy, offline mode) means one thing.
        raise FinetuneError(
            f"The Hub cannot be reached, so “{name}” cannot be read.",
            hint="Connect and try again, or load a file of the dataset: CSV, JSONL or Parquet.",
        ) from error
    if getattr(info, "disabled", False):
        raise FinetuneError(f"The Hub has disabled the dataset “{name}”.", hint="Take another one.")


def _gated(name: str) -> FinetuneError:
    return FinetuneError(
        f"The Hub shows “{name}” only to those who accepted its terms.",
        hint=f"Accept them on huggingface.co/datasets/{name}, then run `hf auth login` here.",
    )


def _read(
    path: str,
    name: str,
    config: str | None,
    split: str,
    test_split: str | None,
    revision: str | None,
    rows: int,
    tell: Tell | None,
) -> Table:
    import datasets

    # Its own patience with a server that fails while rows are read is minutes.
    datasets.config.STREAMING_READ_MAX_RETRIES = min(datasets.config.STREAMING_READ_MAX_RETRIES, 3)
    chosen = _config(name, config, datasets.get_dataset_config_names(path, revision=revision))
    splits = datasets.get_dataset_split_names(path, chosen, revision=revision)
    notes: list[str] = []
    if split not in splits and split == "train" and len(splits) == 1 and test_split is None:
        split = splits[0]
        notes.append(f"The dataset has no split “train”; its only one, “{split}”, is read.")
    for wanted in filter(None, (split, test_split)):
        if wanted not in splits:
            raise FinetuneError(f"The dataset “{name}” has no split “{wanted}”.", hint=f"It has: {_listed(splits)}.")
    if chosen != "default":
        notes.append(f"The configuration “{chosen}” is read.")
    tables = []
    wanted_splits = [split, *([test_split] if test_split else [])]
    for number, one in enumerate(wanted_splits):
        stream = datasets.load_dataset(path, chosen, split=one, revision=revision, streaming=True)
        table = _table(f"{name} {one}", stream, rows, test=number == 1, tell=_part(tell, number, len(wanted_splits)))
        tables.append(table)
    table = join(tables, notes)
    return replace(table, name=name.rpartition("/")[2])


def _config(name: str, wanted: str | None, configs: Sequence[str]) -> str:
    if wanted is not None and wanted not in configs:
        raise FinetuneError(
            f"The dataset “{name}” has no configuration “{wanted}”.", hint=f"It has: {_listed(configs)}."
        )
    if wanted is not None:
        return wanted
    if len(configs) == 1 or "default" in configs:
        return "default" if "default" in configs else configs[0]
    raise FinetuneError(
        f"The dataset “{name}” has {len(configs)} configurations, and one has to be chosen.",
        hint=f"They are: {_listed(configs)}.",
    )


def _table(name: str, stream: Any, rows: int, test: bool, tell: Tell | None) -> Table:
    """The first rows of a streamed split."""
    batches = Batches()
    digest = hashlib.sha256()
    features = stream.features or {}
    read = 0
    more = False
    for batch in stream.with_format("arrow").take(rows + 1).iter(batch_size=_BATCH):
        if read + batch.num_rows > rows:
            batch, more = batch.slice(0, rows - read), True
        for column, feature in features.items():
            if column in batch.column_names:
                batch = _labelled(batch, column, feature)
        read += batch.num_rows
        digest.update(repr(batch.to_pydict()).encode("utf-8", "replace"))
        batches.add(batch)
        if batches.held > 2 * MAX_BYTES:
            more = True
        if tell:
            tell("Reading the rows", min(0.99, read / rows))
        if more:
            break
    records = batches.objects.finish()
    if not records.rows:
        raise FinetuneError(f"“{name}” has no rows.", hint="Take another split.")
    notes = [*records.notes, *batches.notes()]
    if more:
        notes.append(f"Only the first {read:,} rows are read; there are more.")
    sha256 = digest.hexdigest()
    source = Source(name, 1, records.count, sha256, "hub", "utf-8", None, test)
    bad_rows = tuple(records.bad_rows)
    return Table(name, records.frame(), bad_rows, "hub", "utf-8", None, sha256, 0, tuple(notes), (source,))


def _labelled(batch: pa.Table, column: str, feature: Any) -> pa.Table:
    """The batch with the names of a ClassLabel in place of its numbers, in a list of them too."""
    import pyarrow as pa
    from datasets import ClassLabel

    inner = getattr(feature, "feature", None)
    names = getattr(inner if isinstance(inner, ClassLabel) else feature, "names", None)
    if not names or not isinstance(inner if inner is not None else feature, ClassLabel):
        return batch

    def name_of(number: int | None) -> str | None:
        return names[number] if number is not None and 0 <= number < len(names) else None

    values = batch[column].to_pylist()
    if inner is None:
        named = pa.array([name_of(value) for value in values], pa.string())
    else:
        named = pa.array([value and [name_of(one) for one in value] for value in values], pa.list_(pa.string()))
    return batch.set_column(batch.column_names.index(column), column, named)


def _part(tell: Tell | None, number: int, of: int) -> Tell | None:
    if tell is None:
        return None
    return lambda what, share: tell(what, (number + share) / of)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
