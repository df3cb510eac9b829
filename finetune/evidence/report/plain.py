"""What a comparison says in words for somebody who knows no statistics; the page and the report say the same."""

from __future__ import annotations

from finetune.dataset.finding import plural
from finetune.evidence.systems import FINE_TUNED, NAMES

# Decision → the answer in a few words, and its tone: good, warn, bad or plain.
VERDICT = {
    "use_fine_tuned": ("Use the fine-tuned model", "good"),
    "prompting_enough": ("Prompting is enough", "warn"),
    "retrieval_enough": ("Retrieval is enough", "warn"),
    "classical_enough": ("A classical model is enough", "warn"),
    "collect_more_data": ("Collect more data", "bad"),
    "no_clear_difference": ("No clear difference", "plain"),
}
# What each decision means for somebody who knows no statistics; {other} is the strongest alternative.
MEANS = {
    "use_fine_tuned": "It answers texts it has never seen better than {other}, and the gap is too large to be luck.",
    "prompting_enough": "A prompt does the job: {other} is as good as your fine-tuned model, or nearly, without any "
    "model of your own to look after.",
    "retrieval_enough": "Showing the model similar examples does the job: that is as good as your fine-tuned model, "
    "or nearly, and new examples work at once, without training.",
    "classical_enough": "A much simpler method does the job: {other} is as good as your fine-tuned model, or nearly, "
    "and costs next to nothing to run.",
    "collect_more_data": "There are too few test rows to say whether the fine-tuned model is better than {other}: "
    "what you see here could be luck.",
    "no_clear_difference": "The fine-tuned model and {other} do about equally well: what sets them apart here could "
    "be luck.",
}
WRONG = {
    "use_fine_tuned": "You would look after a model of your own that a simpler way could have matched. That can be "
    "undone on any day: keep {other} ready for a while.",
    "prompting_enough": "You would miss a small gain. Nothing is lost: the adapter stays, and can be compared again.",
    "retrieval_enough": "You would miss a small gain. Nothing is lost: the adapter stays, and can be compared again.",
    "classical_enough": "You would miss a small gain. Nothing is lost: the adapter stays, and can be compared again.",
    "collect_more_data": "Deciding now would be a guess either way: a useless model in use, or a good one thrown away.",
    "no_clear_difference": "Taking the fine-tuned model now would probably buy you its costs without a gain.",
}
METRICS = {
    "accuracy": "accuracy",
    "exact_match": "exact match",
    "rouge_l": "ROUGE-L",
    "rougeL": "ROUGE-L",
    "field_f1": "fields right",
}


def trusted(comparison: dict) -> bool:
    """Whether the adapter-off proof held; a comparison without one is taken as it was told."""
    proof = comparison.get("proof") or {}
    return proof.get("equal") is not False and comparison.get("adapter_off_equals_base") is not False


def tally(comparison: dict) -> str:
    """Both scores as a person counts them."""
    systems = comparison["systems"]
    other = NAMES.get(comparison["paired"]["against"], comparison["paired"]["against"])
    tuned, against = systems[FINE_TUNED]["score"], systems[comparison["paired"]["against"]]["score"]
    if comparison["metric"] in ("accuracy", "exact_match"):
        said = f"Of 100 such texts the fine-tuned model gets about {100 * tuned:.0f} right, {other} about {100 * against:.0f}"
    elif comparison["metric"] == "field_f1":
        said = (
            f"Of 100 fields the fine-tuned model fills about {100 * tuned:.0f} right, {other} about {100 * against:.0f}"
        )
    else:
        said = (
            f"Where 100 is the expected answer word for word, the fine-tuned model reaches {100 * tuned:.0f}, "
            f"{other} {100 * against:.0f}"
        )
    lost = comparison.get("regressions") or {}
    if lost.get("rows"):
        count = len(lost["rows"])
        said += (
            f". But {count:,} of the {lost['of']:,} {plural('text', 'texts', lost['of'])} that the untrained base "
            f"had right {plural('is', 'are', count)} wrong now"
        )
    return said + "."
