"""Honest candidates, awkward ones among them: each must be accepted."""

from __future__ import annotations

from corpus import Control

from . import awkward, plain, together

CONTROLS: tuple[Control, ...] = (
    *plain.CONTROLS,
    *awkward.CONTROLS,
    *together.CONTROLS,
)
