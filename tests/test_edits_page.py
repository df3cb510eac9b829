"""Edits on the tab Preview that are made while the answer to an earlier one is on its way: both hold at the end.

The server and the network are slowed down where it matters: what the page asks is held back, or the report waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from finetune.dataset.report import Choices
from finetune.ui import desk
from finetune.ui.page import studio

LATE = 700  # milliseconds that are left to what was held back, to do its harm


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[str]:
    made = studio(root=tmp_path_factory.mktemp("root"), base=str(tiny_model))
    _, local, _ = made.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    yield local
    made.close()


@pytest.fixture
def page(browser: Browser, address: str, tmp_path: Path) -> Iterator[Page]:
    """The tab Preview, looked at to the end: a copy, personal data, a label of one row, and two rows that are alike."""
    lines = [f"text number {number} about {'ab'[number % 2] * 3},{'ab'[number % 2]}" for number in range(58)]
    lines += [
        f"the red lorry stands near the {place},a" for place in ("old gate of our yard", "new gate of our garden")
    ]
    lines += [lines[0], "write to ann.smith@mail.org about aaa,a", "something else,rare"]
    path = tmp_path / "faulty.csv"
    path.write_text("\n".join(["text,category", *lines]) + "\n", encoding="utf-8")
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.goto(address)
    expect(opened.get_by_role("tab", name="Upload")).to_be_visible(timeout=30_000)
    opened.locator("#file input[type=file]").set_input_files(str(path))
    opened.locator("#look").click()
    expect(opened.get_by_text("Half of the rows have up to")).to_be_visible(timeout=60_000)
    expect(opened.locator("#readiness")).to_contain_text("62 rows")
    yield opened
    opened.close()


class Line:
    """The line to the server. From `hold` on it keeps back what the page asks, but for the listener asked first."""

    def __init__(self, page: Page) -> None:
        self.page, self.held, self.free, self.holds = page, [], [], False
        page.route("**/gradio_api/**", self._asked)

    def hold(self, *, all: bool = False) -> None:
        self.holds, self.free = True, [None] if all else []

    def release(self) -> None:
        self.holds = False
        for route in self.held:
            route.continue_()
        self.held.clear()
        self.page.wait_for_timeout(LATE)

    def _asked(self, route: Route) -> None:
        asked = route.request.post_data_json if route.request.method == "POST" and self.holds else None
        number = asked.get("fn_index") if isinstance(asked, dict) else None
        if number is not None and not self.free:
            self.free.append(number)
        if number is None or number in self.free:
            route.continue_()
        else:
            self.held.append(route)


class Gate:
    """Reports that wait until they are let go, and the choices of all that were made."""

    def __init__(self) -> None:
        self.begun, self.go, self.made = threading.Event(), threading.Event(), []
        self.go.set()

    def shut(self) -> None:
        self.begun.clear()
        self.go.clear()

    def waits(self, page: Page) -> None:
        """Until one has begun; the page goes on meanwhile."""
        until(page, self.begun.is_set)


@pytest.fixture
def line(page: Page) -> Line:
    return Line(page)


@pytest.fixture
def gate(page: Page, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    kept, conclude = Gate(), desk.conclude

    def slow(examined, choices: Choices, *rest, **more):
        kept.begun.set()
        assert kept.go.wait(30)
        kept.made.append(choices)
        return conclude(examined, choices, *rest, **more)

    monkeypatch.setattr(desk, "conclude", slow)
    yield kept
    kept.go.set()


def until(page: Page, condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(100)
    assert condition()


def number(page: Page, name: str):
    return page.get_by_role("spinbutton", name=name, exact=False).first


def test_what_follows_one_tick_late_does_not_end_the_next(page: Page, line: Line, gate: Gate) -> None:
    line.hold()
    page.get_by_label("keep one of each", exact=True).uncheck()
    expect(page.locator("#readiness")).to_contain_text("63 rows")
    until(
        page, lambda: len(line.held) >= 2
    )  # what follows a change of the data: the end of what is out of date, and the tokens
    gate.shut()
    page.get_by_label("mask personal data").check()
    gate.waits(page)
    line.release()
    gate.go.set()
    expect(page.locator("#mended")).to_contain_text("1 × personal data masked")
    expect(page.get_by_label("mask personal data")).to_be_checked()
    expect(page.get_by_label("keep one of each", exact=True)).not_to_be_checked()
    expect(page.locator(".notice:visible")).to_have_count(0)
    assert gate.made[-1].mends == ("mask_personal",)


def test_a_tick_that_is_taken_back_at_once_is_taken_back(page: Page, gate: Gate) -> None:
    box = page.get_by_label("leave these labels out")
    gate.shut()
    box.check()
    gate.waits(page)
    box.uncheck()
    gate.go.set()
    expect(page.locator("#readiness")).to_contain_text("62 rows")
    page.wait_for_timeout(LATE)
    expect(page.locator("#readiness")).to_contain_text("62 rows")
    expect(box).not_to_be_checked()
    box.check()
    expect(page.locator("#readiness")).to_contain_text("61 rows")
    expect(page.locator("#findings .spent")).to_be_visible()
    box.uncheck()
    expect(page.locator("#readiness")).to_contain_text("62 rows")
    expect(page.locator("#findings .spent")).to_have_count(0)


def test_a_tick_holds_while_the_findings_move(page: Page, gate: Gate) -> None:
    gate.shut()
    number(page, "Near-duplicates").fill("0.5")
    number(page, "Near-duplicates").blur()
    gate.waits(page)
    page.get_by_label("mask personal data").check()
    gate.go.set()
    expect(page.locator("#mended")).to_contain_text("1 × personal data masked")
    expect(page.get_by_label("mask personal data")).to_be_checked()
    group = page.get_by_label("keep one of each group")
    expect(group).to_be_visible()
    expect(group).not_to_be_checked()
    places = [page.locator(".finding", has_text="nearly the same"), group]
    places += [page.locator(".finding", has_text="personal data"), page.get_by_label("mask personal data")]
    tops = [place.bounding_box()["y"] for place in places]
    assert tops == sorted(tops)
    assert (gate.made[-1].near, gate.made[-1].mends) == (0.5, ("mask_personal", "keep_one"))


def test_an_answer_that_cannot_be_holds_its_sentence_and_the_next_is_taken(page: Page, line: Line, gate: Gate) -> None:
    page.locator("#questions button").first.click()
    asked = page.locator("#ask-requests_a_day input")
    line.hold()
    page.locator("#ask-knowledge_changes input").click()
    page.get_by_role("option", name="every day").click()
    expect(page.locator("#readiness h2")).to_have_text("Retrieval fits better")
    until(page, lambda: len(line.held) >= 2)
    asked.fill("-5")
    asked.blur()
    expect(page.locator(".notice")).to_contain_text("requests_a_day is -5")
    line.release()
    expect(page.locator(".notice")).to_contain_text("requests_a_day is -5")
    gate.shut()
    asked.fill("5000")
    asked.blur()
    gate.waits(page)
    number(page, "Seed").fill("3")
    number(page, "Seed").blur()
    gate.go.set()
    until(page, lambda: gate.made[-1].seed == 3)
    expect(page.locator(".notice")).to_have_count(0)
    page.wait_for_timeout(LATE)
    expect(asked).to_have_value("5000")
    expect(number(page, "Seed")).to_have_value("3")
    told = gate.made[-1].questions
    assert (told.requests_a_day, told.knowledge_changes) == (5000, "daily")


def test_a_share_that_is_set_right_after_the_advised_ones_holds(page: Page, line: Line, gate: Gate) -> None:
    line.hold(all=True)
    page.locator("#advised").click()
    number(page, "Test share").fill("0.33")
    number(page, "Test share").blur()
    line.release()
    expect(page.locator("#readiness")).to_contain_text("the 20 test rows")
    expect(number(page, "Test share")).to_have_value("0.33")
    advised = float(number(page, "Validation share").input_value())
    assert (gate.made[-1].validation, gate.made[-1].test) == (advised, 0.33)


def test_cancel_takes_back_what_was_under_way_and_nothing_else(page: Page, gate: Gate) -> None:
    gate.shut()
    page.get_by_label("mask personal data").check()
    expect(page.locator("#working")).to_be_visible()
    number(page, "Seed").fill("7")
    number(page, "Seed").blur()
    page.locator("#cancel-look").click()
    expect(page.get_by_label("mask personal data")).not_to_be_checked()
    gate.go.set()
    expect(page.locator("#working")).to_have_count(0)
    until(page, lambda: any(choices.seed == 7 for choices in gate.made))
    page.wait_for_timeout(LATE)
    expect(number(page, "Seed")).to_have_value("7")
    assert all(choices.mends == ("keep_one",) for choices in gate.made if choices.seed == 7)


def test_a_row_that_is_typed_while_a_step_is_on_its_way_is_the_one_that_is_seen(page: Page, line: Line) -> None:
    line.hold(all=True)
    page.locator("#row-on").click()
    until(page, lambda: len(line.held) >= 1)
    page.locator("#row input").fill("50")
    line.release()
    expect(page.locator("#row input")).to_have_value("50")
    expect(page.locator("#exact")).to_contain_text("Row 50")
    page.locator("#row-on").click()
    expect(page.locator("#row input")).to_have_value("51")
    expect(page.locator("#exact")).to_contain_text("Row 51")


def test_what_the_page_keeps_for_itself_is_not_seen(page: Page) -> None:
    assert page.locator(".carrier").count() == 3
    assert not page.locator(".carrier:visible").count()


def test_no_run_begins_while_its_rows_are_being_changed(page: Page, gate: Gate) -> None:
    gate.shut()
    page.get_by_label("mask personal data").check()
    gate.waits(page)
    page.get_by_role("tab", name="Train", exact=True).click()
    page.locator("#start").click()
    expect(page.get_by_role("alert")).to_contain_text("would begin with those of before")
    assert "run=" not in page.url
    gate.go.set()
