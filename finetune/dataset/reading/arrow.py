"""Columns of an Arrow table, as Parquet files and the Hub hold them, become columns of cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from finetune.dataset.reading.nested import Objects
from finetune.dataset.reading.values import as_text, mended

if TYPE_CHECKING:
    import pyarrow as pa

Values = list[Any]


class Batches:
    """Batches of one schema become `Records`; text as it stands, the rest as JSON or ISO 8601 writes it."""

    def __init__(self) -> None:
        self.held = 0  # bytes of values so far, or characters of those that are in memory once however often they stand
        self.objects = Objects()
        self._changed: dict[str, str] = {}  # column → what its values were
        self._dictionaries: dict[str, tuple[pa.Array | None, Values]] = {}
        self._opaque: dict[str, int] = {}  # column → values of bytes that are no text

    def add(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Raises pyarrow.ArrowException or ValueError where the values of a column cannot be read."""
        columns = [self._values(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
        plain = all(map(_is_text, batch.schema.types)) and all(map(_harmless, columns))
        names = batch.schema.names
        self.held += batch.nbytes
        self.held += sum(
            sum(map(len, cells)) for name, cells in zip(names, columns, strict=True) if name in self._dictionaries
        )
        for cells in zip(*columns, strict=True):
            self.objects.add(dict(zip(names, cells, strict=True)), plain)

    def notes(self) -> list[str]:
        """What was made of values that were no text."""
        notes = []
        for name, what in self._changed.items():
            notes.append(f"The {what} in “{name}” became text.")
        for name, count in self._opaque.items():
            notes.append(
                f"“{name}” holds bytes that are no text, such as pictures; {count:,} such values were left out."
            )
        return notes

    def _values(self, name: str, column: Any) -> Values:
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = column.type
        if isinstance(kind, pa.BaseExtensionType):
            column = column.cast(kind.storage_type)
            kind = column.type
        if pa.types.is_dictionary(kind):
            if isinstance(column, pa.ChunkedArray):
                return [value for chunk in column.chunks for value in self._looked_up(name, chunk)]
            return self._looked_up(name, column)
        for test, what in _told_kinds().items():
            if test(kind):
                self._changed[name] = what
                return ["" if value is None else value for value in pc.cast(column, pa.string()).to_pylist()]
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            return [self._text_of(name, value) for value in column.to_pylist()]
        if _is_text(kind):
            try:
                return ["" if value is None else value for value in column.to_pylist()]
            except UnicodeDecodeError:
                values = column.cast(pa.large_binary()).to_pylist()
                return ["" if value is None else value.decode("utf-8", "replace") for value in values]
        return [self._plain(name, value) for value in column.to_pylist()]

    def _looked_up(self, name: str, column: pa.DictionaryArray) -> Values:
        """The values of a dictionary column, each in memory once."""
        known, values = self._dictionaries.get(name, (None, []))
        if known is None or not known.equals(column.dictionary):
            known, values = column.dictionary, self._values(name, column.dictionary)
            self._dictionaries[name] = (known, values)
        return ["" if place is None else values[place] for place in column.indices.to_pylist()]

    def _text_of(self, name: str, value: bytes | None) -> str:
        if not value:
            return ""
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            self._opaque[name] = self._opaque.get(name, 0) + 1
            return ""
        self._changed[name] = "bytes"
        return mended(text)

    def _plain(self, name: str, value: Any) -> Any:
        """The value as JSON would hold it: what stands inside of a list or struct too."""
        if isinstance(value, dict):
            return {str(key): self._plain(name, inner) for key, inner in value.items()}
        if isinstance(value, tuple) and len(value) == 2:  # an entry of a map
            return [self._plain(name, value[0]), self._plain(name, value[1])]
        if isinstance(value, list):
            return [self._plain(name, inner) for inner in value]
        if isinstance(value, bytes):
            return self._text_of(name, value)
        if isinstance(value, float) and value != value:
            return None
        if value is None or isinstance(value, str | int | float):
            return value
        return as_text(str(value))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _harmless(column: Values) -> bool:
    from finetune.dataset.reading.records import faultless

    return faultless(column)


def _told_kinds() -> dict[Callable[[Any], bool], str]:
    """Kinds of value that have no place in JSON, with the word for them."""
    import pyarrow as pa

    return {
        pa.types.is_timestamp: "points in time",
        pa.types.is_date: "dates",
        pa.types.is_time: "times",
        pa.types.is_decimal: "decimal numbers",
    }
