"""The costs on the page, in a real Chromium: what is asked, what is kept, and what a damaged file does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from compared import make_run
from playwright.sync_api import Browser, Page, expect

from finetune.evidence.money.cost import priced_of
from finetune.evidence.money.prices import FILE, YOURS, Prices
from finetune.runs.store import Run
from finetune.ui.compare import breakeven, cost
from finetune.ui.story import Story
from finetune.ui.theme import looks

RENTED = "rented NVIDIA T4, 16 GB (Hugging Face)"


def run_that_pays(root: Path) -> Run:
    """Training 312 s; a request takes 0.05 s fine-tuned and 0.35 s by retrieval, the strongest alternative."""
    run = make_run(root)
    comparison = run.comparison()
    comparison["cost"]["device"] = "cpu"
    comparison["cost"]["seconds_per_request"] |= {"fine_tuned": 0.05, "retrieval": 0.35}
    (run.directory / "comparison.json").write_text(json.dumps(comparison), encoding="utf-8")
    return run


def test_the_lines_cross_where_the_sum_says(tmp_path: Path) -> None:
    comparison = run_that_pays(tmp_path).comparison()
    found = priced_of(comparison, Prices.shipped().chosen(requests_per_day=100))
    assert found["break_even_days"] == pytest.approx(10.4)  # 312 s / (100 × 0.3 s)
    drawing = breakeven.drawn(found)
    lines = {
        name: [tuple(map(float, point.split(","))) for point in points.split()]
        for points, name in re.findall(r'<polyline points="([^"]+)" class="(line|other)"/>', drawing)
    }  # the legend comes first, the curve of the same name after it
    meet = tuple(map(float, re.search(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawing).groups()))
    for (x0, y0), (x1, y1) in lines.values():
        assert y0 + (y1 - y0) * (meet[0] - x0) / (x1 - x0) == pytest.approx(meet[1], abs=0.2)
    assert ">10.4</text>" in drawing and ">21</text>" in drawing and "days in use" in drawing
    assert "The fine-tuned model</text>" in drawing and "Retrieval (similar rows in the prompt)</text>" in drawing


def test_where_no_lines_cross_a_sentence_says_why(tmp_path: Path) -> None:
    comparison = make_run(tmp_path).comparison()
    drawing = breakeven.drawn(priced_of(comparison, Prices.shipped()))
    assert "<svg" not in drawing and "a request costs more with the fine-tuned model" in drawing


def test_texts_of_the_users_file_are_escaped(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    entry = {"name": hostile, "watts": 5, "kind": "cpu", "source": hostile}
    (tmp_path / FILE).write_text(json.dumps({"machines": [entry], "machine": hostile}), encoding="utf-8")
    prices = Prices.load(tmp_path)
    comparison = run_that_pays(tmp_path).comparison()
    comparison["cost"]["device"] = "cuda"
    found = priced_of(comparison, prices)
    told = cost.top(found) + cost.table(found) + cost.sources(prices)
    assert found["machine"] == hostile and "&lt;img" in told and "<img" not in told


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    run = run_that_pays(root)
    with gr.Blocks() as page:
        tab = cost.build(gr.State(run.id), root)
        page.load(lambda: tab.view(Story(run), run.comparison(), run.outputs()), None, tab.shown())
    _, local, _ = page.launch(prevent_thread_lock=True, quiet=True, inbrowser=False, **looks())
    yield local
    page.close()


@pytest.fixture
def page(browser: Browser, address: str, root: Path) -> Iterator[Page]:
    (root / FILE).unlink(missing_ok=True)
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.goto(address)
    yield opened
    context.close()
    assert not wrong


def kept(root: Path) -> dict:
    return json.loads((root / FILE).read_text(encoding="utf-8")) if (root / FILE).exists() else {}


def test_requests_and_machine_are_asked_and_remembered(page: Page, root: Path) -> None:
    top = page.locator("#cost-top")
    expect(top).to_contain_text(
        "pays for itself after 1 day at 1,000 requests a day, against retrieval", timeout=30_000
    )
    expect(page.locator("#cost svg.costs circle")).to_have_count(1)
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"the page scrolls sideways by {wide} px"
    page.locator("#cost-requests input").fill("100")
    expect(top).to_contain_text("10.4 days at 100 requests a day")
    page.locator("#cost-machine input").click()
    page.get_by_role("option", name=RENTED).click()
    page.locator("#cost details summary").first.click()
    expect(page.locator("#cost details")).to_contain_text("the machine chosen here is of another kind")
    page.locator("#cost-prices button").first.click()
    expect(page.locator("#cost-rent")).to_be_visible()
    expect(page.locator("#cost-watts")).to_be_hidden()
    expect(page.locator("#cost-rent input")).to_have_value("0.4")
    assert kept(root) == {"requests_per_day": 100.0, "machine": RENTED}
    page.reload()
    expect(page.locator("#cost-requests input")).to_have_value("100", timeout=30_000)
    expect(page.locator("#cost-machine input")).to_have_value(RENTED)
    expect(page.locator("#cost-top")).to_contain_text("10.4 days at 100 requests a day")


def test_own_prices_are_kept_with_their_date_and_can_be_taken_back(page: Page, root: Path) -> None:
    fine_tuned = page.locator("table.costs tr.tuned td").nth(2)
    expect(fine_tuned).to_have_text("$0.0078", timeout=30_000)  # 0.05 s × 30,000 × 0.1 kW × $0.187 / 3600
    page.locator("#cost-prices button").first.click()
    page.locator("#cost-watts input").fill("200")
    expect(fine_tuned).to_have_text("$0.016")
    expect(page.locator("#cost-sources")).to_contain_text(YOURS)
    page.locator("#cost-electricity input").fill("0.374")
    expect(fine_tuned).to_have_text("$0.031")
    page.locator("#cost-reading input").fill("0.01")
    # 200 tokens read at $0.01 and 10 written at $0.015 a thousand, 30,000 times.
    expect(page.locator("table.costs tr", has_text="GPT-4o, fine-tuned").locator("td").nth(2)).to_have_text("$64.50")
    assert set(kept(root)) == {"machines", "electricity", "hosted"}
    page.locator("#cost-electricity input").fill("-3")
    expect(page.locator("#cost-notice")).to_contain_text("must be a number from 0 on")
    assert kept(root)["electricity"]["per_kwh"] == 0.374
    page.locator("#cost-back").click()
    expect(fine_tuned).to_have_text("$0.0078")
    expect(page.locator("#cost-notice")).to_be_hidden()
    expect(page.locator("#cost-watts input")).to_have_value("100")
    assert kept(root) == {}


def test_a_damaged_file_is_told_and_mended_by_the_programs_prices(page: Page, root: Path) -> None:
    expect(page.locator("#cost table.costs")).to_be_visible(timeout=30_000)
    (root / FILE).write_text('{"electricity": 3}', encoding="utf-8")
    page.reload()
    expect(page.locator("#cost-notice")).to_contain_text("electricity must be an object", timeout=30_000)
    expect(page.locator("#cost table.costs")).to_have_count(0)
    page.locator("#cost-prices button").first.click()
    page.locator("#cost-back").click()
    expect(page.locator("#cost table.costs")).to_be_visible()
    expect(page.locator("#cost-notice")).to_be_hidden()
