"""Honest candidates, awkward ones among them: each must be accepted."""

from __future__ import annotations

from corpus import Control

from . import awkward, plain

CONTROLS: tuple[Control, ...] = (*plain.CONTROLS, *awkward.CONTROLS)
