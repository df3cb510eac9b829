"""Everything that is wrong with the rows as they came, before anything is mended or split."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetune.dataset.checks import languages
from finetune.dataset.checks.answers import answer_findings
from finetune.dataset.checks.duplicates import duplicate_findings
from finetune.dataset.checks.encoding import encoding_findings
from finetune.dataset.checks.likeness import THRESHOLD, Likeness, likeness, text_of
from finetune.dataset.checks.personal import personal_findings
from finetune.dataset.checks.scripts import language_findings
from finetune.dataset.checks.spellings import label_key, spelling_finding
from finetune.dataset.checks.suspects import find_suspects, suspect_finding
from finetune.dataset.example import Example
from finetune.dataset.finding import Finding
from finetune.dataset.mapping.columns import Mapping, examples
from finetune.dataset.reading.collector import paused
from finetune.dataset.reading.load import Table
from finetune.dataset.tell import Tell, silent
from finetune.errors import FinetuneError

if TYPE_CHECKING:
    from finetune.dataset.checks.suspects import Suspects

# The samples of the checks are drawn by this, whatever the seed of the split: another split finds the same faults.
SEED = 0


@dataclass(frozen=True)
class Examined:
    """The usable rows of a table and what is wrong with them.

    Attributes:
        examples: the rows with an input and an output, in order.
        findings: of the rows as they came; those on balance and lengths are made later.
        like: which inputs are the same, or nearly.
        suspects: the doubtful labels; None where they cannot be judged, or the task has no labels.
    """

    table: Table
    mapping: Mapping
    examples: tuple[Example, ...]
    findings: tuple[Finding, ...]
    like: Likeness
    suspects: Suspects | None


@paused()
def examine(table: Table, mapping: Mapping, *, near: float = THRESHOLD, tell: Tell = silent) -> Examined:
    """Looks at every row.

    Args:
        near: the share of words in common from which two inputs count as nearly the same, 0.5 to 1.
        tell: hears what is done and the share that is done; may raise `Cancelled`.

    Raises:
        FinetuneError: no row has both an input and an output.
    """

    def part(start: float, end: float) -> Tell:
        return lambda text, share: tell(text, start + (end - start) * share)

    tell("Reading the rows", 0.0)
    threading.Thread(target=languages.prepare, daemon=True).start()
    task = mapping.task
    made, findings = examples(table, mapping)
    if not made:
        chosen = "Input is “{input}”, output “{output}”: choose other columns.".format(**mapping.as_json())
        raise FinetuneError("No row has both an input and an output.", hint=chosen)
    texts = [text_of(example) for example in made]
    like = likeness(texts, threshold=near, tell=part(0.1, 0.5))
    tell("Comparing the outputs", 0.5)
    findings += duplicate_findings(made, task, like)
    suspects = None
    if task == "classification":
        rows, labels = [example.row for example in made], [example.output for example in made]
        findings += _some(spelling_finding(labels, rows))
        suspects = _suspects(texts, labels, like, part(0.55, 0.7))
        if suspects is not None:
            findings += _some(suspect_finding(suspects, rows, labels))
    del texts
    tell("Looking for broken characters", 0.7)
    findings += encoding_findings(made)
    tell("Looking at the languages", 0.75)
    findings += language_findings(made, seed=SEED)
    tell("Looking at the answers", 0.8)
    findings += answer_findings(made, task)
    findings += personal_findings(made, tell=part(0.85, 1.0))
    return Examined(table, mapping, tuple(made), tuple(findings), like, suspects)


def _suspects(texts: Sequence[str], labels: Sequence[str], like: Likeness, tell: Tell) -> Suspects | None:
    """Spellings of one label are one here: those are told by a finding of their own."""
    keys: dict[str, str] = {}
    spelled = {label: keys.setdefault(label_key(label), label) for label, _ in Counter(labels).most_common()}
    return find_suspects(texts, [spelled[label] for label in labels], seed=SEED, groups=like.exact, tell=tell)


def _some(finding: Finding | None) -> list[Finding]:
    return [] if finding is None else [finding]
