"""The catalogue of tricks: candidates that look faster or right and are not."""

from __future__ import annotations

from corpus import Cheat

from . import clock, harness, numerics, outputs, process, state, substitution

CHEATS: tuple[Cheat, ...] = (
    *outputs.CHEATS,
    *state.CHEATS,
    *substitution.CHEATS,
    *numerics.CHEATS,
    *harness.CHEATS,
    *process.CHEATS,
    *clock.CHEATS,
)
