"""What photos/origin.py says of how a picture was edited, which the store has in English -> a text for pages in any language."""

from __future__ import annotations

import re

from facecluster.language import mark
from facecluster.language.said import say

_TEXTS = {
    r"saved by an Adobe program": mark("saved by an Adobe program"),
    r"saved by (?P<program>.+)": mark("saved by %(program)s"),
    r"saved": mark("saved"),
    r"not in the size that the camera took, (?P<shape>\w+)": mark("not in the size that the camera took, %(shape)s"),
    r"changed on (?P<day>\S+)": mark("changed on %(day)s"),
}


def say_edited(edited: str) -> str:
    """`edited` of an Origin as a text that can be translated; as it is if it is none that is known."""
    for pattern, text in _TEXTS.items():
        if found := re.fullmatch(pattern, edited):
            return say(text, **found.groupdict())
    return edited
