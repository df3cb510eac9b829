"""Single rows in the tab Compare: filters, marks, the row in full, blind judging, and a prompt of one's own."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from compared import HOSTILE, make_run
from playwright.sync_api import Browser, Page, expect

from finetune.errors import FinetuneError
from finetune.evidence.alternatives.asking import Asked
from finetune.evidence.judging import preference
from finetune.evidence.models import question
from finetune.runs.store import Run
from finetune.ui.compare import blind, own_prompt, rows, sidebyside
from finetune.ui.compare.rows import Choice
from finetune.ui.page import studio
from finetune.ui.story import Story

TASKS = ("classification", "instruction")


def built(root: Path, part):
    with gr.Blocks():
        return part.build(gr.State(""), root)


def pick(updates: dict, component):
    """What an update puts into a component."""
    return updates[component] if isinstance(updates[component], str) else updates[component].value


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("old", [False, True])
def test_each_filter_says_how_many_rows_it_gives(tmp_path: Path, task: str, old: bool) -> None:
    run = make_run(tmp_path, task, old=old)
    lines = rows.lines_of(run)
    labels = run.record()["labels"]
    for against in ("base", "retrieval"):
        for search in ("", "invoice"):
            choice = Choice(against, search=search)
            for text, kind in rows.kinds(lines, choice):
                count = len(rows.chosen(lines, Choice(against, kind, search=search)))
                assert text.endswith(f" {count}") and (count or search)
                for said, label in rows.labels(lines, Choice(against, kind, search=search), labels):
                    assert said.endswith(f" {len(rows.chosen(lines, Choice(against, kind, label, search)))}")
        better, worse, same = (len(rows.chosen(lines, Choice(against, kind))) for kind in ("better", "worse", "same"))
        assert better + worse + same == len(lines) and better and worse
    assert {kind for _, kind in rows.kinds(lines, Choice())} == {"all", "better", "worse", "same"} | (
        {"sure"} if task == "classification" else set()
    ) | (set() if old else {"broken"})
    for line in rows.chosen(lines, Choice(kind="sure")):
        assert line["scores"]["fine_tuned"] == 0 and max(line["probabilities"]["fine_tuned"].values()) >= 0.9
    for line in rows.chosen(lines, Choice("tfidf", label="refund")):
        assert "refund" in (line["expected"], line["outputs"]["tfidf"], line["outputs"]["fine_tuned"])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("old", [False, True])
def test_every_page_and_every_row_in_full_opens_escaped(tmp_path: Path, task: str, old: bool) -> None:
    run = make_run(tmp_path, task, old=old)
    tab = built(tmp_path, sidebyside)
    story = Story(run)
    updates = tab.view(story, run.comparison(), run.outputs())
    assert set(updates) <= set(tab.shown())
    told, seen = [], []
    others = [name for name in rows.present(run.outputs()) if name not in ("base", "fine_tuned")]
    for page in range(12):
        drawn = tab.turn(run.id, page - 1, updates[tab.choice], "base", "all", "", "", others, by=1)
        seen += [int(row) for row in re.findall(r'data-row="(\d+)"', drawn[tab.rows])]
        told.append(drawn[tab.rows])
    assert seen == [line["row"] for line in run.outputs()]
    for row in seen[:20]:
        found = tab.open(SimpleNamespace(row=row), run.id, (row - seen[0]) // 10, updates[tab.choice], None)
        told.append(found[tab.rows])
        assert found[tab.opened] == row and found[tab.rows].count("<section") == len(rows.present(run.outputs()))
    whole = "".join(told)
    assert "<img" not in whole and "show all" in whole and HOSTILE.split("<")[0] in whole
    assert ("<ins>" in whole) is (task == "instruction") and ("% likely" in whole) is (task == "classification")
    if not old:
        assert "was shown 4 training rows" in whole and "breaks a rule" in whole
        assert run.examples("train")[4].input[:20] in whole  # what retrieval showed is there to read
        assert ("cut at the longest answer" in whole) is (task == "instruction")
        assert ("wrong or missing: <code>kind</code>" in whole) is (task == "instruction")


def test_a_row_that_is_open_is_closed_by_a_second_press(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    tab = built(tmp_path, sidebyside)
    row = run.outputs()[3]["row"]
    again = tab.open(SimpleNamespace(row=row), run.id, 0, (Choice(), []), row)
    assert again[tab.opened] is None and 'class="full"' not in again[tab.rows]


def test_what_is_drawn_already_is_not_drawn_again_and_a_dropdown_left_empty_keeps_what_it_shows(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    tab = built(tmp_path, sidebyside)
    drawn = (Choice("retrieval", label="refund"), ["tfidf"])
    assert tab.turn(run.id, 0, drawn, None, "all", None, "", ["tfidf"]) == {}
    worse = tab.turn(run.id, 0, drawn, None, "worse", None, "", ["tfidf"])
    assert worse[tab.choice] == (Choice("retrieval", "worse", "refund"), ["tfidf"])
    # By the time of the answer the user may have chosen something else already, which it must not undo.
    assert not any("value" in worse[field] for field in (tab.kind, tab.label, tab.also))
    other = tab.turn(run.id, 0, drawn, "tfidf", "all", None, "", ["tfidf"])
    assert other[tab.also].value == [] and "value" not in other[tab.kind]


def test_a_kind_that_is_chosen_stays_on_offer(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    plain = [line for line in rows.lines_of(run) if not set(rows.SPECIAL) & set(rows._kinds(line, "base"))]

    def offered(kind: str) -> set[str]:
        return {offer for _, offer in rows.kinds(plain, Choice("base", kind))}

    assert not set(rows.SPECIAL) & offered("all")
    assert all(kind in offered(kind) for kind in rows.SPECIAL)


@pytest.mark.parametrize("task", TASKS)
def test_blind_cards_name_nobody_and_a_reload_goes_on(tmp_path: Path, task: str) -> None:
    run = make_run(tmp_path, task)
    tab = built(tmp_path, blind)
    drawn = tab.view(Story(run), run.comparison(), run.outputs())
    assert set(drawn) <= set(tab.shown()) and drawn[tab.against].value == "retrieval"
    lines = {line["row"]: line for line in run.outputs()}
    tuned_first = 0
    for number in range(20):
        assert f"{number} of " in drawn[tab.where]
        card, (_, rater, row) = drawn[tab.card], drawn[tab.asked]
        assert not re.search("fine|tuned|retrieval|expected|right|wrong", card.lower()) and "<img" not in card
        first, second = re.findall(r'<div class="text">(.*?)</div>', card, re.DOTALL)[1:]
        said = [lines[row]["outputs"][system] for system in ("fine_tuned", "retrieval")]
        assert {html.unescape(first), html.unescape(second)} == set(said)
        tuned_first += html.unescape(first) == said[0]
        tab.say("a" if number % 3 else "equal", run.id, ("retrieval", rater, row))
        drawn = tab.view(Story(Run(run.directory)), run.comparison(), run.outputs())
        assert drawn[tab.outcome].value == "" and drawn[tab.outcome].visible is False
    assert 3 < tuned_first < 17
    assert tab.show(run.id, "base", ("retrieval", 1, row))[tab.card].count("left to write freely") == (
        2 if task == "classification" else 0
    )
    now = preference.standing(run, run.outputs(), "retrieval")
    assert len(now.judged) == 20 and set(now.judged.values()) == {"fine_tuned", "other", "equal"}
    assert f"{now.same} rows with the same" in drawn[tab.where]
    shown = pick(tab.show_result(run.id, ("retrieval", 1, None)), tab.outcome)
    assert "rows with a preference" in shown and "7 equal" in shown and "The scores took the same side" in shown
    last = list(now.judged)[-1]
    assert tab.take_back(run.id, ("retrieval", 1, None))[tab.asked] == ("retrieval", 1, last)
    for pair in preference.standing(run, run.outputs(), "retrieval").left:
        drawn = tab.say("b", run.id, ("retrieval", 1, pair.row))
    assert drawn[tab.asked][2] is None and "Every row is judged" in drawn[tab.card]
    assert drawn[tab.outcome].visible is True  # at the end it is told unasked
    assert tab.start_over(run.id, ("retrieval", 1, None))[tab.asked][1] == 2
    assert tab.take_back(run.id, ("retrieval", 2, None))[tab.asked][1:] == (
        1,
        None,
    )  # back to the first pass, which is complete


def test_two_systems_that_say_the_same_leave_nothing_to_choose(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    outputs = run.outputs()
    for line in outputs:
        line["outputs"] = dict.fromkeys(line["outputs"], line["expected"])
    drawn = built(tmp_path, blind).view(Story(run), run.comparison(), outputs)
    assert any("nothing to choose between" in value for value in drawn.values() if isinstance(value, str))


def test_a_judgement_that_cannot_be_kept_is_a_sentence(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run.directory / preference.FILE).mkdir()
    pair = preference.pairs(run.outputs(), "base", seed=0)[0][0]
    with pytest.raises(FinetuneError, match="could not be kept"):
        preference.judge(run, "base", 1, pair, "equal")


def test_what_a_text_of_ones_own_becomes_for_each_system(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path)
    record = json.loads((run.directory / "recipe.json").read_text()) | {"base": str(tiny_model), "max_tokens": 1024}
    (run.directory / "recipe.json").write_text(json.dumps(record))
    wanted = run.examples("train")[7]
    asked = question.questions(run, wanted.input, ["base", "prompted", "few_shot", "retrieval", "fine_tuned"])
    counts = {name: len(one.rows) for name, one in asked.items()}
    assert counts == {"base": 0, "prompted": 0, "few_shot": 4, "retrieval": 4, "fine_tuned": 0}
    assert wanted.row in asked["retrieval"].rows
    from finetune.training.session import prompt_of

    read = {name: prompt_of(run).tokenizer.decode(one.prompt) for name, one in asked.items()}
    assert all(wanted.input in text for text in read.values()) and read["base"] == read["fine_tuned"]
    assert "Answer with one of these labels" in read["prompted"]


# In a real browser.


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    for task in TASKS:
        make_run(folder, task)
    return folder


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    made = studio(root=root)
    _, local, _ = made.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    yield local
    made.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    yield opened
    context.close()
    assert not wrong


def visit(page: Page, address: str, task: str = "classification") -> None:
    page.goto(f"{address}?run=made-up-{task}-use-fine-tuned")
    expect(page.locator("#strip a")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#beside tr.row")).to_have_count(10)


def focused(page: Page) -> str | None:
    return page.evaluate("document.activeElement.closest('tr')?.querySelector('button.open')?.dataset.row ?? null")


def test_the_keyboard_goes_through_the_rows_and_leaves_text_boxes_alone_and_filters_work_together(
    page: Page, address: str, root: Path
) -> None:
    visit(page, address)
    row = page.locator("#beside tr.row").first
    first = int(row.locator("button.open").get_attribute("data-row"))
    row.locator("td").nth(1).click()
    assert focused(page) == str(first)
    assert row.evaluate("row => getComputedStyle(row).outlineStyle") == "solid"
    for key in ("j", "ArrowDown", "k", "j"):
        page.keyboard.press(key)
    assert focused(page) == str(first + 2)
    page.keyboard.press("Enter")
    expect(page.locator("tr.full")).to_contain_text("Expected")
    assert focused(page) == str(first + 2)
    page.keyboard.press("j")
    assert focused(page) == str(first + 3)
    page.keyboard.press("Escape")
    expect(page.locator("tr.full")).to_have_count(0)
    page.wait_for_function(f"document.activeElement.dataset.row == '{first + 2}'")
    for _ in range(8):
        page.keyboard.press("j")
    expect(page.locator("#where")).to_contain_text("11 to 20")
    page.wait_for_function(f"document.activeElement.dataset.row == '{first + 10}'")
    page.keyboard.press("k")
    expect(page.locator("#where")).to_contain_text("1 to 10")
    page.wait_for_function(f"document.activeElement.dataset.row == '{first + 9}'")
    search = page.locator("#search input, #search textarea")
    search.click()
    page.keyboard.type("jk")
    expect(search).to_have_value("jk")
    expect(page.locator("#beside")).to_contain_text("No row is like that")
    search.fill("")
    expect(page.locator("#beside tr.row")).to_have_count(10)

    lines = rows.lines_of(Run(root / "runs" / "made-up-classification-use-fine-tuned"))
    page.locator("#against input").click()
    page.get_by_role("option", name="Retrieval", exact=True).click()
    worse = len(rows.chosen(lines, Choice("retrieval", "worse")))
    page.locator("#outcome-filter").get_by_text(f"worse {worse}", exact=True).click()
    expect(page.locator("#where")).to_contain_text(f"of {worse}")
    expect(page.locator("#beside th")).to_contain_text(["#", "input", "expected", "Retrieval", "Fine-tuned"])
    expect(page.locator("#columns")).not_to_contain_text("Retrieval")
    count = len(rows.chosen(lines, Choice("retrieval", "worse", "refund")))
    page.locator("#label-filter input").click()
    page.get_by_role("option", name=f"refund {count}", exact=True).click()
    expect(page.locator("#where")).to_contain_text(f"of {count}")
    page.locator("#columns").get_by_text("TF-IDF").click()
    expect(page.locator("#beside th")).to_have_count(6)
    expect(page.locator("#where")).to_contain_text(f"of {count}")


def test_blind_keys_judge_and_a_reload_goes_on(page: Page, address: str, root: Path) -> None:
    run = Run(root / "runs" / "made-up-instruction-use-fine-tuned")
    visit(page, address, "instruction")
    page.locator("#blind-fold button").first.click()
    where = page.locator("#blind-where")
    expect(where).to_contain_text("0 of")
    page.keyboard.press("a")  # the focus is elsewhere
    page.locator("#blind-card").click()
    for number, key in enumerate("abenb", start=1):
        page.keyboard.press(key)
        expect(where).to_contain_text(f"{number} of")
    page.keyboard.press("u")
    expect(where).to_contain_text("4 of")
    assert len(preference.standing(run, run.outputs(), "retrieval").judged) == 4
    expect(page.locator("#blind-result")).to_be_hidden()
    page.reload()
    visit(page, address, "instruction")
    page.locator("#blind-fold button").first.click()
    expect(where).to_contain_text("4 of")
    page.locator("#blind-reveal").click()
    expect(page.locator("#blind-result")).to_contain_text("of the 2 rows with a preference")
    page.locator("#blind-equal").click()
    expect(where).to_contain_text("5 of")
    expect(page.locator("#blind-result")).to_be_hidden()
    page.locator("#blind-against input").click()
    page.get_by_role("option", name="Few-shot", exact=True).click()
    expect(where).to_contain_text("0 of")


@pytest.fixture
def slow_answers(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A model that writes a word every twentieth of a second and notes who was left in the middle."""
    seen = SimpleNamespace(begun=[], left=[], ended=[])

    def answers(run: Run, text: str, systems) -> Iterator[dict[str, str]]:
        if "forbidden" in text:
            raise FinetuneError("The prompt is 9 tokens longer than this run takes.", hint="Shorten it.")
        seen.begun.append(text)
        words: list[str] = []
        try:
            for number in range(600 if "long" in text else 5):
                words = [*words[-5:], f"<b>{text}</b> {number}"]
                yield {system: f"{system}: " + " ".join(words) for system in systems}
                time.sleep(0.05)
            seen.ended.append(text)
        except GeneratorExit:
            seen.left.append(text)
            raise

    def asked(run: Run, text: str, systems) -> dict[str, Asked]:
        train = run.examples("train")
        found = {name: Asked([1] * 40, 0) for name in systems}
        return found | {name: Asked([1] * 90, 0, (train[0].row,)) for name in found if name == "retrieval"}

    monkeypatch.setattr(own_prompt, "_answers", answers)
    monkeypatch.setattr(question, "questions", asked)
    monkeypatch.setattr(question, "lengths", lambda run, texts: [len(text.split()) for text in texts])
    return seen


def until(condition) -> None:
    deadline = time.monotonic() + 15
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def test_a_prompt_of_ones_own_is_answered_by_those_asked_until_a_second_press_stop_or_leaving(
    page: Page, address: str, slow_answers: SimpleNamespace
) -> None:
    visit(page, address)
    page.locator("#asked-systems").get_by_text("Retrieval").click()
    page.locator("#prompt textarea").fill("short")
    page.locator("#ask").click()
    answers = page.locator("#answers section")
    expect(answers).to_have_count(3)
    expect(page.locator("#answers")).to_contain_text("done after")
    expect(page.locator("#stop-asking")).to_be_hidden()
    expect(page.locator("#answers [data-system=base]")).to_contain_text("base: <b>short</b> 0")
    expect(page.locator("#answers [data-system=retrieval]")).to_contain_text("was shown 1 training row")
    expect(page.locator("#answers [data-system=retrieval]")).to_contain_text("90 tokens read")
    page.locator("#prompt textarea").fill("forbidden")
    page.locator("#ask").click()
    expect(page.locator(".notice[role=alert]:visible")).to_contain_text("Shorten it")
    expect(page.locator("#stop-asking")).to_be_hidden()
    page.locator("#prompt textarea").fill(" ")
    page.locator("#ask").click()
    expect(page.locator(".notice[role=alert]:visible")).to_contain_text("The prompt is empty")

    page.locator("#prompt textarea").fill("long one")
    page.locator("#ask").click()
    expect(page.locator("#answers")).to_contain_text("long one")
    page.locator("#prompt textarea").fill("long two")
    page.locator("#ask").click()
    page.locator("#prompt textarea").fill("and on with typing")
    expect(page.locator("#answers")).to_contain_text("long two")
    assert slow_answers.left == ["long one"]
    page.locator("#stop-asking").click()
    expect(page.locator("#stop-asking")).to_be_hidden()
    until(lambda: slow_answers.left == ["long one", "long two"])
    expect(page.locator("#answers")).to_contain_text("long two")  # what was written stays
    page.locator("#prompt textarea").fill("long three")
    page.locator("#ask").click()
    expect(page.locator("#answers")).to_contain_text("long three")
    page.goto("about:blank")
    until(lambda: slow_answers.left[2:] == ["long three"])
    assert slow_answers.ended == ["short"]


def test_who_asked_anew_while_waiting_gets_the_last_answer_alone(root: Path, slow_answers: SimpleNamespace) -> None:
    tab, one, other = built(root, own_prompt), SimpleNamespace(session_hash="a"), SimpleNamespace(session_hash="b")
    run_id = "made-up-classification-use-fine-tuned"
    tab.wish("first", ["base"], one)
    tab.wish("stranger", ["base"], other)
    tab.wish("second", ["base", "fine_tuned"], one)
    for who in (one, other, one):  # the turns of the three presses, in their order
        list(tab.answered(run_id, who))
    assert slow_answers.begun == slow_answers.ended == ["second", "stranger"] and not tab.wishes
