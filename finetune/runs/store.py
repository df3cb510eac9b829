"""A run as a directory: made once, whole; read by the page, the command line and the worker alike."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import secrets
import shutil
import tempfile
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import platformdirs

from finetune.dataset.example import Example, read_examples, write_examples
from finetune.errors import FinetuneError
from finetune.runs import events
from finetune.runs.status import Status, status
from finetune.training.recipe import Recipe

if TYPE_CHECKING:
    from finetune.dataset.report import Report

__all__ = [
    "RECORDED",
    "Part",
    "Run",
    "Status",
    "create",
    "default_root",
    "find_run",
    "list_runs",
    "model_cache",
    "open_run",
    "status",
    "versions",
]

Part = Literal["train", "validation", "test"]

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "gradio")
# What the record of a run has beside the fields of its recipe.
RECORDED = frozenset({"name", "created", "root", "task", "labels", "data", "compare", "versions"})


@dataclass(frozen=True)
class Run:
    """One run. It holds only its directory (absolute); every method reads what stands there now."""

    directory: Path

    @property
    def id(self) -> str:
        return self.directory.name

    @property
    def root(self) -> Path:
        """The root that it was made under, also where it lies elsewhere (`--run-dir`): there it queues for the GPU."""
        made_under = Path(self.record()["root"])
        return made_under if made_under.is_dir() else default_root()

    @property
    def events_path(self) -> Path:
        return self.directory / "events.jsonl"

    @property
    def log_path(self) -> Path:
        return self.directory / "worker.log"

    @property
    def adapter(self) -> Path:
        return self.directory / "adapter"

    def weights(self) -> Path:
        """The file of the adapter's weights. Raises FinetuneError where there is none yet."""
        path = self.adapter / "adapter_model.safetensors"
        if not path.is_file():
            raise FinetuneError("This run has no adapter yet.", hint="Train it first, or resume it.")
        return path

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    def record(self) -> dict:
        """The whole `recipe.json`: the recipe's fields beside name, created (ISO, UTC), root, task, labels, data
        ({"name", "sha256"}), compare, versions."""
        return _read_json(self.directory / "recipe.json")

    def recipe(self) -> Recipe:
        return Recipe.from_json(self.record())

    def examples(self, part: Part) -> list[Example]:
        if part not in get_args(Part):
            raise ValueError(f"no part {part!r}")
        return read_examples(self.directory / "data" / f"{part}.jsonl")

    def events(self, offset: int = 0) -> tuple[list[dict], int]:
        """The events from a byte offset on, and the next offset; see `events.read`."""
        return events.read(self.events_path, offset)

    def report(self) -> dict:
        """What `inspect` said of the data, as JSON."""
        return _read_json(self.directory / "report.json")

    def trained(self) -> bool:
        """Whether the training came to its own end, and not to a stop."""
        return any(event["kind"] == "finished" and event.get("phase") == "train" for event in self.events()[0])

    def training(self) -> dict | None:
        """What the training came to, the fields of `Trained`, from the event that ended it; None before its end."""
        said = [
            event for event in self.events()[0] if event["kind"] in ("finished", "stopped") and "best_step" in event
        ]
        return (
            {name: said[-1][name] for name in said[-1] if name not in ("seq", "time", "kind", "phase")}
            if said
            else None
        )

    def comparison(self) -> dict | None:
        """The comparison, None before there is one."""
        path = self.directory / "comparison.json"
        return _read_json(path) if path.exists() else None

    def outputs(self) -> list[dict]:
        """One object a test row with the outputs of every system; empty before the comparison."""
        try:
            # Bytes, because a line of text also ends at U+2028, which JSON leaves unescaped inside a string.
            lines = (self.directory / "outputs.jsonl").read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.strip()]


def default_root() -> Path:
    """FINETUNE_HOME, else the user's data directory."""
    home = os.environ.get("FINETUNE_HOME")
    return Path(home).expanduser().absolute() if home else platformdirs.user_data_path("finetune")


def model_cache(root: Path) -> Path:
    """Where converted models are kept under a root."""
    return root / "models"


def create(
    root: Path,
    *,
    report: Report,
    recipe: Recipe,
    name: str,
    directory: Path | None = None,
    compare: bool = True,
) -> Run:
    """Write a new run: all of it or nothing.

    Args:
        root: the run is put under `root/runs`, and queues for the GPU with the others of this root.
        report: the checked and split data.
        name: what people call it, usually the stem of the data's file; the id is made from it.
        directory: another place for it, which must be free (or an empty directory).
        compare: whether the worker goes on to the comparison after training.

    Raises:
        FinetuneError: the place is taken, or cannot be written.
    """
    if report.seed != recipe.seed:
        raise ValueError(f"data split with seed {report.seed}, recipe has seed {recipe.seed}")
    now = datetime.now(UTC)
    if directory is not None and directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise FinetuneError(f"There is something at {directory} already.", hint="Choose a new directory.")
    if directory is None:
        directory = root / "runs" / f"{_slug(name)}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    directory = directory.absolute()
    if (folder := Path(recipe.base).expanduser()).is_dir():
        # A relative one would be looked for by the worker, which works in the directory of the run.
        recipe = dataclasses.replace(recipe, base=str(folder.absolute()))
    inspected = report.as_json()
    record = recipe.as_json() | {
        "name": name,
        "created": now.isoformat(timespec="microseconds"),
        "root": str(root.absolute()),
        "task": report.task,
        "labels": list(report.labels),
        "data": {"name": inspected["file"]["name"], "sha256": inspected["file"]["sha256"]},
        "compare": compare,
        "versions": versions(),
    }
    draft: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that the rename is one step; and for its owner alone, as mkdtemp makes it: it holds data.
        draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        for part in ("data", "checkpoints"):
            (draft / part).mkdir()
        for part, examples in report.split.parts().items():
            write_examples(draft / "data" / f"{part}.jsonl", examples)
        _write_json(draft / "report.json", inspected)
        _write_json(draft / "recipe.json", record)
        draft.rename(directory)
    except OSError as error:
        raise FinetuneError(
            f"The run cannot be written to {directory}: {error.strerror or error}.",
            hint="Make room, or set FINETUNE_HOME to a directory that you may write to.",
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    return Run(directory)


def find_run(run_id: str, root: Path) -> Run:
    """The run of this id under `root/runs`, and nothing else: safe for an id that comes from an address bar."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", run_id):
        raise _no_run(run_id)
    return _checked(root / "runs" / run_id)


def open_run(run: str | Path, root: Path) -> Run:
    """The run in this directory, or of this id under the root.

    Raises:
        FinetuneError: there is none, or it is damaged.
    """
    directory = Path(run)
    return _checked(directory) if (directory / "recipe.json").is_file() else find_run(str(run), root)


def list_runs(root: Path) -> tuple[list[Run], list[str]]:
    """The runs of the root, newest first, and one sentence for each directory that should be a run and is not."""
    found: list[tuple[str, Run]] = []
    problems: list[str] = []
    home = root / "runs"
    for directory in sorted(home.iterdir()) if home.is_dir() else ():
        if directory.name.startswith(".") or not directory.is_dir():
            continue  # a run that is being written
        try:
            run = _checked(directory)
            found.append((run.record()["created"], run))
        except (FinetuneError, OSError) as error:
            problems.append(str(error))
    return [run for _, run in sorted(found, key=lambda pair: pair[0], reverse=True)], problems


def _checked(directory: Path) -> Run:
    run = Run(directory.absolute())
    try:
        run.recipe()
        complete = {"created", "task", "labels"} <= run.record().keys()
    except FileNotFoundError:
        raise _no_run(directory.name) from None
    if not complete or not all((run.directory / "data" / f"{part}.jsonl").is_file() for part in get_args(Part)):
        raise FinetuneError(f"The run at {directory} is damaged.", hint="Delete it, or put back what is missing.")
    return run


def _no_run(name: str) -> FinetuneError:
    return FinetuneError(f"There is no run “{name}”.", hint="`python -m finetune runs` lists them.")


def _read_json(path: Path) -> dict:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise FinetuneError(f"{path} is damaged.", hint="Delete the run, or put the file back.")
    return data


def _write_json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "run"


def versions() -> dict[str, str]:
    """Python and the libraries that a run depends on, as they are installed here."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
