"""The page in a real Chromium: what a visitor does, from the file to the verdict."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from finetune.errors import Cancelled
from finetune.model import memory
from finetune.model.machine import Device
from finetune.runs import supervise
from finetune.runs.store import find_run, list_runs
from finetune.ui import desk
from finetune.ui.page import studio
from finetune.ui.story import Story

SLOW = 180_000  # milliseconds for what a worker does, on shared cores


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("root")
    yield folder
    for run in list_runs(folder)[0]:
        supervise.stop(run, grace_seconds=5)


@pytest.fixture(scope="module")
def address(root: Path, tiny_model: Path) -> Iterator[str]:
    made = studio(root=root, base=str(tiny_model))
    _, local, _ = made.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    yield local
    made.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh visitor. What the page asks of another host, or does wrong in the browser, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    wrong: list[str] = []
    opened.on(
        "request", lambda asked: None if asked.url.startswith((address, "data:", "blob:")) else wrong.append(asked.url)
    )
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    opened.goto(address)
    expect(opened.get_by_role("tab", name="Upload")).to_be_visible(timeout=30_000)
    yield opened
    context.close()
    assert not wrong


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def drop(page: Page, path: Path) -> None:
    """A file, whether or not another one lies there."""
    taken = page.locator("#file").get_by_label("Clear")
    if taken.count():
        taken.first.click()
    page.locator("#file input[type=file]").set_input_files(str(path))


def no_sideways(page: Page) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"the page scrolls sideways by {wide} px"


def test_a_file_is_read_and_its_columns_are_mapped(page: Page, small_csv: Path) -> None:
    drop(page, small_csv)
    expect(page.locator("#counts")).to_contain_text("80 rows")
    expect(page.locator("#counts")).to_contain_text("none left out")
    expect(page.locator("#output input")).to_have_value("category")
    expect(page.locator("#rows")).to_contain_text("please bring the")


def test_rows_left_out_are_named_with_the_reason(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "holes.csv"
    rows = "".join(f"text number {number},{'ab'[number % 2]}\n" for number in range(40))
    path.write_text(f"text,category\n{rows},a\nno label,\n", encoding="utf-8")
    drop(page, path)
    expect(page.locator("#counts")).to_contain_text("40 rows")
    expect(page.locator("#counts")).to_contain_text("2 left out")
    page.locator("#left-out button").first.click()
    expect(page.locator("#left-out")).to_contain_text("41")


def test_a_mapping_that_does_not_fit_is_told_and_corrected(page: Page, small_csv: Path) -> None:
    drop(page, small_csv)
    expect(page.locator("#output input")).to_have_value("category")
    page.locator("#output input").click()
    page.get_by_role("option", name="text").click()
    expect(page.locator(".notice")).to_be_visible()
    expect(page.locator("#look")).to_be_disabled()
    page.locator("#output input").click()
    page.get_by_role("option", name="category").click()
    expect(page.locator("#counts")).to_contain_text("80 rows")
    expect(page.locator("#look")).to_be_enabled()


def test_several_files_and_a_test_file_are_one_table(page: Page, tmp_path: Path) -> None:
    for name, rows in (("one", 40), ("two", 20), ("mine", 10)):
        lines = "".join(f"{name} text {number},{'ab'[number % 2]}\n" for number in range(rows))
        (tmp_path / f"{name}.csv").write_text(f"text,category\n{lines}without a label,\n", encoding="utf-8")
    page.locator("#file input[type=file]").set_input_files([str(tmp_path / "one.csv"), str(tmp_path / "two.csv")])
    expect(page.locator("#counts")).to_contain_text("60 rows")
    page.locator("#ways button").first.click()
    page.locator("#test-file input[type=file]").set_input_files(str(tmp_path / "mine.csv"))
    expect(page.locator("#counts")).to_contain_text("3 files as one table")
    expect(page.locator("#counts")).to_contain_text("mine.csv 11 rows, the test set")
    page.locator("#left-out button").first.click()
    expect(page.locator("#left-out")).to_contain_text("21 of two.csv")
    with page.expect_download() as taken:
        page.locator("#left-out-file").click()
    lines = Path(taken.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert lines[1] == "41,row 41 of one.csv,the output is empty,without a label,"
    page.locator("#look").click()
    expect(page.locator("#readiness")).to_contain_text("10 test rows")


def test_a_template_is_seen_as_it_is_typed(page: Page, small_csv: Path) -> None:
    drop(page, small_csv)
    expect(page.locator("#counts")).to_contain_text("80 rows")
    page.locator("#mapping-more button").first.click()
    field = page.locator("#template textarea")
    field.press_sequentially("Task: {text}", delay=10)
    expect(page.locator("#sample")).to_contain_text("Task: please bring the")
    field.press_sequentially(" {tex", delay=10)
    expect(page.locator("#sample .fault")).to_contain_text("the last one that fits stays in use")
    field.blur()
    expect(page.locator("#mapping-more")).to_contain_text("more · template")
    expect(page.locator("#counts")).to_contain_text("80 rows")
    page.locator("#look").click()
    expect(page.locator("#exact .token").first).to_be_visible(timeout=60_000)
    assert "Task: please bring the" in "".join(page.locator("#exact .token").all_inner_texts()).replace("\u2423", " ")


def test_what_cannot_be_read_leaves_what_is_open(page: Page, browser: Browser, address: str, tmp_path: Path) -> None:
    page.locator("#ways button").first.click()
    page.locator("#read").click()
    expect(page.locator(".notice")).to_contain_text("There is no text to read")
    page.locator("#paste textarea").fill("text\tlabel\nhello\ten\nhallo\tde\n<img src=x onerror=alert(1)>\tde\n")
    page.locator("#read").click()
    expect(page.locator("#counts")).to_contain_text("pasted text")
    expect(page.locator("#rows")).to_contain_text("<img src=x")
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04" + b"\x00" * 200 + b"xl/workbook.xml")
    page.locator("#file input[type=file]").set_input_files(str(tmp_path / "book.xlsx"))
    expect(page.locator(".notice")).to_contain_text("pasted text is still open")
    expect(page.locator("#counts")).to_contain_text("3 rows")
    stranger = browser.new_context().new_page()
    stranger.goto(address)
    expect(stranger.locator("#lead")).to_be_visible(timeout=30_000)
    assert stranger.locator("#counts").count() == 0
    stranger.context.close()


BAD = {
    "empty.csv": b"",
    "one.csv": b"text\nonly one column\nand a second row\n",
    "binary.csv": bytes(range(256)) * 40,
    "sheet.csv": b"PK\x03\x04" + b"\x00" * 200 + b"xl/workbook.xml",
    "torn.jsonl": b'{"prompt": "a", "completion"\n',
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_sentence_and_the_page_goes_on(page: Page, name: str, tmp_path: Path, small_csv: Path) -> None:
    path = tmp_path / name
    path.write_bytes(BAD[name])
    drop(page, path)
    expect(page.locator(".notice").or_(page.get_by_text("The uploaded file is empty"))).to_be_visible()
    assert "Traceback" not in page.content()
    drop(page, small_csv)
    expect(page.locator("#counts")).to_contain_text("80 rows")
    expect(page.locator(".notice")).to_have_count(0)


@pytest.mark.parametrize(("rows", "labels"), [(1, 1), (60, 1)])
def test_too_little_to_split_is_told_on_the_preview(page: Page, tmp_path: Path, rows: int, labels: int) -> None:
    path = tmp_path / "little.csv"
    lines = "".join(f"text number {number},{'ab'[number % labels]}\n" for number in range(rows))
    path.write_text(f"text,category\n{lines}", encoding="utf-8")
    drop(page, path)
    expect(page.locator("#counts, .notice").first).to_be_visible()
    if page.locator("#look").is_enabled():
        page.locator("#look").click()
        expect(page.locator("#readiness h2")).to_have_text("It cannot be said yet")
        expect(page.locator("#to-train")).to_have_count(0)
    else:
        expect(page.locator(".notice").first).to_be_visible()


def test_the_preview_shows_split_findings_and_tokens(page: Page, small_csv: Path) -> None:
    drop(page, small_csv)
    page.locator("#look").click()
    expect(page.locator("#readiness h2")).to_be_visible()
    expect(page.locator("#readiness")).to_contain_text("can show a difference of")
    expect(page.locator("#balance canvas, #balance svg").first).to_be_visible()
    expect(page.locator("#split")).to_contain_text("fruit")
    expect(page.locator("#exact .token.answer").first).to_be_visible(timeout=60_000)
    answer = "".join(page.locator("#exact .token.answer").all_inner_texts())
    assert answer in ("fruit", "tool")
    assert "im_end" in "".join(page.locator("#exact .token.end").all_inner_texts())


@pytest.fixture
def faulty_csv(tmp_path: Path) -> Path:
    """Two labels; row 61 repeats row 1, row 62 has an address, row 63 no label."""
    lines = [f"text number {number} about {'ab'[number % 2] * 3},{'ab'[number % 2]}" for number in range(60)]
    lines += [lines[0], "write to ann.smith@mail.org about aaa,a", "no label,"]
    path = tmp_path / "faulty.csv"
    path.write_text("\n".join(["text,category", *lines]) + "\n", encoding="utf-8")
    return path


def test_a_mend_is_applied_at_once_and_the_mended_rows_are_taken_away(page: Page, faulty_csv: Path) -> None:
    drop(page, faulty_csv)
    page.locator("#look").click()
    expect(page.locator("#readiness")).to_contain_text("61 rows")
    expect(page.locator("#removed")).to_contain_text("2 rows left out")
    expect(page.locator(".finding", has_text="no output")).to_contain_text("left out already")
    page.get_by_label("keep one of each", exact=True).uncheck()
    expect(page.locator("#readiness")).to_contain_text("62 rows")
    expect(page.locator("#mended")).to_contain_text("Nothing was mended")
    page.get_by_label("mask personal data").check()
    expect(page.locator("#mended")).to_contain_text("1 × personal data masked")
    page.get_by_label("keep one of each", exact=True).check()
    expect(page.locator("#mended")).to_contain_text("1 × same as another row")
    page.locator("#make-cleaned").click()
    with page.expect_download() as rows:
        page.locator("#cleaned-rows").click()
    cleaned = Path(rows.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert len(cleaned) == 62 and cleaned[-1] == "write to [e-mail] about aaa,a"
    with page.expect_download() as changes:
        page.locator("#cleaned-changes").click()
    assert "61,left out" in Path(changes.value.path()).read_text(encoding="utf-8-sig")
    page.get_by_label("mask personal data").uncheck()
    expect(page.locator("#cleaned-rows")).to_have_count(0)  # they were made of other rows
    assert "ann.smith@mail.org" in faulty_csv.read_text(encoding="utf-8")


def test_any_row_is_seen_exactly_and_from_the_finding_that_names_it(page: Page, faulty_csv: Path) -> None:
    drop(page, faulty_csv)
    page.locator("#look").click()
    expect(page.locator("#exact .token").first).to_be_visible(timeout=60_000)
    finding = page.locator(".finding", has_text="personal data")
    finding.locator("summary").click()
    finding.get_by_role("link", name="62").click()
    expect(page.locator("#row input")).to_have_value("62")
    expect(page.locator("#exact")).to_contain_text("ann.smith@mail.org")
    page.locator("#walk input").click()
    page.get_by_role("option", name="rows left out").click()
    expect(page.locator("#exact")).to_contain_text("left out: same as row 1")
    page.locator("#row-on").click()
    expect(page.locator("#exact")).to_contain_text("no label")
    page.locator("#row input").fill("500")
    expect(page.locator("#exact")).to_contain_text("There is no row 500")


def test_an_answer_and_the_advised_shares_change_the_banner(page: Page, small_csv: Path) -> None:
    drop(page, small_csv)
    page.locator("#look").click()
    expect(page.locator("#readiness")).to_contain_text("the 12 test rows")
    page.locator("#questions button").first.click()
    page.locator("#ask-knowledge_changes input").click()
    page.get_by_role("option", name="every day").click()
    expect(page.locator("#readiness h2")).to_have_text("Retrieval fits better")
    page.locator("#ask-requests_a_day input").fill("-5")
    page.locator("#ask-requests_a_day input").blur()
    expect(page.locator(".notice")).to_contain_text("requests_a_day is -5")
    page.locator("#ask-requests_a_day input").fill("5000")
    page.locator("#ask-requests_a_day input").blur()
    expect(page.locator(".notice")).to_have_count(0)
    page.locator("#advised").click()
    expect(page.locator("#advised")).to_have_count(0)
    expect(page.locator("#readiness")).not_to_contain_text("the 12 test rows")


def test_a_long_look_tells_how_far_it_is_and_can_be_cancelled(
    page: Page, small_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def slow(*rows, tell, **choices):
        try:
            for _ in range(600):
                tell("Looking very closely", 0.5)
                time.sleep(0.1)
        except Cancelled:
            ended.set()
            raise

    with monkeypatch.context() as patched:
        patched.setattr(desk, "examine", slow)
        drop(page, small_csv)
        page.locator("#look").click()
        expect(page.locator("#working")).to_contain_text("Looking very closely")
        page.locator("#cancel-look").click()
        expect(page.locator("#readiness")).to_contain_text("Stopped")
        assert ended.wait(10)
    page.locator("#look-again").click()
    expect(page.locator("#readiness h2")).to_be_visible()
    expect(page.locator("#working")).to_have_count(0)


def test_text_of_a_file_never_becomes_part_of_the_page(page: Page, tmp_path: Path) -> None:
    attack = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    path = tmp_path / "attack.csv"
    lines = "".join(f'"{attack} {number % 40}",{"ab"[number % 2]}{attack}\n' for number in range(60))
    path.write_text(f"text,category\n{lines}", encoding="utf-8")
    drop(page, path)
    page.locator("#look").click()
    expect(page.locator("#exact .token").first).to_be_visible(timeout=60_000)
    expect(page.locator("#findings summary").first).to_be_visible()
    for summary in page.locator("#findings summary:visible").all():
        summary.click()
    page.wait_for_timeout(500)
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_scrolls_sideways_on_a_telephone(browser: Browser, address: str, small_csv: Path, dark: bool) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_role("tab", name="Compare")).to_be_visible(timeout=30_000)
    drop(page, small_csv)
    expect(page.locator("#counts")).to_contain_text("80 rows")
    for name in ("Upload", "Preview", "Train", "Compare"):
        tab(page, name)
        page.wait_for_timeout(400)
        no_sideways(page)
    context.close()


def start(page: Page, path: Path, **settings: object) -> str:
    """Start a run of the tiny model on the file and give its id."""
    drop(page, path)
    expect(page.locator("#counts")).to_be_visible()
    tab(page, "Train")
    page.locator("#more button").first.click()
    for name, value in settings.items():
        field = page.locator(f"#set-{name} input")
        field.fill(str(value))
        field.blur()
    page.locator("#start").click()
    page.wait_for_url("**run=**")
    return page.url.split("run=")[1].split("&")[0]


# The log is longer than its box, which shows the end of it.
FOLLOWS = """() => {
  const log = document.querySelector("#log textarea");
  return log.scrollHeight > log.clientHeight + 40 && log.scrollTop + log.clientHeight > log.scrollHeight - 2;
}"""


def shown_log(page: Page) -> list[str]:
    return page.locator("#log textarea").input_value().splitlines()


def test_a_run_from_start_to_verdict_survives_a_closed_page(
    browser: Browser, address: str, root: Path, small_csv: Path
) -> None:
    first = browser.new_context(viewport={"width": 1280, "height": 900})
    page = first.new_page()
    page.goto(address)
    run_id = start(page, small_csv, epochs=6)
    expect(page.locator("#strip")).to_contain_text("small")
    expect(page.locator("#progress")).to_contain_text("step", timeout=SLOW)
    before = shown_log(page)
    first.close()

    again = browser.new_context(viewport={"width": 1280, "height": 900})
    page = again.new_page()
    page.goto(f"{address}?run={run_id}")
    expect(page.locator("#see")).to_be_visible(timeout=SLOW)
    expect(page.locator("#curves .mark-line path")).to_have_count(2)
    story = Story(find_run(run_id, root))
    story.follow()
    assert shown_log(page) == story.log
    assert story.log[: len(before)] == before
    expect(page.locator("#curves canvas, #curves svg").first).to_be_visible()
    expect(page.locator("#choices")).to_contain_text("learning rate")

    page.locator("#see").click()
    expect(page.locator("#verdict h2")).to_be_visible()
    expect(page.locator("#scores")).to_contain_text("The fine-tuned model")
    expect(page.locator("#details")).to_contain_text("equals the untouched base: yes")
    rows = page.locator("#beside tbody tr")
    expect(rows).to_have_count(10)
    page.locator("#after").click()
    expect(page.locator("#where")).to_contain_text("11 to")
    page.locator("#search textarea, #search input").fill("no row says this")
    expect(page.locator("#beside")).to_contain_text("No row is like that")
    page.locator("#prompt textarea").fill("please bring the hammer")
    page.locator("#ask").click()
    expect(page.locator("#answers")).to_contain_text("done after", timeout=SLOW)
    expect(page.locator(".notice[role=alert]:visible")).to_have_count(0)
    again.close()


def test_a_reload_in_the_middle_loses_no_line_and_stop_keeps_what_was_learned(
    page: Page, root: Path, small_csv: Path
) -> None:
    run_id = start(page, small_csv, epochs=40, batch_size=1, patience=100)
    expect(page.locator("#progress")).to_contain_text("loss", timeout=SLOW)
    # A page that is there from the beginning sees both curves, although there was no loss of a training step at first.
    expect(page.locator("#curves .mark-line path")).to_have_count(2, timeout=SLOW)
    page.wait_for_function(FOLLOWS, timeout=SLOW)
    before = shown_log(page)
    page.reload()
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true", timeout=30_000)
    expect(page.locator("#progress")).to_contain_text("loss", timeout=30_000)
    assert shown_log(page)[: len(before)] == before
    page.locator("#pause input").check()
    page.locator("#stop").click()
    expect(page.locator("#outcome")).to_contain_text("stopped", timeout=SLOW)
    expect(page.locator("#resume")).to_be_visible()
    assert "stopped at step" not in shown_log(page)[-1]
    page.locator("#pause input").uncheck()
    expect(page.locator("#log textarea")).to_have_value(re.compile("stopped at step [0-9]+"))
    run = find_run(run_id, root)
    deadline = time.monotonic() + 30
    while supervise.alive(run) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not supervise.alive(run)
    assert any(run.checkpoints.iterdir())
    story = Story(run)
    story.follow()
    assert shown_log(page) == story.log
    page.locator("#resume").click()
    expect(page.locator("#stop")).to_be_visible(timeout=30_000)
    page.locator("#stop").click()
    expect(page.locator("#outcome")).to_contain_text("stopped", timeout=SLOW)


def test_a_preset_leaves_the_fields_that_it_does_not_set(page: Page) -> None:
    tab(page, "Train")
    page.locator("#more button").first.click()
    page.locator("#set-rank input").fill("8")
    page.locator("#set-instruction textarea").fill("Name it.")
    # Not `standard`, which is chosen at first: a press on it would be none.
    page.locator("#preset label", has_text="thorough:").click()
    expect(page.locator("#set-rows input")).to_have_value("0")
    page.locator("#preset label", has_text="pilot:").click()
    expect(page.locator("#set-rows input")).to_have_value("100")
    expect(page.locator("#set-rank input")).to_have_value("8")
    expect(page.locator("#set-instruction textarea")).to_have_value("Name it.")


def typed(page: Page) -> None:
    page.locator("#set-compare_rows input").fill("33")


def pressed(page: Page) -> None:
    page.locator("#preset label", has_text="thorough:").click()


@pytest.mark.parametrize(
    ("first", "preset", "rows", "compare_rows"),
    [(None, "pilot", 100, 150), (typed, "standard", 0, 33), (pressed, "thorough", 0, 1000)],
)
def test_the_preset_for_the_machine_overrules_nothing_that_was_set_before_it_answered(
    browser: Browser, address: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, first: Callable | None, preset: str,
    rows: int, compare_rows: int,
) -> None:  # fmt: skip
    asked, answer = threading.Event(), threading.Event()

    def advise(device: Device) -> str:
        asked.set()
        answer.wait(60)
        return "pilot"

    monkeypatch.setattr(memory, "default_preset", advise)
    page = browser.new_page()
    try:
        page.goto(address)
        tab(page, "Train")
        assert asked.wait(60)
        page.locator("#more button").first.click()
        # What the program chooses is empty from the beginning, and no 0.
        for name in ("epochs", "learning_rate", "dropout", "warmup"):
            expect(page.locator(f"#set-{name} input")).to_have_value("")
        page.locator("#set-rank input").fill("8")
        if first:
            first(page)
        answer.set()
        expect(page.locator("#need")).to_contain_text("GiB")  # it is weighed last
        expect(page.locator("#preset label.selected")).to_contain_text(f"{preset}:")
        expect(page.locator("#set-rows input")).to_have_value(str(rows))
        expect(page.locator("#set-compare_rows input")).to_have_value(str(compare_rows))
        expect(page.locator("#set-rank input")).to_have_value("8")
        expect(page.locator("#set-dropout input")).to_have_value("")
        expect(page.locator("#other textarea, #other input")).to_have_value(str(tiny_model))
    finally:
        answer.set()
        page.close()


def test_another_run_can_be_sent_while_one_is_at_work(page: Page, root: Path, small_csv: Path) -> None:
    first = start(page, small_csv, epochs=40, batch_size=1, patience=100)
    expect(page.locator("#start")).to_have_text("Start another", timeout=SLOW)
    page.locator("#start").click()
    page.wait_for_url(lambda address: "run=" in address and first not in address)
    second = page.url.split("run=")[1].split("&")[0]
    expect(page.locator("#progress")).to_contain_text(f"Waiting for {first}", timeout=SLOW)
    for run_id in (second, first):
        supervise.stop(find_run(run_id, root), grace_seconds=20)
    expect(page.locator("#start")).to_have_text("Start", timeout=SLOW)


def test_an_unknown_run_in_the_address_is_a_sentence(page: Page, address: str) -> None:
    page.goto(f"{address}?run=there-is-none")
    expect(page.locator(".notice")).to_contain_text("There is no run")
    page.goto(f"{address}?run=../../etc")
    expect(page.locator(".notice")).to_contain_text("There is no run")


def test_programs_have_four_doors(address: str, small_csv: Path, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    second = tmp_path / "second.csv"
    second.write_text("text,category\none more pear,fruit\none more saw,tool\n", encoding="utf-8")

    client = Client(address, verbose=False)
    doors = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(doors) == {"/inspect", "/start", "/status", "/compare"}
    answer = client.predict(handle_file(str(small_csv)), "", "", "", 0, api_name="/inspect")
    assert answer["rows"] == 80
    assert answer["columns"] == {"input": "text", "output": "category"}
    both = client.predict(
        handle_file(str(small_csv)), "", "", "", 0, "Task: {text}", more_files=[handle_file(str(second))], mends="",
        api_name="/inspect",
    )  # fmt: skip
    assert (both["rows"], both["columns"]["template"], both["mends"]) == (82, "Task: {text}", [])
    with pytest.raises(Exception, match="There is no column “nobody”"):
        client.predict(handle_file(str(small_csv)), "", "", "", 0, group="nobody", api_name="/inspect")
    with pytest.raises(Exception, match="There is no run"):
        client.predict("nothing-like-it", api_name="/status")
