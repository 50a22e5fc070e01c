"""Prompt files: sections under `# name`, paragraphs with `{{placeholders}}`. Pure but for one read.

A paragraph whose placeholders are all empty is left out, and so is one that only
introduces it (it ends in a colon). What a switch turned off thus leaves no trace.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


@functools.cache
def load_sections(name: str) -> Mapping[str, str]:
    """The sections of `name`.md, which lies beside this file and ships with it."""
    text = resources.files(__package__).joinpath(f"{name}.md").read_text("utf-8")
    parts = re.split(r"^# (\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def render(section: str, values: Mapping[str, str]) -> str:
    """Fills a section. Values may hold blank lines, fences and braces; they stay as they are."""
    kept: list[str] = []
    for paragraph in _paragraphs(section):
        names = _PLACEHOLDER.findall(paragraph)
        if not names or any(values[name] for name in names):
            kept.append(_PLACEHOLDER.sub(lambda match: values[match[1]], paragraph))
        elif kept and kept[-1].endswith(":"):
            kept.pop()
    return "\n\n".join(kept)


def fenced(text: str, language: str = "python") -> str:
    """`text` between fences that are longer than any it holds; nothing for no text."""
    if not text.strip():
        return ""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"


def _paragraphs(section: str) -> list[str]:
    """Split at blank lines; a fenced block is one paragraph, a heading phrase its own."""
    return [part for part in re.split(r"\n\n+", section) if part.strip()]
