"""What a kilowatt-hour, a machine and a hosted model cost: a dated table that comes with the program, and the user's own.

The table is `prices.json` beside this file; each figure has its source and its date. `<root>/prices.json` holds what the
user changed, in the same shape, and any part of it may be missing.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.errors import FinetuneError

FILE = "prices.json"
SHIPPED = Path(__file__).with_name(FILE)
CURRENCY = "USD"
YOURS = "your own figure"
MOST_REQUESTS = 1e9  # a day
MOST = 1e9  # of any price


@dataclass(frozen=True, slots=True)
class Electricity:
    per_kwh: float
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a model runs: of one's own, which costs `watts` while it works, or rented, which costs `per_hour`.

    Attributes:
        kind: "cpu" or "cuda", as in `finetune.model.machine.Device`.
    """

    name: str
    kind: str
    watts: float | None
    per_hour: float | None
    source: str
    date: str

    def second(self, per_kwh: float) -> float:
        """Price of one second of work. Watts × seconds / 3,600,000 are kilowatt-hours."""
        return (self.watts or 0.0) / 3_600_000 * per_kwh if self.per_hour is None else self.per_hour / 3600


@dataclass(frozen=True, slots=True)
class Hosted:
    """A model that somebody else fine-tunes and hosts, priced by tokens; None where a figure is not known."""

    name: str
    training_per_million: float | None
    input_per_thousand: float | None
    output_per_thousand: float | None
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class RetrievalService:
    """What a hosted retrieval service costs a month, at least and at most."""

    low_per_month: float
    high_per_month: float
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices that hold, and what was chosen last.

    Attributes:
        date: of the table as a whole; each entry has its own.
        requests_per_day, machine: as last chosen; None where nothing was chosen yet.
    """

    date: str
    electricity: Electricity
    machines: tuple[Machine, ...]
    hosted: tuple[Hosted, ...]
    retrieval_service: RetrievalService
    requests_per_day: float | None = None
    machine: str | None = None

    @classmethod
    def shipped(cls) -> Prices:
        """The table that comes with the program."""
        data = json.loads(SHIPPED.read_text(encoding="utf-8"))
        return cls(
            data["date"], Electricity(**data["electricity"]), tuple(Machine(**entry) for entry in data["machines"]),
            tuple(Hosted(**entry) for entry in data["hosted"]), RetrievalService(**data["retrieval_service"]),
        )  # fmt: skip

    @classmethod
    def load(cls, root: Path) -> Prices:
        """The table with what stands in `root/prices.json` over it.

        Raises:
            FinetuneError: that file is damaged; the sentence says where.
        """
        path, table = root / FILE, cls.shipped()
        try:
            return _over(table, json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return table
        except _Wrong as wrong:
            what = str(wrong)
        except (ValueError, RecursionError):
            what = "it is not JSON"
        except OSError as error:
            what = f"it cannot be read ({error.strerror or error})"
        raise FinetuneError(
            f"The prices in {path} cannot be used: {what}.",
            hint="Mend the file, or delete it: then the prices that came with the program hold.",
        ) from None

    def save(self, root: Path) -> None:
        """Keep in `root/prices.json` what differs from the table, so that a newer table still brings its figures.

        Raises:
            FinetuneError: it cannot be written.
        """
        table, data = Prices.shipped(), {}
        for part in ("machines", "hosted"):
            if own := [dataclasses.asdict(entry) for entry in getattr(self, part) if entry not in getattr(table, part)]:
                data[part] = own
        for part in ("electricity", "retrieval_service"):
            if getattr(self, part) != getattr(table, part):
                data[part] = dataclasses.asdict(getattr(self, part))
        data |= {
            name: chosen for name in ("requests_per_day", "machine") if (chosen := getattr(self, name)) is not None
        }
        try:
            root.mkdir(parents=True, exist_ok=True)
            draft = root / f".{FILE}.{os.getpid()}.{secrets.token_hex(4)}"
            draft.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            draft.replace(root / FILE)
        except OSError as error:
            raise FinetuneError(
                f"The prices cannot be kept in {root}: {error.strerror or error}.",
                hint="Make room, or set FINETUNE_HOME to a directory that you may write to.",
            ) from error

    def machine_for(self, kind: str | None) -> Machine:
        """The chosen machine; the first of the device's kind ("cpu" or "cuda") where none was chosen or it is gone."""
        chosen = next((one for one in self.machines if one.name == self.machine), None)
        return chosen or next((one for one in self.machines if one.kind == kind), self.machines[0])

    def chosen(self, *, requests_per_day: float | None = None, machine: str | None = None) -> Prices:
        """The same with other choices; None leaves one as it is.

        Raises:
            FinetuneError: a number of requests that makes no sense, or a machine that is not in the table.
        """
        choices: dict[str, Any] = {}
        if requests_per_day is not None:
            choices["requests_per_day"] = _told(lambda: _requests(requests_per_day))
        if machine is not None:
            if machine not in [one.name for one in self.machines]:
                raise FinetuneError(f"There is no machine “{machine}” in the table.", hint="Choose another one.")
            choices["machine"] = machine
        return dataclasses.replace(self, **choices)

    def changed(self, part: str, name: str = "", **figures: float | None) -> Prices:
        """The same with other figures of one entry, which then are the user's own, of today.

        Args:
            part: electricity, machines, hosted or retrieval_service.
            name: of the machine or the hosted model.
            figures: by name, such as watts=65; None leaves one as it is.

        Raises:
            FinetuneError: a figure that is no price.
        """
        given = {
            key: _told(lambda k=key, v=value: _figure(v, k)) for key, value in figures.items() if value is not None
        }
        before = getattr(self, part)

        def put(entry: Any) -> Any:
            if all(getattr(entry, key) == value for key, value in given.items()):
                return entry
            return dataclasses.replace(entry, **given, source=YOURS, date=datetime.date.today().isoformat())

        if isinstance(before, tuple):
            after: Any = tuple(put(entry) if entry.name == name else entry for entry in before)
        else:
            after = put(before)
        return dataclasses.replace(self, **{part: after})


class _Wrong(Exception):
    """What is wrong in a table, as the rest of a sentence."""


def _told(make: Any) -> Any:
    try:
        return make()
    except _Wrong as wrong:
        text = str(wrong)
        raise FinetuneError(f"{text[:1].upper()}{text[1:]}.", hint="Nothing was changed.") from None


def _over(table: Prices, data: Any) -> Prices:
    """The user's figures over those of the table; what they say nothing of stays."""
    data = _object(data, "the file")
    parts = [field.name for field in dataclasses.fields(Prices)]
    _no_others(data, [*parts, "currency"], "the file")
    if data.get("currency", CURRENCY) != CURRENCY:
        raise _Wrong(f"currency must be {CURRENCY}, because all figures of the table are in it")
    new: dict[str, Any] = {}
    for part, given in data.items():
        before = getattr(table, part, None)
        if part in ("electricity", "retrieval_service"):
            new[part] = _entry(type(before), before, given, part)
        elif part in ("machines", "hosted"):
            new[part] = _entries(Machine if part == "machines" else Hosted, before, given, part)
        elif part == "requests_per_day":
            new[part] = _requests(given)
        elif part != "currency":
            new[part] = _text(given, part)
    return dataclasses.replace(table, **new)


def _entries(kind: type, table: Sequence[Any], data: Any, part: str) -> tuple[Any, ...]:
    """The entries of the table, those of the same name replaced, new ones after them."""
    if not isinstance(data, list):
        raise _Wrong(f"{part} must be a list in brackets")
    merged = {entry.name: entry for entry in table}
    for place, given in enumerate(data, start=1):
        where = f"{part}, entry {place}"
        name = _text(_object(given, where).get("name"), f"{where}: name")
        entry = merged[name] = _entry(kind, merged.get(name), given, where)
        if isinstance(entry, Machine) and entry.kind not in ("cpu", "cuda"):
            raise _Wrong(f"{where}: kind must be cpu or cuda")
        if isinstance(entry, Machine) and (entry.watts is None) == (entry.per_hour is None):
            raise _Wrong(
                f"{where}: give watts for a machine of your own, or per_hour for a rented one, and null for the other"
            )
    return tuple(merged.values())


def _entry(kind: type, before: Any, data: Any, where: str) -> Any:
    """One entry: what the user says of it, and the rest from the one of the same name in the table."""
    fields = [field.name for field in dataclasses.fields(kind)]
    _no_others(_object(data, where), fields, where)
    old = dataclasses.asdict(before) if before else dict.fromkeys(fields) | {"kind": "cpu"}
    new = {key: old[key] for key in fields} | {"source": YOURS, "date": ""} | data
    for key, value in new.items():
        if key in ("name", "kind", "source", "date"):
            new[key] = _text(value, f"{where}: {key}")
        elif value is not None or kind not in (Machine, Hosted):
            new[key] = _figure(value, f"{where}: {key}")
    return kind(**new)


def _no_others(data: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    if others := sorted(data.keys() - set(known)):
        raise _Wrong(f"{where}: there is nothing called “{others[0]}”; take {', '.join(known)}")


def _object(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _Wrong(f"{where} must be an object in braces")
    return data


def _text(data: Any, where: str) -> str:
    if not isinstance(data, str):
        raise _Wrong(f"{where} must be a text in quotes")
    return data


def _figure(data: Any, where: str) -> float:
    # NaN fails the comparison too.
    if isinstance(data, bool) or not isinstance(data, int | float) or not 0 <= data <= MOST:
        raise _Wrong(f"{where} must be a number from 0 on")
    return float(data)


def _requests(data: Any) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float) or not 0 < data <= MOST_REQUESTS:
        raise _Wrong(f"the number of requests a day must be above 0 and at most {MOST_REQUESTS:,.0f}")
    return float(data)
