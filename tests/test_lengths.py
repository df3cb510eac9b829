"""Lengths: all rows or a sample, the rows that would be cut to the row, and what of them would be lost."""

from __future__ import annotations

import random

import pytest

from finetune.dataset.checks.lengths import by_characters, length_findings, measure
from finetune.dataset.example import Example
from finetune.errors import Cancelled
from finetune.model.base import tokenizer
from finetune.model.prompt import Prompt


@pytest.fixture(autouse=True)
def few_longest(monkeypatch):
    """So that in sets of a test's size, too, most rows are neither drawn nor among the longest."""
    monkeypatch.setattr("finetune.dataset.checks.lengths._LONGEST", 10)


class Words:
    """A tokenizer of words with a frame of 10 tokens and 2 more a turn; keeps in mind what it was asked."""

    def __init__(self):
        self.asked: list[int] = []

    def __call__(self, examples):
        self.asked.append(len(examples))
        total, fixed = [], []
        for example in examples:
            turns = example.context or (("user", example.input),)
            frame = 10 + 2 * len(turns) + len(example.output.split())
            fixed.append(frame + sum(len(content.split()) for _, content in turns[:-1]))
            total.append(fixed[-1] + len(turns[-1][1].split()))
        return total, fixed


def rows(count: int, longest: int = 30, seed: int = 0) -> list[Example]:
    draw = random.Random(seed)
    return [Example(n, "a " * draw.randint(1, longest), "yes") for n in range(1, count + 1)]


def test_all_rows_of_a_small_set_are_counted_in_one_go():
    count = Words()
    found = measure([Example(n, "a " * n, "b") for n in range(1, 101)], count, max_tokens=103)
    assert count.asked == [100] and found.examined is None and not found.by_characters
    assert (found.p50, found.p95, found.max, found.truncated_rows) == (64, 108, 113, 10)
    assert found.cut == tuple((n, n + 13, 13) for n in range(91, 101))
    assert found.as_json() == {"p50": 64, "p95": 108, "max": 113, "truncated_rows": 10}


def test_nothing_at_all():
    found = measure([], Words(), max_tokens=10)
    assert found.as_json() == {"p50": 0, "p95": 0, "max": 0, "truncated_rows": 0} and length_findings(found, 10) == []
    assert sum(found.histogram.counts) == 0


@pytest.mark.parametrize("chat", [False, True])
def test_of_many_rows_every_one_that_is_cut_is_found(chat):
    examples = rows(6000)
    for place in (17, 2500, 5999):
        examples[place] = Example(place + 1, "long " * 115 + "é", "yes")
    if chat:
        examples = [
            Example(row.row, row.input, row.output, (("user", "hi"), ("assistant", "yes"), ("user", row.input)))
            for row in examples
        ]
    count = Words()
    found = measure(examples, count, max_tokens=120, sample=300)
    everything = measure(examples, Words(), max_tokens=120)
    assert [row for row, _, _ in found.cut] == [18, 2501, 6000] and found.cut == everything.cut
    assert found.examined == 300 and found.as_json()["examined"] == 300 and not found.estimated
    assert (found.max, found.truncated_rows) == (everything.max, 3)
    assert abs(found.p50 - everything.p50) <= 2 and abs(found.p95 - everything.p95) <= 2
    assert sum(found.histogram.counts) == sum(everything.histogram.counts) == 6000
    # The others were not counted, but for the longest.
    assert sum(count.asked) <= 300 + 10 + 1


def test_bytes_decide_who_is_counted_and_not_characters():
    # 40 letters of three bytes each, and a tokenizer that takes each byte for a token.
    def count(examples):
        total = [len((example.input + example.output).encode()) + 5 for example in examples]
        return total, [5 + len(example.output.encode()) for example in examples]

    examples = [Example(n, "a" * 30, "b") for n in range(8000)]
    examples[777] = Example(777, "€" * 40, "b")
    examples[778] = Example(778, "€" * 30, "b")
    found = measure(examples, count, max_tokens=100, sample=50)
    assert found.cut == ((777, 126, 6),)


def test_a_row_at_the_limit_is_not_cut():
    found = measure([Example(1, "a " * 7, "b"), Example(2, "a " * 8, "b")], Words(), max_tokens=20)
    assert [row for row, _, _ in found.cut] == [2]


def test_the_sample_is_seeded():
    examples = rows(5000)
    assert measure(examples, Words(), max_tokens=512, sample=100) == measure(
        examples, Words(), max_tokens=512, sample=100
    )
    other = measure(examples, Words(), max_tokens=512, sample=100, seed=1)
    assert other.histogram != measure(examples, Words(), max_tokens=512, sample=100).histogram


def test_too_many_that_could_be_cut_are_estimated_and_it_is_said():
    examples = rows(20_000, longest=60)
    truth = measure(examples, Words(), max_tokens=60).truncated_rows
    count = Words()
    found = measure(examples, count, max_tokens=60, sample=2000, exact=1000)
    assert found.estimated and sum(count.asked) < 2050
    assert found.truncated_rows == pytest.approx(truth, rel=0.15) and len(found.cut) < truth
    (finding,) = length_findings(found, 60)
    assert finding.message.startswith(f"About {found.truncated_rows:,} rows are longer than 60 tokens")
    assert "sample of 2,000" in finding.message and finding.examined == 2000
    # Only the rows of the sample are known: nothing to tick that would leave out a tenth of them.
    assert finding.mends == () and "leave these rows out" not in finding.fix
    assert sum(found.histogram.counts) == 20_000


def test_an_estimate_of_none_still_tells_of_the_longest():
    examples = rows(20_000, longest=40)
    examples[5] = Example(6, "word " * 80, "yes")
    found = measure(examples, Words(), max_tokens=60, sample=20, exact=10)
    assert found.estimated and found.cut == ((6, 93, 13),) and found.truncated_rows == 1
    (finding,) = length_findings(found, 60)
    assert finding.rows == (6,)


def test_findings_tell_a_cut_input_from_an_answer_that_does_not_fit():
    examples = [
        Example(1, "a", "b"),
        Example(2, "a " * 50, "b"),
        Example(3, "a", "b " * 50),
        Example(4, "a", "b " * 8),  # 20 tokens are taken without the input: none is left for it
        Example(5, "a", "b " * 7),
    ]
    shortened, lost = length_findings(measure(examples, Words(), max_tokens=20), 20)
    assert (shortened.check, shortened.rows, shortened.mends) == ("input_cut", (2,), ("drop_long",))
    assert shortened.kind == lost.kind == "too_long" and shortened.severity == lost.severity == "warning"
    assert shortened.message == (
        "1 row is longer than 20 tokens; the longest, row 2, has 63. The end of the input would be cut."
    )
    assert (lost.check, lost.rows, lost.mends) == ("answer_does_not_fit", (3, 4), ("drop_long",))
    assert "2 rows are longer than 20 tokens without any input" in lost.message and "answers are lost" in lost.message
    assert lost.reasons == {3: "63 tokens, 62 of them without the input", 4: "21 tokens, 20 of them without the input"}


def test_where_no_row_fits_it_is_an_error():
    (finding,) = length_findings(measure(rows(30), Words(), max_tokens=12), 12)
    assert finding.severity == "error" and len(finding.rows) == 30


def test_by_characters():
    latin = Example(1, "four" * 10, "four")
    chinese = Example(2, "今日は良い天気", "是")
    talk = Example(3, "and?", "yes.", (("user", "abcd" * 5), ("assistant", "efgh" * 5), ("user", "and?")))
    assert by_characters([latin, chinese, talk]) == ([11, 8, 12], [1, 1, 11])
    found = measure([latin, chinese] * 10, None, max_tokens=10)
    assert found.by_characters and found.truncated_rows == 10
    (finding,) = length_findings(found, 10)
    assert "4 characters a token" in finding.message and "has about 11" in finding.message
    assert finding.reasons[1] == "about 11 tokens, 1 of them without the input"


@pytest.mark.parametrize("max_tokens", [20, 33, 47, 60, 500])
@pytest.mark.parametrize("sample", [200, 5000])
def test_the_histogram_has_every_row_once_and_an_edge_at_the_cut(max_tokens, sample):
    examples = [*rows(3000, longest=40), Example(9000, "a " * 700, "b")]
    found = measure(examples, Words(), max_tokens=max_tokens, sample=sample)
    edges, counts, beyond = found.histogram.edges, found.histogram.counts, found.histogram.beyond
    assert len(edges) == len(counts) + 1 == len(beyond) + 1 and len(counts) <= 33
    assert list(edges) == sorted(set(edges)) and edges[-1] == found.max + 1
    assert sum(counts) == 3001 and all(number >= 0 for number in counts)
    assert max_tokens + 1 in edges
    assert beyond == tuple(edge > max_tokens for edge in edges[:-1])
    assert sum(number for number, cut in zip(counts, beyond, strict=True) if cut) == found.truncated_rows


def test_it_can_be_followed_and_ended():
    heard = []
    measure(rows(45_000), Words(), max_tokens=5, sample=50_000, tell=lambda text, share: heard.append(share))
    assert heard == sorted(heard) and len(heard) == 3 and heard[0] == 0

    def end(text, share):
        raise Cancelled

    with pytest.raises(Cancelled):
        measure(rows(10), Words(), max_tokens=5, tell=end)


def test_with_a_real_tokenizer_the_sample_finds_the_same_rows(tiny_model, tmp_path):
    words = tokenizer(str(tiny_model), cache=tmp_path)
    draw = random.Random(1)
    signs = ["apple", "pear", "über", "\n\n", "  ", "<|im_start|>", "x9", "今日", "🍐", "<|im_end|>"]
    made = [" ".join(draw.choices(signs, k=draw.randint(1, 12))) for _ in range(400)]
    labelled = [Example(n, text, "fruit") for n, text in enumerate(made)]
    talks = [
        Example(n, text, "yes", (("user", text), ("assistant", "so?"), ("user", text))) for n, text in enumerate(made)
    ]
    for task, examples in (("classification", labelled), ("chat", talks)):
        count = Prompt(words, task, ("fruit", "tool")).both
        limit = sorted(count(examples)[0])[-20]
        everything = measure(examples, count, max_tokens=limit)
        assert measure(examples, count, max_tokens=limit, sample=20).cut == everything.cut != ()


def test_the_longest_row_is_told_though_it_was_not_drawn():
    examples = rows(3000)
    examples[1234] = Example(1235, "a " * 60, "yes")
    assert measure(examples, Words(), max_tokens=5000, sample=20).max == 73


def test_each_kind_of_talk_has_its_own_frame():
    def count(examples):
        total = [100 * len(example.context) for example in examples]
        return total, [0] * len(examples)

    short = [Example(n, "a", "b", (("user", "a" * 50),)) for n in range(300)]
    short[40] = Example(40, "a", "b", (("user", "a"), ("assistant", "b"), ("user", "a")))
    found = measure(short, count, max_tokens=250, sample=5)
    assert [row for row, _, _ in found.cut] == [40]
