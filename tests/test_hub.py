"""A dataset of the Hub: read through a folder of the same layout, and every way in which the Hub says no."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from finetune.dataset.mapping.columns import guess
from finetune.dataset.reading.load import load_hub
from finetune.errors import Cancelled, FinetuneError

CARD = """---
configs:
- config_name: {first}
  data_files:
  - split: train
    path: train.jsonl
  - split: test
    path: test.jsonl
- config_name: other
  data_files:
  - split: only
    path: test.jsonl
{features}---
"""
FEATURES = """dataset_info:
- config_name: {first}
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': negative
          '1': positive
"""


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def make(first: str = "default") -> Path:
        folder = tmp_path / "reviews"
        folder.mkdir(exist_ok=True)
        (folder / "README.md").write_text(CARD.format(first=first, features=FEATURES.format(first=first)))
        for name, count in (("train", 60), ("test", 10)):
            rows = [{"text": f"{name} {number}", "label": number % 3 - 1} for number in range(count)]
            (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return folder

    return make


def test_rows_with_the_names_of_their_labels(dataset):
    table = load_hub(dataset())
    assert (table.name, table.format, table.encoding, len(table.frame)) == ("reviews", "hub", "utf-8", 60)
    # The library's own mark for an unlabelled row is -1.
    assert table.frame["label"].head(3).to_list() == ["", "negative", "positive"]
    assert guess(table).as_json() == {"input": "text", "output": "label"} and table.notes == ()
    assert table.sha256 == load_hub(dataset()).sha256


def test_the_test_split_becomes_the_users_own_test(dataset):
    table = load_hub(dataset(), test_split="test", rows=20)
    assert table.test_rows == range(21, 31) and table.place(22) == "row 2 of reviews test"
    assert table.frame.loc[21, "text"] == "test 0"
    assert any("reviews train: Only the first 20 rows are read; there are more." in note for note in table.notes)


def test_a_configuration_has_to_be_chosen(dataset):
    folder = dataset("main")
    with pytest.raises(FinetuneError, match="2 configurations, and one has to be chosen. They are: main, other."):
        load_hub(folder)
    assert len(load_hub(folder, config="main").frame) == 60
    only = load_hub(folder, config="other")
    assert len(only.frame) == 10 and any("its only one, “only”, is read" in note for note in only.notes)
    with pytest.raises(FinetuneError, match="no configuration “x”. It has: main, other"):
        load_hub(folder, config="x")


def test_splits_that_are_not_there(dataset):
    with pytest.raises(FinetuneError, match="no split “nope”. It has: train, test"):
        load_hub(dataset(), split="nope")
    with pytest.raises(FinetuneError, match="no split “valid”"):
        load_hub(dataset(), test_split="valid")
    with pytest.raises(FinetuneError, match="the same split"):
        load_hub(dataset(), test_split="train")


def test_progress_and_cancelling(dataset):
    told: list[float] = []
    load_hub(dataset(), test_split="test", tell=lambda what, share: told.append(share))
    assert told == sorted(told) and told[0] > 0 and told[-1] < 1

    def stop(what: str, share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        load_hub(dataset(), tell=stop)


def test_damaged_files(dataset):
    folder = dataset()
    (folder / "train.jsonl").write_text('{"text": "a", "label": 0}\n{"text"')
    with pytest.raises(FinetuneError, match="The dataset “reviews” cannot be read"):
        load_hub(folder)
    with pytest.raises(FinetuneError, match="no folder"):
        load_hub(folder / "none")


def response(status: int):
    return SimpleNamespace(status_code=status, headers={}, request=SimpleNamespace(url="u", method="GET"), url="u")


def refused(kind: type, status: int) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, f"{status} for url")
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refused(errors.GatedRepoError, 403), "only to those who accepted its terms"),
        (refused(errors.RepositoryNotFoundError, 404), "There is no dataset “owner/name”"),
        (refused(errors.RevisionNotFoundError, 404), "no revision “v9”"),
        (refused(errors.HfHubHTTPError, 503), "The Hub refused “owner/name”"),
        (errors.OfflineModeIsEnabled("offline"), "The Hub cannot be reached"),
        (ConnectionError("no route"), "The Hub cannot be reached"),
        (TimeoutError("slow"), "The Hub cannot be reached"),
    ],
)
def test_every_no_of_the_hub_is_a_sentence(error, said, monkeypatch):
    asked = {}

    def answer(self, name, **options):
        asked.update(options, name=name)
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", answer)
    with pytest.raises(FinetuneError) as caught:
        load_hub("owner/name", revision="v9")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert asked["timeout"] <= 10 and asked["name"] == "owner/name" and asked["revision"] == "v9"


def test_a_dataset_that_is_a_program_is_not_run(monkeypatch):
    import datasets

    def answer(*args, **options):
        raise RuntimeError("Dataset scripts are no longer supported, but found name.py")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, name, **options: SimpleNamespace())
    monkeypatch.setattr(datasets, "get_dataset_config_names", answer)
    with pytest.raises(FinetuneError, match="made by a program of its own, which is not run"):
        load_hub("owner/name")


@pytest.mark.parametrize(
    "name", ["", "a b", "../etc", "/etc", "a/b/c", "https://huggingface.co/datasets/a/b", "~", "a" * 200]
)
def test_text_is_never_taken_for_a_folder(name):
    with pytest.raises(FinetuneError, match="not the name of a dataset"):
        load_hub(name)
