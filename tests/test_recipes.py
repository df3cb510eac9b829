"""Recipes that travel: repeated from a file, changed beside it, and held against each other."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from finetune import jobs
from finetune.__main__ import main
from finetune.arguments import parser
from finetune.errors import FinetuneError
from finetune.runs.recipes import compare_recipes, read_recipe, told
from finetune.runs.store import RECORDED, Run, create, open_run
from finetune.runs.supervise import lease
from finetune.training.recipe import Recipe


@pytest.fixture
def call(capsys, tmp_path):
    def called(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--root", str(tmp_path / "root")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return called


@pytest.fixture
def make(tmp_path, small_csv):
    """Makes runs that are not started."""

    def made(name: str = "small", **changes) -> Run:
        recipe = Recipe.from_preset(changes.pop("preset", "standard"), **({"base": "no-such-base"} | changes))
        report = jobs.inspect(small_csv, recipe=recipe, root=tmp_path / "root")
        return create(tmp_path / "root", report=report, recipe=recipe, name=name)

    return made


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def asked(path: Path, *options: str) -> Recipe:
    """The recipe that the command line makes of a file and of what is given beside it."""
    from finetune.__main__ import _recipe

    return _recipe(parser().parse_args(["train", "data.csv", "--recipe", str(path), *options]), read_recipe(path))


def losses(run: Run) -> list[tuple]:
    return [
        (event["step"], event["loss"])
        for event in run.events()[0]
        if event["kind"] == "progress" and event.get("phase") == "train"
    ]


def plan(run: Run) -> dict:
    choices = next(event["choices"] for event in run.events()[0] if event["kind"] == "plan")
    # What is measured on the machine differs from run to run.
    return {choice["name"]: choice["value"] for choice in choices if not choice["name"].startswith("expected")}


def test_a_recorded_recipe_repeats_the_run(call, small_csv, tiny_model, tmp_path):
    options = ["--model", str(tiny_model), "--preset", "standard", "--seed", "7"]
    for setting in ("epochs=2", "batch_size=8", "rank=8", "rows=40", "dropout=0.1"):
        options += ["--set", setting]
    code, _, err = call("train", str(small_csv), *options, "--run-dir", str(tmp_path / "one"))
    assert code == 0, err
    first = open_run(tmp_path / "one", tmp_path)
    file = written(tmp_path / "travelled.json", (first.directory / "recipe.json").read_text())
    code, out, err = call("train", str(small_csv), "--recipe", str(file), "--json")
    assert code == 0, err
    second = open_run(json.loads(out)["run"], tmp_path)
    assert "instead of" not in err and "SHA-256" not in err and "versions" not in err
    assert second.recipe() == first.recipe()
    for part in ("train", "validation", "test"):
        assert second.examples(part) == first.examples(part)
    assert plan(second) == plan(first)
    assert len(losses(first)) > 5 and losses(second) == losses(first)


def test_what_is_given_beside_a_recipe_wins_and_is_told(tmp_path, capsys):
    pilot = Recipe.from_preset("pilot", learning_rate=0.0005, base="one", rank=4)
    file = written(tmp_path / "recipe.json", pilot.as_json() | {"created": "2026-01-01", "versions": {}})
    assert asked(file) == pilot and capsys.readouterr().err == ""
    changed = asked(file, "--set", "learning_rate=0.001", "--model", "two", "--max-minutes", "3", "--seed", "5")
    assert changed == dataclasses.replace(pilot, learning_rate=0.001, base="two", max_minutes=3.0, seed=5)
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "base = two instead of the recipe's one",
        "learning_rate = 0.001 instead of the recipe's 0.0005",
        "max_minutes = 3 instead of the recipe's 6",
        "seed = 5 instead of the recipe's 0",
    ]
    # A preset wins over all that presets set, and over nothing else.
    other = asked(file, "--preset", "standard", "--set", "epochs=7")
    assert other == Recipe.from_preset("standard", learning_rate=0.0005, base="one", rank=4, epochs=7.0)
    assert "preset = standard instead of the recipe's pilot" in capsys.readouterr().err
    assert asked(file, "--set", "preset=standard").rows == Recipe.from_preset("standard").rows


def test_a_part_of_a_recipe_is_enough_and_a_run_is_named_by_its_directory(make, tmp_path):
    found = asked(written(tmp_path / "part.json", {"rank": 4, "preset": "thorough", "base": "b"}))
    assert found == Recipe.from_preset("thorough", rank=4, base="b")
    run = make(rank=8)
    assert asked(run.directory) == run.recipe()
    assert set(run.record()) == {field.name for field in dataclasses.fields(Recipe)} | RECORDED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"learning_rat": 1, "rank": 8}, "“learning_rat”.*learning_rate?"),
        ({"rank": 8, "one": 1, "two": 2}, "“one”, “two”"),
        ({"name": "x", "created": "y"}, "sets nothing"),
        ({}, "sets nothing"),
        ([1, 2], "no JSON object"),
        ("{", "no JSON"),
        ({"rank": "high"}, "rank must be a whole number"),
        ({"rank": 300}, "rank is 300"),
        ({"preset": []}, "preset in the recipe"),
        ({"seed": None}, "seed in the recipe"),
    ],
)
def test_a_recipe_that_is_none_is_told_in_a_sentence(call, small_csv, tmp_path, content, said):
    file = written(tmp_path / "recipe.json", content)
    code, out, err = call("train", str(small_csv), "--recipe", str(file), "--json")
    assert code == 2 and len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert json.loads(out)["error"]["message"] in err
    with pytest.raises(FinetuneError, match=said):
        asked(file)


def test_a_recipe_that_cannot_be_read_is_told(call, small_csv, tmp_path):
    code, _, err = call("train", str(small_csv), "--recipe", str(tmp_path / "none.json"))
    assert code == 2 and "cannot be read" in err
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    code, _, err = call("run", str(small_csv), "--recipe", str(tmp_path / "binary.json"))
    assert code == 2 and "no JSON" in err


def test_other_data_and_other_versions_are_said_and_not_refused(make, tmp_path):
    record = make().record()
    sha256 = record["data"]["sha256"]
    same = read_recipe(written(tmp_path / "a.json", record))
    assert same.remarks(sha256) == [] and same.remarks() == []
    (said,) = same.remarks("0" * 64)
    assert "000000000000" in said and sha256[:12] in said and "small.csv" in said
    record["versions"] |= {"torch": "1.0", "something": "9"}
    (said,) = read_recipe(written(tmp_path / "b.json", record)).remarks(sha256)
    assert "torch 1.0 (here " in said and "something" not in said and "python" not in said
    for spoilt in ({"data": 3, "versions": "new"}, {"data": None, "versions": None}):
        assert read_recipe(written(tmp_path / "c.json", record | spoilt)).remarks(sha256) == []


def test_other_data_is_told_by_the_command(call, small_csv, tmp_path):
    file = written(tmp_path / "a.json", {"base": "no-such-base", "data": {"name": "x.csv", "sha256": "f" * 64}})
    code, _, err = call("train", str(small_csv), "--recipe", str(file))
    assert code == 2 and "no-such-base" in err  # this base is found nowhere; the data was looked at before
    assert "The data is not that of the recipe" in err and "x.csv" in err


def test_the_recipe_of_a_run_and_what_differs_between_two(call, make, tmp_path):
    one, two = make("one", rank=8), make("two", rank=8, seed=3, learning_rate=1e-4)
    code, out, _ = call("recipe", one.id, "--json")
    assert code == 0 and json.loads(out) == one.record()
    again = read_recipe(written(tmp_path / "again.json", out))
    assert Recipe.from_json(again.values) == one.recipe()
    code, out, _ = call("recipe", one.id)
    assert code == 0 and any(line.split() == ["rank", "8"] for line in out.splitlines())

    code, out, _ = call("recipe", one.id, two.id, "--json")
    found = json.loads(out)
    assert code == 0 and (found["this"], found["other"], found["same_data"]) == (one.id, two.id, True)
    assert found["fields"] == [
        {"name": "learning_rate", "this": 0.0, "other": 0.0001},
        {"name": "seed", "this": 0, "other": 3},
    ]
    assert found["versions"] == [] and found["verdict"] is None and found["scores"] == []
    code, out, _ = call("recipe", one.id, two.id)
    assert ["learning_rate", "0", "0.0001"] in [line.split() for line in out.splitlines()]
    assert "rank" not in out and "The data is the same" in out
    code, out, _ = call("recipe", one.id, one.id)
    assert "are the same" in out
    assert call("recipe", one.id, "no-such-run")[0] == 2


def test_scores_and_verdicts_stand_beside_where_both_runs_have_them(make):
    one, two = make("one"), make("two")
    systems = {"base": {"score": 0.3}, "fine_tuned": {"score": 0.8}}
    made = {"verdict": {"decision": "use_fine_tuned"}, "systems": systems}
    written(one.directory / "comparison.json", made)
    assert compare_recipes(one, two).verdict is None
    written(two.directory / "comparison.json", made | {"systems": {"tfidf": {"score": 0.5}, "base": {"score": 0.4}}})
    found = compare_recipes(one, two)
    assert found.verdict.this == found.verdict.other == "use_fine_tuned"
    assert [(one.name, one.this, one.other) for one in found.scores] == [
        ("base", 0.3, 0.4), ("fine_tuned", 0.8, None), ("tfidf", None, 0.5),
    ]  # fmt: skip
    record = two.record() | {"data": {"name": "x", "sha256": "0"}, "versions": {"torch": "1.0"}}
    written(two.directory / "recipe.json", record)
    found = compare_recipes(one, two)
    assert not found.same_data and found.fields == ()
    assert ("torch", "1.0") in [(one.name, one.other) for one in found.versions]


def test_the_fields_are_listed_as_json_too(call):
    code, out, _ = call("recipe", "--json")
    listed = json.loads(out)["fields"]
    assert code == 0 and [entry["name"] for entry in listed] == [field.name for field in dataclasses.fields(Recipe)]
    assert listed[1]["choices"] == ["pilot", "standard", "thorough"]


def test_values_are_told_as_they_are_written():
    assert [told(value) for value in (2.0, 0.0001, 0.1 + 0.2, 8, "", None)] == [
        "2", "0.0001", "0.30000000000000004", "8", "–", "–",
    ]  # fmt: skip


def test_the_queue_on_the_command_line(call, tmp_path):
    code, out, _ = call("queue", "--json")
    assert code == 0 and json.loads(out) == {"at_work": None, "waiting": []}
    code, out, _ = call("queue")
    assert out.strip() == "Nobody is at work, and nobody waits."
    with lease(tmp_path / "root", "first-1", directory=tmp_path / "first-1"):
        code, out, _ = call("queue", "--json")
        found = json.loads(out)
        assert (found["at_work"]["name"], found["waiting"]) == ("first-1", [])
        assert found["at_work"]["run"] == str(tmp_path / "first-1") and found["at_work"]["since"].endswith("+00:00")
        code, _, err = call("queue", "--first", "nobody")
        assert code == 2 and "“nobody” does not wait" in err
    code, out, err = call("queue", "--up", "a", "--down", "b", "--json")
    assert code == 2 and "not allowed with" in json.loads(out)["error"]["message"]
