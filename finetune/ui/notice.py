"""What goes wrong in a handler, told in place: a mendable error as a calm sentence, anything else as the bug it is."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable

import gradio as gr

from finetune.errors import FinetuneError


def escape(text: object) -> str:
    """Text of a user, made safe for HTML."""
    return html.escape(str(text), quote=True)


def sentence(error: FinetuneError) -> str:
    """The error as HTML: what is wrong and where, and what to do."""
    whole = str(error)
    said = whole.removesuffix(error.hint).strip() if error.hint else whole
    hint = f" <span>{escape(error.hint)}</span>" if error.hint else ""
    return f'<div class="notice" role="alert"><b>{escape(said)}</b>{hint}</div>'


def calm(notice: gr.HTML) -> Callable:
    """Decorator of a handler that returns a dict of updates.

    Args:
        notice: where a FinetuneError is told; it is emptied when the handler succeeds.
    """

    def decorate(handler: Callable) -> Callable:
        @functools.wraps(handler)
        def wrapped(*values):
            try:
                updates = handler(*values)
            except FinetuneError as error:
                return {notice: gr.HTML(sentence(error), visible=True)}
            if isinstance(updates, dict):
                # Hidden and not only empty: an empty block still takes its gap in the column.
                return {notice: gr.HTML("", visible=False)} | updates
            return updates

        return wrapped

    return decorate
