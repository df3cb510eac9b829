"""Leftovers of HTML in plain texts: entities such as `&amp;` and tags such as `<br>`."""

from __future__ import annotations

import html
import re

ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,30}|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")
# Tags of running text alone: <thinking>, <T> of a program and <name> in a template are none.
_NAMES = (
    "br|p|div|span|b|i|u|em|strong|font|a|ul|ol|li|h[1-6]|img|table|tbody|tr|td|th|sup|sub|small|blockquote|hr|center"
)
_ATTRIBUTE = r"""\s+[a-zA-Z-]{1,30}\s?=\s?(?:"[^"<>]{0,2000}"|'[^'<>]{0,2000}'|[^\s"'<>]{1,2000})"""
TAG = re.compile(rf"</?(?:{_NAMES})(?:{_ATTRIBUTE}){{0,20}}\s?/?>", re.IGNORECASE)
_BREAK = re.compile(
    r"[ \t]*(?:<br\s*/?>|<hr\s*/?>|</(?:div|tr|li|h[1-6]|p|blockquote)>)[ \t]*(?:\r?\n)?", re.IGNORECASE
)
# A text about HTML, or with code in it, has its tags on purpose.
_MEANT = re.compile(
    r"```|`[^`\n]*<|<!doctype|<html|<head|<body|<script|<style|<\?xml|\bhtml\b|\bcss\b|\bxml\b", re.IGNORECASE
)


def has_markup(text: str) -> bool:
    """Are there entities or tags that somebody forgot to turn into text? Not where they are code, or talked about."""
    return bool((ENTITY.search(text) or TAG.search(text)) and not _MEANT.search(text) and _plain(text) != text)


def strip_markup(text: str) -> str:
    """The text with entities as their characters, breaks and ends of blocks as line breaks, other tags gone.

    A text that is code or about HTML stays as it is, and so do tags that are none of running text.
    """
    return _plain(text) if has_markup(text) else text


def _plain(text: str) -> str:
    before = None
    for _ in range(4):  # “&amp;lt;br&amp;gt;” was escaped twice
        if text == before:
            break
        before = text
        if TAG.search(text):
            text = TAG.sub("", _BREAK.sub("\n", text)).strip()
        text = ENTITY.sub(lambda match: html.unescape(match[0]).replace("\u00a0", " "), text)
    return text
