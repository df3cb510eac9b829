"""An example becomes tokens: the same prompt for base and fine-tuned, in training, in scoring and on the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from finetune.dataset.example import Example, Task
from finetune.errors import FinetuneError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Part = Literal["prompt", "answer", "end", "cut"]
# For a tokenizer without a chat template (a plain base model): instruction, input, answer, end token, in plain words.
PLAIN_TEMPLATE = (
    "{% set names = {'system': 'Instruction', 'user': 'Input', 'assistant': 'Answer'} %}"
    "{% for m in messages %}{{ '### ' + names.get(m['role'], m['role'] | capitalize) + '\n' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Answer\n' }}{% endif %}"
)
_PROBE = "\u2063answer\u2063"
_BATCH = 10_000  # texts that are counted at a time: their tokens need memory


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row as the model gets it: token ids of the prompt and of the answer (its end token included)."""

    row: int
    prompt: list[int]
    answer: list[int]
    cut: int  # tokens of the input that were left out for length
    shortened: int = 0  # examples and passages shown before the input that were cut for length

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def common_prefix(rows: Sequence[list[int]]) -> int:
    """Tokens that all rows begin with; each row keeps at least one of its own."""
    low, high = min(rows), max(rows)
    shared = next(
        (place for place, (one, other) in enumerate(zip(low, high, strict=False)) if one != other),
        min(len(low), len(high)),
    )
    return min(shared, min(map(len, rows)) - 1)


@dataclass(frozen=True, slots=True)
class TokenView:
    """One token as text, and the part of the row it belongs to."""

    text: str
    part: Part


class Prompt:
    """How a task is put to the model.

    Args:
        tokenizer: of the base.
        labels: for classification, the labels in the order in which the instruction names them.
        instruction: the system message; empty takes one made from task and labels, or none.
        max_tokens: longest row. A longer input is cut at its end; prompts around it and the answer never are.

    Attributes:
        plain: the tokenizer has no chat template, and rows are put in `PLAIN_TEMPLATE`.
        end: id of the token that ends an answer; it is trained on, and generation stops at it.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        task: Task,
        labels: Sequence[str] = (),
        instruction: str = "",
        max_tokens: int = 1024,
    ):
        self.tokenizer = tokenizer
        self.task = task
        self.labels = tuple(labels)
        self.max_tokens = max_tokens
        self.instruction = instruction or default_instruction(task, self.labels)
        self.plain = not tokenizer.chat_template
        self.template = tokenizer.chat_template or _plain_template(tokenizer)
        self.end = self._end_of_turn()

    def messages(
        self,
        example: Example,
        shots: Sequence[Example] = (),
        *,
        instruction: str | None = None,
        passages: Sequence[str] = (),
    ) -> list[dict[str, str]]:
        """System message, solved examples as earlier turns, then the input, with passages to look things up in before it.

        All shots together take about as much room as the row itself, and so do all passages: each is cut to its share
        of `max_tokens`.

        Args:
            instruction: takes the place of the instruction of the run, and of a system message of the row's own.
        """
        talk = list(example.context or [("user", example.input)])
        turns: list[tuple[str, str]] = []
        room = self._room_of_a_shot(shots)
        own = talk.pop(0) if talk[0][0] == "system" else None
        if instruction is None and own:
            turns.append(own)
        elif said := self.instruction if instruction is None else instruction:
            turns.append(("system", said))
        if passages:
            found = "\n\n".join(self._shortened(passage, self.max_tokens // len(passages)) for passage in passages)
            talk[-1] = (talk[-1][0], f"Use this where it helps:\n\n{found}\n\n{talk[-1][1]}")
        for shot in shots:
            turns += [("user", self._shortened(shot.input, room)), ("assistant", self._shortened(shot.output, room))]
        turns += talk
        return [{"role": role, "content": content} for role, content in turns]

    def render(self, messages: list[dict[str, str]]) -> str:
        """The text up to the place where the answer begins."""
        try:
            return self.tokenizer.apply_chat_template(
                messages,
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=True,
                # Templates that know a thinking mode answer directly; others ignore the name.
                enable_thinking=False,
            )
        except Exception as error:
            if messages and messages[0]["role"] == "system":
                # Some templates (Mistral, Gemma) know no system role: the instruction goes before the first input.
                system, first, *rest = messages
                return self.render([{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *rest])
            raise FinetuneError(f"The chat template of this base cannot render a row: {error}") from error

    def encode(
        self,
        example: Example,
        shots: Sequence[Example] = (),
        room: int = 0,
        *,
        instruction: str | None = None,
        passages: Sequence[str] = (),
    ) -> Encoded:
        """The row as token ids, cut to `max_tokens` at the end of its input.

        Args:
            shots, instruction, passages: as in `messages`; what they add does not count towards `max_tokens`.
            room: tokens kept free for the answer when the row's own answer is not what will stand there.

        Raises:
            FinetuneError: instruction and answer alone are longer than `max_tokens`.
        """
        answer = [*self._ids(example.output), self.end]
        put = partial(self.messages, shots=shots, instruction=instruction, passages=passages)
        prompt = self._ids(self.render(put(example)))
        allowed = self.max_tokens - max(len(answer), room)
        if shots or passages or instruction is not None:
            allowed += len(prompt) - len(self._ids(self.render(self.messages(example))))
        over = len(prompt) - allowed
        shortened = self._count_shortened(shots, passages)
        if over <= 0:
            return Encoded(example.row, prompt, answer, 0, shortened)
        return dataclasses.replace(self._encode_cut(example, put, answer, allowed, over), shortened=shortened)

    def _encode_cut(
        self, example: Example, put: Callable[[Example], list[dict]], answer: list[int], allowed: int, over: int
    ) -> Encoded:
        last = example.context[-1][1] if example.context else example.input
        ids = self.tokenizer(last, add_special_tokens=False, return_offsets_mapping=True)
        offsets = ids["offset_mapping"]
        keep = len(offsets) - over
        while keep > 0:
            shorter = last[: offsets[keep - 1][1]]
            context = (*example.context[:-1], (example.context[-1][0], shorter)) if example.context else ()
            prompt = self._ids(self.render(put(Example(example.row, shorter, example.output, context))))
            if len(prompt) <= allowed:
                return Encoded(example.row, prompt, answer, len(offsets) - keep)
            keep -= max(1, len(prompt) - allowed)
        raise FinetuneError(
            f"The instruction and the answer alone are longer than {self.max_tokens} tokens.",
            hint="Raise max_tokens, or shorten the answer or the earlier turns.",
            row=example.row,
        )

    def lengths(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of each row if nothing were cut: instruction, input, answer and end token."""
        return self.both(examples)[0]

    def both(self, examples: Sequence[Example]) -> tuple[list[int], list[int]]:
        """Tokens of each row if nothing were cut, and what of them is never cut: all but the last input.

        Of a row whose second number is not below `max_tokens` no input would be left: `encode` refuses it. Where input
        and template meet, a token may join the two, so both numbers can be off by one.
        """
        if not examples:
            return [], []
        inputs = self._counts([example.context[-1][1] if example.context else example.input for example in examples])
        if self.task == "chat":
            texts = [self.render(self.messages(example)) + example.output for example in examples]
            total = [count + 1 for count in self._counts(texts)]
        else:
            # The frame around the input is the same for every row: it is counted once.
            frame = len(self._ids(self.render(self.messages(Example(0, "", ""))))) + 1
            answers = self._counts([example.output for example in examples])
            total = [frame + of_input + of_answer for of_input, of_answer in zip(inputs, answers, strict=True)]
        return total, [of_row - of_input for of_row, of_input in zip(total, inputs, strict=True)]

    def answer_lengths(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of each answer, its end token included: what is learned of a row."""
        return [count + 1 for count in self._counts([example.output for example in examples])]

    def _counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, in batches that use every core; equal texts, such as labels, are counted once."""
        distinct = list(dict.fromkeys(texts))
        counts: list[int] = []
        for start in range(0, len(distinct), _BATCH):
            batch = distinct[start : start + _BATCH]
            if self.tokenizer.is_fast:
                # The same ids as a call of the tokenizer makes, without the lists around them: a third less time.
                core = self.tokenizer.backend_tokenizer
                core.no_truncation()
                core.no_padding()
                counts += [len(encoding) for encoding in core.encode_batch_fast(batch, add_special_tokens=False)]
            else:
                counts += [len(ids) for ids in self.tokenizer(batch, add_special_tokens=False)["input_ids"]]
        of = dict(zip(distinct, counts, strict=True))
        return [of[text] for text in texts]

    def tokens(self, example: Example) -> list[TokenView]:
        """The row token by token: what is read, what is learned, the end token, and what was cut, where it stood."""
        encoded = self.encode(example)
        views = [TokenView(self._text(token), "prompt") for token in encoded.prompt]
        if encoded.cut:
            last = example.context[-1][1] if example.context else example.input
            ids = self.tokenizer(last, add_special_tokens=False)["input_ids"]
            # The template closes the turn with the same tokens whether the input is whole or not.
            whole = self.render(self.messages(example))
            closing = len(self._ids(whole[whole.rfind(last) + len(last) :]))
            place = len(views) - closing
            views[place:place] = [TokenView(self._text(token), "cut") for token in ids[len(ids) - encoded.cut :]]
        views += [TokenView(self._text(token), "answer") for token in encoded.answer[:-1]]
        return [*views, TokenView(self._text(encoded.answer[-1]), "end")]

    def question(self, example: Example, shots: Sequence[Example] = (), room: int = 0) -> list[int]:
        """Token ids of the row up to its answer, as `encode` makes them, without a look at the answer that is expected."""
        return self.encode(dataclasses.replace(example, output=""), shots, room).prompt

    def _room_of_a_shot(self, shots: Sequence[Example]) -> int:
        return self.max_tokens // (len(shots) + 1)

    def _count_shortened(self, shots: Sequence[Example], passages: Sequence[str]) -> int:
        """How many of the examples and passages `messages` cuts."""
        room, share = self._room_of_a_shot(shots), self.max_tokens // max(1, len(passages))
        cut = [any(self._shortened(text, room) != text for text in (shot.input, shot.output)) for shot in shots]
        return sum(cut) + sum(self._shortened(passage, share) != passage for passage in passages)

    def _shortened(self, text: str, tokens: int) -> str:
        if (
            len(text) <= tokens
        ):  # no token is shorter than a character of its text, but for odd scripts: those are cut late
            return text
        offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return text if len(offsets) <= tokens else text[: offsets[tokens - 1][1]]

    def answer_ids(self, text: str) -> list[int]:
        """Token ids of an answer, the end token included."""
        return [*self._ids(text), self.end]

    def _ids(self, text: str) -> list[int]:
        # The template writes its own special tokens; a second <bos> would be one that the model never saw there.
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _text(self, token: int) -> str:
        return self.tokenizer.decode([token])

    def _end_of_turn(self) -> int:
        """The token that closes an answer in the template, else the tokenizer's end token."""
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        try:
            text = self.tokenizer.apply_chat_template(turns, chat_template=self.template, tokenize=False)
        except Exception:
            text = ""  # A template that refuses these turns still trains: the tokenizer names its end token.
        tail = self._ids(text.rpartition(_PROBE)[2].strip()) if _PROBE in text else []
        # Some tokenizers (Phi) list the end of a turn among their added tokens alone, and not among the special ones.
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        end = next((token for token in tail if token in special), self.tokenizer.eos_token_id)
        if end is None:
            raise FinetuneError(
                "This base has no end token.", hint="Take another base: without one, an answer never ends."
            )
        return end


def _plain_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """With the token that begins a text where this tokenizer sets one by itself: its base never saw a text without."""
    first = tokenizer("a")["input_ids"][:1]
    begins = tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id]
    return ("{{ bos_token }}" if begins else "") + PLAIN_TEMPLATE


def pieces(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[int]:
    """How many tokens each of some words takes in the middle of a text."""
    return list(map(len, tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]))


def default_instruction(task: Task, labels: Sequence[str]) -> str:
    """The system message of a task: the labels for classification, a plain request else, none for chat."""
    if task == "classification":
        return f"Classify the text. Answer with exactly one of these labels: {'; '.join(labels)}."
    return "Answer the request." if task == "instruction" else ""
