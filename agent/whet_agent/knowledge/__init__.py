"""What is known of an architecture and of Triton practice, as text for a prompt.

Each sheet is a markdown file that cites where its numbers stand. Lines that cite
(`Source:`) are for people and are left out of prompts.
"""

from __future__ import annotations

import functools
from importlib import resources

SHEETS = {
    "gfx90a": "gfx90a", "gfx942": "gfx942", "gfx950": "gfx950", "sm_80": "sm_80", "sm_90": "sm_90",
    "gfx940": "gfx942", "gfx941": "gfx942", "sm_90a": "sm_90",
}  # fmt: skip
"""Architectures and the sheet that holds for each."""


def knowledge_for(arch: str | None) -> str:
    """The sheet of `arch`, then Triton practice; practice alone where the arch is unknown."""
    sheet = SHEETS.get(arch or "")
    parts = [load_sheet(sheet)] if sheet is not None else []
    return "\n\n".join([*parts, load_sheet("triton")])


@functools.cache
def load_sheet(name: str) -> str:
    """One sheet without its sources."""
    text = resources.files(__package__).joinpath(f"{name}.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("Source:")]
    return "\n".join(lines).strip()
