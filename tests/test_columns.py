"""Which columns are what, which task it is, and the examples that follow."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from finetune.dataset.example import Example
from finetune.dataset.mapping.columns import Mapping, examples, guess, suggest_group, suggest_time, template_preview
from finetune.dataset.reading.load import Table, load
from finetune.errors import FinetuneError


def table_of(columns: dict[str, list], rows: list[int] | None = None) -> Table:
    frame = pd.DataFrame(columns, dtype=object)
    frame.index = pd.Index(rows or range(1, len(frame) + 1), name="row")
    return Table("x.csv", frame, (), "csv", "utf-8", ",", "0" * 64, 0, ())


def texts(count: int, of: str = "how do I change thing number {} on my account") -> list[str]:
    return [of.format(n) for n in range(count)]


def cycle(values: list[str], count: int) -> list[str]:
    return [values[n % len(values)] for n in range(count)]


LONG = "This is an answer that goes on for a while, and says a thing of its own about number {}."


@pytest.mark.parametrize(
    ("columns", "input", "output", "task"),
    [
        ({"text": texts(40), "category": cycle(["a", "b", "c"], 40)}, "text", "category", "classification"),
        ({"category": cycle(["a", "b"], 40), "text": texts(40)}, "text", "category", "classification"),
        ({"prompt": texts(40), "completion": texts(40, LONG)}, "prompt", "completion", "instruction"),
        ({"question": texts(40), "answer": texts(40, LONG)}, "question", "answer", "instruction"),
        ({"Question": texts(40), "Answer": cycle(["yes", "no"], 40)}, "Question", "Answer", "classification"),
        (
            {"instruction": texts(40), "input": cycle(["", "x"], 40), "output": texts(40, LONG)},
            "instruction + input",
            "output",
            "instruction",
        ),
        (
            {"instruction": texts(40), "input": [""] * 40, "output": texts(40, LONG)},
            "instruction",
            "output",
            "instruction",
        ),
        (
            {"context": texts(40), "question": texts(40), "answer": texts(40)},
            "context + question",
            "answer",
            "instruction",
        ),
        (
            {"Subject": texts(40), "Body": texts(40), "Label": cycle(["a", "b"], 40)},
            "Subject + Body",
            "Label",
            "classification",
        ),
        # numeric identifiers are neither side
        (
            {"id": list(map(str, range(40))), "text": texts(40), "label": cycle(["a", "b"], 40)},
            "text",
            "label",
            "classification",
        ),
        (
            {"nr": list(map(str, range(40))), "foo": texts(40), "bar": cycle(["a", "b"], 40)},
            "foo",
            "bar",
            "classification",
        ),
        ({"bar": cycle(["a", "b"], 40), "foo": texts(40)}, "foo", "bar", "classification"),
        ({"frage": texts(40), "antwort": texts(40, LONG)}, "frage", "antwort", "instruction"),
        ({"review": texts(40), "rating": cycle(list("12345"), 40)}, "review", "rating", "classification"),
        ({"review": texts(40), "x": cycle(list("12345"), 40)}, "review", "x", "classification"),
        # the readable label before its number
        (
            {"text": texts(40), "label": cycle(["0", "1"], 40), "label_text": cycle(["n", "p"], 40)},
            "text",
            "label_text",
            "classification",
        ),
        (
            {"ticketText": texts(40), "assigned_category": cycle(["a", "b"], 40)},
            "ticketText",
            "assigned_category",
            "classification",
        ),
        # names promise labels, contents are free text, and the other way round
        ({"text": texts(40), "label": texts(40, LONG)}, "text", "label", "instruction"),
        # answers that repeat are answers all the same: long, or most of them single
        (
            {"question": texts(40), "answer": cycle([LONG.format(n) for n in range(4)], 40)},
            "question",
            "answer",
            "instruction",
        ),
        (
            {"question": texts(40), "answer": ["I don't know"] * 12 + texts(28, "in {}")},
            "question",
            "answer",
            "instruction",
        ),
        ({"question": texts(60), "answer": cycle(texts(30, "city {}"), 60)}, "question", "answer", "instruction"),
        ({"text": texts(60), "intent": cycle(texts(30, "intent {}"), 60)}, "text", "intent", "classification"),
        ({"x": texts(3), "category": ["a", "b", "a"]}, "x", "category", "classification"),
    ],
)
def test_guess(columns, input, output, task):
    mapping = guess(table_of(columns))
    assert mapping.as_json() == {"input": input, "output": output}
    assert mapping.task == task
    assert len(mapping.reasons) == 3


def test_choices_overrule():
    table = table_of({"text": texts(20), "category": cycle(["a", "b"], 20), "title": texts(20)})
    mapping = guess(table, input=["title", "text"], output="category", task="instruction")
    assert mapping == Mapping("instruction", ("title", "text"), "category")
    assert guess(table, input="title").output == "category"
    assert guess(table, output="title").input == ("text",)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"input": ["nope"]}, "“text”, “category”"),
        ({"output": "nope"}, "no column “nope”"),
        ({"task": "regression"}, "classification, instruction, chat"),
        ({"input": ["text"], "output": "text"}, "same column"),
        ({"task": "chat"}, "No column holds conversations"),
        ({"input": ["text", "category"]}, "No column is left"),
    ],
)
def test_wrong_choices(choice, said):
    with pytest.raises(FinetuneError) as caught:
        guess(table_of({"text": texts(5), "category": cycle(["a", "b"], 5)}), **choice)
    assert said in str(caught.value)


def test_pairs_are_stripped_and_empties_told():
    table = table_of(
        {
            "text": [" a \n", "", "c", "d", "e\u200b"],
            "note": ["", "n", "m", "", ""],
            "label": ["x ", "y", " ", "\xa0", "z"],
        },
        rows=[1, 2, 4, 5, 7],
    )
    made, findings = examples(table, Mapping("classification", ("text",), "label"))
    assert made == [Example(1, "a", "x"), Example(7, "e", "z")]
    assert [(f.kind, f.rows, f.mends) for f in findings] == [("empty", (2, 4, 5), ("applied",))]
    assert "1 have no input, 2 no output" in findings[0].message
    made, _ = examples(table, Mapping("classification", ("text", "note"), "label"))
    assert made == [Example(1, "a", "x"), Example(2, "n", "y"), Example(7, "e", "z")]
    table = table_of({"a": ["one"], "b": ["two"], "c": ["three"]})
    assert examples(table, Mapping("instruction", ("a", "b"), "c"))[0] == [Example(1, "one\n\ntwo", "three")]


def test_broken_characters_are_kept():
    table = table_of({"text": ["cafÃ©", "caf\ufffd"], "label": ["a", "b"]})
    made, findings = examples(table, Mapping("classification", ("text",), "label"))
    assert [example.input for example in made] == ["cafÃ©", "caf\ufffd"] and not findings


def test_bad_rows_become_a_finding(tmp_path: Path):
    (tmp_path / "x.csv").write_text("text,label\na,b\nc\n")
    _, findings = examples(load(tmp_path / "x.csv"), Mapping("classification", ("text",), "label"))
    assert [(f.kind, f.severity, f.rows, f.mends) for f in findings] == [("bad_row", "warning", (2,), ("applied",))]
    assert "row 2: 1 field where the header has 2" in findings[0].message


def turn(role: str, content) -> dict:
    return {"role": role, "content": content}


def test_chat():
    conversations = [
        [
            turn("system", "be kind"),
            turn("user", "hi"),
            turn("assistant", "hello"),
            turn("user", "bye"),
            turn("assistant", "so long"),
        ],
        [turn("user", "hi"), turn("assistant", "hello"), turn("user", "unanswered")],
        [turn("user", "a"), turn("user", "b"), turn("tool", "x"), turn("assistant", "c"), turn("assistant", "d")],
        [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}],
        [turn("user", [{"type": "text", "text": "look"}, {"type": "image_url"}]), turn("assistant", "nice")],
        [turn("assistant", "hello")],
        [turn("user", "hi"), turn("assistant", None)],
        "no list",
    ]
    table = table_of({"messages": conversations})
    mapping = guess(table)
    assert (mapping.task, mapping.messages, mapping.output) == ("chat", "messages", None)
    assert mapping.as_json() == {"input": "messages", "output": "messages"}
    made, findings = examples(table, mapping)
    assert made[0] == Example(
        1,
        "bye",
        "so long",
        (("system", "be kind"), ("user", "hi"), ("assistant", "hello"), ("user", "bye")),
    )
    assert made[1] == Example(2, "hi", "hello", (("user", "hi"),))
    assert made[2] == Example(3, "a\n\nb", "c\n\nd", (("user", "a\n\nb"),))
    assert made[3] == Example(4, "hi", "hello", (("user", "hi"),))
    assert made[4].input == "look"
    assert [(f.kind, f.check, f.severity, f.rows) for f in findings] == [
        ("empty", "", "warning", (6, 7, 8)),
        ("empty", "tool_turns", "note", (3,)),
        ("empty", "media_parts", "note", (5,)),
    ]


def test_chat_with_a_system_column_and_as_json_text():
    cell = json.dumps([turn("user", "hi"), turn("assistant", "hello")])
    table = table_of({"system": ["be kind", ""], "conversations": [cell, cell]})
    mapping = guess(table)
    assert (mapping.task, mapping.system) == ("chat", "system")
    made, _ = examples(table, mapping)
    assert made[0].context == (("system", "be kind"), ("user", "hi")) and made[1].context == (("user", "hi"),)


def test_prompt_and_completion_as_turns():
    columns = {
        "prompt": [[turn("system", "s"), turn("user", f"q{n}")] for n in range(9)],
        "completion": [[turn("assistant", f"an answer to {n}")] for n in range(9)],
    }
    table = table_of(columns)
    mapping = guess(table)
    assert (mapping.task, mapping.messages, mapping.output, mapping.input) == ("chat", "prompt", "completion", ())
    assert mapping.as_json() == {"input": "prompt", "output": "completion"}
    context = (("system", "s"), ("user", "q0"))
    assert examples(table, mapping)[0][0] == Example(1, "q0", "an answer to 0", context)
    assert guess(table, input="prompt", output="completion", task="chat").messages == "prompt"
    text = guess(table, task="instruction")
    assert examples(table, text)[0][0] == Example(1, "s\n\nq0", "an answer to 0")


@pytest.mark.parametrize(
    ("columns", "task", "first"),
    [
        (
            {"prompt": texts(9), "chosen": texts(9, LONG), "rejected": texts(9, "bad {}")},
            "instruction",
            Example(1, texts(1)[0], LONG.format(0)),
        ),
        (
            {
                "prompt": [[turn("user", f"q{n}")] for n in range(9)],
                "chosen": [[turn("assistant", f"good {n}")] for n in range(9)],
                "rejected": [[turn("assistant", f"bad {n}")] for n in range(9)],
            },
            "chat",
            Example(1, "q0", "good 0", (("user", "q0"),)),
        ),
        (
            {
                "rejected": [[turn("user", f"q{n}"), turn("assistant", f"bad {n}")] for n in range(9)],
                "chosen": [[turn("user", f"q{n}"), turn("assistant", f"good {n}")] for n in range(9)],
            },
            "chat",
            Example(1, "q0", "good 0", (("user", "q0"),)),
        ),
    ],
)
def test_preferences(columns, task, first):
    table = table_of(columns)
    mapping = guess(table)
    assert mapping.task == task and any("“rejected” is not learned" in reason for reason in mapping.reasons)
    assert examples(table, mapping)[0][0] == first


CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def test_tools_are_counted_and_calls_are_no_answers():
    conversations = [
        [
            turn("user", "weather?"),
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "12"},
            turn("assistant", "It is 12 degrees."),
        ],
        [turn("user", "weather?"), {"role": "assistant", "tool_calls": [CALL]}],
        [turn("developer", "be kind"), turn("user", "hi"), turn("assistant", "hello")],
        [turn("user", "hi"), turn("assistant", "hello")],
    ]
    table = table_of(
        {
            "messages": conversations,
            "tools": ['[{"type": "function"}]', "", '[{"type": "function"}]', "[]"],
            "parallel_tool_calls": ["false"] * 4,
        }
    )
    mapping = guess(table)
    assert mapping.task == "chat" and mapping.messages == "messages"
    made, findings = examples(table, mapping)
    assert made[0] == Example(1, "weather?", "It is 12 degrees.", (("user", "weather?"),))
    assert made[1] == Example(3, "hi", "hello", (("system", "be kind"), ("user", "hi")))
    assert [(f.kind, f.check, f.severity, f.rows, f.mends) for f in findings] == [
        ("empty", "", "warning", (2,), ("applied",)),
        ("empty", "tool_turns", "note", (1, 2, 3), ()),
    ]
    assert "3 turns" in findings[1].message and "“tools”" in findings[1].message
    assert "parallel" not in findings[1].message


def test_conversations_that_python_printed():
    cell = str([turn("user", "it's"), turn("assistant", 'so "it" is')])
    table = table_of({"id": ["1", "2"], "messages": [cell, "[{'role': 'user', oops"]})
    made, findings = examples(table, guess(table))
    assert made == [Example(1, "it's", 'so "it" is', (("user", "it's"),))]
    assert findings[0].rows == (2,)


def test_hostile_turns():
    cells = [
        [turn("user", "\ud800 \0"), turn("assistant", {"k": [1]})],
        [{"role": "user"}, {"role": "assistant", "content": 5}],
        [turn("user", "hi"), turn("assistant", 5)],
    ]
    made, findings = examples(table_of({"messages": cells}), Mapping("chat", (), None, "messages"))
    assert made[0].input == "\ufffd \ufffd" and made[0].output == '{"k": [1]}'
    assert made[1].output == "5"
    assert [(f.kind, f.rows) for f in findings] == [("empty", (2,))]


def test_one_column():
    with pytest.raises(FinetuneError, match="one column"):
        guess(table_of({"text": ["a", "b"]}))


def test_group_and_time_are_no_side():
    table = table_of(
        {
            "question": texts(40),
            "customer_id": cycle(["k1", "k2", "k3"], 40),
            "created": [f"2024-01-{1 + n % 28:02d}" for n in range(40)],
            "wording": texts(40, LONG),
        }
    )
    assert suggest_group(table) == ("customer_id",) and suggest_time(table) == ("created",)
    mapping = guess(table, group="customer_id", time="created")
    assert (mapping.input, mapping.output) == (("question",), "wording")
    assert mapping.as_json() == {
        "input": "question", "output": "wording", "group": "customer_id", "time": "created"
    }  # fmt: skip
    assert guess(table, group="", time="").group is None
    named = guess(table, input=["question", "created"], output="customer_id", time="created")
    assert named.input == ("question", "created") and named.output == "customer_id"


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"group": "nope"}, "no column “nope”"),
        ({"time": "nope"}, "no column “nope”"),
        ({"group": "category"}, "The group is the output"),
        ({"time": "text"}, "No dates can be read in “text”: the first is “how do I change"),
        ({"template": "{text} {category}"}, "shows the model its own answer"),
        ({"template": "{text}", "task": "chat"}, "conversation is one column"),
        ({"template": "{txt}"}, "Did you mean “text”?"),
    ],
)
def test_wrong_group_time_and_template(choice, said):
    table = table_of({"text": texts(5), "category": cycle(["a", "b"], 5)})
    with pytest.raises(FinetuneError) as caught:
        guess(table, output="category", **choice)
    assert said in str(caught.value)


def test_a_template_makes_the_input():
    table = table_of(
        {
            "subject": ["lost card", "", ""],
            "body": ["where is it?", "hi", " "],
            "label": ["a", "b", "a"],
        }
    )
    mapping = guess(table, template="Subject: {subject}\\n{body}")
    assert mapping.input == ("subject", "body") and mapping.output == "label"
    assert mapping.as_json()["template"] == "Subject: {subject}\\n{body}"
    made, findings = examples(table, mapping)
    assert [example.input for example in made] == ["Subject: lost card\nwhere is it?", "Subject: \nhi"]
    assert findings[0].rows == (3,), "what the template adds is no input"
    assert template_preview(table, mapping.template, 2) == [(example.row, example.input) for example in made]


def test_names_that_programs_give():
    rows = 40
    label_studio = {
        "id": list(map(str, range(rows))),
        "data": ['{"review": "x"}'] * rows,
        "data.review": texts(rows),
        "annotations.result.type": ["choices"] * rows,
        "annotations.result.value.choices": cycle(["good", "bad"], rows),
        "predictions.result.value.choices": cycle(["good", "good", "bad"], rows),
    }
    assert guess(table_of(label_studio)).as_json() == {
        "input": "data.review", "output": "annotations.result.value.choices"
    }  # fmt: skip
    argilla = {
        "fields.text": texts(rows),
        "suggestions.label.value": cycle(["a", "b"], rows),
        "responses.label.value": cycle(["a", "b", "b"], rows),
        "status": ["completed"] * rows,
    }
    assert guess(table_of(argilla)).as_json() == {"input": "fields.text", "output": "responses.label.value"}
    split = {"foo": texts(rows), "bar": cycle(["a", "b"], rows), "split": cycle(["train", "test"], rows)}
    assert guess(table_of(split)).output == "bar"


def test_a_large_table_is_told_with_its_own_numbers():
    rows = 30_000
    table = table_of({"text": texts(rows), "topic": cycle([f"t{n}" for n in range(9)], rows)})
    mapping = guess(table)
    assert mapping.task == "classification" and "9 short values over 30,000 rows" in mapping.reasons[-1]
    free = table_of({"question": texts(rows), "answer": texts(rows, "in {}")})
    assert "20,000 rows that were looked at" in guess(free).reasons[-1]


def test_an_empty_last_answer_is_not_replaced_by_an_earlier_one(tmp_path):
    talk = [("user", "tea?"), ("assistant", "Gladly."), ("user", "with milk?"), ("assistant", "")]
    path = tmp_path / "chats.jsonl"
    rows = [talk, talk[:2], [*talk[:3], ("assistant", "No, thank you.")]]
    with path.open("w") as file:
        for row in rows:
            file.write(json.dumps({"messages": [{"role": role, "content": text} for role, text in row]}) + "\n")
    table = load(path)
    kept, findings = examples(table, guess(table))
    assert [(example.row, example.output) for example in kept] == [(2, "Gladly."), (3, "No, thank you.")]
    assert [(finding.kind, finding.rows) for finding in findings] == [("empty", (1,))]
