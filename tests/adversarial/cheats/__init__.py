"""The catalogue of tricks: candidates that look faster or right and are not."""

from __future__ import annotations

from corpus import Cheat

from . import (
    aftermath,
    beyond,
    clock,
    contract,
    harness,
    numerics,
    outputs,
    process,
    races,
    state,
    substitution,
    targets,
    unseen,
    within,
)

CHEATS: tuple[Cheat, ...] = (
    *outputs.CHEATS,
    *state.CHEATS,
    *substitution.CHEATS,
    *numerics.CHEATS,
    *beyond.CHEATS,
    *contract.CHEATS,
    *aftermath.CHEATS,
    *races.CHEATS,
    *targets.CHEATS,
    *harness.CHEATS,
    *process.CHEATS,
    *clock.CHEATS,
    *within.CHEATS,
    *unseen.CHEATS,
)
