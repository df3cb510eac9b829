"""The line for the device and the recipes of earlier runs, on the tab Train in a real Chromium."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from finetune import jobs
from finetune.runs import supervise
from finetune.runs.queue import line_of, move
from finetune.runs.store import Run, create, status
from finetune.runs.supervise import lease
from finetune.training.recipe import Recipe
from finetune.ui.page import Studio, studio

PLAYER = [sys.executable, str(Path(__file__).with_name("play_worker.py")), "queues"]
SLOW = 20_000


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Run]]:
    """Four runs that were never started."""
    draw = random.Random(0)
    words = ("apple", "pear", "plum", "saw", "drill", "file")
    rows = (f"bring the {draw.choice(words)} number {number},{'ab'[number % 2]}" for number in range(60))
    path = tmp_path_factory.mktemp("data") / "small.csv"
    path.write_text("\n".join(["text,category", *rows]) + "\n", encoding="utf-8")
    first = Recipe.from_preset("pilot", base="no-such-base", learning_rate=0.0005, instruction="Name <b>it</b>.")
    report = jobs.inspect(path, recipe=first, root=root)
    recipes = [
        first, Recipe.from_preset("standard", base="smollm2-360m", rank=8),
        *(Recipe.from_preset("pilot", base="no-such-base", epochs=epochs) for epochs in (3.0, 5.0)),
    ]  # fmt: skip
    made = [
        create(root, report=report, recipe=recipe, name=name)
        for name, recipe in zip(("alpha", "beta", "gamma", "delta"), recipes, strict=True)
    ]
    yield made
    for run in made:
        supervise.stop(run, 0)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Studio, Path]:
    """The page of another root, and that root. It is made before the first one serves: Gradio puts what a handler makes into the page
    that is being built."""
    root = tmp_path_factory.mktemp("alone")
    return studio(root=root), root


@pytest.fixture(scope="module")
def address(root: Path, runs: list[Run], alone: tuple[Studio, Path]) -> Iterator[str]:
    made = studio(root=root)
    _, local, _ = made.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    yield local
    made.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator:
    """Opens pages on the tab Train; what goes wrong in one of them fails the test."""
    contexts, wrong = [], []

    def opened(run: Run | None = None, **options) -> Page:
        contexts.append(browser.new_context(**({"viewport": {"width": 1280, "height": 1000}} | options)))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{address}?run={run.id}" if run else address)
        page.get_by_role("tab", name="Train", exact=True).click(timeout=30_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def order(root: Path) -> list[str]:
    return [place.name.split("-")[0] for place in line_of(root).waiting]


def shown(page: Page, *names: str) -> None:
    expect(page.locator("#queue li span")).to_have_text([re.compile(f"^{name}") for name in names], timeout=SLOW)


def press(page: Page, name: str, button: str) -> None:
    page.locator("#queue li", has_text=name).locator(f"button[data-to={button}]").click()


def test_the_line_is_seen_followed_and_changed_from_two_pages(visit, root: Path, runs: list[Run]) -> None:
    with lease(root, "a comparison <i>by hand</i>"):
        page = visit()
        expect(page.locator("#start")).to_be_visible()
        expect(page.locator("#queue")).to_be_hidden()
        for run in runs:
            supervise.start(run, command=PLAYER)
        shown(page, "alpha", "beta", "gamma", "delta")
        expect(page.locator("#queue")).to_contain_text("a comparison <i>by hand</i> has it")
        other = visit(runs[3])
        shown(other, "alpha", "beta", "gamma", "delta")
        expect(other.locator("#strip")).to_contain_text("waiting, fourth of four", timeout=SLOW)
        expect(page.locator("button[data-to=up]").first).to_be_disabled()
        expect(page.locator("button[data-to=down]").last).to_be_disabled()

        press(page, "gamma", "first")
        shown(other, "gamma", "alpha", "beta", "delta")
        press(other, "alpha", "down")
        shown(page, "gamma", "beta", "alpha", "delta")
        press(page, "delta", "up")
        shown(page, "gamma", "beta", "delta", "alpha")
        assert order(root) == ["gamma", "beta", "delta", "alpha"]
        expect(other.locator("#strip")).to_contain_text("waiting, third of four", timeout=SLOW)

        # One press alone cancels nothing: the list may have moved under the pointer.
        shown(other, "gamma", "beta", "delta", "alpha")
        press(other, "delta", "cancel")
        expect(other.get_by_text("sure?")).to_be_visible()
        assert "delta" in order(root)
        press(other, "delta", "cancel")
        shown(page, "gamma", "beta", "alpha")
        expect(other.locator("#outcome")).to_contain_text("stopped", timeout=SLOW)
        assert status(runs[3]).state == "stopped"
        other.locator("#resume").click()  # the page starts the real worker, which stands at the end and never begins
        shown(page, "gamma", "beta", "alpha", "delta")

        # A page that still shows what is gone is told so, and shows the line as it is.
        late = visit()
        shown(late, "gamma", "beta", "alpha", "delta")
        key = late.locator("#queue li", has_text="delta").get_attribute("data-key")
        supervise.cancel(root, key)
        late.evaluate(
            """(key) => {
              const row = document.querySelector('#queue li');
              row.dataset.key = key;
              for (const press of [1, 2]) row.querySelector('button[data-to=cancel]').click();
            }""",
            key,
        )
        expect(late.locator(".notice[role=alert]:visible")).to_contain_text("does not wait any more", timeout=SLOW)
        shown(late, "gamma", "beta", "alpha")
        move(root, runs[0].id, "first")
        for run in runs[1:3]:
            supervise.cancel(root, run.id)
        shown(page, "alpha")
    expect(page.locator("#queue")).to_be_hidden(timeout=SLOW)
    supervise.stop(runs[0], 5)


def test_a_recipe_is_copied_into_every_field_of_the_form(visit, runs: list[Run]) -> None:
    page = visit(runs[0])
    page.locator("#earlier button").first.click()
    page.locator("#copy-recipe").click()
    expect(page.locator("#copied")).to_contain_text("that of alpha")
    expect(page.locator("#copied")).to_contain_text("seed 0, 15% to validate, 15% to test")
    page.locator("#more button").first.click()
    expect(page.locator("#set-learning_rate input")).to_have_value("0.0005")
    expect(page.locator("#set-instruction textarea")).to_have_value("Name <b>it</b>.")
    expect(page.locator("#other input, #other textarea")).to_have_value("no-such-base")
    expect(page.locator("#preset input:checked")).to_have_value("pilot")
    expect(page.locator("#set-rows input")).to_have_value("100")
    expect(page.locator("#minutes input")).to_have_value("6")

    page.locator("#earlier label", has_text="beta").click()
    page.wait_for_url(f"**run={runs[1].id}*")
    expect(page.locator("#copied")).to_be_hidden()
    page.locator("#copy-recipe").click()
    expect(page.locator("#copied")).to_contain_text("that of beta")
    expect(page.locator("#set-rank input")).to_have_value("8")
    expect(page.locator("#set-learning_rate input")).to_have_value("")
    expect(page.locator("#other input, #other textarea")).to_have_value("")
    expect(page.locator("#base input:checked")).to_have_value("smollm2-360m")
    expect(page.locator("#preset input:checked")).to_have_value("standard")


def test_a_copied_split_stands_on_the_tab_preview_too(visit, runs: list[Run], tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("question,answer\n" + "".join(f"what is {i},it is {i}\n" for i in range(60)), encoding="utf-8")
    page = visit(runs[0])
    page.get_by_role("tab", name="Upload", exact=True).click()
    page.locator("#file input[type=file]").set_input_files(str(path))
    expect(page.locator("#counts")).to_contain_text("60 rows")
    page.get_by_role("tab", name="Preview", exact=True).click()
    seed = page.get_by_label("Seed", exact=True)
    expect(seed).to_be_visible(timeout=30_000)
    seed.fill("7")
    seed.blur()
    page.get_by_role("tab", name="Train", exact=True).click()
    page.locator("#earlier button").first.click()
    # Until the change is through, what is copied is told without it.
    for _ in range(50):
        page.locator("#copy-recipe").click()
        expect(page.locator("#copied")).to_contain_text("split")
        if "The rows are split as it did" in page.locator("#copied").inner_text():
            break
        page.wait_for_timeout(200)
    page.get_by_role("tab", name="Preview", exact=True).click()
    expect(seed).to_have_value("0")


def test_two_recipes_are_compared_and_nothing_is_offered_before_there_are_two(
    visit, runs: list[Run], browser: Browser, alone: tuple[Studio, Path]
) -> None:
    page = visit(runs[2])
    page.locator("#earlier button").first.click()
    page.locator("#other-run input").click()
    page.get_by_role("option", name=re.compile("^delta")).click()
    table = page.locator("#differs")
    expect(table.locator("tbody tr")).to_have_count(1)
    expect(table).to_contain_text("Epochs")
    expect(table).to_contain_text("The data is the same")
    page.locator("#other-run input").click()
    page.get_by_role("option", name=re.compile("^alpha")).click()
    expect(table).to_contain_text("Name <b>it</b>.")

    other, root = alone
    recipe = runs[0].recipe()
    only = Run(root / "runs" / "only")
    only.directory.parent.mkdir(parents=True)
    runs[0].directory.rename(only.directory)
    _, local, _ = other.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    try:
        context = browser.new_context()
        single = context.new_page()
        single.goto(f"{local}?run=only")
        single.get_by_role("tab", name="Train", exact=True).click(timeout=30_000)
        single.locator("#earlier button").first.click()
        expect(single.locator("#earlier label")).to_have_count(1)
        expect(single.locator("#copy-recipe")).to_be_hidden()
        context.close()
    finally:
        other.close()
        only.directory.rename(runs[0].directory)
    assert runs[0].recipe() == recipe
