"""A run as a directory."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import pytest

from finetune import jobs
from finetune.dataset.example import Example
from finetune.errors import FinetuneError
from finetune.runs import store
from finetune.training.recipe import Recipe

pytestmark = pytest.mark.timeout(10)

PARTS = {
    "train": (Example(1, "It crashes", "technical"), Example(2, "Zwei\u2028Zeilen", "billing")),
    "validation": (Example(3, "Refund, please", "billing"),),
    "test": (Example(5, "Dark mode?", "feedback", (("user", "Dark mode?"),)),),
}


def report(**changes):
    facts = {
        "task": "classification",
        "labels": {"technical": 1, "billing": 2, "feedback": 1},
        "seed": 0,
        "split": SimpleNamespace(parts=lambda: PARTS),
        "as_json": lambda: {"rows": 4, "file": {"name": "Tickets (new).csv", "sha256": "ab" * 32}},
    }
    return SimpleNamespace(**facts | changes)


@pytest.fixture
def run(tmp_path):
    return store.create(tmp_path, report=report(), recipe=Recipe(), name="tickets")


def test_a_base_in_a_folder_is_found_from_the_directory_of_the_run_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "own").mkdir(parents=True)
    made = store.create(tmp_path, report=report(), recipe=Recipe(base="models/own"), name="tickets")
    assert made.recipe().base == str(tmp_path / "models" / "own")
    assert (
        store.create(tmp_path, report=report(), recipe=Recipe(base="owner/name"), name="t").recipe().base
        == "owner/name"
    )


def test_a_run_holds_what_it_was_made_from(tmp_path):
    recipe = Recipe.from_preset("pilot", seed=7)
    run = store.create(tmp_path, report=report(seed=7), recipe=recipe, name="Tickets (née «new»)")
    assert run.directory.parent == tmp_path / "runs" and run.root == tmp_path
    assert run.id.startswith("tickets-nee-new-20") and run.id.isascii()
    assert run.recipe() == recipe
    assert {part: tuple(run.examples(part)) for part in PARTS} == PARTS
    assert run.report()["rows"] == 4
    record = run.record()
    assert record["data"] == {"name": "Tickets (new).csv", "sha256": "ab" * 32}
    assert record["labels"] == ["technical", "billing", "feedback"]
    assert (record["task"], record["seed"], record["compare"]) == ("classification", 7, True)
    assert "torch" in record["versions"] and "python" in record["versions"]
    assert run.comparison() is None and run.outputs() == [] and run.events() == ([], 0)
    assert [path.name for path in run.directory.parent.iterdir()] == [run.id]
    with pytest.raises(ValueError, match="prod"):
        run.examples("prod")


def test_a_run_is_made_from_what_inspect_says(tmp_path):
    data = tmp_path / "tickets.csv"
    rows = [f"{label} case number {n},{label}" for n in range(30) for label in ("billing", "technical")]
    data.write_text("text,category\n" + "\n".join(rows) + "\n")
    found = jobs.inspect(data, recipe=Recipe(seed=3, base=str(tmp_path / "none")), root=tmp_path)
    run = store.create(tmp_path, report=found, recipe=Recipe(seed=3), name=data.stem)
    assert {part: tuple(run.examples(part)) for part in PARTS} == found.split.parts()
    assert run.report() == json.loads(json.dumps(found.as_json()))
    assert run.record()["data"] == {"name": "tickets.csv", "sha256": hashlib.sha256(data.read_bytes()).hexdigest()}
    assert sorted(run.record()["labels"]) == ["billing", "technical"]


def test_a_name_without_a_plain_letter_still_makes_an_id(tmp_path):
    assert store.create(tmp_path, report=report(), recipe=Recipe(), name="заявки").id.startswith("run-20")


def test_two_runs_of_one_name_are_two(tmp_path):
    made = {store.create(tmp_path, report=report(), recipe=Recipe(), name="tickets").id for _ in range(5)}
    assert len(made) == 5


def test_another_place(tmp_path):
    root, place = tmp_path / "home", tmp_path / "here" / "out"
    root.mkdir()
    run = store.create(root, report=report(), recipe=Recipe(), name="tickets", directory=place, compare=False)
    assert run.directory == place and run.root == root and run.record()["compare"] is False
    assert store.open_run(place, root) == store.open_run(str(place), root) == run
    with pytest.raises(FinetuneError, match="already"):
        store.create(root, report=report(), recipe=Recipe(), name="tickets", directory=place)
    assert [path.name for path in place.parent.iterdir()] == ["out"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert store.create(root, report=report(), recipe=Recipe(), name="t", directory=empty).directory == empty


def test_a_run_that_cannot_be_written_leaves_nothing(tmp_path):
    def full():
        raise OSError(28, "No space left on device")

    broken = SimpleNamespace(parts=full)
    with pytest.raises(FinetuneError, match="No space left") as caught:
        store.create(tmp_path, report=report(split=broken), recipe=Recipe(), name="tickets")
    assert "FINETUNE_HOME" in caught.value.hint
    assert list((tmp_path / "runs").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(FinetuneError, match="cannot be written"):
        store.create(tmp_path / "file", report=report(), recipe=Recipe(), name="tickets")


def test_a_recipe_with_another_seed_than_the_split_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="seed"):
        store.create(tmp_path, report=report(seed=1), recipe=Recipe(seed=2), name="tickets")


def test_a_run_is_opened_by_id_or_directory(run, tmp_path):
    assert (
        store.open_run(run.id, tmp_path)
        == run
        == store.open_run(run.directory, tmp_path)
        == store.find_run(run.id, tmp_path)
    )


@pytest.mark.parametrize("wrong", ["nothing", "", ".", "..", "../x", "/etc", "a/b", "a\nb"])
def test_what_is_no_run_is_one_sentence(run, tmp_path, wrong):
    for find in (store.find_run, store.open_run):
        with pytest.raises(FinetuneError, match="There is no run"):
            find(wrong, tmp_path)


def test_an_id_never_leads_out_of_the_root(run, tmp_path):
    elsewhere = store.create(tmp_path / "other", report=report(), recipe=Recipe(), name="x")
    for way in (str(elsewhere.directory), f"../other/runs/{elsewhere.id}", f"../../other/runs/{elsewhere.id}"):
        with pytest.raises(FinetuneError):
            store.find_run(way, tmp_path)


def test_runs_are_listed_newest_first_and_a_damaged_one_is_told(tmp_path):
    assert store.list_runs(tmp_path) == ([], [])
    made = [store.create(tmp_path, report=report(), recipe=Recipe(), name=name) for name in ("b", "c", "a", "d", "e")]
    (made[1].directory / "recipe.json").write_text('{"base": "smoll')
    (made[3].directory / "data" / "test.jsonl").unlink()
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / ".draft").mkdir()
    (tmp_path / "runs" / "file.txt").write_text("")
    runs, problems = store.list_runs(tmp_path)
    assert runs == [made[4], made[2], made[0]]
    assert len(problems) == 3
    assert all(any(name in problem for problem in problems) for name in (made[1].id, made[3].id, "notes"))


def test_results_are_read_as_they_stand(run):
    (run.directory / "outputs.jsonl").write_text('{"row": 1, "input": "a\u2028b"}\n{"row": 2}\n', encoding="utf-8")
    assert [output["row"] for output in run.outputs()] == [1, 2]
    (run.directory / "comparison.json").write_text('{"metric": "accuracy"}')
    assert run.comparison() == {"metric": "accuracy"}
    (run.directory / "comparison.json").write_text('{"metric": "acc')
    with pytest.raises(FinetuneError, match="damaged"):
        run.comparison()


def test_the_root_is_the_environments_else_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("FINETUNE_HOME", "~/tuned")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.default_root() == tmp_path / "tuned"
    monkeypatch.delenv("FINETUNE_HOME")
    assert store.default_root().name == "finetune" and store.default_root().is_absolute()
