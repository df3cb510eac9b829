"""What a model forgot of everything that is not its task: general texts and questions, before and after the training."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from finetune.dataset.example import Example
from finetune.dataset.finding import plural
from finetune.evidence.forgetting.general import PROMPTS, Question
from finetune.evidence.measures.metrics import paired
from finetune.evidence.systems import FINE_TUNED

if TYPE_CHECKING:
    from finetune.model.prompt import Prompt

# An answer to a general question has this many tokens at most: enough for a sentence and a half, or a short function.
MOST_TOKENS = 48
# Less sure of the next word by this share. Repeating a comparison gives the same losses to the last digit, so even the
# smaller one is a change of the model; what size matters to a user is a choice, and told as one.
NOTE, WARNING = 0.05, 0.20
LEVEL = 0.05
RULES = (
    f"A warning is given where the model is less sure of general text by {WARNING:.0%} or more, or where it lost more "
    f"questions than it gained and luck would do so less than {LEVEL * 100:.0f} times in 100 (exact McNemar test). A note "
    f"where it is less sure by {NOTE:.0%} or more, or lost more questions than it gained. “Less sure by 20%” means: the "
    "probability that it gave to the word that really came next fell by 20% (geometric mean over all tokens)."
)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")


def general_prompts(prompt: Prompt) -> list[list[int]]:
    """Token ids of every general question up to its answer, as somebody would ask the base: without the run's instruction.

    Nothing is cut, whatever the longest row of the run: the questions are short.
    """
    ids = []
    for question in PROMPTS:
        text = prompt.render(prompt.messages(Example(0, question.text, ""), instruction=""))
        ids.append(prompt.tokenizer(text, add_special_tokens=False)["input_ids"])
    return ids


def passed(question: Question, answer: str) -> bool:
    """Whether the answer holds one of the accepted ones, as whole words in this order, or as a number of that value."""
    if question.most_words and len(answer.split()) > question.most_words:
        return False
    flags = 0 if question.exact_case else re.IGNORECASE
    numbers = [float(found.replace(",", "")) for found in _NUMBER.findall(answer)]
    for accepted in question.accepted:
        if re.fullmatch(r"\d+", accepted):
            if float(accepted) in numbers:
                return True
            continue
        # Between the words anything but letters and digits may stand: “1, 2, 3” is “1 2 3”.
        words = r"[\W_]+".join(re.escape(word) for word in accepted.split())
        before, after = (r"(?<!\w)" if accepted[0].isalnum() else ""), (r"(?!\w)" if accepted[-1].isalnum() else "")
        if re.search(before + words + after, answer, flags):
            return True
    return False


def forgetting(losses: Mapping[str, tuple[float, int]], answers: Mapping[str, Sequence[str]] | None = None) -> dict:
    """The "forgetting" of a comparison.

    Args:
        losses: "base" and "fine_tuned" → mean loss (nats a token) over the general passages, and the number of tokens.
        answers: "base" and "fine_tuned" → answers to `PROMPTS`, in their order; None where none were asked for.

    Returns:
        {"loss_before", "loss_after", "difference", "tokens", "less_sure" (share by which the probability of the true next
        token fell; negative where it rose), "prompts": [{"kind", "prompt", "expected", "before", "after",
        "passed_before", "passed_after"}], "lost", "gained", "p_value", "severity": "none|note|warning", "message",
        "rules"}; "prompts", "lost", "gained" and "p_value" are absent without answers.
    """
    (before, tokens), (after, others) = losses["base"], losses[FINE_TUNED]
    if tokens != others:
        raise ValueError(f"the base read {tokens} tokens and the fine-tuned model {others}")
    less_sure = 1 - math.exp(before - after)
    found: dict[str, Any] = {
        "loss_before": before, "loss_after": after, "difference": after - before, "tokens": tokens, "less_sure": less_sure,
    }  # fmt: skip
    if answers is not None:
        found |= _asked(answers["base"], answers[FINE_TUNED])
    severity = _severity(less_sure, found.get("lost", 0), found.get("gained", 0), found.get("p_value", 1.0))
    return found | {"severity": severity, "message": _message(found, severity), "rules": RULES}


def _asked(before: Sequence[str], after: Sequence[str]) -> dict:
    prompts = [
        {
            "kind": question.kind, "prompt": question.text, "expected": question.accepted[0], "before": said, "after": now,
            "passed_before": passed(question, said), "passed_after": passed(question, now),
        }
        for question, said, now in zip(PROMPTS, before, after, strict=True)
    ]  # fmt: skip
    pair = paired(
        [float(one["passed_after"]) for one in prompts], [float(one["passed_before"]) for one in prompts],
        name="the base", seed=0,
    )  # fmt: skip
    return {"prompts": prompts, "lost": pair.losses, "gained": pair.wins, "p_value": pair.p_value}


def _severity(less_sure: float, lost: int, gained: int, p_value: float) -> str:
    worse = lost > gained
    if less_sure >= WARNING or (worse and p_value < LEVEL):
        return "warning"
    return "note" if less_sure >= NOTE or worse else "none"


def _message(found: Mapping[str, Any], severity: str) -> str:
    """What was measured in one sentence, and what to make of it in another."""
    share = found["less_sure"]
    size = round(100 * abs(share))
    if size == 0:
        said = "On general text it is as sure of the next word as before the training"
    else:
        said = f"On general text it is now {size}% {'less' if share > 0 else 'more'} sure of the next word"
    if "prompts" in found:
        knew = sum(one["passed_before"] for one in found["prompts"])
        lost, gained = found["lost"], found["gained"]
        if lost:
            which = f"{'all' if lost == knew else f'{lost} of the'} {knew} general questions"
            said += f"; {which} that it answered right before the training it now gets wrong"
        elif knew:
            said += f"; of the {knew} general questions that it answered right before the training it lost none"
        if gained:
            said += f", and {gained} {plural('other', 'others', gained)} it now gets right"
    return f"{said}. {_ADVICE[severity]}"


_ADVICE = {
    "none": "There is no sign that it became worse at other work.",
    "note": "For other work than its task it may be a little worse than the base.",
    "warning": "Use it for its own task alone: for anything else switch the adapter off, and the base is there as it was. "
    "Fewer passes, a lower learning rate, or some general rows among the training rows make it forget less.",
}
